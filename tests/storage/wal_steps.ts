/** What the tests of compaction and snapshots do with a log. */
import { setImmediate } from "node:timers";
import type { Storage } from "../../src/storage.ts";
import type { SnapshotMeta } from "../../src/core/types.ts";
import { append, commands, metaAt } from "../../src/testing/storage_samples.ts";
import type { WalStorage, WalStorageOptions } from "../../storage/wal/mod.ts";
import type { FakeFileSystem } from "./fake_file_system.ts";
import { DEPLOYMENT, walOn } from "./wal_bench.ts";

/** Bytes of the data of an entry. */
export const ENTRY_BYTES = 200;

/** Everything that can happen without the outside has happened. */
export async function breathe(): Promise<void> {
  for (let i = 0; i < 50; i++) {
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
}

/** Opens a log on a fake disk. */
export async function openOn(
  disk: FakeFileSystem,
  options: Partial<WalStorageOptions> = {},
): Promise<WalStorage> {
  const storage = walOn(disk, options);
  await storage.open({ deployment: DEPLOYMENT });
  return storage;
}

/** Writes entries one by one. */
export async function fill(
  storage: Storage,
  group: number,
  from: number,
  through: number,
): Promise<void> {
  for (const entry of commands(1, from, through, ENTRY_BYTES)) {
    await storage.write([append(group, [entry])]);
  }
}

/** Stores a snapshot. */
export async function takeSnapshot(
  storage: Storage,
  group: number,
  meta: SnapshotMeta,
): Promise<void> {
  const writer = await storage.snapshotWriter(group, meta);
  await writer.write(new Uint8Array(100).fill(meta.index));
  await writer.commit();
}

/** Stores a snapshot and drops what it contains. */
export async function dropThrough(
  storage: Storage,
  group: number,
  index: number,
): Promise<void> {
  await takeSnapshot(storage, group, metaAt(index, 1));
  await storage.compact(group, index);
}
