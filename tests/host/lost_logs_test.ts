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
import { addressOf, type TestGroup } from "./support/world.ts";

/** The member's host comes back with another disk. */
async function comeBack(
  world: MemoryWorld,
  id: number,
  disk: MemoryDisk,
): Promise<TestGroup> {
  await world.crash(id);
  const place = world.place(id);
  const { address, events } = place;
  place.host = await world.startHost(address, disk, events);
  return await world.member(id);
}

describe("a member that lacks what it has acknowledged", () => {
  it("is told so by its leader and stops, whatever its directory is named (H80)", () =>
    withMemoryWorld(3, async (world) => {
      const members = await world.group();
      const [leader, follower] = await leaderAndFollower(world, members);
      await write(world, leader, lines("a", 10));
      const id = follower.node;
      const again = await comeBack(world, id, new MemoryDisk());
      world.network.peerState(addressOf(leader.node), addressOf(id), {
        type: "unreachable",
        reason: "closed",
        refused: false,
      });
      await write(world, leader, ["b"]);
      await world.until(
        "it was turned away",
        () => again.status().stopped !== null,
      );
      const { stopped } = again.status();
      assertEquals(stopped?.code, "replacedDisk");
      assert(stopped?.message.includes("bring the old directory back"));
      await write(world, leader, ["c"]);
      assertEquals(leader.status().role, "leader");
    }));

  it("is not bound to the directory that it lost its log with (H80)", () =>
    withMemoryWorld(3, async (world) => {
      // Nobody is bound as long as nobody says where its data is.
      const members = await world.group();
      const [leader, follower] = await leaderAndFollower(world, members);
      await write(world, leader, lines("a", 10));
      const id = follower.node;
      world.network.tellsIncarnations = true;
      const again = await comeBack(world, id, new MemoryDisk());
      await world.until("it spoke", () => again.status().leader !== null);
      await world.advance(3_000);
      assert(
        leader.status().conf.incarnations.every((bound) => bound.id !== id),
      );
    }));

  it("is no one that merely has another history (H26)", () =>
    withMemoryWorld(3, async (world) => {
      const members = await world.group();
      const [leader, follower] = await leaderAndFollower(world, members);
      world.network.isolate(world.place(leader.node).address);
      const fates = lines("lost", 5).map((line) =>
        leader.propose(line).catch(() => null)
      );
      const others = members.filter((member) => member !== leader);
      await write(world, await world.leader(others), lines("kept", 5));
      world.network.heal();
      await world.leader(members);
      await world.value(Promise.all(fates));
      await world.advance(3_000);
      for (const member of members) {
        assertEquals(member.status().stopped, null);
      }
      assert((await world.value(follower.read(null))).length >= 5);
    }));
});

describe("a member that has its disk", () => {
  it("is never turned away, however often it is restarted", () =>
    withMemoryWorld(3, async (world) => {
      const members = await world.group();
      const [leader, follower] = await leaderAndFollower(world, members);
      for (let life = 0; life < 5; life++) {
        await write(world, leader, lines(`${life}-`, 5));
        await world.crash(follower.node);
        const again = await world.restart(follower.node, new Journal(), {});
        await world.until("it follows", () => again.status().ready);
        assertEquals(again.status().stopped, null);
      }
    }));
});
