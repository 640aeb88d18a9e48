/**
 * How much a follower is sent at once: little to one that is new or in
 * trouble, more to one that takes it (slow start, multiplicative decrease).
 *
 * @module
 */
import type { CoreConfig } from "./config.ts";
import type { LogIndex } from "./types.ts";

/** Bytes of entries in the first appends to a follower. */
const INITIAL_BYTES = 64 << 10;
/** Below this, smaller appends would cost more than they spare. */
const LEAST_BYTES = 4 << 10;

/**
 * The bytes of entries one append to a follower may hold. Doubles once per
 * round trip, while appends are as large as they may be; halves when one
 * failed. Fixed without `adaptiveFlow`.
 */
export class BatchSize {
  /** The present limit; one entry is always sent. */
  bytes: number;
  readonly #least: number;
  readonly #most: number;
  /** Where an append ended that was cut at the limit; 0 for none. */
  #cutAt: LogIndex = 0;

  constructor(config: CoreConfig) {
    this.#most = config.maxAppendBytes;
    this.#least = config.adaptiveFlow
      ? Math.min(LEAST_BYTES, this.#most)
      : this.#most;
    this.bytes = config.adaptiveFlow
      ? Math.min(INITIAL_BYTES, this.#most)
      : this.#most;
  }

  /** An append was sent that the limit kept from holding more. */
  cut(lastIndex: LogIndex): void {
    if (this.#cutAt === 0) this.#cutAt = lastIndex;
  }

  /** The follower has everything up to `index`. */
  acknowledged(index: LogIndex): void {
    if (this.#cutAt === 0 || index < this.#cutAt) return;
    this.#cutAt = 0;
    this.bytes = Math.min(2 * this.bytes, this.#most);
  }

  /** Appends fail, or nobody answers. */
  shrink(): void {
    this.#cutAt = 0;
    this.bytes = Math.max(Math.floor(this.bytes / 2), this.#least);
  }

  /** What was sent will not be acknowledged. */
  forget(): void {
    this.#cutAt = 0;
  }
}
