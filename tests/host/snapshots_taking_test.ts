import { describe, it } from "node:test";
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertThrows,
} from "@std/assert";
import { groupSettings } from "../../src/host/options.ts";
import type { SnapshotSource } from "../../src/state_machine.ts";
import { Journal, SlowJournal } from "./support/machines.ts";
import type { MemoryDisk } from "./support/memory_disk.ts";
import {
  lines,
  NOTHING_TRAILS,
  withMemoryWorld,
  write,
} from "./support/memory_world.ts";
import { tell } from "./support/outcomes.ts";
import { collectEvents, type TestGroup, watch } from "./support/world.ts";

/** A journal whose snapshots break half-way. */
class BrokenSource extends Journal {
  releaseCount = 0;

  override snapshot(): SnapshotSource {
    return {
      async *chunks() {
        yield new Uint8Array(8);
        await Promise.resolve();
        throw new Error("the source broke");
      },
      release: () => {
        this.releaseCount++;
      },
    };
  }
}

/** How many snapshots a disk was asked to take. */
function openCount(disk: MemoryDisk): number {
  return disk.snapshotEvents.filter((event) => event === "open").length;
}

/** Where the stored snapshot ends, and where the log begins. */
async function storedBounds(
  disk: MemoryDisk,
): Promise<readonly [number | undefined, number | undefined]> {
  const stored = await disk.stored();
  return [stored?.snapshot.index, stored?.firstIndex];
}

