/**
 * The window of appends on their way to one follower (thesis §10.2.1).
 *
 * @module
 */
import { assertInvariant } from "./invariant.ts";
import type { LogIndex } from "./types.ts";

/** Slots a ring starts with; it doubles up to the limit when needed. */
const INITIAL_SLOTS = 8;

/**
 * A first-in first-out ring of the last index and the bytes of each append
 * sent and not yet acknowledged. Bounded in count and in bytes; one append is
 * always let through when it is empty.
 */
export class Inflights {
  /** Most appends in flight. */
  readonly #maxCount: number;
  /** Bytes in flight from which on the window is full. */
  readonly #maxBytes: number;
  /** Last index of the append in slot i; ascending from `#start` on. */
  #indexes: LogIndex[] = [];
  /** Bytes of the append in slot i. */
  #sizes: number[] = [];
  /** Slot of the oldest append. */
  #start = 0;
  /** Appends in flight; at most `#maxCount`. */
  #count = 0;
  /** Sum of the sizes in flight. */
  #bytes = 0;

  constructor(maxCount: number, maxBytes: number) {
    this.#maxCount = maxCount;
    this.#maxBytes = maxBytes;
  }

  /** Appends in flight. */
  get count(): number {
    return this.#count;
  }

  /** Bytes in flight. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Whether nothing more may be sent. */
  get full(): boolean {
    return this.#count === this.#maxCount || this.#bytes >= this.#maxBytes;
  }

  /** Notes an append that ends at `lastIndex`. */
  add(lastIndex: LogIndex, bytes: number): void {
    assertInvariant(!this.full, "in-flight window overrun");
    if (this.#count === this.#indexes.length) this.#grow();
    const slot = (this.#start + this.#count) % this.#indexes.length;
    this.#indexes[slot] = lastIndex;
    this.#sizes[slot] = bytes;
    this.#count++;
    this.#bytes += bytes;
  }

  /** Frees every append that ends at or before `index`. */
  freeThrough(index: LogIndex): void {
    while (this.#count > 0) {
      const last = this.#indexes[this.#start];
      if (last === undefined || last > index) return;
      this.#bytes -= this.#sizes[this.#start] ?? 0;
      this.#count--;
      this.#start = (this.#start + 1) % this.#indexes.length;
    }
  }

  /** Frees everything. */
  reset(): void {
    this.#start = 0;
    this.#count = 0;
    this.#bytes = 0;
  }

  #grow(): void {
    const old = this.#indexes.length;
    const slots = Math.min(Math.max(old * 2, INITIAL_SLOTS), this.#maxCount);
    const indexes: LogIndex[] = new Array(slots).fill(0);
    const sizes: number[] = new Array(slots).fill(0);
    for (let i = 0; i < this.#count; i++) {
      const slot = (this.#start + i) % old;
      indexes[i] = this.#indexes[slot] ?? 0;
      sizes[i] = this.#sizes[slot] ?? 0;
    }
    this.#indexes = indexes;
    this.#sizes = sizes;
    this.#start = 0;
  }
}
