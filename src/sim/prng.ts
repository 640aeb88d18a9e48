/**
 * The simulator's own randomness: sfc32, in 32-bit integer operations only, so
 * that every runtime draws the same numbers from the same seed (H137).
 *
 * @module
 */
import { mix32 } from "./trace_hash.ts";

/** Numbers drawn and thrown away before the first one counts. */
const WARM_UP_ROUNDS = 12;

/** A seeded stream of random numbers. */
export class SimRandom {
  #a: number;
  #b: number;
  #c: number;
  #counter: number;

  /** Starts the stream that belongs to `seed`, a safe integer. */
  constructor(seed: number) {
    this.#a = seed | 0;
    this.#b = Math.floor(seed / 0x1_0000_0000) | 0;
    this.#c = 0x9e3779b9 | 0;
    this.#counter = 1;
    for (let i = 0; i < WARM_UP_ROUNDS; i++) this.next();
  }

  /** The next number, uniform in `[0, 2^32)`. */
  next(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0;
    return sum >>> 0;
  }

  /** Uniform in `[0, 1)`. */
  readonly float = (): number => this.next() / 0x1_0000_0000;

  /** A whole number, uniform in `[0, bound)`; 0 if `bound` is below 1. */
  below(bound: number): number {
    return bound < 1 ? 0 : Math.floor(this.float() * bound);
  }

  /** A whole number, uniform in `[least, most]`. */
  between(least: number, most: number): number {
    return least + this.below(most - least + 1);
  }

  /** True in `permille` of 1000 cases. */
  chance(permille: number): boolean {
    return permille > 0 && this.below(1000) < permille;
  }

  /** One of `items`, all equally likely. @throws {RangeError} If empty. */
  pick<T>(items: readonly T[]): T {
    const item = items[this.below(items.length)];
    if (item === undefined) {
      throw new RangeError("Cannot pick: there are 0 items, wanted some");
    }
    return item;
  }

  /** A new array with the items of `items` in random order. */
  shuffle<T>(items: readonly T[]): T[] {
    const rest = [...items];
    const shuffled: T[] = [];
    while (rest.length > 0) {
      shuffled.push(...rest.splice(this.below(rest.length), 1));
    }
    return shuffled;
  }

  /**
   * A stream of its own, which depends on this one's next number and `label`:
   * drawing more from one part of a run leaves the other parts as they were.
   */
  fork(label: string): SimRandom {
    let hash = this.next();
    for (let i = 0; i < label.length; i++) {
      hash = mix32(hash, label.charCodeAt(i));
    }
    return new SimRandom(
      (hash >>> 0) + (this.next() & 0xfffff) * 0x1_0000_0000,
    );
  }
}
