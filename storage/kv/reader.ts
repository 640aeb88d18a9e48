/**
 * Reads entries and parts of groups back, checked.
 *
 * @module
 */
import { RaftError } from "../../src/errors.ts";
import { type LogBounds, termAt } from "../../src/storage_checks.ts";
import type { ReadRange } from "../../src/storage.ts";
import type { Entry, GroupId, LogIndex } from "../../src/core/types.ts";
import { joinBytes } from "./bytes.ts";
import {
  EntryAssembler,
  type EntryRows,
  type StoredEntry,
} from "./entry_rows.ts";
import { numberedKey, numberedRange, PART, pieceKey } from "./keys.ts";
import type { OrderedKv } from "./ordered_kv.ts";
import { ROW_OVERHEAD_BYTES } from "./rows.ts";
import { type Link, type LinkedPart, linkTo } from "./state_row.ts";

/** Where to read, and how entries are cut there. */
export interface ReadSource extends EntryRows {
  readonly kv: OrderedKv;
}

/**
 * Refuses a range that does not begin within the log.
 *
 * @throws {RaftError} `compacted`.
 * @throws {RangeError} If it begins beyond the log.
 */
export function checkRange(range: ReadRange, bounds: LogBounds): void {
  const { group, from, through } = range;
  const { firstIndex, lastIndex } = bounds;
  if (from < firstIndex) {
    throw new RaftError(
      "compacted",
      `Cannot read entry ${from} of group ${group}: its log starts at ${firstIndex}`,
    );
  }
  if (from <= lastIndex && from <= through) return;
  throw new RangeError(
    `Cannot read entries ${from} to ${through} of group ${group}: its log is ${firstIndex} to ${lastIndex}`,
  );
}

/** The stored entries of a range that was checked; see `Storage.read`. */
export async function readEntries(
  source: ReadSource,
  bounds: LogBounds,
  range: ReadRange,
): Promise<Entry[]> {
  const { group, from, maxBytes } = range;
  const through = Math.min(range.through, bounds.lastIndex);
  const entries: Entry[] = [];
  let bytes = 0;
  const keys = numberedRange(group, PART.entries, from, through + 1);
  const assembler = new EntryAssembler(source);
  for await (const row of source.kv.list(keys)) {
    const stored = assembler.take(row);
    if (stored === undefined) continue;
    checkEntry(source, bounds, { group, index: from + entries.length, stored });
    bytes += stored.bytes;
    if (entries.length > 0 && bytes > maxBytes) return entries;
    entries.push(stored.entry);
  }
  const next = from + entries.length;
  if (next <= through) throw missing(source, group, next);
  return entries;
}

/**
 * The newest entries, at most `maxBytes`, in order. The last one is checked
 * in any case.
 */
export async function readTail(
  source: ReadSource,
  bounds: LogBounds,
  wanted: { readonly group: GroupId; readonly maxBytes: number },
): Promise<Entry[]> {
  const { group, maxBytes } = wanted;
  const { firstIndex, lastIndex } = bounds;
  const tail: Entry[] = [];
  let bytes = 0;
  let index = lastIndex;
  const keys = numberedRange(group, PART.entries, firstIndex, lastIndex + 1);
  const assembler = new EntryAssembler(source);
  for await (const row of source.kv.list({ ...keys, reverse: true })) {
    const stored = assembler.take(row);
    if (stored === undefined) continue;
    checkEntry(source, bounds, { group, index, stored });
    bytes += stored.bytes;
    if (bytes > maxBytes) return tail.reverse();
    tail.push(stored.entry);
    index--;
  }
  if (index >= firstIndex) throw missing(source, group, index);
  return tail.reverse();
}

/** The bytes of a part of a group that its state names. */
export async function readPart(
  { kv, codec }: ReadSource,
  group: GroupId,
  wanted: { readonly part: LinkedPart; readonly link: Link },
): Promise<Uint8Array> {
  const { part, link } = wanted;
  const size = kv.limits.valueBytes - ROW_OVERHEAD_BYTES;
  const pieces: Uint8Array[] = [];
  for (let at = 0; at * size < link.bytes; at++) {
    const key = pieceKey(group, PART[part], at);
    pieces.push(codec.body(key, await kv.get(key)));
  }
  const bytes = joinBytes(pieces);
  const found = linkTo(bytes);
  const isIt = found.bytes === link.bytes &&
    (link.bytes === 0 || found.hash === link.hash);
  if (isIt) return bytes;
  throw codec.corrupt(
    pieceKey(group, PART[part], 0),
    "it is not the one that the state of the group names",
  );
}

/** An entry that was read must be the one that the runs promise (H61). */
function checkEntry(
  source: ReadSource,
  bounds: LogBounds,
  found: { group: GroupId; index: LogIndex; stored: StoredEntry },
): void {
  const { group, index, stored: { entry } } = found;
  if (entry.index !== index) throw missing(source, group, index);
  const term = termAt(bounds, index);
  if (entry.term === term) return;
  throw source.codec.corrupt(
    numberedKey(group, PART.entries, index, 0),
    `entry ${index} of group ${group} is of term ${entry.term}, wanted ${term}`,
  );
}

function missing(source: ReadSource, group: GroupId, index: LogIndex): Error {
  return source.codec.corrupt(
    numberedKey(group, PART.entries, index, 0),
    `entry ${index} of group ${group} is missing, or a piece of it`,
  );
}
