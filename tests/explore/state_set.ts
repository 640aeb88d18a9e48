/**
 * Rows of numbers in flat arrays, for millions of them.
 *
 * @module
 */

/** Rows per chunk of the arrays, which grow by whole chunks. */
const CHUNK_ROWS = 1 << 14;
/** Share of the slots in use from which on there are made more. */
const MAX_LOAD = 0.6;

/** Rows of unsigned numbers, all of one width, in order. */
export class RowList {
  readonly width: number;
  readonly #chunks: Uint32Array[] = [];
  #size = 0;

  constructor(width: number) {
    this.width = width;
  }

  /** How many rows there are. */
  get size(): number {
    return this.#size;
  }

  /** Adds a row; its index is the old `size`. */
  push(row: Uint32Array): void {
    const at = this.#size % CHUNK_ROWS;
    if (at === 0) {
      this.#chunks.push(new Uint32Array(CHUNK_ROWS * this.width));
    }
    this.#chunks.at(-1)?.set(row.subarray(0, this.width), at * this.width);
    this.#size++;
  }

  /** A number of a row that is there. */
  get(index: number, column: number): number {
    const chunk = this.#chunks[Math.floor(index / CHUNK_ROWS)];
    return chunk?.[(index % CHUNK_ROWS) * this.width + column] ?? 0;
  }

  /** Changes a number of a row that is there. */
  set(index: number, column: number, value: number): void {
    const chunk = this.#chunks[Math.floor(index / CHUNK_ROWS)];
    if (chunk === undefined) throw new RangeError(`Cannot find row ${index}`);
    chunk[(index % CHUNK_ROWS) * this.width + column] = value;
  }

  /** Copies a row out. */
  read(index: number, row: Uint32Array): void {
    const chunk = this.#chunks[Math.floor(index / CHUNK_ROWS)];
    const from = (index % CHUNK_ROWS) * this.width;
    for (let i = 0; i < this.width; i++) row[i] = chunk?.[from + i] ?? 0;
  }

  /** Whether a row begins with these numbers. */
  equals(index: number, row: Uint32Array): boolean {
    const chunk = this.#chunks[Math.floor(index / CHUNK_ROWS)];
    const from = (index % CHUNK_ROWS) * this.width;
    for (let i = 0; i < this.width; i++) {
      if (chunk?.[from + i] !== row[i]) return false;
    }
    return true;
  }
}

/**
 * Different rows, numbered. They are kept exactly, not by their hashes: no
 * two are ever taken for each other.
 */
export class RowSet {
  readonly #rows: RowList;
  /** Number + 1 of the row whose place this is; 0 for nobody. */
  #slots: Uint32Array = new Uint32Array(1 << 12);

  constructor(width: number) {
    this.#rows = new RowList(width);
  }

  /** How many rows there are. */
  get size(): number {
    return this.#rows.size;
  }

  /**
   * The number of a row; of a longer one, its beginning counts. A new one
   * gets the old `size`.
   */
  numberOf(row: Uint32Array): number {
    const mask = this.#slots.length - 1;
    let slot = hash(row, this.#rows.width) & mask;
    for (;;) {
      const used = this.#slots[slot] ?? 0;
      if (used === 0) break;
      if (this.#rows.equals(used - 1, row)) return used - 1;
      slot = (slot + 1) & mask;
    }
    this.#rows.push(row);
    this.#slots[slot] = this.#rows.size;
    if (this.#rows.size > this.#slots.length * MAX_LOAD) this.#grow();
    return this.#rows.size - 1;
  }

  #grow(): void {
    const slots = new Uint32Array(this.#slots.length * 2);
    const mask = slots.length - 1;
    const row = new Uint32Array(this.#rows.width);
    for (let number = 0; number < this.#rows.size; number++) {
      this.#rows.read(number, row);
      let slot = hash(row, row.length) & mask;
      while (slots[slot] !== 0) slot = (slot + 1) & mask;
      slots[slot] = number + 1;
    }
    this.#slots = slots;
  }
}

/** Mixes all bits of the first numbers. */
function hash(row: Uint32Array, width: number): number {
  let h = 0x9e3779b9;
  for (let i = 0; i < width; i++) {
    h = Math.imul(h ^ (row[i] ?? 0), 0x85ebca6b);
    h ^= h >>> 15;
    h = Math.imul(h, 0xc2b2ae35);
    h ^= h >>> 13;
  }
  return h >>> 0;
}
