/**
 * Symptom: a group of one voter in a joint configuration that was to be left
 * on demand answered no read, for as long as it stayed in it.
 *
 * Cause: a lone voter was one of a configuration that is not joint. Where both
 * halves are the same single voter no heartbeat ever confirms a round.
 *
 * Found by: random calls of the public interface in virtual time.
 */
import { describe, it } from "node:test";
import { assertEquals } from "@std/assert";
import { Journal } from "../host/support/machines.ts";
import { withMemoryWorld } from "../host/support/memory_world.ts";
import { addressOf } from "../host/support/world.ts";

const FOUNDER = { members: [{ id: 1, address: addressOf(1) }] };

describe("a lone voter in a joint configuration", () => {
  it("answers reads: it is the quorum of either half (H97)", () =>
    withMemoryWorld(2, async (world) => {
      const member = await world.member(1, new Journal(), FOUNDER);
      await world.leader([member]);
      await world.value(member.propose("a"));
      const learner = {
        id: 2,
        address: addressOf(2),
        role: "learner",
      } as const;
      await world.value(
        member.changeMembership({ add: [learner] }, { leave: "explicit" }),
      );
      const { conf } = member.status();
      assertEquals([conf.voters, conf.votersOutgoing], [[1], [1]]);
      for (const consistency of ["linearizable", "lease"] as const) {
        assertEquals(
          await world.value(member.read(null, { consistency })),
          ["a"],
        );
      }
      await world.value(member.leaveJoint());
      assertEquals(await world.value(member.read(null)), ["a"]);
    }));
});
