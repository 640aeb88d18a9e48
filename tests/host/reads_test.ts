import { describe, it } from "node:test";
import { assertEquals, assertInstanceOf } from "@std/assert";
import { RaftError } from "../../src/errors.ts";
import { Journal } from "./support/machines.ts";
import { isolate, leaderAndFollower, lose, tell } from "./support/outcomes.ts";
import { watch, withWorld } from "./support/world.ts";

describe("a read", () => {
  it("without a leader until the deadline: noLeader (H98)", () =>
    withWorld(3, async (world) => {
      const member = await world.member(1);
      const error = await world.error(member.read(null, { timeoutMs: 700 }));
      assertEquals(tell(error), ["noLeader", undefined]);
    }));

  it("on a leader that reaches nobody until the deadline: timeout (H94)", () =>
    withWorld(3, async (world) => {
      const members = await world.group({ checkQuorum: false });
      const [leader] = await leaderAndFollower(world, members);
      isolate(world, leader);
      const error = await world.error(leader.read(null, { timeoutMs: 300 }));
      assertEquals(tell(error), ["timeout", undefined]);
    }));

  it("with forwarding off on a follower: notLeader, naming the leader", () =>
    withWorld(3, async (world) => {
      const members = await world.group();
      const [leader, follower] = await leaderAndFollower(world, members);
      const error = await world.error(follower.read(null, { forward: false }));
      assertEquals(tell(error), ["notLeader", undefined]);
      assertInstanceOf(error, RaftError);
      assertEquals(error.leader, leader.node);
    }));

  it("is asked for again when question or answer is lost (H98)", () =>
    withWorld(3, async (world) => {
      const members = await world.group();
      const [leader, follower] = await leaderAndFollower(world, members);
      for (
        const [from, type] of [
          [follower, "readIndex"],
          [leader, "readIndexResponse"],
        ] as const
      ) {
        lose(world, from, type);
        const read = watch(follower.read(null));
        await world.advance(500);
        assertEquals(read().type, "pending");
        world.network.heal();
        await world.advance(500);
        assertEquals(read(), { type: "resolved", value: [] });
      }
    }));

  it("is asked of the new leader when the old one is gone (H98)", () =>
    withWorld(3, async (world) => {
      const members = await world.group();
      const [leader, follower] = await leaderAndFollower(world, members);
      await world.value(leader.propose("a"));
      isolate(world, leader);
      assertEquals(await world.value(follower.read(null)), ["a"]);
    }));

  it("rejects with what the query throws, and harms nothing else (H125)", () =>
    withWorld(1, async (world) => {
      const member = await world.member(1);
      await world.leader([member]);
      const wrong: unknown = "no such query";
      for (const consistency of ["linearizable", "stale"] as const) {
        const error = await world.error(
          member.read(wrong as null, { consistency }),
        );
        assertEquals(tell(error)[0], "machineFailed");
      }
      assertEquals(await world.value(member.read(null)), []);
      assertEquals(member.status().stopped, null);
    }));

  it("beyond the limit: overloaded", () =>
    withWorld(3, async (world) => {
      const member = await world.member(1, new Journal(), {
        maxPendingReads: 2,
      });
      const reads = [member.read(null), member.read(null)].map(watch);
      const error = await world.error(member.read(null));
      assertEquals(tell(error), ["overloaded", undefined]);
      await world.value(member.stop());
      assertEquals(reads.map((fate) => fate().type), ["rejected", "rejected"]);
    }));
});
