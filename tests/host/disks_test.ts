import { describe, it } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { Journal } from "./support/machines.ts";
import { MemoryDisk } from "./support/memory_disk.ts";
import {
  lines,
  type MemoryWorld,
  withMemoryWorld,
  write,
} from "./support/memory_world.ts";
import { leaderAndFollower } from "./support/outcomes.ts";
import type { TestGroup } from "./support/world.ts";

/** A group whose members are all bound to their disks. */
async function bound(world: MemoryWorld): Promise<{
  readonly leader: TestGroup;
  readonly follower: TestGroup;
  readonly members: readonly TestGroup[];
}> {
  world.network.tellsIncarnations = true;
  const members = await world.group();
  const [leader, follower] = await leaderAndFollower(world, members);
  await world.until(
    "all are bound",
    () =>
      members.every((member) => member.status().conf.incarnations.length === 3),
  );
  return { leader, follower, members };
}

/** The member's host comes back with nothing on its disk. */
async function wipe(world: MemoryWorld, id: number): Promise<TestGroup> {
  await world.crash(id);
  const place = world.place(id);
  place.events.length = 0;
  const { address, events } = place;
  place.host = await world.startHost(address, new MemoryDisk(), events);
  return await world.member(id);
}

describe("a member's data directory", () => {
  it("is bound once it has proved to hold the log, by one change or two", () =>
    withMemoryWorld(3, async (world) => {
      const { leader } = await bound(world);
      const { conf } = leader.status();
      assertEquals(conf.incarnations.map(({ id }) => id), [1, 2, 3]);
      assertEquals(
        new Set(conf.incarnations.map(({ incarnation }) => incarnation)).size,
        3,
      );
      assert(conf.version <= 2);
      assertEquals(conf.votersOutgoing, []);
    }));

  it("is told from an empty one: the member stops and says why (H80)", () =>
    withMemoryWorld(3, async (world) => {
      const { leader, follower } = await bound(world);
      await write(world, leader, lines("a", 10));
      const again = await wipe(world, follower.node);
      await world.until(
        "it was turned away",
        () => again.status().stopped !== null,
      );
      const { stopped } = again.status();
      assertEquals(stopped?.code, "replacedDisk");
      assert(stopped?.message.includes("add it under a new id"));
      const ignored = world.place(leader.node).events.filter((event) =>
        event.type === "ignored"
      );
      assert(ignored.some(({ reason }) => reason === "replacedDisk"));
    }));

  it("counts no more once it is lost: no vote, no acknowledgement (H80)", () =>
    withMemoryWorld(3, async (world) => {
      const { leader, follower, members } = await bound(world);
      const third = members.find((it) => it !== leader && it !== follower);
      assert(third !== undefined);
      await world.crash(third.node);
      await world.crash(leader.node);
      // Alone with a wiped member there must be no leader.
      const wiped = await wipe(world, leader.node);
      await world.advance(20_000);
      assertEquals(follower.status().role === "leader", false);
      assertEquals(wiped.status().stopped?.code, "replacedDisk");
      // With a member that has its disk there is one.
      await world.restart(third.node, new Journal(), {});
      await world.until(
        "somebody leads",
        () => follower.status().leader !== null,
      );
    }));

  it("is of no concern to a member that never had one (H80)", () =>
    withMemoryWorld(3, async (world) => {
      world.network.tellsIncarnations = true;
      const first = await world.member(1);
      const second = await world.member(2);
      await world.until(
        "they have a leader",
        () => first.status().leader !== null && second.status().leader !== null,
      );
      const leader = first.status().role === "leader" ? first : second;
      await write(world, leader, lines("a", 10));
      // A founder that comes late may replace the leader that it never met.
      await world.crash(leader.node);
      const late = await world.member(3);
      await world.until("it follows", () => late.status().leader !== null);
      assertEquals(late.status().stopped, null);
    }));

  it("may move with its member to another host (H88)", () =>
    withMemoryWorld(3, async (world) => {
      const { leader, follower } = await bound(world);
      const id = follower.node;
      const address = "elsewhere:1";
      await world.value(
        leader.changeMembership({ update: [{ id, address }] }),
      );
      await world.crash(id);
      const place = world.place(id);
      place.host = await world.startHost(address, place.disk, []);
      const again = await world.member(id, new Journal(), { moved: true });
      await write(world, leader, ["there"]);
      await world.until("it follows", () => again.status().ready);
      assertEquals(again.status().stopped, null);
    }));
});
