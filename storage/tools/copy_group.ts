/**
 * Writes a group anew, into another data directory.
 *
 * @module
 */
import type {
  ConfState,
  Entry,
  HardState,
  NodeId,
  SnapshotMeta,
} from "../../src/core/types.ts";
import { RaftError } from "../../src/errors.ts";
import type { Storage, StoredGroup } from "../../src/storage.ts";
import { storedEntryBytes } from "../../src/storage_checks.ts";
import { entriesOf } from "./dump.ts";

/** Entries are written in batches of about this size. */
const BATCH_BYTES = 4 << 20;

/** What a group begins with that learns the rest from a snapshot. */
export const NO_MEMBERS: ConfState = {
  version: 0,
  voters: [],
  votersOutgoing: [],
  learners: [],
  learnersNext: [],
  staging: [],
  witnesses: [],
  autoLeave: false,
  removed: [],
  addresses: [],
  incarnations: [],
};

/** How far a tool has come, in bytes of what it reads or writes. */
export type Progress = (doneBytes: number) => void;

/** A group in the storage it is in. */
export interface GroupSource {
  readonly storage: Pick<Storage, "read" | "snapshotReader">;
  readonly stored: StoredGroup;
}

/** What becomes of it. */
export interface GroupTarget {
  readonly storage: Pick<Storage, "write" | "snapshotWriter">;
  /** The member that gets the data. */
  readonly node: NodeId;
  readonly hardState: HardState;
  /** Goes behind the last entry. */
  readonly more: readonly Entry[];
}

/**
 * Copies snapshot, entries and configuration; durable when it resolves.
 *
 * @throws {RaftError} What reading and writing came to.
 */
export async function copyGroup(
  source: GroupSource,
  target: GroupTarget,
  progress?: Progress,
): Promise<void> {
  const { stored } = source;
  const { group, snapshot } = stored;
  const { storage, node, hardState, more } = target;
  const from = snapshot.index === 0 ? snapshot.conf : NO_MEMBERS;
  await createGroup(storage, { group, node, conf: from });
  if (snapshot.index > 0) await copySnapshot(source, storage, progress);
  let batch: Entry[] = [];
  let bytes = 0;
  let done = 0;
  const flush = async () => {
    if (batch.length > 0) await storage.write([{ group, entries: batch }]);
    batch = [];
    done += bytes;
    bytes = 0;
    progress?.(done);
  };
  for await (const entry of entriesOf(source.storage, stored)) {
    batch.push(entry);
    bytes += storedEntryBytes(entry);
    if (bytes >= BATCH_BYTES) await flush();
  }
  batch.push(...more);
  await flush();
  const { conf } = stored;
  await storage.write([{ group, hardState, entries: [], conf }]);
}

/** The first record of a group. */
export async function createGroup(
  storage: Pick<Storage, "write">,
  { group, node, conf }: {
    readonly group: number;
    readonly node: NodeId;
    readonly conf: ConfState;
  },
): Promise<void> {
  const snapshot = { index: 0, term: 0, conf };
  await storage.write([{
    group,
    create: { node, snapshot },
    hardState: { term: 0, vote: null, commit: 0 },
    entries: [],
  }]);
}

async function copySnapshot(
  { storage, stored }: GroupSource,
  target: Pick<Storage, "write" | "snapshotWriter">,
  progress: Progress | undefined,
): Promise<void> {
  const { group, snapshot } = stored;
  const reader = await storage.snapshotReader(group);
  if (reader === undefined || reader.meta.index !== snapshot.index) {
    throw new RaftError(
      "corrupt",
      `Cannot copy group ${group}: its snapshot at ${snapshot.index} is missing`,
    );
  }
  const chunks = reader.chunks();
  await installSnapshot(target, { group, meta: snapshot, chunks }, progress);
  reader.release?.();
}

/** Stores a snapshot, then makes it the start of the group's log. */
export async function installSnapshot(
  storage: Pick<Storage, "write" | "snapshotWriter">,
  { group, meta, chunks }: {
    readonly group: number;
    readonly meta: SnapshotMeta;
    readonly chunks: AsyncIterable<Uint8Array>;
  },
  progress?: Progress,
): Promise<void> {
  const writer = await storage.snapshotWriter(group, meta);
  let done = 0;
  try {
    for await (const chunk of chunks) {
      await writer.write(chunk);
      done += chunk.length;
      progress?.(done);
    }
    await writer.commit();
  } finally {
    await writer.abort();
  }
  await storage.write([{ group, snapshot: meta, entries: [] }]);
}
