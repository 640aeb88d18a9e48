/**
 * Where the entries of a group lie: one row per record, in typed arrays, so
 * that a million entries cost some megabytes and no garbage.
 *
 * @module
 */
import type { LogIndex } from "../../src/core/types.ts";
import { LiveBytes } from "./live_bytes.ts";

const INITIAL_ROWS = 16;

/** Where a record lies. */
export interface RecordPlace {
  /** Number of the segment; `GONE` if that is gone. */
  readonly segment: number;
  /** In its file. */
  readonly offset: number;
  readonly bytes: number;
  /** Of the record, as written: bytes that merely look right are not it. */
  readonly checksum: number;
}

/** Entries, both ends included. */
export interface EntryRange {
  readonly from: LogIndex;
  readonly through: LogIndex;
}

/**
 * Maps indexes to records. Row `i` holds the entries from its first index to
 * the one before the first index of row `i + 1`: what its record holds beside
 * that was replaced, dropped or moved. First indexes rise strictly. Every row
 * is counted as one live record.
 */
export class EntryIndex {
  readonly #live: LiveBytes;
  #count = 0;
  #first = new Float64Array(INITIAL_ROWS);
  #segment = new Uint32Array(INITIAL_ROWS);
  #offset = new Uint32Array(INITIAL_ROWS);
  #bytes = new Uint32Array(INITIAL_ROWS);
  #checksum = new Uint32Array(INITIAL_ROWS);

  /** An empty one, whose rows `live` counts. */
  constructor(live: LiveBytes = new LiveBytes()) {
    this.#live = live;
  }

  /** Number of rows. */
  get rows(): number {
    return this.#count;
  }

  /** Rows there is memory for: at most four times those there are, or a few. */
  get capacity(): number {
    return this.#first.length;
  }

  /** Adds the record that holds the entries from `first` on, and drops what it replaces. */
  push(first: LogIndex, place: RecordPlace): void {
    let row = this.#count;
    while (row > 0 && this.firstOf(row - 1) >= first) row--;
    if (row < this.#count) this.#discount(row, this.#count);
    if (row === this.#first.length) this.#grow();
    const isCut = row < this.#count;
    this.#count = row + 1;
    this.#set(row, first, place);
    if (isCut) this.#shrink();
  }

  /** Drops the entries through an index that is not the last. */
  dropThrough(index: LogIndex): void {
    const row = this.rowOf(index + 1);
    if (row < 0) return;
    this.#discount(0, row);
    this.#splice(0, row, 0);
    this.#first[0] = index + 1;
  }

  /** Drops all rows. */
  clear(): void {
    this.#discount(0, this.#count);
    this.#count = 0;
    this.#shrink();
  }

  /**
   * Notes that entries which are there lie elsewhere now. `last` is the index
   * of the last entry of all.
   */
  move(range: EntryRange, last: LogIndex, place: RecordPlace): void {
    const { from, through } = range;
    const firstRow = this.rowOf(from);
    const lastRow = this.rowOf(through);
    const isHeadKept = this.firstOf(firstRow) < from;
    const rest = this.placeOf(lastRow);
    const end = Math.min(last + 1, this.firstOf(lastRow + 1));
    const isRestKept = through + 1 < end;
    const at = isHeadKept ? firstRow + 1 : firstRow;
    this.#discount(at, lastRow + 1);
    this.#splice(at, lastRow + 1 - at, isRestKept ? 2 : 1);
    this.#set(at, from, place);
    if (isRestKept) this.#set(at + 1, through + 1, rest);
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

  /** First indexes of the rows whose records lie in a segment. */
  firstsIn(segment: number): LogIndex[] {
    const firsts: LogIndex[] = [];
    for (let row = 0; row < this.#count; row++) {
      if (this.#segment[row] === segment) firsts.push(this.firstOf(row));
    }
    return firsts;
  }

  #set(row: number, first: LogIndex, place: RecordPlace): void {
    this.#first[row] = first;
    this.#segment[row] = place.segment;
    this.#offset[row] = place.offset;
    this.#bytes[row] = place.bytes;
    this.#checksum[row] = place.checksum;
    this.#live.add(place.segment, place.bytes);
  }

  #discount(from: number, to: number): void {
    for (let row = from; row < to; row++) {
      this.#live.remove(this.#segment[row] ?? 0, this.#bytes[row] ?? 0);
    }
  }

  /** Makes room for `added` rows in the place of `removed` ones. */
  #splice(at: number, removed: number, added: number): void {
    if (removed === added) return;
    const count = this.#count + added - removed;
    while (count > this.#first.length) this.#grow();
    const [to, from, end] = [at + added, at + removed, this.#count];
    this.#first.copyWithin(to, from, end);
    this.#segment.copyWithin(to, from, end);
    this.#offset.copyWithin(to, from, end);
    this.#bytes.copyWithin(to, from, end);
    this.#checksum.copyWithin(to, from, end);
    this.#count = count;
    this.#shrink();
  }

  #grow(): void {
    this.#resize(2 * this.#first.length);
  }

  /** Gives memory back if most of it is not used. */
  #shrink(): void {
    if (this.#count >= this.#first.length / 4) return;
    this.#resize(Math.max(INITIAL_ROWS, 2 * this.#count));
  }

  #resize(rows: number): void {
    if (rows === this.#first.length) return;
    this.#first = resized(new Float64Array(rows), this.#first);
    this.#segment = resized(new Uint32Array(rows), this.#segment);
    this.#offset = resized(new Uint32Array(rows), this.#offset);
    this.#bytes = resized(new Uint32Array(rows), this.#bytes);
    this.#checksum = resized(new Uint32Array(rows), this.#checksum);
  }
}

function resized<T extends Float64Array | Uint32Array>(to: T, from: T): T {
  to.set(from.length > to.length ? from.subarray(0, to.length) : from);
  return to;
}
