/**
 * The log: what is in it, how far it is durable, committed and applied.
 *
 * @module
 */
import { assertInvariant, InvariantError } from "./invariant.ts";
import type { Load, RestoredState } from "./ready.ts";
import { type Slice, Tail } from "./tail.ts";
import { TermRuns } from "./term_runs.ts";
import {
  type ConfState,
  type Entry,
  entryBytes,
  type EntryId,
  type LogIndex,
  type SnapshotMeta,
} from "./types.ts";

/** Limits the log keeps to. */
export interface RaftLogLimits {
  readonly maxTailBytes: number;
  readonly maxCommittedBytes: number;
  readonly asyncStorageWrites: boolean;
}

/** A write that was handed out and is not durable yet. */
interface OutstandingWrite {
  readonly number: number;
  /** First index it replaces; `Infinity` if it holds no entries. */
  readonly firstIndex: LogIndex;
  /** Its last index; 0 if it holds no entries. */
  readonly lastIndex: LogIndex;
}

/** Committed entries handed out and not yet applied. */
interface Applying {
  readonly lastIndex: LogIndex;
  readonly bytes: number;
}

/** Why entries cannot be given at once. */
export type Unavailable = "compacted" | "evicted";

/**
 * The log of one member. Holds always:
 * `snapshotIndex <= appliedIndex <= applyingIndex <= commitIndex <= lastIndex`,
 * `stableIndex <= writtenIndex <= lastIndex`; and `applyingIndex` is at most
 * `stableIndex`, with synchronous writes at most `writtenIndex`.
 */
export class RaftLog {
  /** Terms of every retained entry. */
  readonly runs: TermRuns;
  /** The newest entries; everything that is not durable is in it. */
  readonly tail: Tail;
  /** The state below the log; a snapshot, or the bootstrap at index 0. */
  snapshot: SnapshotMeta;
  /** What the group began with; `null` if that was compacted away. */
  founding: ConfState | null;
  /** Set while a founding configuration waits to be handed out in a Ready. */
  pendingFounding: ConfState | undefined = undefined;
  /** Set while a received snapshot waits to be handed out in a Ready. */
  pendingSnapshot: SnapshotMeta | undefined;
  /** Highest index known to be committed; never decreases. */
  commitIndex: LogIndex;
  /** Everything up to here is on this member's disk, for good. */
  stableIndex: LogIndex;
  /** Everything up to here was handed out to be written. */
  writtenIndex: LogIndex;
  /** Everything up to here was handed out to be applied. */
  applyingIndex: LogIndex;
  /** Everything up to here was applied. */
  appliedIndex: LogIndex;
  /**
   * Where the entries begin whose kinds are known: below it, an unapplied
   * membership change may hide in storage.
   */
  readonly knownFrom: LogIndex;
  /** The newest index known to hold a membership change; 0 for none. */
  lastConfIndex: LogIndex = 0;
  /** Indexes above `appliedIndex` that hold membership changes; ascending. */
  #confIndexes: LogIndex[] = [];
  /** Writes under way, in order. */
  #writes: OutstandingWrite[] = [];
  /** Pages being applied, in order; their bytes are bounded. */
  #applying: Applying[] = [];
  #applyingBytes = 0;
  /** Entries read back to be applied, from `applyingIndex + 1` on. */
  #loaded: readonly Entry[] = [];
  /** Id of the load under way for applying; 0 for none. */
  #loadId = 0;
  readonly #limits: RaftLogLimits;

  constructor(restored: RestoredState, limits: RaftLogLimits) {
    this.#limits = limits;
    const { firstIndex, lastIndex, prevTerm, hardState } = restored;
    this.runs = new TermRuns(
      { term: prevTerm, index: firstIndex - 1 },
      lastIndex,
      restored.termRuns,
    );
    const tailFirst = restored.tail[0]?.index ?? lastIndex + 1;
    this.tail = new Tail(tailFirst, restored.tail);
    this.snapshot = restored.snapshot;
    const { conf, index } = restored.snapshot;
    this.founding = index === 0 && conf.voters.length > 0 ? conf : null;
    this.stableIndex = lastIndex;
    this.writtenIndex = lastIndex;
    this.appliedIndex = restored.appliedIndex;
    this.applyingIndex = restored.appliedIndex;
    // The stored commit index is a hint and may have outlived lost entries
    // that nobody was promised (H55).
    this.commitIndex = Math.max(
      Math.min(hardState.commit, lastIndex),
      restored.appliedIndex,
    );
    this.knownFrom = tailFirst;
    for (const entry of restored.tail) {
      if (entry.type === "confChange" && entry.index > this.appliedIndex) {
        this.#confIndexes.push(entry.index);
      }
    }
    this.lastConfIndex = this.#confIndexes.at(-1) ?? 0;
    // Storage may hand out more than the limit.
    this.#evict();
    this.check();
  }

