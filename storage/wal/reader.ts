/**
 * Reads old entries back from the segments, and checks them again: a disk may
 * have spoilt since (H60).
 *
 * @module
 */
import { storedEntryBytes } from "../../src/storage_checks.ts";
import type { ReadRange } from "../../src/storage.ts";
import type { Entry, LogIndex } from "../../src/core/types.ts";
import type { RecordPlace } from "./entry_index.ts";
import { corruption, failed } from "./errors.ts";
import { readFully } from "./file_system.ts";
import { RECORD, RUN_RECORD_HEAD_BYTES, viewOf } from "./format.ts";
import type { GroupState } from "./groups.ts";
import { isIntact, readRecord, readRun, type RecordView } from "./records.ts";
import { type LogPlace, segmentPath } from "./segment.ts";

/** Records of other groups in between are read along up to this much. */
const SPAN_BYTES = 1 << 20;

/** One record to read, and which of its entries are wanted. */
interface WantedRun {
  readonly from: LogIndex;
  readonly through: LogIndex;
  readonly place: RecordPlace;
}

/** The log that is read. */
export interface ReadSource extends LogPlace {
  /** What records are bound to. */
  readonly recordSeed: number;
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
  const entries: Entry[] = [];
  let bytes = 0;
  for (let at = 0; at < runs.length;) {
    const span = takeSpan(runs, at);
    at += span.length;
    for (const entry of await readSpan(source, state.group, span)) {
      bytes += storedEntryBytes(entry);
      if (entries.length > 0 && bytes > range.maxBytes) return entries;
      entries.push(entry);
    }
  }
  return entries;
}

/** The newest entries of a group, at most so many bytes. */
export async function readTail(
  source: ReadSource,
  state: GroupState,
  maxBytes: number,
): Promise<Entry[]> {
  const { index, lastIndex } = state;
  let row = index.rows;
  let bytes = 0;
  while (row > 0) {
    bytes += index.placeOf(row - 1).bytes;
    if (bytes > maxBytes) break;
    row--;
  }
  if (row === index.rows) return [];
  const from = index.firstOf(row);
  const entries = await readEntries(source, state, {
    from,
    through: lastIndex,
    maxBytes: Infinity,
  });
  return newest(entries, maxBytes);
}

/** Records are smaller than the entries they hold count for. */
function newest(entries: Entry[], maxBytes: number): Entry[] {
  let at = entries.length;
  let bytes = 0;
  while (at > 0) {
    const entry = entries[at - 1];
    if (entry === undefined) break;
    bytes += storedEntryBytes(entry);
    if (bytes > maxBytes) break;
    at--;
  }
  return at === 0 ? entries : entries.slice(at);
}

function planRuns(
  state: GroupState,
  range: Omit<ReadRange, "group">,
): WantedRun[] {
  const { index, lastIndex } = state;
  const through = Math.min(range.through, lastIndex);
  const runs: WantedRun[] = [];
  let row = index.rowOf(range.from);
  let bytes = 0;
  for (let from = range.from; from <= through; row++) {
    const end = Math.min(lastIndex + 1, index.firstOf(row + 1));
    const last = Math.min(through, end - 1);
    const place = index.placeOf(row);
    runs.push({ from, through: last, place });
    // Without its head, a record is no larger than what its entries count
    // for: what is planned is mostly more than `maxBytes`, seldom less.
    const share = (last + 1 - from) / (end - index.firstOf(row));
    bytes += share * (place.bytes - RUN_RECORD_HEAD_BYTES);
    from = last + 1;
    if (bytes >= range.maxBytes) break;
  }
  return runs;
}

/** The runs from `at` on that one read can fetch; at least one. */
function takeSpan(runs: readonly WantedRun[], at: number): WantedRun[] {
  const span: WantedRun[] = [];
  for (let i = at; i < runs.length; i++) {
    const run = runs[i];
    if (run === undefined) break;
    const first = span[0];
    if (first !== undefined) {
      const { segment, offset, bytes } = run.place;
      const end = offset + bytes - first.place.offset;
      if (segment !== first.place.segment || end > SPAN_BYTES) break;
    }
    span.push(run);
  }
  return span;
}

async function readSpan(
  source: ReadSource,
  group: number,
  span: readonly WantedRun[],
): Promise<Entry[]> {
  const first = span[0]?.place;
  const last = span.at(-1)?.place;
  if (first === undefined || last === undefined) return [];
  const path = segmentPath(source.directory, first.segment);
  const length = last.offset + last.bytes - first.offset;
  const bytes = await readBytes(source, path, {
    offset: first.offset,
    length,
  });
  const entries: Entry[] = [];
  for (const run of span) {
    const at = { file: path, offset: run.place.offset };
    const start = run.place.offset - first.offset;
    let record: RecordView;
    try {
      record = readRecord(bytes, viewOf(bytes), start);
    } catch (error) {
      throw corruption(at, "the record there is damaged", error);
    }
    // Its own checksum says that it is whole, the one that was kept in
    // memory that it is this very record, and not an older one (H61).
    const isRight = record.checksum === run.place.checksum &&
      record.type === RECORD.entries && record.group === group &&
      isIntact(record, source.recordSeed);
    if (!isRight) throw corruption(at, "the record there is damaged");
    for (const entry of readRun(record, run.from, run.through)) {
      entries.push(entry);
    }
  }
  return entries;
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