describe("group.snapshot()", () => {
  it("resolves with the index of a durable snapshot, and cuts the log only then (H54)", () =>
    withMemoryWorld(1, async (world) => {
      const member = await world.member(1, new Journal(), NOTHING_TRAILS);
      await world.leader([member]);
      await write(world, member, lines("a", 10));
      const index = await world.value(member.snapshot());
      assertEquals(index, member.status().appliedIndex);
      assertEquals(member.status().snapshotIndex, index);
      await world.settle();
      assertEquals(member.status().firstIndex, index + 1);
      const { snapshotEvents } = world.disk(1);
      assert(
        snapshotEvents.indexOf("committed") < snapshotEvents.indexOf("compact"),
      );
    }));

  it("tells nobody of a snapshot that is not durable (H75)", () =>
    withMemoryWorld(1, async (world) => {
      const member = await world.member(1, new Journal(), NOTHING_TRAILS);
      await world.leader([member]);
      const collected = collectEvents(member);
      await write(world, member, lines("a", 10));
      const disk = world.disk(1);
      disk.hold = true;
      const forced = watch(member.snapshot());
      await world.advance(500);
      assertEquals(disk.snapshotEvents.at(-1), "commit");
      assertEquals(forced().type, "pending");
      const { firstIndex, snapshotIndex } = member.status();
      assertEquals([firstIndex, snapshotIndex], [1, 0]);
      const told = () =>
        collected.events.filter((it) => it.type === "snapshot");
      assertEquals(told(), []);
      disk.release();
      await world.until("taken", () => forced().type === "resolved");
      const { snapshotIndex: index, term } = member.status();
      assertEquals(told(), [{ type: "snapshot", index, term, kind: "taken" }]);
      collected.stop();
      await collected.ended;
    }));

  it("takes no second one while nothing new is applied", () =>
    withMemoryWorld(1, async (world) => {
      const member = await world.member(1, new Journal(), NOTHING_TRAILS);
      await world.leader([member]);
      const first = await world.value(member.snapshot());
      const both = Promise.all([member.snapshot(), member.snapshot()]);
      assertEquals(await world.value(both), [first, first]);
      assertEquals(openCount(world.disk(1)), 1);
    }));

  it("covers what was applied at the call, even if one is under way", () =>
    withMemoryWorld(1, async (world) => {
      const member = await world.member(1, new Journal(), NOTHING_TRAILS);
      await world.leader([member]);
      await write(world, member, ["a"]);
      const disk = world.disk(1);
      disk.holdsChunks = true;
      const early = member.snapshot();
      await world.settle();
      await write(world, member, ["b"]);
      const late = member.snapshot();
      const { appliedIndex } = member.status();
      disk.releaseChunks();
      assertEquals(await world.value(early), appliedIndex - 1);
      assertEquals(await world.value(late), appliedIndex);
    }));

  it("waits for an apply that is under way (H68)", () =>
    withMemoryWorld(1, async (world) => {
      const machine = new SlowJournal();
      const member = await world.member(1, machine, NOTHING_TRAILS);
      await world.leader([member]);
      const proposal = watch(member.propose("a"));
      await world.until("applying", () => machine.applyCount === 1);
      const forced = member.snapshot();
      await world.advance(200);
      assertEquals(openCount(world.disk(1)), 0);
      machine.pass();
      const index = await world.value(forced);
      assertEquals(proposal().type, "resolved");
      assertEquals(index, member.status().appliedIndex);
    }));

  it("comes between two applies of a machine that is never idle (H72)", () =>
    withMemoryWorld(1, async (world) => {
      const machine = new SlowJournal();
      const member = await world.member(1, machine, NOTHING_TRAILS);
      await world.leader([member]);
      watch(member.propose("a"));
      await world.until("applying", () => machine.applyCount === 1);
      const { appliedIndex } = member.status();
      watch(member.propose("b"));
      const forced = watch(member.snapshot());
      const late = watch(member.propose("c"));
      await world.advance(200);
      machine.pass();
      await world.until("the next applies", () => machine.applyCount === 2);
      await world.advance(200);
      assertEquals(openCount(world.disk(1)), 1);
      assertEquals(forced(), { type: "resolved", value: appliedIndex + 1 });
      assertEquals(late().type, "pending");
      machine.pass();
      await world.until("all applied", () => late().type === "resolved");
    }));

  it("rejects with unsupported where the storage has none, asked once", () =>
    withMemoryWorld(1, async (world) => {
      const disk = world.disk(1);
      disk.refusesSnapshots = true;
      const member = await world.member(1, new Journal(), {
        snapshotEntries: 5,
      });
      await world.leader([member]);
      await write(world, member, lines("a", 30));
      await world.advance(500);
      const error = await world.error(member.snapshot());
      assertEquals(tell(error)[0], "unsupported");
      assertEquals(openCount(disk), 1);
      assertEquals(member.status().stopped, null);
    }));

  it("stops a member whose machine cannot be read, and lets go of the capture", () =>
    withMemoryWorld(1, async (world) => {
      const machine = new BrokenSource();
      const member = await world.member(1, machine, NOTHING_TRAILS);
      await world.leader([member]);
      const error = await world.error(member.snapshot());
      assertEquals(tell(error)[0], "machineFailed");
      assertEquals(member.status().stopped?.code, "machineFailed");
      assertEquals(machine.releaseCount, 1);
      assertEquals(world.disk(1).snapshotEvents.at(-1), "abort");
    }));

  it("gives up at its deadline, its signal, and when the member stops (H124)", () =>
    withMemoryWorld(1, async (world) => {
      const member = await world.member(1, new Journal(), NOTHING_TRAILS);
      await world.leader([member]);
      const disk = world.disk(1);
      disk.holdsChunks = true;
      const controller = new AbortController();
      const { signal } = controller;
      const late = world.error(member.snapshot({ timeoutMs: 300 }));
      const aborted = watch(member.snapshot({ signal }));
      const stopped = watch(member.snapshot());
      assertEquals(tell(await late)[0], "timeout");
      controller.abort(new Error("enough"));
      await world.settle();
      const fate = aborted();
      assert(fate.type === "rejected");
      assertInstanceOf(fate.error, Error);
      assertEquals(fate.error.message, "enough");
      assertEquals(member.pendingCount, 1);
      const stopping = member.stop();
      await world.until("stopped", () => stopped().type === "rejected");
      disk.releaseChunks();
      await world.value(stopping);
      assertEquals(member.pendingCount, 0);
      assertEquals(disk.snapshotEvents.includes("commit"), false);
    }));
});