  /** First retained index. */
  get firstIndex(): LogIndex {
    return this.runs.prev.index + 1;
  }

  /** Last index; `firstIndex - 1` for an empty log. */
  get lastIndex(): LogIndex {
    return this.runs.lastIndex;
  }

  /** The last entry, or the one the log starts behind. */
  get lastId(): EntryId {
    return { term: this.runs.lastTerm, index: this.runs.lastIndex };
  }

  /** Whether the log holds this very entry. */
  matches(id: EntryId): boolean {
    return this.runs.termAt(id.index) === id.term;
  }

  /** Whether a log that ends in `id` holds no less than ours (§3.6.1). */
  isUpToDate(id: EntryId): boolean {
    const lastTerm = this.runs.lastTerm;
    return id.term > lastTerm ||
      (id.term === lastTerm && id.index >= this.runs.lastIndex);
  }

  /** Appends behind the last entry. */
  append(entry: Entry): void {
    this.runs.append(entry.index, entry.term);
    this.tail.push(entry);
    if (entry.type !== "confChange") return;
    this.#confIndexes.push(entry.index);
    this.lastConfIndex = entry.index;
  }

  /**
   * Takes a leader's entries behind `prev`: skips those it holds, cuts its
   * own from the first that differs on (never a shorter message's end, H23).
   *
   * @returns The last index proven equal to the leader's, or `undefined` if
   * `prev` is not in the log.
   * @throws {InvariantError} If a committed entry differs.
   */
  maybeAppend(prev: EntryId, entries: readonly Entry[]): LogIndex | undefined {
    if (!this.matches(prev)) return undefined;
    let i = 0;
    for (; i < entries.length; i++) {
      const entry = entries[i];
      if (entry === undefined || !this.matches(entry)) break;
    }
    const first = entries[i];
    if (first !== undefined) {
      if (first.index <= this.lastIndex) this.#truncate(first.index);
      for (; i < entries.length; i++) {
        const entry = entries[i];
        if (entry !== undefined) this.append(entry);
      }
    }
    return prev.index + entries.length;
  }

  /** Raises the commit index. @returns Whether it moved. */
  commitTo(index: LogIndex): boolean {
    if (index <= this.commitIndex) return false;
    if (index > this.lastIndex) {
      throw new InvariantError(
        `commit index ${index} beyond the last entry ${this.lastIndex}`,
      );
    }
    this.commitIndex = index;
    return true;
  }

  /**
   * The entries from `from` on, as far as they are in memory and within
   * `maxBytes`.
   */
  entriesFrom(from: LogIndex, maxBytes: number): Slice | Unavailable {
    if (from < this.firstIndex) return "compacted";
    if (from < this.tail.firstIndex) return "evicted";
    return this.tail.slice(from, this.lastIndex, maxBytes);
  }

  /** Whether there is something to write. */
  get hasUnwritten(): boolean {
    return this.writtenIndex < this.lastIndex ||
      this.pendingSnapshot !== undefined;
  }

