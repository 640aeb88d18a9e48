/**
 * Writes the few CBOR forms that Balsa puts on disk and wire, straight into
 * one growing buffer: a frame of a thousand entries costs no allocation of
 * its own. Reading goes through `codec.ts`.
 *
 * @module
 */

/** What {@linkcode CborWriter.value} can write. */
export type PlainValue = number | boolean | null | string | readonly unknown[];

const UINT = 0x00;
const BYTES = 0x40;
const TEXT = 0x60;
const ARRAY = 0x80;
const TWO_POW_32 = 0x1_0000_0000;
const MAX_HEAD_BYTES = 9;

const utf8 = new TextEncoder();

/** Appends CBOR items to a buffer that grows by doubling. */
export class CborWriter {
  /** Holds what was written in `[0, #length)`. */
  #buffer: Uint8Array;
  #length = 0;
  #items = 0;

  /** Starts with room for `capacity` bytes; at least 16. */
  constructor(capacity = 256) {
    this.#buffer = new Uint8Array(Math.max(16, capacity));
  }

  /** Bytes written. */
  get length(): number {
    return this.#length;
  }

  /** Items written: heads, that is; raw bytes count none. */
  get items(): number {
    return this.#items;
  }

  /** Bytes the buffer has room for. */
  get capacity(): number {
    return this.#buffer.length;
  }

  /** Writes an integer of `[0, 2^53)`. */
  uint(value: number): void {
    this.#head(UINT, value);
  }

  /** Writes `true` or `false`. */
  bool(value: boolean): void {
    this.#items++;
    this.byte(value ? 0xf5 : 0xf4);
  }

  /** Writes `null`. */
  null(): void {
    this.#items++;
    this.byte(0xf6);
  }

  /** Starts an array of `count` items, which must follow. */
  array(count: number): void {
    this.#head(ARRAY, count);
  }

  /** Writes a byte string. */
  bytes(value: Uint8Array): void {
    this.#head(BYTES, value.length);
    this.raw(value);
  }

  /** Writes a text string as UTF-8. */
  text(value: string): void {
    const encoded = utf8.encode(value);
    this.#head(TEXT, encoded.length);
    this.raw(encoded);
  }

  /** Writes plain data: integers, booleans, null, text, arrays of these. */
  value(value: unknown): void {
    if (typeof value === "number") this.uint(value);
    else if (typeof value === "boolean") this.bool(value);
    else if (typeof value === "string") this.text(value);
    else if (value === null) this.null();
    else if (value instanceof Uint8Array) this.bytes(value);
    else if (Array.isArray(value)) {
      this.array(value.length);
      for (const item of value) this.value(item);
    } else {
      throw new TypeError(
        `Cannot write CBOR: a value is of type ${typeof value}, wanted plain data`,
      );
    }
  }

  /** Appends one byte as it is. */
  byte(value: number): void {
    this.#ensure(1);
    this.#buffer[this.#length++] = value;
  }

  /** Appends bytes as they are. */
  raw(value: Uint8Array): void {
    this.#ensure(value.length);
    this.#buffer.set(value, this.#length);
    this.#length += value.length;
  }

  /** Leaves `count` bytes to be filled by {@linkcode patch}. */
  reserve(count: number): void {
    this.#ensure(count);
    this.#length += count;
  }

  /** Overwrites two or four bytes at `offset`, most significant first. */
  patch(offset: number, width: 2 | 4, value: number): void {
    for (let at = offset + width - 1; at >= offset; at--) {
      this.#buffer[at] = value & 0xff;
      value = Math.floor(value / 256);
    }
  }

  /** Overwrites the byte at `offset`. */
  patchByte(offset: number, value: number): void {
    this.#buffer[offset] = value;
  }

  /** Moves what was written from `offset` on by `count` bytes. */
  insert(offset: number, count: number): void {
    this.#ensure(count);
    this.#buffer.copyWithin(offset + count, offset, this.#length);
    this.#length += count;
  }

  /** Forgets everything after the first `length` bytes. */
  truncate(length: number): void {
    this.#length = length;
  }

  /**
   * Hands out what was written and goes on with `next` as its buffer. The
   * result is the caller's.
   */
  take(next: Uint8Array = new Uint8Array(256)): Uint8Array {
    const taken = this.#buffer.subarray(0, this.#length);
    this.#buffer = next;
    this.#length = 0;
    this.#items = 0;
    return taken;
  }

  /** Hands out what was written in a buffer of exactly that size. */
  finish(): Uint8Array {
    return this.#buffer.slice(0, this.#length);
  }

  /** Writes an item head in its shortest form. */
  #head(major: number, value: number): void {
    this.#items++;
    this.#ensure(MAX_HEAD_BYTES);
    const buffer = this.#buffer;
    let at = this.#length;
    if (value < 24) {
      buffer[at++] = major | value;
    } else if (value < 0x100) {
      buffer[at++] = major | 24;
      buffer[at++] = value;
    } else if (value < 0x1_0000) {
      buffer[at++] = major | 25;
      buffer[at++] = value >>> 8;
      buffer[at++] = value & 0xff;
    } else {
      at = writeWideHead(buffer, at, major, value);
    }
    this.#length = at;
  }

  #ensure(count: number): void {
    const wanted = this.#length + count;
    if (wanted <= this.#buffer.length) return;
    const grown = new Uint8Array(Math.max(wanted, 2 * this.#buffer.length));
    grown.set(this.#buffer.subarray(0, this.#length));
    this.#buffer = grown;
  }
}

/** Writes a head whose value takes four or eight bytes; returns its end. */
function writeWideHead(
  buffer: Uint8Array,
  at: number,
  major: number,
  value: number,
): number {
  // Bit operators see 32 bits only (H122), hence the division.
  const high = Math.floor(value / TWO_POW_32);
  buffer[at++] = major | (high === 0 ? 26 : 27);
  if (high > 0) {
    buffer[at++] = high >>> 24;
    buffer[at++] = (high >>> 16) & 0xff;
    buffer[at++] = (high >>> 8) & 0xff;
    buffer[at++] = high & 0xff;
  }
  buffer[at++] = (value >>> 24) & 0xff;
  buffer[at++] = (value >>> 16) & 0xff;
  buffer[at++] = (value >>> 8) & 0xff;
  buffer[at++] = value & 0xff;
  return at;
}
