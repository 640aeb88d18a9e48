/**
 * What is on a member's disk: its log and hard state, as written and as
 * durable, and what is damaged of them.
 *
 * @module
 */
import {
  type ConfState,
  type Entry,
  type HardState,
  INITIAL_HARD_STATE,
  type LogIndex,
} from "../core/types.ts";
import type { Load, Ready, RestoredState } from "../core/ready.ts";
import { LogMirror } from "./log_mirror.ts";

/** One Ready's part that goes to disk. */
export interface DiskWrite {
  /** The Ready's number. */
  readonly number: number;
  readonly hardState: HardState | undefined;
  readonly entries: readonly Entry[];
  /** Digests of the log through each entry. */
  readonly digests: readonly number[];
  /** Whether the write counts only when flushed. */
  readonly mustSync: boolean;
}

/**
 * The contents of one member's disk; they survive its crashes. When writes
 * become durable is for the device to say.
 */
export class SimDisk {
  /** What a crash cannot take. */
  readonly durable: LogMirror = new LogMirror();
  /** What was written, flushed or not: what a reader sees. */
  readonly written: LogMirror = new LogMirror();
  /** Writes that are not yet done. */
  pendingCount = 0;
  #hardState: HardState = INITIAL_HARD_STATE;
  /** A write that a crash left half done; recognised when the disk is read. */
  #torn: DiskWrite | undefined;
  /** Indexes of entries whose bits have rotted (H62). */
  readonly #rotten = new Set<LogIndex>();

  /** Term, vote and commit that a crash cannot take. */
  get hardState(): HardState {
    return this.#hardState;
  }

  /** Whether a checksum is wrong somewhere in the log. */
  get isRotten(): boolean {
    return this.#rotten.size > 0;
  }

  /** Takes a Ready's write. */
  write(ready: Ready): DiskWrite {
    const { number, hardState, entries, mustSync } = ready;
    const [first] = entries;
    for (const index of this.#rotten) {
      if (first !== undefined && index >= first.index) {
        this.#rotten.delete(index);
      }
    }
    this.pendingCount++;
    const digests = this.written.append(entries);
    return { number, hardState, entries, digests, mustSync };
  }

  /** From now on a crash cannot take this write. */
  sync({ hardState, entries, digests }: DiskWrite): void {
    if (hardState !== undefined) this.#hardState = hardState;
    this.durable.appendChained(entries, digests);
  }

  /** A crash: what is not durable is gone. */
  revert(): void {
    this.written.copyFrom(this.durable);
  }

  /** A crash in the middle of a write leaves a part of it. */
  tear(write: DiskWrite): void {
    if (write.entries.length > 0) this.#torn = write;
  }

  /**
   * What a checksum says of the end of the log: a write that was left half
   * done is cut off (H47). Returns whether there was one.
   */
  repairTail(): boolean {
    const hadTorn = this.#torn !== undefined;
    this.#torn = undefined;
    return hadTorn;
  }

  /**
   * Lets a durable command rot that is at or behind `from`, if there is one.
   * Returns its index.
   */
  rot(from: LogIndex): LogIndex | undefined {
    for (let index = from; index <= this.durable.lastIndex; index++) {
      if (this.durable.entryAt(index)?.type !== "command") continue;
      if (this.written.entryAt(index) !== this.durable.entryAt(index)) continue;
      this.#rotten.add(index);
      return index;
    }
    return undefined;
  }

  /** The data is there again, from a mirror of the disk. */
  mend(): void {
    this.#rotten.clear();
  }

  /**
   * What becomes of damage that nobody checks for: the log holds what was
   * never written. For tests of the checkers.
   */
  trustDamage(): void {
    const torn = this.#torn?.entries ?? [];
    this.#torn = undefined;
    if (torn.length > 0) this.durable.append(torn.map(altered));
    const rotten = [...this.#rotten];
    this.#rotten.clear();
    if (rotten.length > 0) {
      const first = Math.min(...rotten);
      const rest: Entry[] = [];
      for (let i = first; i <= this.durable.lastIndex; i++) {
        const entry = this.durable.entryAt(i);
        if (entry === undefined) continue;
        rest.push(rotten.includes(i) ? altered(entry) : entry);
      }
      this.durable.append(rest);
    }
    this.written.copyFrom(this.durable);
  }

  /** Reads stored entries, flushed or not; `undefined` if one has rotted. */
  load({ from, through, maxBytes }: Load): Entry[] | undefined {
    const entries = this.written.slice(from, through, maxBytes);
    const isRotten = entries.some(({ index }) => this.#rotten.has(index));
    return isRotten ? undefined : entries;
  }

  /** What a member starts from after a crash, as storage would return it. */
  restore(
    conf: ConfState,
    appliedIndex: LogIndex,
    tailBytes: number,
  ): RestoredState {
    return {
      hardState: this.#hardState,
      snapshot: { index: 0, term: 0, conf },
      firstIndex: 1,
      lastIndex: this.durable.lastIndex,
      prevTerm: 0,
      termRuns: this.durable.termRuns(),
      tail: this.durable.newest(tailBytes),
      appliedIndex,
    };
  }
}

/** An entry with a bit flipped. */
function altered(entry: Entry): Entry {
  if (entry.type !== "command") return entry;
  const data = entry.data.length > 0 ? entry.data.slice() : new Uint8Array(1);
  data[data.length - 1] = (data[data.length - 1] ?? 0) ^ 1;
  return { ...entry, data };
}
