import { describe, it } from "node:test";
import { assert, assertEquals, assertThrows } from "@std/assert";
import { groupSettings } from "../../src/host/options.ts";
import { Journal } from "./support/machines.ts";
import { isolate, leaderAndFollower } from "./support/outcomes.ts";
import {
  addressOf,
  type TestGroup,
  type TestMachine,
  TICK_MS,
  watch,
  withWorld,
  type World,
} from "./support/world.ts";

const LEASES = { leaseReads: true } as const;
const LEASE = { consistency: "lease" } as const;

/** Whether a read is answered without anything being sent or delivered. */
async function isAnsweredAtOnce(
  world: World,
  member: TestGroup,
  options: Parameters<TestGroup["read"]>[1],
): Promise<boolean> {
  await world.settle();
  world.network.drop = () => true;
  const fate = watch(member.read(null, options));
  await world.settle();
  world.network.heal();
  const answered = fate().type === "resolved";
  await world.until("it is answered", () => fate().type !== "pending");
  return answered;
}

describe("a lease read (C19, thesis §6.4.1)", () => {
  it("needs no round while the leader has a lease", () =>
    withWorld(3, async (world) => {
      const members = await world.group(LEASES);
      const [leader] = await leaderAndFollower(world, members);
      await world.value(leader.propose("a"));
      await world.advance(2 * TICK_MS);
      assert(await isAnsweredAtOnce(world, leader, LEASE));
      assert(!await isAnsweredAtOnce(world, leader, {}));
      assertEquals(await world.value(leader.read(null, LEASE)), ["a"]);
    }));

  it("is a round without the option, on a follower, and without quorum", () =>
    withWorld(3, async (world) => {
      const members = await world.group();
      const [leader] = await leaderAndFollower(world, members);
      await world.advance(2 * TICK_MS);
      assert(!await isAnsweredAtOnce(world, leader, LEASE));
    }).then(() =>
      withWorld(3, async (world) => {
        const members = await world.group(LEASES);
        const [leader, follower] = await leaderAndFollower(world, members);
        await world.advance(2 * TICK_MS);
        assert(!await isAnsweredAtOnce(world, follower, LEASE));
        isolate(world, leader);
        const timeoutMs = 4_000;
        await world.advance(9 * TICK_MS);
        const fate = watch(leader.read(null, { ...LEASE, timeoutMs }));
        await world.settle();
        assertEquals(fate().type, "pending");
        await world.until("it gave up", () => fate().type === "rejected");
      })
    ));

  it("never sees less than a write acknowledged elsewhere (H95)", () =>
    withWorld(3, async (world) => {
      const members = await world.group(LEASES);
      const [leader, follower] = await leaderAndFollower(world, members);
      await world.value(leader.propose("old"));
      await world.advance(2 * TICK_MS);
      isolate(world, leader);
      const others = members.filter((member) => member !== leader);
      const timeoutMs = 15_000;
      const fates: ReturnType<typeof watch<string[]>>[] = [];
      for (let step = 0; step < 60; step++) {
        fates.push(watch(leader.read(null, { ...LEASE, timeoutMs: 100 })));
        await world.advance(TICK_MS / 2);
        const led = others.some((it) => it.status().role === "leader");
        if (led) break;
      }
      // Somebody else leads: from here on no answer may come from the lease.
      await world.value(follower.propose("new", { timeoutMs }));
      const late = watch(leader.read(null, { ...LEASE, timeoutMs: 2_000 }));
      await world.advance(3_000);
      assertEquals(late().type, "rejected");
      assert(fates.some((fate) => fate().type === "resolved"));
    }));

  it("is in doubt after the machine was suspended (H117)", () =>
    withWorld(3, async (world) => {
      const members = await world.group(LEASES);
      const [leader] = await leaderAndFollower(world, members);
      await world.value(leader.propose("a"));
      await world.advance(2 * TICK_MS);
      // The monotonic clock stood still for an hour, the wall clock did not.
      world.clock.wallOffset += 3_600_000;
      assert(!await isAnsweredAtOnce(world, leader, LEASE));
      await world.advance(3 * TICK_MS);
      assert(await isAnsweredAtOnce(world, leader, LEASE));
    }));

  it("is not answered from a lease that ran out during the query (H95)", () =>
    withWorld(3, async (world) => {
      let finish = (): void => {};
      const slow = (): TestMachine => {
        const journal = new Journal();
        return {
          command: journal.command,
          apply: (entries) => journal.apply(entries),
          query: () =>
            new Promise((resolve) => {
              finish = () => resolve(journal.query(null));
            }),
          snapshot: () => journal.snapshot(),
          restore: (chunks) => journal.restore(chunks),
        };
      };
      const members: TestGroup[] = [];
      for (const id of [1, 2, 3]) {
        members.push(await world.member(id, slow(), LEASES));
      }
      const [leader] = await leaderAndFollower(world, members);
      await world.value(leader.propose("a"));
      await world.advance(2 * TICK_MS);
      const fate = watch(leader.read(null, LEASE));
      await world.settle();
      isolate(world, leader);
      await world.advance(9 * TICK_MS);
      finish();
      await world.settle();
      assertEquals(fate().type, "pending");
    }));

  it("holds fast failover back: a promise is a promise (C25)", () =>
    withWorld(3, async (world) => {
      const members = await world.group(LEASES);
      const [leader, follower] = await leaderAndFollower(world, members);
      await world.advance(2 * TICK_MS);
      isolate(world, leader);
      const state = {
        type: "unreachable",
        reason: "refused",
        refused: true,
      } as const;
      const { address } = world.place(leader.node);
      for (const member of members) {
        if (member === leader) continue;
        world.network.peerState(addressOf(member.node), address, state);
      }
      await world.advance(5 * TICK_MS);
      assertEquals(follower.status().term, leader.status().term);
      await world.until(
        "a new leader after the promise ran out",
        () => follower.status().term > leader.status().term,
      );
    }));

  it("needs check-quorum and a timeout longer than two ticks", () => {
    const options = {
      group: 1,
      node: 1,
      members: [{ id: 1, address: "a:1" }],
      machine: new Journal(),
      leaseReads: true,
    };
    assertEquals(groupSettings(options, 50).core.leaseMs, 360);
    for (const wrong of [{ checkQuorum: false }, { electionTicks: 2 }]) {
      assertThrows(
        () => groupSettings({ ...options, ...wrong }, 50),
        RangeError,
        "leaseReads",
      );
    }
  });
});
