/**
 * SHA-256 (FIPS 180-4) of a stream, in plain arithmetic: `crypto.subtle` wants
 * all bytes at once, and a backup may be larger than the memory.
 *
 * @module
 */

const BLOCK_BYTES = 64;
/** Bytes of a digest. */
export const SHA256_BYTES = 32;

/** Fractional parts of the cube roots of the first 64 primes. */
const ROUND_CONSTANTS: Int32Array = rootFractions(64, 1 / 3);
/** Fractional parts of the square roots of the first 8 primes. */
const INITIAL_STATE: Int32Array = rootFractions(8, 1 / 2);

function rootFractions(count: number, power: number): Int32Array {
  const words = new Int32Array(count);
  let found = 0;
  for (let candidate = 2; found < count; candidate++) {
    if (!isPrime(candidate)) continue;
    const root = candidate ** power;
    words[found++] = Math.floor((root - Math.floor(root)) * 0x1_0000_0000) | 0;
  }
  return words;
}

function isPrime(value: number): boolean {
  for (let divisor = 2; divisor * divisor <= value; divisor++) {
    if (value % divisor === 0) return false;
  }
  return true;
}

/** One digest in the making. */
export class Sha256 {
  readonly #state: Int32Array = INITIAL_STATE.slice();
  readonly #schedule: Int32Array = new Int32Array(64);
  /** What does not fill a block yet, at its start. */
  readonly #block: Uint8Array = new Uint8Array(BLOCK_BYTES);
  readonly #view: DataView = new DataView(this.#block.buffer);
  /** Bytes taken in; `#bytes % 64` of them wait in `#block`. */
  #bytes = 0;

  /** Takes in the next bytes; keeps no reference to them. */
  update(bytes: Uint8Array): this {
    let at = 0;
    const waiting = this.#bytes % BLOCK_BYTES;
    this.#bytes += bytes.length;
    if (waiting > 0) {
      at = Math.min(BLOCK_BYTES - waiting, bytes.length);
      this.#block.set(bytes.subarray(0, at), waiting);
      if (waiting + at < BLOCK_BYTES) return this;
      this.#compress(this.#view, 0);
    }
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    for (; at + BLOCK_BYTES <= bytes.length; at += BLOCK_BYTES) {
      this.#compress(view, at);
    }
    this.#block.set(bytes.subarray(at), 0);
    return this;
  }

  /** The digest of everything taken in. Ends it: call it once. */
  digest(): Uint8Array {
    const bits = this.#bytes * 8;
    const waiting = this.#bytes % BLOCK_BYTES;
    this.#block.fill(0, waiting);
    this.#block[waiting] = 0x80;
    if (waiting >= BLOCK_BYTES - 8) {
      this.#compress(this.#view, 0);
      this.#block.fill(0);
    }
    this.#view.setUint32(56, Math.floor(bits / 0x1_0000_0000));
    this.#view.setUint32(60, bits >>> 0);
    this.#compress(this.#view, 0);
    const digest = new Uint8Array(SHA256_BYTES);
    const view = new DataView(digest.buffer);
    this.#state.forEach((word, i) => view.setInt32(4 * i, word));
    return digest;
  }

  #compress(view: DataView, offset: number): void {
    const words = this.#schedule;
    const state = this.#state;
    for (let i = 0; i < 16; i++) words[i] = view.getInt32(offset + 4 * i);
    for (let i = 16; i < 64; i++) {
      words[i] = (word(words, i - 16) + smallSigma0(word(words, i - 15)) +
        word(words, i - 7) + smallSigma1(word(words, i - 2))) | 0;
    }
    let a = word(state, 0);
    let b = word(state, 1);
    let c = word(state, 2);
    let d = word(state, 3);
    let e = word(state, 4);
    let f = word(state, 5);
    let g = word(state, 6);
    let h = word(state, 7);
    for (let i = 0; i < 64; i++) {
      const mixed = (h + bigSigma1(e) + ((e & f) ^ (~e & g)) +
        word(ROUND_CONSTANTS, i) + word(words, i)) | 0;
      const chosen = (bigSigma0(a) + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      h = g;
      g = f;
      f = e;
      e = (d + mixed) | 0;
      d = c;
      c = b;
      b = a;
      a = (mixed + chosen) | 0;
    }
    const sums = [a, b, c, d, e, f, g, h];
    for (let i = 0; i < 8; i++) state[i] = word(state, i) + (sums[i] ?? 0);
  }
}

function word(words: Int32Array, at: number): number {
  return words[at] ?? 0;
}

function rotate(value: number, by: number): number {
  return (value >>> by) | (value << (32 - by));
}

function smallSigma0(x: number): number {
  return rotate(x, 7) ^ rotate(x, 18) ^ (x >>> 3);
}

function smallSigma1(x: number): number {
  return rotate(x, 17) ^ rotate(x, 19) ^ (x >>> 10);
}

function bigSigma0(x: number): number {
  return rotate(x, 2) ^ rotate(x, 13) ^ rotate(x, 22);
}

function bigSigma1(x: number): number {
  return rotate(x, 6) ^ rotate(x, 11) ^ rotate(x, 25);
}
