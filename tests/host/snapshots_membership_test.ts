import { describe, it } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { caughtUp } from "./support/behind.ts";
import { Journal, SlowJournal } from "./support/machines.ts";
import {
  lines,
  type MemoryWorld,
  NOTHING_TRAILS,
  withMemoryWorld,
  write,
} from "./support/memory_world.ts";
import { isolate } from "./support/outcomes.ts";
import { addressOf, type TestGroup } from "./support/world.ts";

const FOUNDERS = [1, 2, 3].map((id) => ({ id, address: addressOf(id) }));
const FOURTH = { id: 4, address: addressOf(4) };
const JOINING = { join: true, members: [], ...NOTHING_TRAILS } as const;

/** Three members on the first hosts: who leads, and the third, who does not. */
async function founders(
  world: MemoryWorld,
  third: Journal = new Journal(),
): Promise<{
  readonly leader: TestGroup;
  readonly follower: TestGroup;
}> {
  const options = { ...NOTHING_TRAILS, members: FOUNDERS };
  const members = [
    await world.member(1, new Journal(), options),
    await world.member(2, new Journal(), options),
    await world.member(3, third, options),
  ];
  const first = await world.leader(members);
  if (first.node === 3) await world.value(first.transferLeadership(1));
  const leader = await world.leader(members);
  const follower = members[2];
  assert(follower !== undefined && follower !== leader);
  return { leader, follower };
}

describe("a snapshot and the membership", () => {
  it("that it does not know yet: who joins gets it, and the change from the log", () =>
    withMemoryWorld(4, async (world) => {
      const { leader } = await founders(world);
      await write(world, leader, lines("a", 20));
      const index = await world.value(leader.snapshot());
      const machine = new Journal();
      const comer = await world.member(4, machine, JOINING);
      await world.value(leader.changeMembership({ add: [FOURTH] }));
      await caughtUp(world, leader, comer);
      assertEquals(comer.status().snapshotIndex, index);
      assertEquals(comer.status().conf, leader.status().conf);
      assert(comer.status().conf.voters.includes(4));
      assertEquals(machine.lines, lines("a", 20));
    }));

  it("in the middle of a joint change carries both halves, over a restart too (H69)", () =>
    withMemoryWorld(4, async (world) => {
      const { leader, follower } = await founders(world);
      await world.member(4, new Journal(), JOINING);
      isolate(world, follower);
      const change = { add: [FOURTH], demote: [follower.node] };
      await world.value(
        leader.changeMembership(change, { leave: "explicit", force: true }),
      );
      await world.value(leader.snapshot());
      const { conf } = leader.status();
      assert(conf.votersOutgoing.length > 0);
      world.network.heal();
      await caughtUp(world, leader, follower);
      assertEquals(follower.status().conf, conf);
      await world.crash(follower.node);
      const again = await world.restart(follower.node, new Journal(), {
        ...NOTHING_TRAILS,
        members: FOUNDERS,
      });
      assertEquals(again.status().conf, conf);
      await world.value(leader.leaveJoint());
      await caughtUp(world, leader, again);
      assertEquals(again.status().conf, leader.status().conf);
      assertEquals(again.status().conf.votersOutgoing, []);
    }));

  it("is not taken back by a change that was being applied when it came (H69)", () =>
    withMemoryWorld(4, async (world) => {
      const slow = new SlowJournal();
      const { leader, follower } = await founders(world, slow);
      await world.member(4, new Journal(), JOINING);
      isolate(world, follower);
      const learner = { ...FOURTH, role: "learner" } as const;
      await world.value(leader.changeMembership({ add: [learner] }));
      await write(world, leader, ["a"]);
      world.network.heal();
      // Change and command in one go: what is applied holds both.
      await world.until("applying", () => slow.applyCount === 1);
      assertEquals(follower.status().conf.learners, []);
      isolate(world, follower);
      await world.value(leader.changeMembership({ promote: [4] }));
      await write(world, leader, ["b"]);
      const index = await world.value(leader.snapshot());
      world.network.heal();
      await world.until(
        "on its way",
        () => world.network.bulk.running.length > 0,
      );
      await world.advance(300);
      slow.pass();
      await world.until(
        "installed",
        () => follower.status().snapshotIndex === index,
      );
      await caughtUp(world, leader, follower);
      assertEquals(follower.status().conf, leader.status().conf);
      assertEquals(slow.lines, ["a", "b"]);
    }));

  it("is not sent on to who is removed, nor is the log kept for it (H66)", () =>
    withMemoryWorld(3, async (world) => {
      const { leader, follower } = await founders(world);
      isolate(world, follower);
      await write(world, leader, lines("a", 20));
      await world.value(leader.snapshot());
      const { bulk } = world.network;
      bulk.isHeld = true;
      world.network.heal();
      await world.until("on its way", () => bulk.running.length === 1);
      await world.value(
        leader.changeMembership({ remove: [follower.node] }),
      );
      await world.until("given up", () => bulk.running.length === 0);
      await write(world, leader, lines("b", 10));
      const index = await world.value(leader.snapshot());
      await world.until(
        "cut",
        () => leader.status().firstIndex === index + 1,
      );
      assertEquals(bulk.transfers.length, 1);
    }));
});
