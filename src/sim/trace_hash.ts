/**
 * A digest of everything that happens in a run: equal digests, equal runs.
 *
 * @module
 */

/** Stirs `value`, taken modulo 2^32, into a 32-bit `hash`. */
export function mix32(hash: number, value: number): number {
  let k = Math.imul(value | 0, 0xcc9e2d51);
  k = (k << 15) | (k >>> 17);
  let h = hash ^ Math.imul(k, 0x1b873593);
  h = (h << 13) | (h >>> 19);
  return (Math.imul(h, 5) + 0xe6546b64) | 0;
}

/** Spreads the bits of a 32-bit hash. */
export function finish32(hash: number): number {
  let h = hash;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** A 32-bit digest of bytes. */
export function hashBytes(bytes: Uint8Array): number {
  let hash = bytes.length | 0;
  let i = 0;
  for (; i + 3 < bytes.length; i += 4) {
    hash = mix32(
      hash,
      (bytes[i] ?? 0) | ((bytes[i + 1] ?? 0) << 8) |
        ((bytes[i + 2] ?? 0) << 16) | ((bytes[i + 3] ?? 0) << 24),
    );
  }
  for (; i < bytes.length; i++) hash = mix32(hash, bytes[i] ?? 0);
  return finish32(hash);
}

/** Two independent 32-bit digests of one stream of numbers. */
export class TraceHash {
  #low = 0x1b873593;
  #high = 0x2545f491;
  #count = 0;

  /** Adds a number; only its low 32 bits count. */
  add(value: number): void {
    this.#low = mix32(this.#low, value);
    this.#high = mix32(this.#high ^ 0x5bd1e995, value + this.#count);
    this.#count = (this.#count + 1) | 0;
  }

  /** The digest so far: 16 hexadecimal digits. */
  digest(): string {
    const hex = (value: number) =>
      finish32(value).toString(16).padStart(8, "0");
    return hex(this.#high) + hex(this.#low);
  }
}
