/**
 * Logs in files, made and spoilt, for tests of the tools.
 *
 * @module
 */
import { readFileSync, writeFileSync } from "node:fs";
import { WalStorage } from "@balsa/raft/storage/wal";
import type { ConfState, Entry } from "@balsa/raft";
import { EMPTY_CONF } from "../../../src/core/types.ts";

/** What the groups of these logs begin with. */
export const CONF: ConfState = {
  ...EMPTY_CONF,
  voters: [1, 2],
  addresses: [{ id: 1, address: "a:1" }, { id: 2, address: "b:1" }],
};

/** Small segments, so that a few entries make several. */
export const SEGMENT_BYTES = 8_192;
/** Entries of each group. */
export const ENTRY_COUNT = 100;

/** One entry of these logs. */
export function entryAt(group: number, index: number): Entry {
  if (index === 1) return { type: "noop", term: 1, index };
  const data = new Uint8Array(200).fill((group * 31 + index) & 0xff);
  return { type: "command", term: index > 50 ? 2 : 1, index, data };
}

/** Opens a log. */
export async function openLog(directory: string): Promise<WalStorage> {
  const storage = new WalStorage({ directory, segmentBytes: SEGMENT_BYTES });
  await storage.open({ deployment: "orders" });
  return storage;
}

/** Makes a log of two groups and leaves it open. */
export async function makeLog(directory: string): Promise<WalStorage> {
  const storage = await openLog(directory);
  const snapshot = { index: 0, term: 0, conf: CONF };
  for (const group of [1, 2]) {
    const create = { node: 1, snapshot };
    await storage.write([{ group, create, entries: [] }]);
  }
  for (let index = 1; index <= ENTRY_COUNT; index++) {
    const hardState = { term: 2, vote: 1, commit: index - 1 };
    await storage.write([1, 2].map((group) => ({
      group,
      hardState,
      entries: [entryAt(group, index)],
    })));
  }
  return storage;
}

/** Stores a snapshot of a group as of one of its entries. */
export async function keepSnapshot(
  storage: WalStorage,
  group: number,
  index: number,
): Promise<void> {
  const { term } = entryAt(group, index);
  const writer = await storage.snapshotWriter(group, {
    index,
    term,
    conf: CONF,
  });
  await writer.write(new Uint8Array(1_000).fill(index & 0xff));
  await writer.commit();
}

/** Flips a bit of a byte. */
export function flip(file: string, offset: number): void {
  const bytes = readFileSync(file);
  bytes[offset] = (bytes[offset] ?? 0) ^ 0x10;
  writeFileSync(file, bytes);
}
