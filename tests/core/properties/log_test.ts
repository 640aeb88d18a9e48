/**
 * The log against one plain array that is copied around, and a disk that is
 * another (thesis §3.5, §5).
 */
import { describe, it } from "node:test";
import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import {
  EMPTY_CONF,
  type Entry,
  INITIAL_HARD_STATE,
  InvariantError,
  type SnapshotMeta,
} from "../../../src/core/mod.ts";
import { RaftLog } from "../../../src/core/raft_log.ts";
import { entryBytes } from "../../../src/core/types.ts";
import { property } from "./property.ts";

/** Small enough that entries leave memory all the time. */
const LIMITS = {
  maxTailBytes: 100,
  maxCommittedBytes: 120,
  asyncStorageWrites: true,
};

type Operation =
  | {
    readonly type: "append";
    /** By how much the term grows. */
    readonly up: number;
    readonly size: number;
  }
  | {
    readonly type: "take";
    /** How far before the end the leader's entries begin, of ten. */
    readonly at: number;
    /** Whether the entry before them is there, or of another term. */
    readonly fits: boolean;
    /** Terms of the entries, each by how much above the one before. */
    readonly ups: readonly number[];
  }
  | { readonly type: "commit" | "compact" | "apply"; readonly part: number }
  | { readonly type: "write" | "flush" };

const part = fc.integer({ min: 0, max: 10 });
const up = fc.constantFrom(0, 0, 0, 1, 2);
const operation: fc.Arbitrary<Operation> = fc.oneof(
  fc.record({
    type: fc.constant("append" as const),
    up,
    size: fc.integer({ min: 0, max: 40 }),
  }),
  fc.record({
    type: fc.constant("take" as const),
    at: part,
    fits: fc.boolean(),
    ups: fc.array(up, { maxLength: 4 }),
  }),
  fc.record({ type: fc.constantFrom("commit", "compact", "apply"), part }),
  fc.record({ type: fc.constantFrom("write", "flush") }),
);

function command(term: number, index: number, size = 1): Entry {
  return { type: "command", term, index, data: new Uint8Array(size) };
}

function snapshotAt(index: number, term: number): SnapshotMeta {
  return { index, term, conf: EMPTY_CONF };
}

function newLog(): RaftLog {
  return new RaftLog({
    hardState: INITIAL_HARD_STATE,
    snapshot: snapshotAt(0, 0),
    firstIndex: 1,
    lastIndex: 0,
    prevTerm: 0,
    termRuns: [],
    tail: [],
    appliedIndex: 0,
  }, LIMITS);
}

/** A log and the plain truth about it. */
class Pair {
  readonly log: RaftLog = newLog();
  /** Everything ever appended and not cut; entry i lies at i - 1. */
  entries: Entry[] = [];
  disk: Entry[] = [];
  readonly writes: { number: number; entries: readonly Entry[] }[] = [];
  number = 0;
  commit = 0;
  /** Entries handed out to be applied, in order. */
  readonly handedOut: Entry[] = [];
  applied = 0;
  compacted = 0;

  termAt(index: number): number {
    return index === 0 ? 0 : this.entries[index - 1]?.term ?? -1;
  }

