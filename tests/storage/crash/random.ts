/**
 * Chance that can be repeated.
 *
 * @module
 */

/** A sequence of numbers that one seed decides. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed;
  }

  /** A number of `[0, 1)` (mulberry32). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** An integer of `[0, count)`. */
  below(count: number): number {
    return Math.floor(this.next() * count);
  }

  /** Whether something of a probability happens. */
  chance(probability: number): boolean {
    return this.next() < probability;
  }
}
