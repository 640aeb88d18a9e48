/**
 * A disk that fails at any one moment, or from then on, while snapshots are
 * taken, received, replaced and removed with their group, which is made again:
 * what was acknowledged is found, and nothing of a former life (H44, H51, H54).
 */
import { describe, it } from "node:test";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { RaftError } from "../../src/errors.ts";
import type { Storage } from "../../src/storage.ts";
import {
  append,
  commands,
  createGroup,
  metaAt,
} from "../../src/testing/storage_samples.ts";
import { FakeFileSystem, SystemError } from "./fake_file_system.ts";
import { dataOf, readAll } from "./snapshot_bench.ts";
import { DEPLOYMENT, walOn } from "./wal_bench.ts";

/** Group 1 has two lives. */
type Life = "first" | "second";

/** What was acknowledged. */
interface Acknowledged {
  life: Life;
  /** Whether group 1 was asked to go. */
  isLeaving: boolean;
  readonly last: Map<number, number>;
  readonly snapshot: Map<number, number>;
}

function stateOf(group: number, index: number, life: Life): Uint8Array {
  return dataOf(group * 1000 + index + (life === "first" ? 0 : 500), 3_000);
}

/** Stores a snapshot; with a token its transfer is interrupted. */
async function take(
  storage: Storage,
  group: number,
  index: number,
  { life = "first", token }: { life?: Life; token?: string } = {},
): Promise<void> {
  const data = stateOf(group, index, life);
  const begin = () =>
    storage.snapshotWriter(group, metaAt(index, 1), { token });
  if (token !== undefined) {
    const writer = await begin();
    await writer.write(data.subarray(writer.offset, 1_000));
    await writer.suspend();
  }
  const writer = await begin();
  try {
    await writer.write(data.subarray(writer.offset));
    await writer.commit();
  } finally {
    await writer.abort();
  }
}

/** Two groups and the end of one; what fails is passed over. */
async function live(
  storage: Storage,
  done: Acknowledged,
): Promise<void> {
  const step = async (work: () => Promise<void>, note = () => {}) => {
    try {
      await work();
      note();
    } catch (error) {
      const isExpected = error instanceof RaftError ||
        error instanceof RangeError;
      if (!isExpected) throw error;
    }
  };
  const fill = (group: number, from: number, to: number) =>
    step(
      () => storage.write([append(group, commands(1, from, to, 40))]),
      () => done.last.set(group, to),
    );
  const snapshot = (group: number, index: number) =>
    step(
      () => take(storage, group, index, { life: done.life }),
      () => done.snapshot.set(group, index),
    );
  await step(() => storage.write([createGroup(1), createGroup(2)]));
  await fill(1, 1, 10);
  await fill(2, 1, 4);
  await snapshot(1, 5);
  await step(() => storage.compact(1, 4));
  await step(async () => {
    await take(storage, 2, 20, { token: "t" });
    await storage.write([{ group: 2, entries: [], snapshot: metaAt(20, 1) }]);
  }, () => {
    done.last.set(2, 20);
    done.snapshot.set(2, 20);
  });
  await snapshot(1, 9);
  await snapshot(1, 9);
  await snapshot(1, 10);
  done.isLeaving = true;
  await step(() => storage.destroyGroup(1));
  await step(() => storage.write([createGroup(1)]), () => {
    done.life = "second";
    done.isLeaving = false;
    done.last.delete(1);
    done.snapshot.delete(1);
  });
  if (done.life === "first") return;
  await fill(1, 1, 10);
  await snapshot(1, 5);
}

/** Opens what is left, and finds all of it and nothing else. */
async function assertSound(
  disk: FakeFileSystem,
  done: Acknowledged,
): Promise<void> {
  const storage = walOn(disk);
  const { groups } = await storage.open({ deployment: DEPLOYMENT });
  for (const [group, last] of done.last) {
    const stored = groups.find((one) => one.group === group);
    if (stored === undefined || done.isLeaving && group === 1) {
      assert(done.isLeaving && group === 1, `group ${group} is gone`);
      continue;
    }
    assert(stored.lastIndex >= last, "entries are gone");
    const index = done.snapshot.get(group) ?? 0;
    assert(stored.snapshot.index >= index, "a snapshot is gone");
  }
  for (const { group, snapshot: { index } } of groups) {
    const reader = await storage.snapshotReader(group);
    assertEquals(reader?.meta.index ?? 0, index);
    if (reader === undefined) continue;
    const data = await readAll(reader);
    reader.release?.();
    const life = group === 1 ? done.life : "first";
    assertEquals(data, stateOf(group, index, life), "of another life");
  }
  await storage.close();
}

/** A run in which the operations from `first` to `last` fail. */
async function run(first: number, last: number): Promise<number> {
  const disk = new FakeFileSystem();
  disk.forgetsFailedSyncs = true;
  const done: Acknowledged = {
    life: "first",
    isLeaving: false,
    last: new Map(),
    snapshot: new Map(),
  };
  const storage = walOn(disk);
  await storage.open({ deployment: DEPLOYMENT });
  let count = 0;
  disk.onOperation = ({ path }) => {
    const at = count++;
    if (at >= first && at <= last) throw new SystemError("EIO", path);
  };
  await live(storage, done);
  await storage.close();
  disk.onOperation = () => {};
  assertEquals(disk.openCount, 0, "files are left open");
  for (const kept of [0, Infinity]) {
    const keep = (most: number) => Math.min(kept, most);
    const after = disk.crash({ keepBytes: keep, keepNames: keep });
    await assertSound(after, done);
  }
  await assertSound(disk.kill(), done);
  return count;
}

describe("a disk that fails among snapshots", () => {
  for (
    const [length, name] of [[1, "once"], [3, "thrice"], [1e9, "for good"]]
  ) {
    it(`${name}, at any moment, loses nothing and mixes nothing`, async () => {
      const count = await run(Infinity, Infinity);
      assert(count > 100);
      for (let at = 0; at < count; at++) {
        try {
          await run(at, at + Number(length) - 1);
        } catch (cause) {
          throw new Error(`With operation ${at} failing`, { cause });
        }
      }
    });
  }
});

describe("a group whose files cannot be removed", () => {
  it("is not made again: it would find what is not its own (H54)", async () => {
    const disk = new FakeFileSystem();
    const storage = walOn(disk);
    await storage.open({ deployment: DEPLOYMENT });
    await storage.write([createGroup(1), append(1, commands(1, 1, 10))]);
    await take(storage, 1, 5);
    disk.onOperation = ({ type, path }) => {
      if (type === "unlink" && path.endsWith(".snap")) {
        throw new SystemError("EIO", path);
      }
    };
    const gone = await assertRejects(() => storage.destroyGroup(1), RaftError);
    assertEquals(gone.code, "storageFailed");
    disk.onOperation = () => {};
    const error = await assertRejects(
      () => storage.write([createGroup(1)]),
      RaftError,
    );
    assertEquals(error.code, "storageFailed");
    await storage.close();
    const again = walOn(disk);
    assertEquals((await again.open({ deployment: DEPLOYMENT })).groups, []);
    await again.write([createGroup(1), append(1, commands(1, 1, 10))]);
    assertEquals(await again.snapshotReader(1), undefined);
    await again.close();
  });
});
