/**
 * The terms of a whole log in a few numbers.
 *
 * @module
 */
import { assertInvariant, InvariantError } from "./invariant.ts";
import type { EntryId, LogIndex, Term, TermRun } from "./types.ts";

/**
 * Knows the term of every retained entry without reading one: the first index
 * of each term, ascending in both. `prev` is the entry before the log.
 */
export class TermRuns {
  /** The entry before the first retained one; {0, 0} for a whole log. */
  prev: EntryId;
  /** Last retained index; `prev.index` for an empty log. */
  lastIndex: LogIndex;
  /** Ascending in term and index; the first run starts at `prev.index + 1`. */
  #runs: TermRun[];

  constructor(prev: EntryId, lastIndex: LogIndex, runs: readonly TermRun[]) {
    this.prev = prev;
    this.lastIndex = lastIndex;
    this.#runs = [...runs];
    this.check();
  }

  /** Term of the last entry, or of `prev` for an empty log. */
  get lastTerm(): Term {
    return this.#runs.at(-1)?.term ?? this.prev.term;
  }

  /** Term of the entry at `index`; `undefined` outside of prev..last (H29). */
  termAt(index: LogIndex): Term | undefined {
    if (index > this.lastIndex || index < this.prev.index) return undefined;
    if (index === this.prev.index) return this.prev.term;
    return this.#runs[this.#runAt(index)]?.term;
  }

  /** Notes one more entry behind the last. */
  append(index: LogIndex, term: Term): void {
    assertInvariant(index === this.lastIndex + 1, "term runs: gap");
    const last = this.lastTerm;
    if (term < last) {
      throw new InvariantError(`term ${term} after ${last} at ${index}`);
    }
    if (this.#runs.length === 0 || term > last) {
      this.#runs.push({ term, firstIndex: index });
    }
    this.lastIndex = index;
  }

  /** Drops everything from `from` on. */
  truncate(from: LogIndex): void {
    assertInvariant(from > this.prev.index, "term runs: truncated below log");
    while ((this.#runs.at(-1)?.firstIndex ?? 0) >= from) this.#runs.pop();
    this.lastIndex = Math.min(this.lastIndex, from - 1);
  }

  /** Drops everything up to and including `through`. */
  compact(through: LogIndex): void {
    const term = this.termAt(through);
    assertInvariant(term !== undefined, "term runs: compacted outside of log");
    if (through === this.prev.index) return;
    const kept = this.#runs.slice(this.#runAt(through));
    if (kept[0] !== undefined) kept[0] = { term, firstIndex: through + 1 };
    if ((kept[1]?.firstIndex ?? this.lastIndex + 1) === through + 1) {
      kept.shift();
    }
    this.#runs = kept;
    this.prev = { term, index: through };
  }

  /** Starts anew behind a snapshot. */
  reset(prev: EntryId): void {
    this.prev = prev;
    this.lastIndex = prev.index;
    this.#runs = [];
  }

  /**
   * The largest index at or below `index` whose term is at most `term`, with
   * its term; or the first index met whose term is unknown, with term 0. The
   * two logs cannot match above it (thesis §3.5, the fast way back).
   */
  findConflictByTerm(index: LogIndex, term: Term): EntryId {
    const own = this.termAt(index);
    if (own === undefined) return { index, term: 0 };
    if (own <= term) return { index, term: own };
    let i = this.#runAt(index);
    while (i >= 0 && (this.#runs[i]?.term ?? 0) > term) i--;
    const run = this.#runs[i];
    if (run !== undefined) {
      const next = this.#runs[i + 1]?.firstIndex ?? this.lastIndex + 1;
      return { index: next - 1, term: run.term };
    }
    if (this.prev.term <= term) return this.prev;
    return { index: Math.max(this.prev.index - 1, 0), term: 0 };
  }

  /** A copy of the runs. */
  toArray(): TermRun[] {
    return [...this.#runs];
  }

  /** Verifies order and bounds. */
  check(): void {
    let { term, index } = this.prev;
    let first = true;
    for (const run of this.#runs) {
      assertInvariant(
        first
          ? run.firstIndex === index + 1 && run.term >= term
          : run.firstIndex > index && run.term > term,
        `term run ${run.term} at ${run.firstIndex} after ${term} at ${index}`,
      );
      term = run.term;
      index = run.firstIndex;
      first = false;
    }
    assertInvariant(
      this.lastIndex >= index &&
        (this.#runs.length > 0) === (this.lastIndex > this.prev.index),
      "term runs do not cover the log",
    );
  }

  /** Position of the run that holds `index`; -1 if it lies before all. */
  #runAt(index: LogIndex): number {
    let low = 0;
    let high = this.#runs.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#runs[middle]?.firstIndex ?? 0) <= index) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }
}
