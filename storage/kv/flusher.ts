/**
 * Writes what waits, one commit after the other: whatever is written while
 * one runs shares the next (group commit).
 *
 * @module
 */
import type { RaftError } from "../../src/errors.ts";
import type { WriteOptions } from "../../src/storage.ts";
import { Breather } from "./breather.ts";
import { failed } from "./errors.ts";
import {
  type Change,
  commitInPieces,
  type JournalTarget,
  writeChange,
} from "./journal.ts";
import type { KvOperation } from "./ordered_kv.ts";

/** What a flusher writes. */
export interface FlushSource {
  /** Takes everything that waits. Durable once the flush resolves. */
  readonly take: () => Change;
  /** Some rows that may go; none if all must stay. */
  readonly findGarbage: () => Promise<readonly KvOperation[]>;
}

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: RaftError) => void;
}

/** The one writer of an open storage. */
export class Flusher {
  readonly #target: JournalTarget;
  readonly #source: FlushSource;
  /** Those who wait for the next flush. */
  #waiters: Waiter[] = [];
  /** Those who wait for the one that runs. */
  #flushing: Waiter[] | undefined;
  /** Settles when nothing runs; never rejects. */
  #loop: Promise<void> | undefined;
  readonly #breather = new Breather();
  #isClosing = false;
  #failure: RaftError | undefined;

  /** Writes nothing yet. */
  constructor(target: JournalTarget, source: FlushSource) {
    this.#target = target;
    this.#source = source;
  }

  /** Why nothing is taken any more (H44). */
  get failure(): RaftError | undefined {
    return this.#failure;
  }

  /**
   * Resolves once everything that waits by now is durable. With `sync: false`
   * once that is so of what was flushed by somebody else before.
   */
  flush(options: WriteOptions = {}): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    const isAwaited = options.sync !== false || this.#waiters.length > 0;
    return this.#join(isAwaited ? this.#waiters : this.#flushing);
  }

  /** Resolves once the flush that runs, if any, is durable. */
  current(): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    return this.#join(this.#flushing);
  }

  /** Flushes what waits, then stops. Never rejects. */
  async close(): Promise<void> {
    this.#isClosing = true;
    await this.flush().catch(() => {});
    await this.#loop;
  }

  #join(waiters: Waiter[] | undefined): Promise<void> {
    if (waiters === undefined) return Promise.resolve();
    const settled = new Promise<void>((resolve, reject) => {
      waiters.push({ resolve, reject });
    });
    this.#loop ??= this.#run();
    return settled;
  }

  /** Flushes while somebody waits, and clears up behind. Never rejects. */
  async #run(): Promise<void> {
    // What is written in the same breath shares the first flush.
    await Promise.resolve();
    try {
      let mayHaveGarbage = true;
      while (this.#waiters.length > 0 || mayHaveGarbage) {
        await this.#breather.breathe();
        if (this.#waiters.length > 0) await this.#flush();
        mayHaveGarbage = !this.#isClosing && await this.#clear();
      }
    } catch (error) {
      this.#fail(error);
    }
    this.#loop = undefined;
  }

  async #flush(): Promise<void> {
    this.#flushing = this.#waiters;
    this.#waiters = [];
    await writeChange(this.#target, this.#source.take());
    for (const { resolve } of this.#flushing) resolve();
    this.#flushing = undefined;
  }

  /** Removes some rows; whether there may be more. */
  async #clear(): Promise<boolean> {
    const garbage = await this.#source.findGarbage();
    await commitInPieces(this.#target, garbage);
    return garbage.length > 0;
  }

  #fail(error: unknown): void {
    const { name } = this.#target.kv;
    this.#failure = failed(`write to "${name}"`, error);
    const waiters = [...this.#flushing ?? [], ...this.#waiters];
    this.#flushing = undefined;
    this.#waiters = [];
    for (const { reject } of waiters) reject(this.#failure);
  }
}