  /** Takes what is to be written, as part of the Ready of this number. */
  takeUnwritten(number: number): readonly Entry[] {
    const from = this.writtenIndex + 1;
    const { entries } = this.tail.slice(from, this.lastIndex, Infinity);
    this.writtenIndex = this.lastIndex;
    this.#writes.push({
      number,
      firstIndex: entries.length > 0 ? from : Infinity,
      lastIndex: entries.length > 0 ? this.lastIndex : 0,
    });
    return entries;
  }

  /**
   * The write of this number, and all before it, are durable. Counts only
   * what no later write or truncation replaces: the completion of an old
   * write says nothing of a new entry at the same index (H38).
   */
  persisted(number: number): void {
    let durable = this.stableIndex;
    let done = 0;
    for (const write of this.#writes) {
      if (write.number > number) break;
      if (write.lastIndex > 0) durable = write.lastIndex;
      done++;
    }
    if (done === 0) return;
    this.#writes = this.#writes.slice(done);
    let limit = this.writtenIndex;
    for (const write of this.#writes) {
      limit = Math.min(limit, write.firstIndex - 1);
    }
    this.stableIndex = Math.max(this.stableIndex, Math.min(durable, limit));
    this.#evict();
  }

  /**
   * Last index that may be handed out to be applied: durable here by the time
   * it is applied (H46).
   */
  get #applicable(): LogIndex {
    return this.#limits.asyncStorageWrites
      ? Math.min(this.commitIndex, this.stableIndex)
      : this.commitIndex;
  }

  /** Whether {@linkcode takeCommitted} would give something. */
  get hasCommitted(): boolean {
    return this.applyingIndex < this.#applicable &&
      this.#applyingBytes < this.#limitOfApplying &&
      this.pendingSnapshot === undefined &&
      (this.#loaded.length > 0 ||
        this.applyingIndex + 1 >= this.tail.firstIndex);
  }

  get #limitOfApplying(): number {
    return Math.max(this.#limits.maxCommittedBytes, 1);
  }

  /** Takes the next page of committed entries. */
  takeCommitted(): readonly Entry[] {
    if (!this.hasCommitted) return [];
    const page = this.#loaded.length > 0 ? this.#takeLoaded() : this.tail.slice(
      this.applyingIndex + 1,
      this.#applicable,
      this.#limits.maxCommittedBytes,
    );
    this.applyingIndex += page.entries.length;
    this.#applying.push({ lastIndex: this.applyingIndex, bytes: page.bytes });
    this.#applyingBytes += page.bytes;
    return page.entries;
  }

  #takeLoaded(): Slice {
    const entries = this.#loaded;
    this.#loaded = [];
    let bytes = 0;
    for (const entry of entries) bytes += entryBytes(entry);
    return { entries, bytes };
  }

  /** The load needed to go on applying; marks it as under way. */
  takeApplyLoad(id: number): Load {
    this.#loadId = id;
    return {
      id,
      purpose: "apply",
      from: this.applyingIndex + 1,
      through: Math.min(this.#applicable, this.tail.firstIndex - 1),
      maxBytes: this.#limits.maxCommittedBytes,
    };
  }

  /** Whether applying goes on only once entries were read back. */
  get needsApplyLoad(): boolean {
    return this.#loadId === 0 && this.#loaded.length === 0 &&
      this.applyingIndex < this.#applicable &&
      this.applyingIndex + 1 < this.tail.firstIndex &&
      this.#applyingBytes < this.#limitOfApplying;
  }

  /**
   * Takes entries read back to be applied. Stale answers are ignored.
   *
   * @throws {InvariantError} If they are not the log's entries (H60).
   */
  applyLoaded(load: Load, entries: readonly Entry[]): void {
    if (load.id !== this.#loadId) return;
    this.#loadId = 0;
    if (load.from !== this.applyingIndex + 1) return;
    this.assertOwn(load, entries);
    for (const entry of entries) {
      if (entry.type === "confChange" && entry.index < this.knownFrom) {
        this.#confIndexes.push(entry.index);
      }
    }
    this.#confIndexes.sort((a, b) => a - b);
    const newest = this.#confIndexes.at(-1) ?? 0;
    this.lastConfIndex = Math.max(this.lastConfIndex, newest);
    this.#loaded = entries;
  }

  /** The load failed; it may be asked for again. */
  applyLoadFailed(load: Load): void {
    if (load.id === this.#loadId) this.#loadId = 0;
  }

  /** Asserts that entries read back are the ones asked for. */
  assertOwn(load: Load, entries: readonly Entry[]): void {
    let index = load.from;
    for (const entry of entries) {
      if (
        entry.index !== index || index > load.through || !this.matches(entry)
      ) {
        throw new InvariantError(
          `storage returned entry ${entry.index} of term ${entry.term} for ${index}`,
        );
      }
      index++;
    }
    assertInvariant(entries.length > 0, "storage returned no entries");
  }

  /** Everything up to `index` was applied. */
  applied(index: LogIndex): void {
    if (index > this.applyingIndex) {
      throw new InvariantError(
        `applied ${index} beyond what was handed out ${this.applyingIndex}`,
      );
    }
    if (index <= this.appliedIndex) return;
    this.appliedIndex = index;
    while ((this.#applying[0]?.lastIndex ?? Infinity) <= index) {
      this.#applyingBytes -= this.#applying.shift()?.bytes ?? 0;
    }
    while ((this.#confIndexes[0] ?? Infinity) <= index) {
      this.#confIndexes.shift();
    }
    this.#evict();
  }

  /**
   * Whether a committed membership change may not have been applied yet; then
   * this member must not campaign (H77).
   */
  get mayHoldUnappliedConf(): boolean {
    const hidden = Math.min(this.knownFrom - 1, this.commitIndex);
    return this.appliedIndex < hidden ||
      (this.#confIndexes[0] ?? Infinity) <= this.commitIndex;
  }

  /** An empty log learns what its group began with. */
  found(conf: ConfState): void {
    assertInvariant(
      this.lastIndex === 0 && this.founding === null,
      "a founding configuration for a log that has begun",
    );
    this.snapshot = { index: 0, term: 0, conf };
    this.founding = conf;
    this.pendingFounding = conf;
  }

  /** Replaces the log by a snapshot that was received. */
  restore(snapshot: SnapshotMeta): void {
    this.founding = null;
    this.pendingFounding = undefined;
    this.runs.reset(snapshot);
    this.tail.reset(snapshot.index + 1);
    this.snapshot = snapshot;
    this.pendingSnapshot = snapshot;
    this.commitIndex = snapshot.index;
    this.writtenIndex = snapshot.index;
    this.stableIndex = snapshot.index;
    this.applyingIndex = snapshot.index;
    this.appliedIndex = snapshot.index;
    this.#confIndexes = [];
    this.#applying = [];
    this.#applyingBytes = 0;
    this.#loaded = [];
    this.#loadId = 0;
  }

  /** Forgets what a newer own snapshot covers. */
  compact(snapshot: SnapshotMeta, through: LogIndex): void {
    assertInvariant(
      through <= snapshot.index && snapshot.index <= this.appliedIndex,
      `compacted to ${through} by a snapshot of ${snapshot.index}`,
    );
    this.snapshot = snapshot;
    if (through < this.firstIndex) return;
    this.runs.compact(through);
    this.tail.evict(through, 0);
  }

  /** Verifies the order of the pointers. */
  check(): void {
    this.runs.check();
    const order: readonly (readonly [string, LogIndex])[] = [
      ["snapshotIndex", this.snapshot.index],
      ["appliedIndex", this.appliedIndex],
      ["applyingIndex", this.applyingIndex],
      ["commitIndex", this.commitIndex],
      ["lastIndex", this.lastIndex],
    ];
    let before = "0";
    let low = 0;
    for (const [name, value] of order) {
      assertInvariant(low <= value, `${before} ${low} above ${name} ${value}`);
      before = name;
      low = value;
    }
    assertInvariant(
      this.stableIndex <= this.writtenIndex &&
        this.writtenIndex <= this.lastIndex &&
        this.applyingIndex <=
          (this.#limits.asyncStorageWrites
            ? this.stableIndex
            : this.writtenIndex),
      `stable ${this.stableIndex}, written ${this.writtenIndex}, applying ${this.applyingIndex}, last ${this.lastIndex}`,
    );
    assertInvariant(
      this.tail.lastIndex === this.lastIndex &&
        this.tail.firstIndex <= this.stableIndex + 1 &&
        this.snapshot.index >= this.firstIndex - 1,
      `tail ${this.tail.firstIndex}..${this.tail.lastIndex}, first ${this.firstIndex}, last ${this.lastIndex}`,
    );
  }

  #truncate(from: LogIndex): void {
    assertInvariant(
      from > this.commitIndex,
      `entry ${from} conflicts with a committed one (commit index ${this.commitIndex})`,
    );
    this.runs.truncate(from);
    this.tail.truncate(from);
    this.stableIndex = Math.min(this.stableIndex, from - 1);
    this.writtenIndex = Math.min(this.writtenIndex, from - 1);
    while ((this.#confIndexes.at(-1) ?? 0) >= from) this.#confIndexes.pop();
    if (this.lastConfIndex >= from) {
      this.lastConfIndex = this.#confIndexes.at(-1) ?? 0;
    }
  }

  /** Keeps in memory what is not durable or not committed, and a margin. */
  #evict(): void {
    this.tail.evict(
      Math.min(this.commitIndex, this.stableIndex),
      this.#limits.maxTailBytes,
    );
  }
}
