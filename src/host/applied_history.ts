/**
 * Recent results, for leaders' answers that come after the entries.
 *
 * @module
 */
import type { Entry, LogIndex, Term } from "../core/types.ts";
import type { ApplyOutcome } from "../rsm/machine_runner.ts";

/** Results remembered; a batch always fits. */
const MAX_COUNT = 8_192;

/** What a batch of entries came to, without the entries' bytes. */
interface AppliedBatch<R> {
  readonly first: LogIndex;
  /** One per entry; `null` if all are of `term`. */
  readonly terms: readonly Term[] | null;
  /** The last entry's. */
  readonly term: Term;
  readonly outcomes: readonly ApplyOutcome<R>[];
}

/** What became of one entry. */
export interface AppliedEntry<R> {
  readonly term: Term;
  readonly outcome: ApplyOutcome<R>;
}

/** The newest outcomes of one member. */
export class AppliedHistory<R> {
  #batches: AppliedBatch<R>[] = [];
  /** Outcomes in them. */
  #count = 0;

  /** Notes what these entries came to; drops the oldest. */
  add(entries: readonly Entry[], outcomes: readonly ApplyOutcome<R>[]): void {
    const first = entries[0];
    const last = entries.at(-1);
    if (first === undefined || last === undefined) return;
    this.#batches.push({
      first: first.index,
      terms: first.term === last.term ? null : entries.map(({ term }) => term),
      term: last.term,
      outcomes,
    });
    this.#count += outcomes.length;
    while (this.#count > MAX_COUNT && this.#batches.length > 1) {
      this.#count -= this.#batches.shift()?.outcomes.length ?? 0;
    }
  }

  /** What became of the entry at an index, if it is remembered. */
  find(index: LogIndex): AppliedEntry<R> | undefined {
    for (const { first, outcomes, term, terms } of this.#batches) {
      const position = index - first;
      const outcome = outcomes[position];
      if (outcome === undefined) continue;
      return { term: terms?.[position] ?? term, outcome };
    }
    return undefined;
  }

  /** Forgets everything. */
  clear(): void {
    if (this.#batches.length === 0) return;
    this.#batches = [];
    this.#count = 0;
  }
}
