/**
 * Moves entries that still live out of a segment: a group that holds back the
 * others has its entries written anew at the end of the log. Nothing of the
 * group's log changes but where it lies.
 *
 * @module
 */
import type { GroupId, LogIndex } from "../../src/core/types.ts";
import type { RecordPlace } from "./entry_index.ts";
import type { FrameBuilder } from "./frame_builder.ts";
import type { GroupState, GroupTable } from "./groups.ts";
import type { LogWriter } from "./log_writer.ts";
import { type ReadSource, readSpan, takeSpan } from "./reader.ts";
import { readRunHead, type RecordView, sliceRun } from "./records.ts";

/** Flushes that may go before a piece of a relocation when all is busy. */
const PATIENCE = 16;

/** A record whose entries are to be moved. */
interface MovedRecord {
  readonly group: GroupId;
  /** The life of the group it belongs to. */
  readonly born: number;
  /** The first of its entries that live. */
  readonly first: LogIndex;
  readonly place: RecordPlace;
}

/** What a relocation works with. */
export interface RelocationOptions {
  readonly source: ReadSource;
  readonly groups: GroupTable;
  readonly writer: LogWriter;
  /** Ends the relocation after the piece under way. */
  readonly isStopping: () => boolean;
}

/**
 * Copies what lives in a segment to the end of the log, in pieces of about
 * 1 MiB, each of which is durable before the next is read. What is dropped or
 * replaced meanwhile is left out.
 *
 * @throws {RaftError} `corrupt` if an entry is damaged, else what reading or
 * writing failed with.
 */
export async function relocate(
  segment: number,
  options: RelocationOptions,
): Promise<void> {
  const { source, groups, writer, isStopping } = options;
  const records = plan(segment, groups);
  const release = source.hold([segment]);
  try {
    for (let at = 0; at < records.length && !isStopping();) {
      const piece = takeSpan(records, at);
      at += piece.length;
      const views = await readSpan(source, piece);
      // Batches of others go first, as long as there is an end to them.
      for (let i = 0; i < PATIENCE && writer.isBusy; i++) {
        await writer.flushed();
      }
      await writer.insert((builder) => {
        views.forEach((view, i) => copyLive(builder, groups, view, piece[i]));
      });
    }
  } finally {
    release();
  }
}

function plan(segment: number, groups: GroupTable): MovedRecord[] {
  const records: MovedRecord[] = [];
  for (const { group, born, index } of groups.list()) {
    for (const first of index.firstsIn(segment)) {
      const place = index.placeOf(index.rowOf(first));
      records.push({ group, born, first, place });
    }
  }
  return records.sort((a, b) => a.place.offset - b.place.offset);
}

/** Appends as much of a record as its group still has there. */
function copyLive(
  builder: FrameBuilder,
  groups: GroupTable,
  view: RecordView,
  moved: MovedRecord | undefined,
): void {
  if (moved === undefined) return;
  const state = groups.get(moved.group);
  if (state === undefined || state.born !== moved.born) return;
  const live = livePart(state, moved);
  if (live === undefined) return;
  const { from, through } = live;
  const { term } = readRunHead(view);
  const run = { term, first: from, count: through - from + 1 };
  builder.relocate(moved.group, run, sliceRun(view, from, through));
}

/** The entries of a record that the group has nowhere else. */
function livePart(
  state: GroupState,
  { first, place }: MovedRecord,
): { readonly from: LogIndex; readonly through: LogIndex } | undefined {
  const { index, firstIndex, lastIndex } = state;
  const row = index.rowOf(Math.max(first, firstIndex));
  if (row < 0) return undefined;
  const { segment, offset } = index.placeOf(row);
  if (segment !== place.segment || offset !== place.offset) return undefined;
  const from = index.firstOf(row);
  const through = Math.min(lastIndex, index.firstOf(row + 1) - 1);
  return { from, through };
}
