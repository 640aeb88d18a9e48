/**
 * What a node has stored.
 *
 * @module
 */
import type {
  Entry,
  EntryId,
  HardState,
  LogIndex,
  Ready,
  SnapshotMeta,
  Term,
  TermRun,
} from "../../src/core/mod.ts";

/** Hard state, and a log behind a snapshot or a compaction. */
export class Disk {
  /** What is durable of term, vote and commit index. */
  hardState: HardState;
  /** The entry before the stored log. */
  offset: EntryId;
  /** The stored log, from `offset.index + 1` on. */
  entries: Entry[];
  /** The snapshot received last. */
  snapshot: SnapshotMeta | undefined;

  constructor(
    hardState: HardState,
    offset: EntryId,
    entries: readonly Entry[],
  ) {
    this.hardState = hardState;
    this.offset = offset;
    this.entries = [...entries];
  }

  /** Stores what a Ready tells to write. */
  write({ hardState, snapshot, entries }: Ready): void {
    if (hardState !== undefined) this.hardState = hardState;
    if (snapshot !== undefined) {
      this.snapshot = snapshot;
      this.offset = { term: snapshot.term, index: snapshot.index };
      this.entries = [];
    }
    const first = entries[0];
    if (first === undefined) return;
    const kept = first.index - this.offset.index - 1;
    this.entries.splice(kept, Infinity, ...entries);
  }

  /** Drops entries up to and including `upTo`. */
  compact(upTo: LogIndex): void {
    const term = this.termAt(upTo);
    this.entries.splice(0, upTo - this.offset.index);
    this.offset = { term, index: upTo };
  }

  /** Term of a stored entry. @throws {RangeError} If there is none. */
  termAt(index: LogIndex): Term {
    const at = index - this.offset.index - 1;
    const term = at < 0 ? this.offset.term : this.entries[at]?.term;
    if (term !== undefined) return term;
    throw new RangeError(`there is no entry ${index} in storage`);
  }

  /** Where each term begins. */
  get termRuns(): TermRun[] {
    const runs: TermRun[] = [];
    for (const { term, index } of this.entries) {
      if (runs.at(-1)?.term !== term) runs.push({ term, firstIndex: index });
    }
    return runs;
  }
}
