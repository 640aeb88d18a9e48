/** What the tests of the snapshot store share. */
import { assertEquals } from "@std/assert";
import { SnapshotStore } from "../../storage/wal/snapshots/store.ts";
import type {
  StoredSnapshotFile,
  WholeSnapshotFile,
} from "../../storage/wal/snapshots/store.ts";
import type { SnapshotReader, SnapshotWriter } from "../../src/storage.ts";
import type { SnapshotMeta } from "../../src/core/types.ts";
import { RICH_CONF } from "../../src/testing/storage_samples.ts";
import type { FakeFileSystem } from "./fake_file_system.ts";
import { DEPLOYMENT, DIRECTORY, INCARNATION } from "./wal_bench.ts";

/** A store on a fake disk, not opened. */
export function storeOn(
  fileSystem: FakeFileSystem,
  options: { readonly retain?: number; readonly incarnation?: string } = {},
): SnapshotStore {
  const { incarnation = INCARNATION, retain } = options;
  const identity = { deployment: DEPLOYMENT, incarnation };
  return new SnapshotStore({
    fileSystem,
    directory: DIRECTORY,
    identity,
    retain,
  });
}

/** What a store finds on a disk. */
export async function openOn(
  fileSystem: FakeFileSystem,
): Promise<
  { store: SnapshotStore; found: Map<number, readonly StoredSnapshotFile[]> }
> {
  const store = storeOn(fileSystem);
  return { store, found: await store.open() };
}

/** A snapshot's meta data, everything in it filled in (H69). */
export function richMeta(index: number, term = 2): SnapshotMeta {
  return { index, term, conf: RICH_CONF };
}

/** Data that is different everywhere, and for every seed. */
export function dataOf(seed: number, bytes: number): Uint8Array {
  const data = new Uint8Array(bytes);
  let state = seed + 1;
  for (let i = 0; i < bytes; i++) {
    state = Math.imul(state, 0x9e3779b1) + 0x7f4a7c15 | 0;
    data[i] = state >>> 24;
  }
  return data;
}

/** Stores a snapshot, chunk by chunk. */
export async function storeSnapshot(
  store: SnapshotStore,
  group: number,
  meta: SnapshotMeta,
  chunks: readonly Uint8Array[],
): Promise<WholeSnapshotFile> {
  const writer = await store.writer(group, meta);
  await writeAll(writer, chunks);
  await writer.commit();
  return wholeAt(store, group, meta.index);
}

export async function writeAll(
  writer: SnapshotWriter,
  chunks: readonly Uint8Array[],
): Promise<void> {
  for (const chunk of chunks) assertEquals(await writer.write(chunk), true);
}

/** The stored file at an index, which must be whole. */
export function wholeAt(
  store: SnapshotStore,
  group: number,
  index: number,
): WholeSnapshotFile {
  for (const file of store.files(group)) {
    if (file.state === "whole" && file.meta.index === index) return file;
  }
  throw new Error(`Group ${group} has no whole snapshot at ${index}`);
}

/** All data of a reader from an offset on. */
export async function readAll(
  reader: SnapshotReader,
  from = 0,
): Promise<Uint8Array> {
  const data = new Uint8Array(reader.bytes - from);
  let at = 0;
  for await (const chunk of reader.chunks(from)) {
    data.set(chunk, at);
    at += chunk.length;
  }
  assertEquals(at, data.length, "it is not whole");
  return data;
}

/** Data of a stored file. */
export function contentsOf(
  store: SnapshotStore,
  file: WholeSnapshotFile,
): Promise<Uint8Array> {
  const reader = store.reader(file);
  return readAll(reader).finally(() => reader.release?.());
}

/** Path of a file in a group's folder. */
export function snapshotPath(group: number, name: string): string {
  return `${DIRECTORY}/snapshots/${group}/${name}`;
}

/** Indexes of what is stored, newest first. */
export function indexesOf(store: SnapshotStore, group: number): number[] {
  return store.files(group).map((file) =>
    file.state === "whole" ? file.meta.index : file.index
  );
}
