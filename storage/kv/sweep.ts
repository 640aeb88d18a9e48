/**
 * Finds rows that count for nothing any more: entries that were dropped,
 * snapshots that were replaced, what a crash left unfinished. They are
 * invisible wherever they are; removing them only makes room.
 *
 * @module
 */
import type { GroupId } from "../../src/core/types.ts";
import type { StoredRoot } from "./group.ts";
import {
  draftKey,
  type KeyRange,
  numberedRange,
  PART,
  partsRange,
  pieceRange,
} from "./keys.ts";
import type { KvDelete, OrderedKv } from "./ordered_kv.ts";
import { ROW_OVERHEAD_BYTES } from "./rows.ts";
import { LINKED } from "./state_row.ts";

/** Of the rows removed at once: a synchronous engine blocks as long (H74). */
const MAX_BYTES = 4 << 20;

/** What of a group must stay. */
export interface Kept {
  /** `undefined` if nothing of it. */
  readonly root: StoredRoot | undefined;
  /** Snapshots besides the root's. */
  readonly ids: readonly number[];
  /** Whether a snapshot is half-way in, with a row to say so. */
  readonly hasDraft: boolean;
}

/** The removal of some rows of a group that need not stay; none if all must. */
export async function findGarbage(
  kv: OrderedKv,
  group: GroupId,
  kept: Kept,
): Promise<KvDelete[]> {
  const limit = Math.min(kv.limits.batchOps, 256);
  const found: KvDelete[] = [];
  let bytes = 0;
  for (const range of garbageRanges(kv, group, kept)) {
    const rest = { ...range, limit: limit - found.length };
    for await (const [key, value] of kv.list(rest)) {
      found.push({ type: "delete", key });
      bytes += value.length;
      if (bytes >= MAX_BYTES) return found;
    }
    if (found.length >= limit) break;
  }
  return found;
}

function garbageRanges(
  kv: OrderedKv,
  group: GroupId,
  { root, ids, hasDraft }: Kept,
): KeyRange[] {
  if (root === undefined) return [partsRange(group, group + 1)];
  const size = kv.limits.valueBytes - ROW_OVERHEAD_BYTES;
  const ranges = LINKED.map((part) =>
    pieceRange(group, PART[part], Math.ceil(root.links[part].bytes / size))
  );
  if (!hasDraft) {
    const start = draftKey(group);
    ranges.push({ start, end: numberedRange(group, PART.snapshots, 0).start });
  }
  let from = 0;
  for (const id of [root.dataId, ...ids].sort((a, b) => a - b)) {
    if (id > from) ranges.push(numberedRange(group, PART.snapshots, from, id));
    from = id + 1;
  }
  ranges.push(numberedRange(group, PART.snapshots, from));
  const { firstIndex, lastIndex } = root;
  ranges.push(numberedRange(group, PART.entries, 0, firstIndex));
  ranges.push(numberedRange(group, PART.entries, lastIndex + 1));
  return ranges;
}
