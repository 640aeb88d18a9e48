/**
 * What the store makes of files that are not what it wrote: whole data, or an
 * error that names file and offset, and never wrong data (H49, H60, H61).
 */
import { dirname } from "node:path";
import { describe, it } from "node:test";
import { crc32 } from "node:zlib";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { RaftError } from "../../src/errors.ts";
import type { WholeSnapshotFile } from "../../storage/wal/snapshots/store.ts";
import { FakeFileSystem, SystemError } from "./fake_file_system.ts";
import {
  contentsOf,
  dataOf,
  indexesOf,
  openOn,
  readAll,
  richMeta,
  snapshotPath,
  storeOn,
  storeSnapshot,
  wholeAt,
} from "./snapshot_bench.ts";

const PATH = snapshotPath(1, "0000000000000007-2.snap");
const DATA = dataOf(1, 900);

/** A disk with one snapshot, of three chunks. */
async function recorded(): Promise<
  { disk: FakeFileSystem; file: WholeSnapshotFile; bytes: Uint8Array }
> {
  const disk = new FakeFileSystem();
  const store = storeOn(disk);
  for (const end of [300, 600, 900]) {
    const writer = await store.writer(1, richMeta(7), { token: "t" });
    await writer.write(DATA.subarray(end - 300, end));
    if (end < 900) await writer.suspend();
    else await writer.commit();
  }
  return { disk, file: wholeAt(store, 1, 7), bytes: disk.get(PATH) };
}

/** Opening finds the file damaged, and says where. */
async function assertDamaged(
  bytes: Uint8Array,
  path: string = PATH,
): Promise<RaftError> {
  const disk = new FakeFileSystem();
  disk.put(path, bytes);
  const before = disk.fingerprint();
  const { found } = await openOn(disk);
  const [file] = [...found.values()].flat();
  assert(file?.state === "damaged", "it passed for whole");
  assertEquals([file.index, file.term, file.path], [7, 2, path]);
  assertEquals([file.problem.code, file.problem.file], ["corrupt", path]);
  const { offset } = file.problem;
  assert(offset !== undefined && offset >= 0 && offset <= bytes.length);
  assertEquals(disk.fingerprint(), before, "looking at it changed it");
  assertEquals(disk.openCount, 0);
  return file.problem;
}

describe("a stored snapshot of which any byte is flipped", () => {
  it("is found damaged by opening", async () => {
    const { bytes } = await recorded();
    for (let at = 0; at < bytes.length; at++) {
      const flipped = bytes.slice();
      flipped[at] = (flipped[at] ?? 0) ^ (1 << (at % 8));
      await assertDamaged(flipped);
    }
  });

  it("is found damaged by a reader, which hands out a true part and no more", async () => {
    const { disk, file, bytes } = await recorded();
    for (let at = 0; at < bytes.length; at++) {
      const flipped = bytes.slice();
      flipped[at] = (flipped[at] ?? 0) ^ (1 << (at % 8));
      disk.put(PATH, flipped);
      const reader = storeOn(disk).reader(file);
      let read = 0;
      const error = await assertRejects(async () => {
        for await (const chunk of reader.chunks()) {
          assertEquals(chunk, DATA.subarray(read, read + chunk.length));
          read += chunk.length;
        }
      }, RaftError);
      const { code, file: path, offset } = error;
      assertEquals([code, path], ["corrupt", PATH]);
      assert(offset !== undefined && offset <= at, `${offset} for ${at}`);
    }
  });

  it("is found damaged from an offset on, if the damage is there", async () => {
    const { disk, file, bytes } = await recorded();
    const isBefore = bytes.length - 20 - 308;
    for (let at = isBefore; at < bytes.length; at++) {
      const flipped = bytes.slice();
      flipped[at] = (flipped[at] ?? 0) ^ 1;
      disk.put(PATH, flipped);
      const reader = storeOn(disk).reader(file);
      await assertRejects(() => readAll(reader, 700), RaftError);
    }
    // The data before is passed over, and was checked by who asked for it.
    const flipped = bytes.slice();
    flipped[isBefore - 1] = (flipped[isBefore - 1] ?? 0) ^ 1;
    disk.put(PATH, flipped);
    const reader = storeOn(disk).reader(file);
    assertEquals(await readAll(reader, 700), DATA.subarray(700));
  });
});

describe("a stored snapshot that is cut or longer", () => {
  it("is found damaged at every length", async () => {
    const { disk, file, bytes } = await recorded();
    for (let length = 0; length < bytes.length; length++) {
      const cut = bytes.subarray(0, length);
      await assertDamaged(cut);
      disk.put(PATH, cut);
      const error = await assertRejects(
        () => readAll(storeOn(disk).reader(file)),
        RaftError,
      );
      assertEquals([error.code, error.file], ["corrupt", PATH]);
    }
    await assertDamaged(new Uint8Array([...bytes, 0]));
    await assertDamaged(new Uint8Array([...bytes, ...bytes]));
  });

  it("is found damaged if chunks are missing, twice there or swapped (H61, H65)", async () => {
    const { bytes } = await recorded();
    const end = bytes.length - 20;
    const start = end - 3 * 308;
    const header = bytes.subarray(0, start);
    const footer = bytes.subarray(end);
    const chunk = (i: number) =>
      bytes.subarray(start + i * 308, start + (i + 1) * 308);
    for (
      const order of [[0, 1], [1, 2], [0, 1, 2, 2], [0, 2, 1], [1, 0, 2], []]
    ) {
      const parts = [header, ...order.map(chunk), footer];
      const mixed = new Uint8Array(parts.flatMap((part) => [...part]));
      await assertDamaged(mixed);
    }
  });
});

