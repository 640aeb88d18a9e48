/**
 * Symptom: a proposal that a follower passed on took effect although its
 * caller had been told that it was in no log.
 *
 * Cause: a transport may deliver twice. The first copy was refused, the
 * second came when the receiver would take it.
 *
 * Why nothing noticed: the simulator repeats proposals, but counts what a
 * repeated one was told as unknown.
 */
import { describe, it } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { addressOf, withWorld } from "../host/support/world.ts";

describe("a forwarded proposal that is delivered twice (H102, H104)", () => {
  it("is taken once", () =>
    withWorld(3, async (world) => {
      const members = await world.group();
      const leader = await world.leader(members);
      const follower = members.find(({ node }) => node !== leader.node);
      assert(follower !== undefined);
      await world.value(follower.propose("once"));
      const to = addressOf(leader.node);
      const frame = world.network.sent.find((sent) =>
        sent.to === to &&
        sent.envelopes.some(({ message }) => message.type === "propose")
      );
      assert(frame !== undefined);
      const { lastIndex } = leader.status();
      world.network.inject(frame.from, to, frame.envelopes);
      await world.settle();
      assertEquals(leader.status().lastIndex, lastIndex);
      assertEquals(await world.value(leader.read(null)), ["once"]);
      await world.value(follower.propose("again"));
      assertEquals(await world.value(leader.read(null)), ["once", "again"]);
    }));
});
