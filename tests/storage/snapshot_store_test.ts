/**
 * What the snapshot store promises while everything works: what is stored,
 * what is kept, and for how long.
 */
import { describe, it } from "node:test";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { RaftError } from "../../src/errors.ts";
import { FakeFileSystem } from "./fake_file_system.ts";
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
  writeAll,
} from "./snapshot_bench.ts";

const BIG_BYTES = 600_001;

describe("a stored snapshot", () => {
  it("comes back with all of its meta data and bytes, also from an offset", async () => {
    const disk = new FakeFileSystem();
    const data = dataOf(1, BIG_BYTES);
    await storeSnapshot(storeOn(disk), 3, richMeta(7), [data]);
    const { store, found } = await openOn(disk);
    assertEquals([...found.keys()], [3]);
    const file = wholeAt(store, 3, 7);
    assertEquals(file.meta, richMeta(7));
    assertEquals(file.bytes, BIG_BYTES);
    const reader = store.reader(file);
    assertEquals(reader.meta, richMeta(7));
    for (const from of [0, 1, 262_143, 262_144, 300_000, BIG_BYTES]) {
      assertEquals(await readAll(reader, from), data.subarray(from));
    }
  });

  it("is the same file however its data was cut", async () => {
    const data = dataOf(2, 70_000);
    const files = await Promise.all([1, 999, 70_000].map(async (size) => {
      const disk = new FakeFileSystem();
      const chunks: Uint8Array[] = [];
      for (let at = 0; at < data.length; at += size) {
        chunks.push(data.subarray(at, at + size));
      }
      await storeSnapshot(storeOn(disk), 1, richMeta(5), chunks);
      return disk.fingerprint();
    }));
    assertEquals(new Set(files).size, 1);
  });

  it("may be empty, as that of a witness is (H89)", async () => {
    const disk = new FakeFileSystem();
    await storeSnapshot(storeOn(disk), 1, richMeta(5), []);
    const { store } = await openOn(disk);
    const file = wholeAt(store, 1, 5);
    assertEquals(await contentsOf(store, file), new Uint8Array(0));
  });

  it("is there only when it is committed, and leaves nothing if it is not", async () => {
    const disk = new FakeFileSystem();
    const store = storeOn(disk);
    const writer = await store.writer(1, richMeta(5));
    await writer.write(dataOf(1, 1000));
    assertEquals(store.files(1), []);
    await writer.abort();
    await writer.abort();
    assertEquals(disk.paths(), []);
    assertEquals(disk.openCount, 0);
    await assertRejects(() => writer.write(new Uint8Array(1)), RangeError);
    await assertRejects(() => writer.commit(), RangeError);
  });

  it("takes calls that overlap in their order", async () => {
    const store = storeOn(new FakeFileSystem());
    const data = dataOf(4, BIG_BYTES);
    const writer = await store.writer(1, richMeta(5));
    const calls = [
      writer.write(data.subarray(0, 300_000)),
      writer.write(data.subarray(300_000)),
      writer.commit(),
    ];
    await Promise.all(calls);
    assertEquals(await contentsOf(store, wholeAt(store, 1, 5)), data);
  });

  it("is written one at a time per group, of many groups at once (H73)", async () => {
    const disk = new FakeFileSystem();
    const store = storeOn(disk);
    const groups = Array.from({ length: 40 }, (_, i) => i + 1);
    const writers = await Promise.all(
      groups.map((group) => store.writer(group, richMeta(group))),
    );
    await assertRejects(
      () => store.writer(1, richMeta(50)),
      RangeError,
      "another one is being written",
    );
    await Promise.all(writers.map(async (writer, i) => {
      await writeAll(writer, [dataOf(i, 100 + i)]);
      await writer.commit();
    }));
    const { store: again, found } = await openOn(disk);
    assertEquals([...found.keys()].sort((a, b) => a - b), groups);
    for (const group of groups) {
      const file = wholeAt(again, group, group);
      const wanted = dataOf(group - 1, 99 + group);
      assertEquals(await contentsOf(again, file), wanted);
    }
    assertEquals(disk.openCount, 0);
  });

  it("of the same index takes the place of the one before when it is whole", async () => {
    const disk = new FakeFileSystem();
    const store = storeOn(disk);
    await storeSnapshot(store, 1, richMeta(5), [dataOf(1, 500)]);
    const before = wholeAt(store, 1, 5);
    const writer = await store.writer(1, richMeta(5));
    await writer.write(dataOf(2, 700));
    assertEquals(await contentsOf(store, before), dataOf(1, 500));
    await writer.commit();
    const after = wholeAt(store, 1, 5);
    assertEquals(indexesOf(store, 1), [5]);
    assertEquals(await contentsOf(store, after), dataOf(2, 700));
    assert(before.token !== after.token, "two contents have one name");
    await assertRejects(
      () => contentsOf(store, before),
      RaftError,
      "another one has replaced it",
    );
  });
});

