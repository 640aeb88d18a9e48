/** A log whose stored snapshot goes bad while it is open (H60). */
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
import { FakeFileSystem } from "./fake_file_system.ts";
import { dataOf, readAll } from "./snapshot_bench.ts";
import { DEPLOYMENT, walOn } from "./wal_bench.ts";

async function store(
  storage: Storage,
  index: number,
  data: Uint8Array,
): Promise<void> {
  const writer = await storage.snapshotWriter(1, metaAt(index, 1));
  await writer.write(data);
  await writer.commit();
}

async function read(storage: Storage): Promise<Uint8Array> {
  const reader = await storage.snapshotReader(1);
  assert(reader !== undefined);
  return await readAll(reader).finally(() => reader.release?.());
}

describe("a stored snapshot that goes bad", () => {
  it("is replaced by one of the same index, and counts again", async () => {
    const disk = new FakeFileSystem();
    const storage = walOn(disk);
    await storage.open({ deployment: DEPLOYMENT });
    await storage.write([createGroup(1), append(1, commands(1, 1, 10))]);
    const data = dataOf(6, 1000);
    await store(storage, 6, data);
    await storage.compact(1, 6);
    const path = disk.paths().find((name) => name.endsWith(".snap"));
    assert(path !== undefined);
    const bytes = disk.get(path);
    bytes[bytes.length - 100] = (bytes[bytes.length - 100] ?? 0) ^ 1;
    const error = await assertRejects(() => read(storage), RaftError);
    assertEquals([error.code, error.file], ["corrupt", path]);
    await store(storage, 6, data);
    assertEquals(await read(storage), data);
    // One that is older is none of use, good as it may be (H63).
    await store(storage, 5, dataOf(5, 10));
    assertEquals(await read(storage), data);
    await storage.close();
    const again = walOn(disk);
    const { groups, repairs } = await again.open({ deployment: DEPLOYMENT });
    assertEquals([groups[0]?.snapshot.index, groups[0]?.firstIndex], [6, 7]);
    assertEquals(repairs, []);
    assertEquals(await read(again), data);
    await again.close();
  });
});
