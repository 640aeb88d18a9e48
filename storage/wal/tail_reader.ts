/**
 * Reads the newest entries of all groups when a log is opened. They lie among
 * each other near its end, so it goes through the segments once for all of
 * them: with thousands of groups, one read per entry would take long.
 *
 * @module
 */
import { storedEntryBytes } from "../../src/storage_checks.ts";
import type { Entry, GroupId } from "../../src/core/types.ts";
import type { GroupState } from "./groups.ts";
import {
  type ReadSource,
  readSpan,
  takeSpan,
  type WantedRun,
} from "./reader.ts";
import { readRun } from "./records.ts";

/**
 * About what an entry takes in memory besides its payload: the object, its
 * array of bytes, and the buffer behind that.
 */
const OVERHEAD_BYTES = 400;

/**
 * The newest entries of each group, at most so many bytes of memory per group:
 * what a runtime needs beside the payload counts. A group without any is
 * absent.
 *
 * @throws {RaftError} `corrupt`, or `storageFailed` if the file system fails.
 */
export async function readTails(
  source: ReadSource,
  states: readonly GroupState[],
  maxBytes: number,
): Promise<Map<GroupId, Entry[]>> {
  const runs = states.flatMap((state) => planTail(state, maxBytes));
  runs.sort((a, b) =>
    a.place.segment - b.place.segment || a.place.offset - b.place.offset
  );
  const tails = new Map<GroupId, Entry[]>();
  for (let at = 0; at < runs.length;) {
    const span = takeSpan(runs, at);
    at += span.length;
    const records = await readSpan(source, span);
    records.forEach((record, i) => {
      const run = span[i];
      if (run === undefined) return;
      const tail = tails.get(run.group) ?? [];
      tails.set(run.group, tail);
      for (const entry of readRun(record, run.from, run.through)) {
        tail.push(entry);
      }
    });
  }
  for (const [group, tail] of tails) {
    // Entries that were moved do not lie in order.
    tail.sort((a, b) => a.index - b.index);
    tails.set(group, newest(tail, maxBytes));
  }
  return tails;
}

/** The records with the newest entries, newest first. */
function planTail(state: GroupState, maxBytes: number): WantedRun[] {
  const { group, index, lastIndex } = state;
  const runs: WantedRun[] = [];
  let bytes = 0;
  let through = lastIndex;
  for (let row = index.rows - 1; row >= 0; row--) {
    const from = index.firstOf(row);
    const place = index.placeOf(row);
    bytes += place.bytes + OVERHEAD_BYTES * (through + 1 - from);
    if (bytes > maxBytes) break;
    runs.push({ group, from, through, place });
    through = from - 1;
  }
  return runs;
}

/** Records are smaller than the entries they hold count for. */
function newest(entries: Entry[], maxBytes: number): Entry[] {
  let at = entries.length;
  let bytes = 0;
  while (at > 0) {
    const entry = entries[at - 1];
    if (entry === undefined) break;
    bytes += storedEntryBytes(entry) + OVERHEAD_BYTES;
    if (bytes > maxBytes) break;
    at--;
  }
  return at === 0 ? entries : entries.slice(at);
}