describe("automatic snapshots", () => {
  it("come with the entries applied, and leave the trailing ones", () =>
    withMemoryWorld(1, async (world) => {
      const member = await world.member(1, new Journal(), {
        snapshotEntries: 10,
        snapshotTrailing: 3,
      });
      await world.leader([member]);
      await write(world, member, lines("a", 8));
      await world.advance(200);
      assertEquals(member.status().snapshotIndex, 0);
      await write(world, member, lines("b", 1));
      await world.until("taken", () => member.status().snapshotIndex > 0);
      const { firstIndex, snapshotIndex } = member.status();
      assertEquals(snapshotIndex, 10);
      assertEquals(firstIndex, snapshotIndex - 3 + 1);
      await world.crash(1);
      const bounds = await storedBounds(world.disk(1));
      assertEquals(bounds, [snapshotIndex, firstIndex]);
    }));

  it("come with the bytes applied", () =>
    withMemoryWorld(1, async (world) => {
      const member = await world.member(1, new Journal(), {
        snapshotBytes: 50_000,
      });
      await world.leader([member]);
      await write(world, member, lines("a", 4, 10_000));
      await world.advance(200);
      assertEquals(member.status().snapshotIndex, 0);
      await write(world, member, lines("b", 1, 10_000));
      await world.until("taken", () => member.status().snapshotIndex > 0);
    }));

  it("come on followers as well (H74)", () =>
    withMemoryWorld(3, async (world) => {
      const members = await world.group({ snapshotEntries: 10 });
      const leader = await world.leader(members);
      await write(world, leader, lines("a", 10));
      await world.until(
        "all took one",
        () => members.every((member) => member.status().snapshotIndex > 0),
      );
      assertEquals(world.network.bulk.transfers.length, 0);
    }));

  it("are not forgotten when they fall due during one (H72)", () =>
    withMemoryWorld(1, async (world) => {
      const member = await world.member(1, new Journal(), {
        snapshotEntries: 10,
      });
      await world.leader([member]);
      const disk = world.disk(1);
      disk.holdsChunks = true;
      await write(world, member, lines("a", 10));
      await world.until("begun", () => openCount(disk) === 1);
      await write(world, member, lines("b", 15));
      assertEquals(openCount(disk), 1);
      disk.releaseChunks();
      // Nothing is written from here on.
      await world.until(
        "both taken",
        () =>
          disk.snapshotEvents.filter((it) => it === "committed").length === 2,
      );
      assertEquals(member.status().snapshotIndex, member.status().appliedIndex);
    }));

  it("hold up no writes, and hold none of those made meanwhile (H68, H74)", () =>
    withMemoryWorld(3, async (world) => {
      const members = await world.group(NOTHING_TRAILS);
      const leader = await world.leader(members);
      await write(world, leader, lines("a", 10));
      const { appliedIndex, term } = leader.status();
      const disk = world.disk(leader.node);
      disk.holdsChunks = true;
      const forced = leader.snapshot();
      await world.settle();
      await write(world, leader, lines("b", 10));
      await world.advance(3_000);
      await write(world, leader, lines("c", 10));
      assertEquals(leader.status().term, term);
      disk.releaseChunks();
      assertEquals(await world.value(forced), appliedIndex);
      const all = ["a", "b", "c"].flatMap((prefix) => lines(prefix, 10));
      await world.crash(leader.node);
      const again = await world.restart(leader.node);
      await world.until("caught up", () => again.status().ready);
      assertEquals(await world.value(again.read(null)), all);
      assertEquals(again.status().snapshotIndex, appliedIndex);
    }));

  it("are counted on from the stored one after a restart", () =>
    withMemoryWorld(1, async (world) => {
      const options = { snapshotEntries: 20 };
      let member: TestGroup = await world.member(1, new Journal(), options);
      await world.leader([member]);
      await write(world, member, lines("a", 10));
      const forced = await world.value(member.snapshot());
      await write(world, member, lines("b", 10));
      await world.crash(1);
      member = await world.restart(1, new Journal(), options);
      await world.leader([member]);
      assertEquals(member.status().snapshotIndex, forced);
      await write(world, member, lines("c", 10));
      await world.until(
        "taken",
        () => member.status().snapshotIndex > forced,
      );
      const all = ["a", "b", "c"].flatMap((prefix) => lines(prefix, 10));
      assertEquals(await world.value(member.read(null)), all);
    }));
});

describe("the options of snapshots", () => {
  const options = {
    group: 1,
    node: 1,
    members: [{ id: 1, address: "a:1" }],
    machine: new Journal(),
  };

  it("have defaults", () => {
    assertEquals(groupSettings(options, 50).snapshots, {
      entries: 100_000,
      bytes: 64 << 20,
      trailing: 10_000,
    });
  });

  it("are refused out of range", () => {
    for (
      const wrong of [
        { snapshotEntries: 0 },
        { snapshotBytes: 1.5 },
        { snapshotTrailing: -1 },
        { snapshotTrailing: Infinity },
      ]
    ) {
      assertThrows(
        () => groupSettings({ ...options, ...wrong }, 50),
        RangeError,
        Object.keys(wrong)[0],
      );
    }
  });
});
