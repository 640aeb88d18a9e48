/**
 * Many small byte arrays in few allocations.
 *
 * An array buffer of its own costs V8 more than encoding a small command. The
 * encoder's pool is no home for entries: it also serves frames of many
 * megabytes, and one entry would keep them alive. Slabs hold nothing else than
 * what is copied into them one after the other, which the log also drops
 * one after the other.
 *
 * @module
 */
import { copyBytes } from "../codec.ts";

const SLAB_BYTES = 64 * 1024;

/** Longer ones get a buffer of their own, so that little of a slab is lost. */
const MAX_SHARED_BYTES = 4 * 1024;

/** Copies bytes into memory that is shared with their neighbours only. */
export class Slab {
  #slab: Uint8Array = new Uint8Array(0);
  /** Bytes of `#slab` in use; they are never written again. */
  #used = 0;

  /** A copy of `bytes`. */
  copy(bytes: Uint8Array): Uint8Array {
    if (bytes.length > MAX_SHARED_BYTES) {
      return copyBytes(bytes);
    }
    if (this.#used + bytes.length > this.#slab.length) {
      this.#slab = new Uint8Array(SLAB_BYTES);
      this.#used = 0;
    }
    const from = this.#used;
    this.#used += bytes.length;
    this.#slab.set(bytes, from);
    return this.#slab.subarray(from, this.#used);
  }
}