describe("retention", () => {
  it("keeps the newest ones and what is still needed", async () => {
    const disk = new FakeFileSystem();
    const store = storeOn(disk, { retain: 2 });
    for (const index of [5, 8, 11, 14]) {
      await storeSnapshot(store, 1, richMeta(index), [dataOf(index, 100)]);
    }
    store.prune(1, [5]);
    assertEquals(indexesOf(store, 1), [14, 11, 5]);
    store.prune(1);
    assertEquals(indexesOf(store, 1), [14, 11]);
    assertEquals(indexesOf((await openOn(disk)).store, 1), [14, 11]);
  });

  it("leaves a file to who reads it, and drops it behind them", async () => {
    const disk = new FakeFileSystem();
    const store = storeOn(disk, { retain: 1 });
    const data = dataOf(5, BIG_BYTES);
    const old = await storeSnapshot(store, 1, richMeta(5), [data]);
    const readers = [store.reader(old), store.reader(old)];
    await storeSnapshot(store, 1, richMeta(8), [dataOf(8, 10)]);
    store.prune(1);
    assertEquals(indexesOf(store, 1), [8], "it is offered no longer");
    for (const reader of readers) {
      assertEquals(await readAll(reader), data);
      assert(disk.paths().includes(old.path));
      reader.release?.();
      reader.release?.();
    }
    assertEquals(disk.paths().includes(old.path), false);
    const late = assertRejects(
      () => contentsOf(store, old),
      RaftError,
      "another one has replaced it",
    );
    assertEquals((await late).code, "compacted");
  });

  it("leaves a file that was stored anew while the old one was read", async () => {
    const disk = new FakeFileSystem();
    const store = storeOn(disk, { retain: 1 });
    const old = await storeSnapshot(store, 1, richMeta(5), [dataOf(1, 10)]);
    const reader = store.reader(old);
    await storeSnapshot(store, 1, richMeta(8), [dataOf(8, 10)]);
    store.prune(1);
    await storeSnapshot(store, 1, richMeta(5), [dataOf(2, 20)]);
    reader.release?.();
    const again = wholeAt(store, 1, 5);
    assertEquals(await contentsOf(store, again), dataOf(2, 20));
  });

  it("reads on in a file that is removed meanwhile", async () => {
    const store = storeOn(new FakeFileSystem());
    const data = dataOf(5, BIG_BYTES);
    const old = await storeSnapshot(store, 1, richMeta(5), [data]);
    const parts: number[] = [];
    for await (const chunk of store.reader(old).chunks()) {
      parts.push(chunk.length);
      if (parts.length === 1) await store.remove(old);
    }
    assertEquals(parts.reduce((a, b) => a + b, 0), BIG_BYTES);
  });
});

describe("the folder of a group", () => {
  it("goes with everything in it, what is being written included", async () => {
    const disk = new FakeFileSystem();
    const store = storeOn(disk);
    await storeSnapshot(store, 1, richMeta(5), [dataOf(1, 100)]);
    await storeSnapshot(store, 2, richMeta(5), [dataOf(2, 100)]);
    const suspended = await store.writer(1, richMeta(8), { token: "a" });
    await suspended.suspend();
    const writer = await store.writer(1, richMeta(9));
    await store.removeGroup(1);
    await store.removeGroup(1);
    await assertRejects(() => writer.commit(), RangeError);
    const after = disk.crash({ keepBytes: () => 0, keepNames: () => 0 });
    const { found } = await openOn(after);
    assertEquals([...found.keys()], [2]);
    assertEquals(disk.openCount, 0);
    // The same id may be used anew, and finds nothing of before.
    await storeSnapshot(store, 1, richMeta(3), [dataOf(3, 100)]);
    assertEquals(indexesOf(store, 1), [3]);
  });

  it("may hold what is none of ours", async () => {
    const disk = new FakeFileSystem();
    const file = await storeSnapshot(storeOn(disk), 1, richMeta(5), []);
    for (const name of ["readme", "5.snap", "0000000000000007-1.snap.bak"]) {
      disk.put(snapshotPath(1, name), dataOf(1, 10));
    }
    disk.put("/data/snapshots/elsewhere/0000000000000007-1.snap", dataOf(1, 9));
    const { found } = await openOn(disk);
    assertEquals([...found], [[1, [file]]]);
  });
});