describe("a stored snapshot of which a write was lost", () => {
  it("is found damaged, though what was there before fits its place (H61)", async () => {
    const { disk, file, bytes } = await recorded();
    const older = new FakeFileSystem();
    const other = await storeSnapshot(storeOn(older), 1, richMeta(7), [
      dataOf(2, 300),
    ]);
    const end = bytes.length - 20;
    const start = end - 3 * 308;
    const mixed = bytes.slice();
    mixed.set(older.get(other.path).subarray(start, start + 308), start);
    await assertDamaged(mixed);
    disk.put(PATH, mixed);
    const reader = storeOn(disk).reader(file);
    const error = await assertRejects(() => readAll(reader), RaftError);
    assertEquals([error.code, error.offset], ["corrupt", end]);
  });
});

describe("a stored snapshot in a wrong place", () => {
  it("is not taken for that of another group, index or term (H61)", async () => {
    const { bytes } = await recorded();
    await assertDamaged(bytes, snapshotPath(2, "0000000000000007-2.snap"));
    for (const name of ["0000000000000008-2", "0000000000000007-3"]) {
      const disk = new FakeFileSystem();
      disk.put(snapshotPath(1, `${name}.snap`), bytes);
      const { store } = await openOn(disk);
      assertEquals(store.files(1).map(({ state }) => state), ["damaged"]);
    }
  });

  it("is not taken for that of another data directory (H58, H61)", async () => {
    const disk = new FakeFileSystem();
    const stranger = storeOn(disk, { incarnation: "f".repeat(32) });
    await storeSnapshot(stranger, 1, richMeta(7), [DATA]);
    const problem = await assertDamaged(disk.get(PATH));
    assert(problem.message.includes("f".repeat(32)), problem.message);
  });
});

describe("the store", () => {
  it("misses a file that is gone, and offers the one before", async () => {
    const disk = new FakeFileSystem();
    await storeSnapshot(storeOn(disk), 1, richMeta(5), [DATA]);
    const gone = await storeSnapshot(storeOn(disk), 1, richMeta(7), [DATA]);
    disk.remove(gone.path);
    assertEquals(indexesOf((await openOn(disk)).store, 1), [5]);
    disk.remove(wholeAt((await openOn(disk)).store, 1, 5).path);
    disk.remove(dirname(gone.path));
    assertEquals((await openOn(disk)).found.size, 0);
  });

  it("puts a damaged file aside for people, and never reads it again (H49)", async () => {
    const { disk, bytes } = await recorded();
    await storeSnapshot(storeOn(disk), 1, richMeta(5), [DATA]);
    const cut = bytes.subarray(0, 100);
    disk.put(PATH, cut);
    const { store } = await openOn(disk);
    const [damaged] = store.files(1);
    assert(damaged?.state === "damaged");
    assertEquals(await store.quarantine(damaged), `${PATH}.damaged`);
    assertEquals(indexesOf(store, 1), [5]);
    const after = disk.crash({ keepBytes: () => 0, keepNames: () => 0 });
    assertEquals(after.get(`${PATH}.damaged`), cut);
    assertEquals(indexesOf((await openOn(after)).store, 1), [5]);
  });

  it("refuses another version as unsupportedFormat, and leaves it alone", async () => {
    const { disk, bytes } = await recorded();
    const other = bytes.slice();
    other[8] = 2;
    new DataView(other.buffer).setUint32(
      12,
      crc32(other.subarray(0, 12)),
      true,
    );
    disk.put(PATH, other);
    const error = await assertRejects(() => openOn(disk), RaftError);
    assertEquals([error.code, error.file, error.offset], [
      "unsupportedFormat",
      PATH,
      0,
    ]);
    assertEquals(disk.get(PATH), other);
    assertEquals(disk.openCount, 0);
  });

  it("tells a file that cannot be read from one that is damaged", async () => {
    const { disk, file } = await recorded();
    disk.onOperation = ({ type }) => {
      if (type === "read") throw new SystemError("EIO", "read");
    };
    const opening = await assertRejects(() => openOn(disk), RaftError);
    assertEquals(opening.code, "storageFailed");
    const reading = await assertRejects(
      () => contentsOf(storeOn(disk), file),
      RaftError,
    );
    assertEquals(reading.code, "storageFailed");
    assertEquals(disk.openCount, 0);
  });
});
