import { describe, it } from "node:test";
import { assert, assertEquals } from "@std/assert";
import {
  behind,
  caughtUp,
  holdAt,
  Mortal,
  type Scene,
  storedIndex,
  transfers,
} from "./support/behind.ts";
import { SlowJournal } from "./support/machines.ts";
import {
  lines,
  type MemoryWorld,
  NOTHING_TRAILS,
  withMemoryWorld,
  write,
} from "./support/memory_world.ts";
import { isolate } from "./support/outcomes.ts";
import { type TestGroup, watch } from "./support/world.ts";

describe("a receiver", () => {
  it("answers no read from the old state once the log is replaced (H93)", () =>
    withMemoryWorld(3, async (world) => {
      const scene = await behind(world);
      const { follower, written } = scene;
      const disk = world.disk(follower.node);
      holdAt(disk, "committed");
      world.network.heal();
      await world.until("the data is stored", () => disk.hold);
      const read = watch(follower.read(null));
      await world.advance(300);
      const stale = follower.read(null, { consistency: "stale" });
      assertEquals(await world.value(stale), ["first"]);
      assertEquals(read().type, "pending");
      disk.release();
      await world.until("answered", () => read().type !== "pending");
      assertEquals(read(), { type: "resolved", value: written });
    }));

  it("lets an apply finish, drops what is behind it, and restores then (H67)", () =>
    withMemoryWorld(3, async (world) => {
      const slow = new SlowJournal();
      const members: TestGroup[] = [];
      for (const id of [1, 2]) {
        members.push(await world.member(id, new Mortal(), NOTHING_TRAILS));
      }
      const follower = await world.member(3, slow, NOTHING_TRAILS);
      const leader = await world.leader(members);
      const first = lines("a", 3);
      await write(world, leader, first);
      await world.until("applying", () => slow.applyCount === 1);
      await write(world, leader, ["b"]);
      await world.until(
        "the follower knows",
        () => follower.status().commitIndex === leader.status().commitIndex,
      );
      isolate(world, follower);
      await write(world, leader, ["c"]);
      const index = await world.value(leader.snapshot());
      world.network.heal();
      const [transfer] = await transfers(world);
      await world.advance(500);
      assertEquals([transfer?.fate, slow.lines], ["running", []]);
      slow.pass();
      await world.until(
        "restored",
        () => follower.status().snapshotIndex === index,
      );
      assertEquals(slow.lines, [...first, "b", "c"]);
      assertEquals(slow.applyCount, 1);
      const more = write(world, leader, ["d"]);
      await world.until("applying", () => slow.applyCount === 2);
      slow.pass();
      await more;
      await world.settle();
      assertEquals(slow.lines, [...first, "b", "c", "d"]);
      assertEquals(follower.status().stopped, null);
    }));

  it("takes no own snapshot while it restores one (H68, H73)", () =>
    withMemoryWorld(3, async (world) => {
      const scene = await behind(world);
      const { leader, follower } = scene;
      const index = leader.status().snapshotIndex;
      const slow = new Mortal();
      let pass = () => {};
      let isRestoring = false;
      slow.onRestore = () => {
        isRestoring = true;
        return new Promise((resolve) => {
          pass = resolve;
        });
      };
      await world.crash(follower.node);
      const again = await world.restart(follower.node, slow);
      world.network.heal();
      await world.until("it restores", () => isRestoring);
      const disk = world.disk(follower.node);
      const before = disk.snapshotEvents.length;
      await write(world, leader, ["b"]);
      const forced = watch(again.snapshot());
      await world.advance(500);
      pass();
      await world.until("taken", () => forced().type !== "pending");
      assertEquals(forced(), { type: "resolved", value: index });
      assertEquals(disk.snapshotEvents.slice(before), []);
    }));
});

describe("a receiver that dies", () => {
  const stages: Readonly<
    Record<string, (world: MemoryWorld, scene: Scene) => Promise<void>>
  > = {
    "while the data arrives": async (world) => {
      const { bulk } = world.network;
      bulk.isHeld = true;
      world.network.heal();
      await world.until("on its way", () => bulk.running.length === 1);
      bulk.step();
      await world.settle();
      bulk.step();
      await world.settle();
      assert((bulk.running[0]?.chunkCount ?? 0) > 0);
    },
    "before the data is durable": async (world, { follower }) => {
      const disk = world.disk(follower.node);
      holdAt(disk, "commit");
      world.network.heal();
      await world.until("all is written", () => disk.hold);
      await world.advance(200);
      assertEquals(disk.snapshotEvents.includes("committed"), false);
    },
    "before the log is replaced": async (world, { follower }) => {
      const disk = world.disk(follower.node);
      holdAt(disk, "committed");
      world.network.heal();
      await world.until("stored", () => disk.hold);
      await world.advance(200);
      assertEquals(follower.status().snapshotIndex, 0);
    },
  };

  for (const [stage, arrive] of Object.entries(stages)) {
    it(`${stage} starts again with its old state, and catches up (H54, H65)`, () =>
      withMemoryWorld(3, async (world) => {
        const scene = await behind(world);
        const { leader, follower, written } = scene;
        await arrive(world, scene);
        await world.crash(follower.node);
        assertEquals(await storedIndex(world, follower), 0);
        world.network.bulk.release();
        const machine = new Mortal();
        const again = await world.restart(follower.node, machine);
        assertEquals(again.status().snapshotIndex, 0);
        await caughtUp(world, leader, again);
        assertEquals(machine.lines, written);
        assertEquals(world.network.bulk.transfers.at(-1)?.fate, "taken");
      }));
  }

  it("once the log is replaced restores the machine at its start (H54)", () =>
    withMemoryWorld(3, async (world) => {
      const { leader, follower, written } = await behind(world);
      const index = leader.status().snapshotIndex;
      const slow = new Mortal();
      let isRestoring = false;
      let pass = () => {};
      slow.onRestore = () => {
        isRestoring = true;
        return new Promise((resolve) => {
          pass = resolve;
        });
      };
      await world.crash(follower.node);
      await world.restart(follower.node, slow);
      world.network.heal();
      await world.until("it restores", () => isRestoring);
      const died = world.crash(follower.node);
      pass();
      await died;
      assertEquals(await storedIndex(world, follower), index);
      const machine = new Mortal();
      const again = await world.restart(follower.node, machine);
      assertEquals(again.status().snapshotIndex, index);
      assertEquals(again.status().appliedIndex, index);
      await caughtUp(world, leader, again);
      assertEquals(machine.lines, written);
    }));
});
