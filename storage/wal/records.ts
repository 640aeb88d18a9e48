/**
 * Reads records back: in a frame that recovery goes through, and one by one
 * when old entries are wanted again.
 *
 * @module
 */
import {
  confStateFromArray,
  copyBytes,
  decodeCbor,
  entryFromPayload,
} from "../../src/codec.ts";
import type {
  AppliedConf,
  Entry,
  GroupId,
  HardState,
  LogIndex,
  NodeId,
  SnapshotMeta,
  Term,
} from "../../src/core/types.ts";
import {
  checksum,
  getU64,
  RECORD,
  RECORD_HEADER_BYTES,
  viewOf,
} from "./format.ts";

/** Bytes of a hard state. */
export const HARD_STATE_BYTES = 25;
/** Bytes of an entries payload before its first entry. */
export const RUN_HEAD_BYTES = 20;
/** Bytes of an entry before its payload. */
export const ENTRY_HEAD_BYTES = 5;

/** A record within a buffer. */
export interface RecordView {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** Where in `bytes` it begins. */
  readonly start: number;
  /** Where its payload begins. */
  readonly payload: number;
  readonly end: number;
  readonly type: number;
  readonly group: GroupId;
  /** Its checksum, as stored. */
  readonly checksum: number;
}

/**
 * The record at `start`.
 *
 * @throws {Error} If it is longer than `limit` allows.
 */
export function readRecord(
  bytes: Uint8Array,
  view: DataView,
  start: number,
  limit: number = bytes.length,
): RecordView {
  const payload = start + RECORD_HEADER_BYTES;
  if (payload > limit) {
    throw new Error(`Cannot read a record: ${limit - start} bytes are left`);
  }
  const end = payload + view.getUint32(start + 4, true);
  if (end > limit) {
    throw new Error(
      `Cannot read a record: it has ${end - start} bytes, but ${
        limit - start
      } are left`,
    );
  }
  return {
    bytes,
    view,
    start,
    payload,
    end,
    type: view.getUint32(start + 8, true),
    group: getU64(view, start + 12),
    checksum: view.getUint32(start, true),
  };
}

/** Whether the bytes are those the record was written with (H60). */
export function isIntact(record: RecordView, recordSeed: number): boolean {
  const { bytes, start, end } = record;
  return record.checksum === checksum(bytes, start + 4, end, recordSeed);
}

/** Payload of a create record. */
export function readCreate(
  record: RecordView,
): { readonly node: NodeId; readonly snapshot: SnapshotMeta } {
  return {
    node: getU64(record.view, record.payload),
    snapshot: snapshotFromArray(decodeCbor(cborAt(record, 8))),
  };
}

/**
 * The meta data of a snapshot from plain arrays.
 *
 * @throws {Error} If it is something else.
 */
export function snapshotFromArray(value: unknown): SnapshotMeta {
  if (!Array.isArray(value)) {
    throw new Error("Cannot read a snapshot's meta data: it is no array");
  }
  const [index, term, conf]: unknown[] = value;
  if (typeof index !== "number" || typeof term !== "number") {
    throw new Error(
      `Cannot read a snapshot's meta data: it is at ${index} of term ${term}`,
    );
  }
  return { index, term, conf: confStateFromArray(conf) };
}

/** Payload of a snapshot record. */
export function readSnapshot(record: RecordView): SnapshotMeta {
  const { view, payload } = record;
  return {
    index: getU64(view, payload),
    term: getU64(view, payload + 8),
    conf: confStateFromArray(decodeCbor(cborAt(record, 16))),
  };
}

/** Payload of a compact record: the last entry that goes. */
export function readCompact(
  record: RecordView,
): { readonly through: LogIndex; readonly term: Term } {
  const { view, payload } = record;
  return { through: getU64(view, payload), term: getU64(view, payload + 8) };
}

/** The hard state at an offset in the payload. */
export function readHardState(record: RecordView, skip = 0): HardState {
  const { view, bytes } = record;
  const at = record.payload + skip;
  return {
    term: getU64(view, at),
    vote: bytes[at + 24] === 1 ? getU64(view, at + 8) : null,
    commit: getU64(view, at + 16),
  };
}

/** Payload of a configuration record. */
export function readConf(record: RecordView): AppliedConf {
  return {
    index: getU64(record.view, record.payload),
    conf: confStateFromArray(decodeCbor(cborAt(record, 8))),
  };
}

/** The bytes of a payload from an offset on. */
export function cborAt(record: RecordView, skip: number): Uint8Array {
  return record.bytes.subarray(record.payload + skip, record.end);
}

/** Whether a record of the type holds entries. */
export function isRunRecord(type: number): boolean {
  return type === RECORD.entries || type === RECORD.relocate;
}

/** What entries a record holds. */
export interface RunHead {
  readonly term: Term;
  readonly first: LogIndex;
  readonly count: number;
}

/** The head of an entries record. */
export function readRunHead(record: RecordView): RunHead {
  const { view, payload } = record;
  return {
    term: getU64(view, payload),
    first: getU64(view, payload + 8),
    count: view.getUint32(payload + 16, true),
  };
}

/**
 * The entries of a record that lie within `[from, through]`, in order, each
 * with bytes of its own.
 *
 * @throws {Error} If the record does not hold what its head says.
 */
export function readRun(
  record: RecordView,
  from: LogIndex,
  through: LogIndex,
): Entry[] {
  const { bytes } = record;
  const { term, first, count } = readRunHead(record);
  const entries: Entry[] = [];
  let at = record.payload + RUN_HEAD_BYTES;
  for (let i = 0; i < count; i++) {
    const index = first + i;
    if (index > through) break;
    const stop = entryEnd(record, at, index);
    if (index >= from) {
      const data = copyBytes(bytes.subarray(at + ENTRY_HEAD_BYTES, stop));
      entries.push(entryFromPayload(bytes[at] ?? 0, term, index, data));
    }
    at = stop;
  }
  return entries;
}

/**
 * The bytes of the entries of a record that lie within `[from, through]`, as
 * they stand in it.
 *
 * @throws {Error} If the record does not hold what its head says.
 */
export function sliceRun(
  record: RecordView,
  from: LogIndex,
  through: LogIndex,
): Uint8Array {
  const { first } = readRunHead(record);
  let start = record.payload + RUN_HEAD_BYTES;
  for (let index = first; index < from; index++) {
    start = entryEnd(record, start, index);
  }
  let end = start;
  for (let index = from; index <= through; index++) {
    end = entryEnd(record, end, index);
  }
  return record.bytes.subarray(start, end);
}

/** Where the entry at `at` ends. */
function entryEnd(record: RecordView, at: number, index: LogIndex): number {
  const start = at + ENTRY_HEAD_BYTES;
  const end = start > record.end
    ? Infinity
    : start + record.view.getUint32(at + 1, true);
  if (end <= record.end) return end;
  throw new Error(`Cannot read entry ${index}: it goes beyond its record`);
}

/** All records of a frame's body. */
export function readRecords(
  bytes: Uint8Array,
  from: number,
  to: number,
): RecordView[] {
  const view = viewOf(bytes);
  const records: RecordView[] = [];
  for (let at = from; at < to;) {
    const record = readRecord(bytes, view, at, to);
    records.push(record);
    at = record.end;
  }
  return records;
}
