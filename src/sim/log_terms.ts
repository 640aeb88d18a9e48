/**
 * Small questions about ids and terms.
 *
 * @module
 */
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

/** Gives the term of an entry; 0 before the log. */
export type TermOf = (index: LogIndex) => Term;

/** The last index through `last` whose term is below `term`, in O(log n). */
export function lastIndexBelow(
  termAt: TermOf,
  last: LogIndex,
  term: Term,
): LogIndex {
  let below = 0;
  let above = last + 1;
  while (above - below > 1) {
    const middle = (below + above) >> 1;
    if (termAt(middle) < term) below = middle;
    else above = middle;
  }
  return below;
}

/** First index of each term through `index`, ascending. */
export function termRunsThrough(termAt: TermOf, index: LogIndex): TermRun[] {
  const runs: TermRun[] = [];
  let last = index;
  while (last > 0) {
    const term = termAt(last);
    const before = lastIndexBelow(termAt, last, term);
    runs.push({ term, firstIndex: before + 1 });
    last = before;
  }
  return runs.reverse();
}
