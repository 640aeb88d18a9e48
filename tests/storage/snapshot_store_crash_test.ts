/**
 * The power goes before every single operation of a run with drafts, commits,
 * pruning and removal, and the disk keeps any part of what was not flushed.
 * Whatever it kept: what was committed is there, nothing half passes for a
 * snapshot, and nothing that was removed for good comes back (H51, H54).
 */
import { describe, it } from "node:test";
import { assert, assertEquals } from "@std/assert";
import type { SnapshotStore } from "../../storage/wal/snapshots/store.ts";
import { type CrashChoices, FakeFileSystem } from "./fake_file_system.ts";
import {
  contentsOf,
  dataOf,
  indexesOf,
  openOn,
  richMeta,
  storeOn,
  storeSnapshot,
  wholeAt,
} from "./snapshot_bench.ts";

const BYTES = 1500;
const TOKEN = "the leader's very bytes";

/** The power is gone. */
class PowerLoss extends Error {}

/** What has been promised so far. */
interface Promises {
  /** Indexes of group 1 that are there, at least. */
  committed: number[];
  /** Those that may be there besides. */
  begun: number[];
  /** Whether group 2 was removed, or was never there. */
  isGroup2Gone: boolean;
  /** Bytes of the draft at 11 that were suspended, unless the power goes. */
  suspended: number;
}

/** Writes what belongs to index 11, from where the writer is to `end`. */
async function writeDraft(store: SnapshotStore, end: number) {
  const data = dataOf(11, BYTES);
  const writer = await store.writer(1, richMeta(11), { token: TOKEN });
  await writer.write(data.subarray(writer.offset, end));
  return writer;
}

/** The run; updates what is promised as it goes. */
async function run(disk: FakeFileSystem, promises: Promises): Promise<void> {
  const store = storeOn(disk, { retain: 1 });
  await store.open();
  promises.begun = [5];
  await storeSnapshot(store, 1, richMeta(5), [dataOf(5, BYTES)]);
  promises.committed = [5];
  promises.isGroup2Gone = false;
  await storeSnapshot(store, 2, richMeta(5), [dataOf(2, 20)]);
  promises.begun = [8];
  await storeSnapshot(store, 1, richMeta(8), [dataOf(8, BYTES)]);
  promises.committed = [8];
  promises.begun = [5];
  store.prune(1);
  await (await writeDraft(store, 600)).suspend();
  promises.suspended = 600;
  await (await writeDraft(store, 900)).suspend();
  promises.suspended = 900;
  await store.removeGroup(2);
  promises.isGroup2Gone = true;
  const last = await writeDraft(store, BYTES);
  promises.begun = [5, 11];
  promises.suspended = 0;
  await last.commit();
  promises.committed = [8, 11];
  store.prune(1);
  promises.committed = [11];
  promises.begun = [5, 8];
  // The same index anew: one of both is there, and it is whole.
  await storeSnapshot(store, 1, richMeta(11), [dataOf(11, BYTES)]);
  await store.close();
}

/** Whether the store keeps what was promised, and can go on. */
async function check(disk: FakeFileSystem, promises: Promises): Promise<void> {
  const { store, found } = await openOn(disk);
  for (const file of [...found.values()].flat()) {
    assertEquals(file.state, "whole", file.path);
  }
  const indexes = indexesOf(store, 1);
  for (const index of promises.committed) {
    assert(indexes.includes(index), `${index} is gone`);
  }
  for (const index of indexes) {
    const { begun, committed } = promises;
    assert([...begun, ...committed].includes(index), `${index} is there`);
    const data = await contentsOf(store, wholeAt(store, 1, index));
    assertEquals(data, dataOf(index, BYTES));
  }
  if (promises.isGroup2Gone) assertEquals(found.has(2), false);
  const writer = await store.writer(1, richMeta(11), { token: TOKEN });
  await writer.write(dataOf(11, BYTES), 0);
  await writer.commit();
  const data = await contentsOf(store, wholeAt(store, 1, 11));
  assertEquals(data, dataOf(11, BYTES));
  const isDraft = (path: string) => /\/1\/.*\.part$/.test(path);
  assertEquals(disk.paths().filter(isDraft), []);
  assertEquals(disk.openCount, 0);
}

/** The process died, the machine lives: no byte that was suspended is lost. */
async function checkKilled(
  disk: FakeFileSystem,
  promises: Promises,
): Promise<void> {
  const store = storeOn(disk);
  const writer = await store.writer(1, richMeta(11), { token: TOKEN });
  assert(writer.offset >= promises.suspended, "the draft is shorter");
  await writer.suspend();
  await check(disk, promises);
}

/**
 * The process died, another one opened the store, and then the power goes:
 * what the second one found is there, for it has relied on it (H51).
 */
async function checkFound(disk: FakeFileSystem): Promise<void> {
  disk.onOperation = () => {};
  const { store, found } = await openOn(disk);
  // What is stored on top of folders that were found is as safe as they are.
  await storeSnapshot(store, 3, richMeta(3), [dataOf(3, 10)]);
  const after = disk.crash({ keepBytes: () => 0, keepNames: () => 0 });
  const { found: again } = await openOn(after);
  for (const [group, files] of found) {
    assertEquals(again.get(group), files, `group ${group}`);
  }
  assertEquals(again.get(3)?.length, 1);
}

/** What a disk may keep: everything between nothing and all. */
function* allChoices(): Generator<CrashChoices> {
  for (let names = 0; names < 7; names++) {
    for (const part of [0, 0.5, 1]) {
      yield {
        keepNames: (count) => Math.min(names, count),
        keepBytes: (count) => Math.ceil(count * part),
      };
    }
  }
  // Some sectors and not others, in no order.
  for (let seed = 1; seed < 4; seed++) {
    let state = seed;
    yield {
      keepNames: (count) => count,
      keepBytes: (count) => {
        state = (Math.imul(state, 48_271) >>> 0) % 0x7fff_ffff;
        return state % 2 === 0 ? 0 : count;
      },
    };
  }
}

function nothingPromised(): Promises {
  return { committed: [], begun: [], isGroup2Gone: true, suspended: 0 };
}

describe("a snapshot store that loses power", () => {
  it("keeps every promise, whichever operation was the last", async () => {
    let states = 0;
    let isThrough = false;
    for (let step = 0; !isThrough; step++) {
      const disk = new FakeFileSystem();
      const promises = nothingPromised();
      let left = step;
      disk.onOperation = () => {
        if (left-- <= 0) throw new PowerLoss();
      };
      try {
        await run(disk, promises);
        isThrough = true;
      } catch (error) {
        assert(left < 0, String(error));
      }
      for (const choices of allChoices()) {
        await check(disk.crash(choices), promises);
        states++;
      }
      await checkKilled(disk.kill(), promises);
      await checkFound(disk);
    }
    assert(states > 1000, `${states} states were tried`);
  });
});
