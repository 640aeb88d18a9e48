import { describe, it } from "node:test";
import { assert, assertEquals } from "@std/assert";
import type { MembershipChange } from "../../src/host/membership_change.ts";
import { Journal } from "./support/machines.ts";
import {
  type MemoryWorld,
  withMemoryWorld,
  write,
} from "./support/memory_world.ts";
import { tell } from "./support/outcomes.ts";
import { addressOf, type TestGroup, watch } from "./support/world.ts";

const JOINING = { join: true, members: [] } as const;

/** Three founding members; the fourth host is spare. */
async function founders(
  world: MemoryWorld,
): Promise<{ readonly leader: TestGroup; readonly members: TestGroup[] }> {
  const addresses = [1, 2, 3].map(newcomer);
  const members: TestGroup[] = [];
  for (const id of [1, 2, 3]) {
    members.push(await world.member(id, new Journal(), { members: addresses }));
  }
  return { leader: await world.leader(members), members };
}

function newcomer(id: number): { id: number; address: string } {
  return { id, address: addressOf(id) };
}

/** A fourth member that listens. */
async function learner(
  world: MemoryWorld,
  leader: TestGroup,
): Promise<TestGroup> {
  const joined = await world.member(4, new Journal(), JOINING);
  await world.value(
    leader.changeMembership({ add: [{ ...newcomer(4), role: "learner" }] }),
  );
  await write(world, leader, ["a"]);
  await world.advance(500);
  return joined;
}

describe("a change that needs no new learner", () => {
  it("is refused, too, if it is meant for another configuration (H90)", () =>
    withMemoryWorld(4, async (world) => {
      const { leader } = await founders(world);
      await learner(world, leader);
      const { version } = leader.status().conf;
      const error = await world.error(
        leader.changeMembership({ promote: [4] }, { expect: version - 1 }),
      );
      assertEquals(tell(error), ["conflict", "notAppended"]);
      assertEquals(leader.status().conf.learners, [4]);
      await world.value(
        leader.changeMembership({ promote: [4] }, { expect: version }),
      );
      assertEquals(leader.status().conf.voters, [1, 2, 3, 4]);
    }));

  it("is refused at once by who does not lead", () =>
    withMemoryWorld(4, async (world) => {
      const { leader, members } = await founders(world);
      await learner(world, leader);
      const follower = members.find((member) => member !== leader);
      assert(follower !== undefined);
      await world.until(
        "it knows the learner",
        () => follower.status().conf.learners.includes(4),
      );
      const changes: MembershipChange[] = [
        { promote: [4] },
        { add: [newcomer(4)] },
      ];
      for (const change of changes) {
        const fate = watch(follower.changeMembership(change));
        await world.settle();
        const now = fate();
        assert(now.type === "rejected", now.type);
        assertEquals(tell(now.error), ["notLeader", "notAppended"]);
      }
    }));
});

describe("adding a member that votes already", () => {
  it("takes nobody's vote away, not even for a moment", () =>
    withMemoryWorld(3, async (world) => {
      const { leader, members } = await founders(world);
      const { version } = leader.status().conf;
      for (const { node } of members) {
        const error = await world.error(
          leader.changeMembership({ add: [newcomer(node)] }),
        );
        assertEquals(tell(error), ["invalidChange", "notAppended"]);
      }
      assertEquals(leader.status().conf.version, version);
      assertEquals(leader.status().role, "leader");
    }));

  it("as a learner is refused: that would be to demote it", () =>
    withMemoryWorld(3, async (world) => {
      const { leader, members } = await founders(world);
      for (const { node } of members) {
        const add = [{ ...newcomer(node), role: "learner" }] as const;
        const error = await world.error(leader.changeMembership({ add }));
        assertEquals(tell(error), ["invalidChange", "notAppended"]);
      }
      assertEquals(leader.status().conf.voters, [1, 2, 3]);
    }));
});

describe("roles", () => {
  it("are those that are named, none that objects inherit", () =>
    withMemoryWorld(3, async (world) => {
      const { leader } = await founders(world);
      const role: unknown = "toString";
      const add = [{ id: 4, address: addressOf(4), role }];
      const error = await world.error(
        leader.changeMembership(Object({ add })),
      );
      assert(error instanceof RangeError);
      assertEquals(leader.status().stopped, null);
    }));
});

describe("a leader that is replaced while it adds a learner", () => {
  it("says so as soon as it learns that the learner was added", () =>
    withMemoryWorld(4, async (world) => {
      const { leader, members } = await founders(world);
      const id = leader.node;
      // Nothing it hears tells it that its entry is committed.
      world.network.drop = ({ to }) => to === addressOf(id);
      const fate = watch(
        leader.changeMembership({ add: [newcomer(4)] }, { timeoutMs: 60_000 }),
      );
      await world.until(
        "another one leads",
        () =>
          members.some((member) =>
            member !== leader && member.status().role === "leader"
          ),
      );
      world.network.heal();
      await world.until(
        "it hears of it",
        () => leader.status().conf.learners.includes(4),
      );
      await world.settle();
      const now = fate();
      assert(now.type === "rejected", now.type);
      assertEquals(tell(now.error), ["leadershipLost", "unknown"]);
      assertEquals(leader.pendingCount, 0);
    }));
});

describe("a change asked of a member that has stopped", () => {
  it("will never come into force, and is told so", () =>
    withMemoryWorld(3, async (world) => {
      const { leader } = await founders(world);
      await world.value(leader.stop());
      const changes = [
        () => leader.changeMembership({ remove: [1] }),
        () => leader.leaveJoint(),
      ];
      for (const change of changes) {
        const error = await world.error(change());
        assertEquals(tell(error), ["stopped", "notAppended"]);
      }
    }));
});
