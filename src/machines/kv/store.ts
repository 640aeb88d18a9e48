/**
 * The content of the key-value machine: keys, values, revisions, a digest.
 *
 * @module
 */
import { hashBytes, hashInteger, hashText } from "../../checksum.ts";
import { type OrderedCapture, OrderedMap } from "./ordered_map.ts";

/** What is stored of a key. Never changed, so that captures may hold it. */
export interface StoredValue {
  readonly value: Uint8Array;
  /** That of the key's last write. */
  readonly revision: number;
  /** What key, value and revision add to the store's digest. */
  readonly hash: number;
}

/** A store at one instant. */
export interface StoreCapture {
  readonly revision: number;
  readonly digest: number;
  /** By sort key. */
  readonly values: OrderedCapture<StoredValue>;
}

/** Keys are sort keys here, see `key_order.ts`. */
export class Store {
  readonly #values = new OrderedMap<StoredValue>();
  /** ≥ the revision of every stored value. */
  #revision: number;
  /** Sum of the hashes of all stored values, modulo 2^32: order-free. */
  #digest = 0;

  /** An empty store that has given out the revisions up to `revision`. */
  constructor(revision = 0) {
    this.#revision = revision;
  }

  /** The revision given out last. */
  get revision(): number {
    return this.#revision;
  }

  /** Number of keys. */
  get size(): number {
    return this.#values.size;
  }

  /**
   * A digest of the whole content, equal exactly if (but for accident) the
   * contents are, however they came about. O(1).
   */
  get digest(): number {
    return hashInteger(this.#revision, this.#digest);
  }

  /** What is stored of a key. O(log n). */
  get(sortKey: string): StoredValue | undefined {
    return this.#values.get(sortKey);
  }

  /** Gives out the next revision. */
  nextRevision(): number {
    this.#revision += 1;
    return this.#revision;
  }

  /** Stores a value at a revision that was given out. O(log n). */
  put(sortKey: string, value: Uint8Array, revision: number): void {
    const hash = hashBytes(value, hashInteger(revision, hashText(sortKey)));
    const before = this.#values.set(sortKey, { value, revision, hash });
    this.#digest = (this.#digest + hash - (before?.hash ?? 0)) >>> 0;
  }

  /** Removes a key; tells whether it was there. O(log n). */
  delete(sortKey: string): boolean {
    const before = this.#values.delete(sortKey);
    this.#digest = (this.#digest - (before?.hash ?? 0)) >>> 0;
    return before !== undefined;
  }

  /** Keys from `sortKey` on, in order; the store must not change meanwhile. */
  from(sortKey: string): IterableIterator<[sortKey: string, StoredValue]> {
    return this.#values.from(sortKey);
  }

  /** The store as of now. */
  capture(): StoreCapture {
    return {
      revision: this.#revision,
      digest: this.digest,
      values: this.#values.capture(),
    };
  }
}
