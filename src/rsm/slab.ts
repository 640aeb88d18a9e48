/**
 * Many small byte arrays in few allocations.
 *
 * An array buffer of its own costs V8 more than encoding a small command. The
 * encoder's pool is no home for entries: it also serves frames of many
 * megabytes, and one entry would keep them alive. Slabs hold nothing else than
 * what is copied into them one after the other.
 *
 * One survivor keeps its slab. What the log holds it also drops one after the
 * other, so there slabs may be large; what a machine keeps may live for ever,
 * so there they are small, and its longer values have memory of their own.
 *
 * @module
 */
import { copyBytes } from "../codec.ts";

/** How slabs are cut. */
export interface SlabSizes {
  /** Bytes of a slab. */
  readonly bytes: number;
  /** Longer pieces get a buffer of their own, so that little of it is lost. */
  readonly maxShared: number;
}

/** For what the log holds. */
export const LOG_SLABS: SlabSizes = { bytes: 64 * 1024, maxShared: 4 * 1024 };
/** For what a machine may keep. */
export const MACHINE_SLABS: SlabSizes = { bytes: 8 * 1024, maxShared: 1024 };

/** Copies bytes into memory that is shared with their neighbours only. */
export class Slab {
  readonly #sizes: SlabSizes;
  #slab: Uint8Array = new Uint8Array(0);
  /** Bytes of `#slab` in use; they are never written again. */
  #used = 0;

  constructor(sizes: SlabSizes) {
    this.#sizes = sizes;
  }

  /** A copy of `bytes`. */
  copy(bytes: Uint8Array): Uint8Array {
    if (bytes.length > this.#sizes.maxShared) {
      return copyBytes(bytes);
    }
    if (this.#used + bytes.length > this.#slab.length) {
      this.#slab = new Uint8Array(this.#sizes.bytes);
      this.#used = 0;
    }
    const from = this.#used;
    this.#used += bytes.length;
    this.#slab.set(bytes, from);
    return this.#slab.subarray(from, this.#used);
  }
}
