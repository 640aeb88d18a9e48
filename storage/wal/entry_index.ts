/**
 * Where the entries of a group lie: one row per record, in typed arrays, so
 * that a million entries cost some megabytes and no garbage.
 *
 * @module
 */
import type { LogIndex } from "../../src/core/types.ts";

const INITIAL_ROWS = 16;

/** Where a record lies. */
export interface RecordPlace {
  /** Number of the segment. */
  readonly segment: number;
  /** In its file. */
  readonly offset: number;
  readonly bytes: number;
  /** Of the record, as written: bytes that merely look right are not it. */
  readonly checksum: number;
}

/**
 * Maps indexes to records. Row `i` holds the entries from its first index to
 * the one before the first index of row `i + 1`: what a record holds beyond
 * that was replaced. First indexes rise strictly.
 */
export class EntryIndex {
  #count = 0;
  #first = new Float64Array(INITIAL_ROWS);
  #segment = new Float64Array(INITIAL_ROWS);
  #offset = new Float64Array(INITIAL_ROWS);
  #bytes = new Uint32Array(INITIAL_ROWS);
  #checksum = new Uint32Array(INITIAL_ROWS);

  /** Number of rows. */
  get rows(): number {
    return this.#count;
  }

  /** Adds the record that holds the entries from `first` on, and drops what it replaces. */
  push(first: LogIndex, place: RecordPlace): void {
    let row = this.#count;
    while (row > 0 && this.firstOf(row - 1) >= first) row--;
    if (row === this.#first.length) this.#grow();
    this.#first[row] = first;
    this.#segment[row] = place.segment;
    this.#offset[row] = place.offset;
    this.#bytes[row] = place.bytes;
    this.#checksum[row] = place.checksum;
    this.#count = row + 1;
  }

  /** Index of the first entry of a row; infinite beyond the last row. */
  firstOf(row: number): LogIndex {
    return row < this.#count ? this.#first[row] ?? Infinity : Infinity;
  }

  /** Where the record of a row lies. */
  placeOf(row: number): RecordPlace {
    return {
      segment: this.#segment[row] ?? 0,
      offset: this.#offset[row] ?? 0,
      bytes: this.#bytes[row] ?? 0,
      checksum: this.#checksum[row] ?? 0,
    };
  }

  /** The row that holds `index`, or -1 if that lies before all. */
  rowOf(index: LogIndex): number {
    let low = 0;
    let high = this.#count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.firstOf(middle) <= index) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  #grow(): void {
    const rows = 2 * this.#first.length;
    this.#first = copyInto(new Float64Array(rows), this.#first);
    this.#segment = copyInto(new Float64Array(rows), this.#segment);
    this.#offset = copyInto(new Float64Array(rows), this.#offset);
    this.#bytes = copyInto(new Uint32Array(rows), this.#bytes);
    this.#checksum = copyInto(new Uint32Array(rows), this.#checksum);
  }
}

function copyInto<T extends { set(from: T): void }>(to: T, from: T): T {
  to.set(from);
  return to;
}