  perform(operation: Operation): void {
    switch (operation.type) {
      case "append":
        return this.#append(operation.up, operation.size);
      case "take":
        return this.#takeAppend(operation);
      case "commit": {
        const index = this.#between(
          this.commit,
          this.entries.length,
          operation,
        );
        assertEquals(this.log.commitTo(index), index > this.commit);
        this.commit = index;
        return;
      }
      case "compact":
        return this.#compact(operation.part);
      case "apply": {
        this.#handOut();
        const through = this.#between(
          this.applied,
          this.handedOut.length,
          operation,
        );
        this.log.applied(through);
        this.applied = through;
        return;
      }
      case "write": {
        const entries = this.log.takeUnwritten(++this.number);
        this.writes.push({ number: this.number, entries });
        return;
      }
      case "flush":
        return this.#flush();
    }
  }

  #between(from: number, through: number, { part }: { part: number }): number {
    return from + Math.floor((through - from) * part / 10);
  }

  #append(up: number, size: number): void {
    const term = Math.max(this.termAt(this.entries.length), 1) + up;
    const entry = command(term, this.entries.length + 1, size);
    this.log.append(entry);
    this.entries.push(entry);
  }

  #takeAppend(
    { at, fits, ups }: Extract<Operation, { type: "take" }>,
  ): void {
    const prev = this.#between(this.compacted, this.entries.length, {
      part: at,
    });
    let term = this.termAt(prev) + (fits ? 0 : 1);
    const prevId = { term, index: prev };
    const given = ups.map((more, i) => {
      term = Math.max(term + more, 1);
      return command(term, prev + 1 + i);
    });
    if (!fits) {
      assertEquals(this.log.maybeAppend(prevId, given), undefined);
      return;
    }
    const clash = given.find(({ index, term }) =>
      index <= this.entries.length && this.termAt(index) !== term
    );
    if (clash !== undefined && clash.index <= this.commit) {
      assertThrows(() => this.log.maybeAppend(prevId, given), InvariantError);
      return;
    }
    assertEquals(this.log.maybeAppend(prevId, given), prev + given.length);
    if (clash !== undefined) this.entries.length = clash.index - 1;
    this.entries.push(
      ...given.filter(({ index }) => index > this.entries.length),
    );
  }

  #compact(part: number): void {
    const index = this.#between(this.compacted, this.applied, { part });
    if (index === this.compacted) return;
    this.log.compact(snapshotAt(index, this.termAt(index)), index);
    this.compacted = index;
  }

  #flush(): void {
    const write = this.writes.shift();
    if (write === undefined) return;
    const first = write.entries[0]?.index;
    if (first !== undefined) {
      this.disk = [...this.disk.slice(0, first - 1), ...write.entries];
    }
    this.log.persisted(write.number);
  }

  /** Takes one page, from memory or read back from the disk. */
  #handOut(): void {
    const { log } = this;
    if (log.needsApplyLoad) {
      const load = log.takeApplyLoad(this.number + 1_000);
      log.applyLoaded(load, this.disk.slice(load.from - 1, load.through));
    }
    this.handedOut.push(...log.takeCommitted());
  }

  check(): void {
    const { log, entries } = this;
    log.check();
    assertEquals(log.lastIndex, entries.length);
    assertEquals(log.firstIndex, this.compacted + 1);
    assertEquals(log.lastId.term, this.termAt(entries.length));
    for (let i = 0; i <= entries.length + 1; i++) {
      const known = i >= this.compacted && i <= entries.length;
      assertEquals(log.runs.termAt(i), known ? this.termAt(i) : undefined);
    }
    this.#checkConflicts();
    this.#checkSlices();
    this.#checkDurable();
    assertEquals(this.handedOut, entries.slice(0, this.handedOut.length));
    assert(this.handedOut.length <= this.commit, "applied what may change");
  }

  #checkConflicts(): void {
    for (let term = 0; term <= this.termAt(this.entries.length) + 1; term++) {
      let index = this.entries.length;
      while (index > this.compacted && this.termAt(index) > term) index--;
      const found = this.log.runs.findConflictByTerm(this.entries.length, term);
      if (this.termAt(index) <= term) {
        assertEquals(found, { index, term: this.termAt(index) });
      } else assertEquals(found.term, 0);
    }
  }

  #checkSlices(): void {
    for (let from = 1; from <= this.entries.length; from++) {
      const slice = this.log.entriesFrom(from, 90);
      if (from <= this.compacted) {
        assertEquals(slice, "compacted");
        continue;
      }
      if (typeof slice === "string") {
        assertEquals(slice, "evicted");
        assert(
          from <= Math.min(this.commit, this.log.stableIndex),
          `entry ${from} left memory too early`,
        );
        continue;
      }
      const wanted: Entry[] = [];
      let bytes = 0;
      for (const entry of this.entries.slice(from - 1)) {
        if (wanted.length > 0 && bytes + entryBytes(entry) > 90) break;
        bytes += entryBytes(entry);
        wanted.push(entry);
      }
      assertEquals(slice, { entries: wanted, bytes });
    }
  }

  /** What counts as durable is on the disk, and no write will replace it. */
  #checkDurable(): void {
    const { stableIndex, writtenIndex } = this.log;
    for (let i = 1; i <= stableIndex; i++) {
      assertEquals(this.disk[i - 1]?.term, this.termAt(i), `entry ${i}`);
    }
    for (const { entries } of this.writes) {
      assert(entries.every(({ index }) => index > stableIndex));
    }
    if (this.writes.length === 0) assertEquals(stableIndex, writtenIndex);
  }
}

describe("RaftLog", () => {
  it("is an array that is appended to, cut, written and compacted", () => {
    property(
      fc.property(fc.array(operation, { maxLength: 40 }), (operations) => {
        const pair = new Pair();
        for (const one of operations) {
          pair.perform(one);
          pair.check();
        }
      }),
      1_000,
    );
  });

  it("isUpToDate() compares last terms, then lengths (§3.6.1)", () => {
    const end = fc.record({
      term: fc.integer({ min: 1, max: 4 }),
      length: fc.integer({ min: 1, max: 4 }),
    });
    property(fc.property(end, end, (own, other) => {
      const log = newLog();
      for (let i = 1; i <= own.length; i++) log.append(command(own.term, i));
      const isShorter = other.length < own.length;
      assertEquals(
        log.isUpToDate({ term: other.term, index: other.length }),
        other.term > own.term || other.term === own.term && !isShorter,
      );
    }));
  });
});
