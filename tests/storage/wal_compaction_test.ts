/** What the log gives back, and what it keeps (H51, H54). */
import { describe, it } from "node:test";
import { setImmediate } from "node:timers";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { isRaftError, RaftError } from "../../src/errors.ts";
import type { Storage } from "../../src/storage.ts";
import type { SnapshotMeta } from "../../src/core/types.ts";
import type { WalStorage, WalStorageOptions } from "../../storage/wal/mod.ts";
import { RECORD } from "../../storage/wal/format.ts";
import {
  append,
  command,
  commands,
  createGroup,
  metaAt,
} from "../../src/testing/storage_samples.ts";
import { FakeFileSystem, SystemError } from "./fake_file_system.ts";
import {
  DEPLOYMENT,
  inspect,
  recordTypes,
  SEGMENT_BYTES,
  segmentFile,
  walOn,
} from "./wal_bench.ts";

const ENTRY_BYTES = 200;

/** Everything that can happen without the outside has happened. */
async function breathe(): Promise<void> {
  for (let i = 0; i < 50; i++) {
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
}

async function openOn(
  disk: FakeFileSystem,
  options: Partial<WalStorageOptions> = {},
): Promise<WalStorage> {
  const storage = walOn(disk, options);
  await storage.open({ deployment: DEPLOYMENT });
  return storage;
}

async function fill(
  storage: Storage,
  group: number,
  from: number,
  through: number,
): Promise<void> {
  for (const entry of commands(1, from, through, ENTRY_BYTES)) {
    await storage.write([append(group, [entry])]);
  }
}

async function takeSnapshot(
  storage: Storage,
  group: number,
  meta: SnapshotMeta,
): Promise<void> {
  const writer = await storage.snapshotWriter(group, meta);
  await writer.write(new Uint8Array(100).fill(meta.index));
  await writer.commit();
}

async function dropThrough(
  storage: Storage,
  group: number,
  index: number,
): Promise<void> {
  await takeSnapshot(storage, group, metaAt(index, 1));
  await storage.compact(group, index);
}

function segments(disk: FakeFileSystem): number[] {
  return disk.paths().filter((path) => path.endsWith(".wal"))
    .map((path) => Number(path.slice(-20, -4)));
}

function snapshots(disk: FakeFileSystem): string[] {
  return disk.paths().filter((path) => path.endsWith(".snap"))
    .map((path) => path.slice(path.indexOf("snapshots/") + 10));
}

/** Bytes of all segments. */
function logBytes(disk: FakeFileSystem): number {
  return segments(disk).reduce(
    (sum, segment) => sum + disk.get(segmentFile(segment)).length,
    0,
  );
}

async function failure(action: () => Promise<unknown>): Promise<RaftError> {
  return await assertRejects(action, RaftError);
}

describe("segments that hold nothing any more", () => {
  it("are removed once every group has moved on, and the log goes on", async () => {
    const disk = new FakeFileSystem();
    const storage = await openOn(disk);
    await storage.write([createGroup(1), createGroup(2)]);
    await fill(storage, 1, 1, 40);
    await fill(storage, 2, 1, 4);
    const before = segments(disk);
    assert(before.length > 9 && before[0] === 1, `${before}`);
    await dropThrough(storage, 1, 38);
    await breathe();
    const after = segments(disk);
    assert(after.length <= 4, `${after} are left of ${before}`);
    await fill(storage, 1, 41, 42);
    const { opened } = await inspect(disk.kill());
    const [one, two] = opened.groups;
    assertEquals(one?.firstIndex, 39);
    assertEquals(one?.tail, commands(1, 39, 42, ENTRY_BYTES));
    assertEquals(two?.tail, commands(1, 1, 4, ENTRY_BYTES));
    await storage.close();
    assertEquals(disk.openCount, 0);
  });

  it("are removed when their group is destroyed, or a snapshot replaces its log", async () => {
    const disk = new FakeFileSystem();
    const storage = await openOn(disk);
    await storage.write([createGroup(1), createGroup(2)]);
    await fill(storage, 1, 1, 12);
    await fill(storage, 2, 1, 12);
    await storage.destroyGroup(1);
    const snapshot = metaAt(50, 3);
    await takeSnapshot(storage, 2, snapshot);
    await storage.write([{ group: 2, snapshot, entries: [] }]);
    await breathe();
    assert(segments(disk).length <= 2, `${segments(disk)}`);
    await storage.close();
  });

  it("stay as long as the record that frees them is not durable", async () => {
    const disk = new FakeFileSystem();
    const storage = await openOn(disk);
    await storage.write([createGroup(1)]);
    await fill(storage, 1, 1, 12);
    await takeSnapshot(storage, 1, metaAt(12, 1));
    const before = segments(disk);
    let release = () => {};
    disk.onOperation = ({ type, path }) =>
      type === "sync" && path.includes(".wal")
        ? new Promise<void>((resolve) => release = resolve)
        : undefined;
    const compacted = storage.compact(1, 12);
    await breathe();
    assertEquals(segments(disk), before);
    disk.onOperation = () => {};
    release();
    await compacted;
    await breathe();
    assert(segments(disk).length < before.length);
    await storage.close();
  });

  it("are removed one after the other, so that no crash leaves a gap", async () => {
    const disk = new FakeFileSystem();
    const storage = await openOn(disk);
    await storage.write([createGroup(1)]);
    await fill(storage, 1, 1, 12);
    await takeSnapshot(storage, 1, metaAt(12, 1));
    const seen: string[] = [];
    disk.onOperation = ({ type, path }) => {
      const isRemoval = type === "unlink" && path.endsWith(".wal");
      if (isRemoval) seen.push(path);
      else if (type === "syncDirectory") seen.push(type);
    };
    await storage.compact(1, 12);
    await breathe();
    const removed = seen.filter((step) => step.endsWith(".wal"));
    assertEquals(removed, removed.toSorted());
    assert(removed.length >= 3);
    for (const path of removed) {
      assertEquals(seen[seen.indexOf(path) + 1], "syncDirectory");
    }
    await storage.close();
  });

  it("stay while somebody reads them", async () => {
    const disk = new FakeFileSystem();
    const storage = await openOn(disk);
    await storage.write([createGroup(1)]);
    await fill(storage, 1, 1, 12);
    let release = () => {};
    disk.onOperation = ({ type }) =>
      type === "read"
        ? new Promise<void>((resolve) => release = resolve)
        : undefined;
    const range = { group: 1, from: 1, through: 2, maxBytes: 1e6 };
    const read = storage.read(range);
    await breathe();
    disk.onOperation = () => {};
    await dropThrough(storage, 1, 12);
    await breathe();
    assertEquals(segments(disk)[0], 1);
    release();
    assertEquals(await read, commands(1, 1, 2, ENTRY_BYTES));
    await breathe();
    assert((segments(disk)[0] ?? 0) > 1, "nobody reads it any more");
    await storage.close();
  });

  it("are removed by the next opening if the process was killed before", async () => {
    const disk = new FakeFileSystem();
    const storage = await openOn(disk);
    await storage.write([createGroup(1)]);
    await fill(storage, 1, 1, 12);
    disk.onOperation = ({ type, path }) => {
      const isRemoval = type === "unlink" && path.endsWith(".wal");
      if (isRemoval) throw new SystemError("EACCES", "unlink");
    };
    await dropThrough(storage, 1, 12);
    await breathe();
    assertEquals(segments(disk)[0], 1);
    const killed = disk.kill();
    const again = await openOn(killed);
    await breathe();
    assert((segments(killed)[0] ?? 0) > 1);
    // Not to be able to remove a file is no reason to stop.
    await storage.write([append(1, [command(1, 13)])]);
    await storage.close();
    await again.close();
  });

  it("stay as many as retainSegments says, the newest of them", async () => {
    const disk = new FakeFileSystem();
    const storage = await openOn(disk, { retainSegments: 3 });
    await storage.write([createGroup(1)]);
    await fill(storage, 1, 1, 40);
    const newest = segments(disk).at(-1) ?? 0;
    await dropThrough(storage, 1, 40);
    await breathe();
    const [oldest = 0] = segments(disk);
    assert(oldest > 1);
    const active =
      segments(disk).findLast((segment) =>
        disk.get(segmentFile(segment)).some((byte, i) => i > 100 && byte !== 0)
      ) ?? newest;
    assertEquals(active - oldest, 3);
    await storage.close();
  });
});

describe("a group that holds back the others", () => {
  it("has its entries moved, so that the log stays small whatever is written", async () => {
    const disk = new FakeFileSystem();
    const storage = await openOn(disk);
    await storage.write([createGroup(1), createGroup(2)]);
    await fill(storage, 1, 1, 5);
    let largest = 0;
    for (let i = 1; i <= 400; i++) {
      await fill(storage, 2, i, i);
      if (i % 10 !== 0) continue;
      await dropThrough(storage, 2, i);
      await breathe();
      largest = Math.max(largest, logBytes(disk));
    }
    // Five entries and ten that come and go: less than 4 KiB live. Besides
    // there are the segment in use, a prepared one, and checkpoints.
    const live = 15 * (ENTRY_BYTES + 60);
    const limit = 4 * live + 2 * SEGMENT_BYTES + 4 * SEGMENT_BYTES;
    assert(largest < limit, `${largest} bytes, wanted less than ${limit}`);
    const wanted = commands(1, 1, 5, ENTRY_BYTES);
    const range = { group: 1, from: 1, through: 5, maxBytes: 1e6 };
    assertEquals(await storage.read(range), wanted);
    const { opened } = await inspect(disk.kill());
    assertEquals(opened.groups[0]?.tail, wanted);
    await storage.close();
  });

  it("costs at most a third of what is written besides", async () => {
    const disk = new FakeFileSystem();
    const storage = await openOn(disk, { segmentBytes: 4096 });
    await storage.write([createGroup(1), createGroup(2)]);
    await fill(storage, 1, 1, 60);
    let moved = 0;
    let written = 0;
    let isCounting = false;
    disk.onOperation = ({ type, path, bytes = 0 }) => {
      // What is laid out in advance goes to drafts.
      const isFrame = type === "write" && path.includes(".wal");
      if (isFrame && isCounting) moved += bytes;
    };
    for (let i = 1; i <= 600; i++) {
      await fill(storage, 2, i, i);
      written += ENTRY_BYTES;
      if (i % 20 === 0) await dropThrough(storage, 2, i);
      isCounting = true;
      await breathe();
      isCounting = false;
    }
    const kinds = recordTypes(disk);
    assert(kinds.includes(RECORD.relocate), "nothing was moved");
    // Segments that are laid out, and their checkpoints, are counted along.
    const laidOut = segments(disk).at(-1) ?? 0;
    const most = written / 3 + laidOut * (4096 + 600);
    assert(moved < most, `${moved} bytes moved for ${written} written`);
    await storage.close();
  });

  it("whose entries cannot be read stays where it is, and the rest works", async () => {
    const disk = new FakeFileSystem();
    const storage = await openOn(disk);
    await storage.write([createGroup(1), createGroup(2)]);
    await fill(storage, 1, 1, 2);
    const first = disk.get(segmentFile(1));
    const at = first.findLastIndex((byte) => byte !== 0);
    first[at - 100] = (first[at - 100] ?? 0) ^ 1;
    for (let i = 1; i <= 100; i++) await fill(storage, 2, i, i);
    await dropThrough(storage, 2, 100);
    await breathe();
    assertEquals(segments(disk)[0], 1);
    await fill(storage, 2, 101, 101);
    await storage.close();
  });
});

describe("a log that begins with a later segment", () => {
  async function compacted(): Promise<FakeFileSystem> {
    const disk = new FakeFileSystem();
    const storage = await openOn(disk);
    await storage.write([createGroup(1), createGroup(2)]);
    await fill(storage, 1, 1, 30);
    await dropThrough(storage, 1, 20);
    await breathe();
    await storage.close();
    assert((segments(disk)[0] ?? 0) > 1);
    return disk;
  }

  it("is refused without a segment that holds entries, which it names (H49)", async () => {
    const disk = await compacted();
    const [oldest = 0] = segments(disk);
    disk.remove(segmentFile(oldest));
    const error = await failure(() => inspect(disk));
    assertEquals(error.code, "corrupt");
    assertEquals(error.file, segmentFile(oldest));
  });

  it("is refused if its first checkpoint is damaged, wherever it is (H48)", async () => {
    const disk = await compacted();
    const [oldest = 0] = segments(disk);
    const path = segmentFile(oldest);
    const content = disk.get(path);
    // What an index file says is believed instead, and is checked by itself.
    for (const one of disk.paths()) if (one.endsWith(".idx")) disk.remove(one);
    const start = content.indexOf(0xb5);
    const view = new DataView(content.buffer, content.byteOffset);
    const end = start + 32 + view.getUint32(start + 4, true);
    for (let at = start; at < end; at += 3) {
      content[at] = (content[at] ?? 0) ^ 8;
      const error = await failure(() => inspect(disk.kill()));
      assertEquals(error.code, "corrupt", `byte ${at}`);
      assertEquals(error.file, path, `byte ${at}`);
      content[at] = (content[at] ?? 0) ^ 8;
    }
  });
});

describe("stored snapshots", () => {
  it("stay as many as retainSnapshots says, the newest of them", async () => {
    const disk = new FakeFileSystem();
    const storage = await openOn(disk, { retainSnapshots: 3 });
    await storage.write([createGroup(1)]);
    await fill(storage, 1, 1, 20);
    for (const index of [2, 5, 9, 14, 20]) {
      await takeSnapshot(storage, 1, metaAt(index, 1));
    }
    await breathe();
    assertEquals(
      snapshots(disk),
      [9, 14, 20].map((index) => `1/${String(index).padStart(16, "0")}-1.snap`),
    );
    await storage.close();
  });

  it("older than a damaged one are used if the log covers the gap, and it is set aside (H54)", async () => {
    const disk = new FakeFileSystem();
    const storage = await openOn(disk);
    await storage.write([createGroup(1)]);
    await fill(storage, 1, 1, 20);
    await takeSnapshot(storage, 1, metaAt(5, 1));
    await storage.compact(1, 4);
    await takeSnapshot(storage, 1, metaAt(12, 1));
    await storage.close();
    const path = disk.paths().find((one) => one.includes("12-1.snap")) ?? "";
    disk.get(path).fill(7, 150, 160);
    const again = walOn(disk);
    const { groups, repairs } = await again.open({ deployment: DEPLOYMENT });
    assertEquals(groups[0]?.snapshot, metaAt(5, 1));
    assertEquals(groups[0]?.firstIndex, 5);
    assertEquals(repairs.map(({ type, file }) => [type, file]), [
      ["damagedSnapshot", path],
    ]);
    assert(disk.paths().includes(`${path}.damaged`));
    await again.close();
    const { opened } = await inspect(disk);
    assertEquals(opened.repairs, []);
  });

  it("that are damaged while the log begins behind older ones are an error that names them (H54)", async () => {
    const disk = new FakeFileSystem();
    const storage = await openOn(disk);
    await storage.write([createGroup(1)]);
    await fill(storage, 1, 1, 20);
    await takeSnapshot(storage, 1, metaAt(5, 1));
    await dropThrough(storage, 1, 12);
    await storage.close();
    const path = disk.paths().find((one) => one.includes("12-1.snap")) ?? "";
    disk.get(path).fill(7, 150, 160);
    disk.forgetLocks();
    const before = disk.fingerprint();
    const damaged = await failure(() => inspect(disk));
    assertEquals([damaged.code, damaged.file], ["corrupt", path]);
    disk.forgetLocks();
    assert(disk.fingerprint() === before, "something was changed");
    disk.remove(path);
    const missing = await failure(() => inspect(disk));
    assertEquals(missing.code, "corrupt");
    assert(missing.message.includes("group 1"), missing.message);
  });

  it("of a group that was destroyed are not those of one made after it", async () => {
    const disk = new FakeFileSystem();
    const storage = await openOn(disk);
    await storage.write([createGroup(1)]);
    await fill(storage, 1, 1, 3);
    await takeSnapshot(storage, 1, metaAt(3, 1));
    // The files take their time to go; the group is made again meanwhile.
    let release = () => {};
    disk.onOperation = ({ type, path }) =>
      type === "syncDirectory" && path.endsWith("snapshots")
        ? new Promise<void>((resolve) => release = resolve)
        : undefined;
    const destroyed = storage.destroyGroup(1);
    const made = storage.write([
      createGroup(1, 2),
      append(1, commands(1, 1, 9)),
    ]);
    await breathe();
    const { opened } = await inspect(disk.kill());
    assertEquals(opened.groups, [], "the new one is there, and the old files");
    disk.onOperation = () => {};
    release();
    await Promise.all([destroyed, made]);
    assertEquals(await storage.snapshotReader(1), undefined);
    await takeSnapshot(storage, 1, metaAt(2, 1));
    const { opened: later } = await inspect(disk.kill());
    assertEquals(later.groups[0]?.node, 2);
    assertEquals(later.groups[0]?.snapshot, metaAt(2, 1));
    await storage.close();
  });

  it("keep what they contain from being replaced in the log", async () => {
    const disk = new FakeFileSystem();
    const storage = await openOn(disk);
    await storage.write([createGroup(1)]);
    await fill(storage, 1, 1, 9);
    await takeSnapshot(storage, 1, metaAt(6, 1));
    await assertRejects(
      () => storage.write([append(1, [command(2, 6)])]),
      RangeError,
      "entry 6 is in its snapshot at 6",
    );
    await storage.write([append(1, [command(2, 7)])]);
    await storage.close();
  });

  it("cannot be stored once the log has failed (H44)", async () => {
    const disk = new FakeFileSystem();
    const storage = await openOn(disk);
    await storage.write([createGroup(1)]);
    disk.onOperation = ({ type }) => {
      if (type === "sync") throw new SystemError("EIO", "sync");
    };
    await failure(() => fill(storage, 1, 1, 1));
    disk.onOperation = () => {};
    const error = await failure(() => takeSnapshot(storage, 1, metaAt(1, 1)));
    assert(isRaftError(error, "storageFailed"));
    await storage.close();
  });
});
