/**
 * Reads old entries back from the segments, and checks them again: a disk may
 * have spoilt since (H60).
 *
 * @module
 */
import { storedEntryBytes } from "../../src/storage_checks.ts";
import type { ReadRange } from "../../src/storage.ts";
import type { Entry, GroupId, LogIndex } from "../../src/core/types.ts";
import type { RecordPlace } from "./entry_index.ts";
import { corruption, failed } from "./errors.ts";
import { readFully } from "./file_system.ts";
import { RUN_RECORD_HEAD_BYTES, viewOf } from "./format.ts";
import type { GroupState } from "./groups.ts";
import {
  isIntact,
  isRunRecord,
  readRecord,
  readRun,
  type RecordView,
} from "./records.ts";
import { type LogPlace, segmentPath } from "./segment.ts";

/** Records of other groups in between are read along up to this much. */
const SPAN_BYTES = 1 << 20;

/** A record of entries that is to be read. */
export interface WantedRecord {
  readonly group: GroupId;
  readonly place: RecordPlace;
}

/** Which entries of a record are wanted. */
export interface WantedRun extends WantedRecord {
  readonly from: LogIndex;
  readonly through: LogIndex;
}

/** The log that is read. */
export interface ReadSource extends LogPlace {
  /** What records are bound to. */
  readonly recordSeed: number;
  /** Keeps segments until the function it returns is called. */
  readonly hold: (segments: Iterable<number>) => () => void;
}

/**
 * Reads a range that the group holds, as it is at the time of the call: the
 * places are looked up before anything is awaited, and what lies there never
 * changes.
 *
 * @throws {RaftError} `corrupt`, or `storageFailed` if the file system fails.
 */
export async function readEntries(
  source: ReadSource,
  state: GroupState,
  range: Omit<ReadRange, "group">,
): Promise<Entry[]> {
  const runs = planRuns(state, range);
  const release = source.hold(runs.map(({ place }) => place.segment));
  try {
    return await readRuns(source, runs, range.maxBytes);
  } finally {
    release();
  }
}

async function readRuns(
  source: ReadSource,
  runs: readonly WantedRun[],
  maxBytes: number,
): Promise<Entry[]> {
  const entries: Entry[] = [];
  let bytes = 0;
  for (let at = 0; at < runs.length;) {
    const span = takeSpan(runs, at);
    at += span.length;
    for (const entry of await readSpanEntries(source, span)) {
      bytes += storedEntryBytes(entry);
      if (entries.length > 0 && bytes > maxBytes) return entries;
      entries.push(entry);
    }
  }
  return entries;
}

function planRuns(
  state: GroupState,
  range: Omit<ReadRange, "group">,
): WantedRun[] {
  const { group, index, lastIndex } = state;
  const through = Math.min(range.through, lastIndex);
  const runs: WantedRun[] = [];
  let row = index.rowOf(range.from);
  let bytes = 0;
  for (let from = range.from; from <= through; row++) {
    const end = Math.min(lastIndex + 1, index.firstOf(row + 1));
    const last = Math.min(through, end - 1);
    const place = index.placeOf(row);
    runs.push({ group, from, through: last, place });
    // Without its head, a record is no larger than what its entries count
    // for: what is planned is mostly more than `maxBytes`, seldom less.
    const share = (last + 1 - from) / (end - index.firstOf(row));
    bytes += share * (place.bytes - RUN_RECORD_HEAD_BYTES);
    from = last + 1;
    if (bytes >= range.maxBytes) break;
  }
  return runs;
}

/** The records from `at` on that one read can fetch; at least one. */
export function takeSpan<R extends WantedRecord>(
  records: readonly R[],
  at: number,
): R[] {
  const span: R[] = [];
  for (let i = at; i < records.length; i++) {
    const record = records[i];
    if (record === undefined) break;
    const first = span[0];
    if (first !== undefined) {
      const { segment, offset, bytes } = record.place;
      const end = offset + bytes - first.place.offset;
      // Entries that were moved need not lie in order.
      const isBehind = segment === first.place.segment &&
        offset >= first.place.offset;
      if (!isBehind || end > SPAN_BYTES) break;
    }
    span.push(record);
  }
  return span;
}

async function readSpanEntries(
  source: ReadSource,
  span: readonly WantedRun[],
): Promise<Entry[]> {
  const records = await readSpan(source, span);
  return records.flatMap((record, i) => {
    const run = span[i];
    return run === undefined ? [] : readRun(record, run.from, run.through);
  });
}

/**
 * Reads records of one segment that are not far from each other, in the order
 * in which they are asked for.
 *
 * @throws {RaftError} `corrupt`, or `storageFailed` if the file system fails.
 */
export async function readSpan(
  source: ReadSource,
  span: readonly WantedRecord[],
): Promise<RecordView[]> {
  const first = span[0]?.place;
  if (first === undefined) return [];
  const path = segmentPath(source.directory, first.segment);
  let end = first.offset;
  for (const { place } of span) end = Math.max(end, place.offset + place.bytes);
  const length = end - first.offset;
  const bytes = await readBytes(source, path, {
    offset: first.offset,
    length,
  });
  const view = viewOf(bytes);
  return span.map(({ group, place }) => {
    const at = { file: path, offset: place.offset };
    let record: RecordView;
    try {
      record = readRecord(bytes, view, place.offset - first.offset);
    } catch (error) {
      throw corruption(at, "the record there is damaged", error);
    }
    // Its own checksum says that it is whole, the one that was kept in
    // memory that it is this very record, and not an older one (H61).
    const isRight = record.checksum === place.checksum &&
      isRunRecord(record.type) && record.group === group &&
      isIntact(record, source.recordSeed);
    if (!isRight) throw corruption(at, "the record there is damaged");
    return record;
  });
}

async function readBytes(
  source: ReadSource,
  path: string,
  part: { readonly offset: number; readonly length: number },
): Promise<Uint8Array> {
  const { fileSystem } = source;
  const bytes = new Uint8Array(part.length);
  let length: number;
  try {
    const file = fileSystem.open(path, "read");
    try {
      length = await readFully(fileSystem, file, bytes, part.offset);
    } finally {
      fileSystem.close(file);
    }
  } catch (error) {
    throw failed(`read "${path}" at offset ${part.offset}`, error);
  }
  return bytes.subarray(0, length);
}
