/**
 * Small questions about ids, terms and majorities.
 *
 * @module
 */
import type { RawNode } from "../core/raw_node.ts";
import type { Entry, LogIndex, NodeId, Term, TermRun } from "../core/types.ts";
import { fail } from "./violation.ts";

/** Indexes are contiguous, and terms never fall. */
export function checkEntryIds(
  id: NodeId,
  entries: readonly Entry[],
  termBefore: Term,
): void {
  let index = (entries[0]?.index ?? 1) - 1;
  let term = termBefore;
  for (const entry of entries) {
    index++;
    if (entry.index !== index || entry.term < term || entry.term < 1) {
      fail(
        "entryIds",
        `Member ${id} writes (index ${entry.index}, term ${entry.term}) after (index ${
          index - 1
        }, term ${term})`,
      );
    }
    term = entry.term;
  }
}

/** Whether more than half of `ids` have something. */
export function isMajority(
  ids: readonly NodeId[],
  has: (id: NodeId) => boolean,
): boolean {
  let count = 0;
  for (const id of ids) if (has(id)) count++;
  return 2 * count > ids.length;
}

/** The last index whose term is below `term`, in O(log n). */
export function lastIndexBelow(core: RawNode, term: Term): LogIndex {
  let below = 0;
  let above = core.lastIndex + 1;
  while (above - below > 1) {
    const middle = (below + above) >> 1;
    if ((core.termAt(middle) ?? 0) < term) below = middle;
    else above = middle;
  }
  return below;
}

/** First index of each term through `index`, ascending. */
export function termRunsThrough(core: RawNode, index: LogIndex): TermRun[] {
  const runs: TermRun[] = [];
  let last = index;
  while (last > 0) {
    const term = core.termAt(last) ?? 0;
    const before = lastIndexBelow(core, term);
    runs.push({ term, firstIndex: before + 1 });
    last = before;
  }
  return runs.reverse();
}
