/**
 * A disk as a member sees it: writes become durable later, in order, and a
 * crash loses those that have not (H45, H143).
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
import type { DiskOptions } from "./options.ts";
import type { SimRandom } from "./prng.ts";

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
  /** When the device is done with it, in virtual milliseconds. */
  doneAt: number;
}

/** What a crash did to the writes that were not flushed. */
export interface CrashLoss {
  readonly lost: readonly DiskWrite[];
  readonly kept: readonly DiskWrite[];
}

/** The disk of one member; survives its crashes. */
export class SimDisk {
  /** What a crash cannot take. */
  readonly durable: LogMirror = new LogMirror();
  /** What was written, flushed or not: what a reader sees. */
  readonly written: LogMirror = new LogMirror();
  /** Flush times are multiplied by this; a slow disk has more than 1. */
  slowness = 1;
  #hardState: HardState = INITIAL_HARD_STATE;
  /** Done but never synced, then in flight; ascending by number. */
  #unsynced: DiskWrite[] = [];
  #pending: DiskWrite[] = [];
  readonly #options: DiskOptions;
  readonly #random: SimRandom;

  /** Makes an empty disk. */
  constructor(options: DiskOptions, random: SimRandom) {
    this.#options = options;
    this.#random = random;
  }

  /** Term, vote and commit that a crash cannot take. */
  get hardState(): HardState {
    return this.#hardState;
  }

  /** Writes that are not yet done. */
  get pendingCount(): number {
    return this.#pending.length;
  }

  /**
   * Takes a Ready's write. Returns in how many milliseconds it will be done:
   * never before the writes that came first.
   */
  write(ready: Ready, now: number): number {
    const last = this.#pending[this.#pending.length - 1];
    const doneAt = Math.max(last?.doneAt ?? 0, now + this.#flushMs(ready));
    this.#pending.push({
      number: ready.number,
      hardState: ready.hardState,
      entries: ready.entries,
      digests: this.written.append(ready.entries),
      mustSync: ready.mustSync,
      doneAt,
    });
    return doneAt - now;
  }

  /** Takes the next write that is done by `now`, or `undefined`. */
  complete(now: number): DiskWrite | undefined {
    const write = this.#pending[0];
    if (write === undefined || write.doneAt > now) return undefined;
    this.#pending.shift();
    this.#unsynced.push(write);
    if (write.mustSync) this.#sync();
    return write;
  }

  /** Ends all waiting: what is in flight is done now. */
  hurry(now: number): void {
    for (const write of this.#pending) write.doneAt = now;
  }

  /**
   * Loses what was not flushed, save perhaps some whole writes, in order.
   * Writes that nobody waited for may be lost though they were done.
   */
  crash(): CrashLoss {
    const writes = [...this.#unsynced, ...this.#pending];
    const keep = this.#random.chance(this.#options.keepPrefixPermille)
      ? this.#random.between(0, writes.length)
      : 0;
    this.#unsynced = writes.slice(0, keep);
    this.#sync();
    this.#pending = [];
    this.written.copyFrom(this.durable);
    return { lost: writes.slice(keep), kept: writes.slice(0, keep) };
  }

  /** Reads stored entries, flushed or not, perhaps fewer than would fit. */
  load(load: Load): { entries: Entry[]; isShort: boolean } {
    const entries = this.written.slice(load.from, load.through, load.maxBytes);
    const isShort = entries.length > 1 &&
      this.#random.chance(this.#options.loadShortPermille);
    if (isShort) entries.length = this.#random.between(1, entries.length - 1);
    return { entries, isShort };
  }

  /** How long a load takes, in virtual milliseconds. */
  loadMs(): number {
    return this.#random.between(0, this.#options.loadMs) * this.slowness;
  }

  /** Whether a load fails for good. */
  loadFails(): boolean {
    return this.#random.chance(this.#options.loadFailPermille);
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

  #flushMs(ready: Ready): number {
    const { minFlushMs, spreadMs } = this.#options;
    if (isEmpty(ready)) return 0;
    return (minFlushMs + this.#random.below(spreadMs + 1)) * this.slowness;
  }

  #sync(): void {
    for (const write of this.#unsynced) {
      if (write.hardState !== undefined) this.#hardState = write.hardState;
      this.durable.appendChained(write.entries, write.digests);
    }
    this.#unsynced = [];
  }
}

function isEmpty(ready: Ready): boolean {
  return ready.hardState === undefined && ready.entries.length === 0;
}
