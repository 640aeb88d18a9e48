/** What the log gives back, and what it keeps (H51, H54). */
import { describe, it } from "node:test";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { RaftError } from "../../src/errors.ts";
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
  inspect,
  recordTypes,
  SEGMENT_BYTES,
  segmentFile,
} from "./wal_bench.ts";
import {
  breathe,
  dropThrough,
  ENTRY_BYTES,
  fill,
  openOn,
  takeSnapshot,
} from "./wal_steps.ts";

function segments(disk: FakeFileSystem): number[] {
  return disk.paths().filter((path) => path.endsWith(".wal"))
    .map((path) => Number(path.slice(-20, -4)));
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

  it("stay as long as the record that frees them is not durable, whatever else is a reason to look", async () => {
    const disk = new FakeFileSystem();
    const storage = await openOn(disk);
    await storage.write([createGroup(1)]);
    await fill(storage, 1, 1, 12);
    await takeSnapshot(storage, 1, metaAt(12, 1));
    const before = segments(disk);
    const waiting = new Map<string, () => void>();
    disk.onOperation = ({ type, path }) => {
      const isHeld = type === "read" || type === "sync" && path.includes("wal");
      if (!isHeld) return;
      return new Promise<void>((pass) => void waiting.set(type, pass));
    };
    const range = { group: 1, from: 1, through: 1, maxBytes: 1 };
    const read = storage.read(range);
    await breathe();
    const compacted = storage.compact(1, 12);
    await breathe();
    // The oldest segment is dead, and nobody reads it any more.
    waiting.get("read")?.();
    await read;
    await breathe();
    assertEquals(segments(disk), before);
    disk.onOperation = () => {};
    waiting.get("sync")?.();
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
