/**
 * The newest entries of the log, in memory.
 *
 * @module
 */
import { InvariantError } from "./invariant.ts";
import { type Entry, entryBytes, type LogIndex } from "./types.ts";

/** Dead slots at the front before the array is shortened. */
const MAX_DEAD_SLOTS = 1_024;

/** A stretch of entries and its size. */
export interface Slice {
  readonly entries: readonly Entry[];
  /** Sum of their `entryBytes`. */
  readonly bytes: number;
}

const EMPTY_SLICE: Slice = { entries: [], bytes: 0 };

/**
 * A contiguous run of entries that ends at the log's last index. Appends at
 * the end, cuts a conflicting suffix, forgets from the front.
 */
export class Tail {
  /** Index of the oldest entry held; one behind the last when empty. */
  firstIndex: LogIndex;
  /** Slot i holds the entry `firstIndex + i - #head`. */
  #slots: (Entry | undefined)[];
  /** Slots at the front that were forgotten. */
  #head = 0;
  /** Sum of `entryBytes` of what is held. */
  #bytes = 0;
  /**
   * The slice handed out last: followers in step get the very same array, so
   * that it is copied and encoded once. Forgotten on truncation.
   */
  #lastSlice: Slice = EMPTY_SLICE;

  constructor(firstIndex: LogIndex, entries: readonly Entry[]) {
    this.firstIndex = firstIndex;
    this.#slots = [];
    for (const entry of entries) this.push(entry);
  }

  /** Bytes held. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Last index held; `firstIndex - 1` when empty. */
  get lastIndex(): LogIndex {
    return this.firstIndex + this.#slots.length - this.#head - 1;
  }

  /** Adds the entry behind the last. */
  push(entry: Entry): void {
    // Spelled out where it is hot: the text is made only when it is needed.
    if (entry.index !== this.lastIndex + 1) {
      throw new InvariantError(
        `entry ${entry.index} appended behind ${this.lastIndex}`,
      );
    }
    this.#slots.push(entry);
    this.#bytes += entryBytes(entry);
  }

  /** The entry at `index`, if held. */
  at(index: LogIndex): Entry | undefined {
    if (index < this.firstIndex) return undefined;
    return this.#slots[index - this.firstIndex + this.#head];
  }

  /**
   * Entries from `from` through `through` that together stay within
   * `maxBytes`; one at least. The array is not changed afterwards.
   */
  slice(from: LogIndex, through: LogIndex, maxBytes: number): Slice {
    if (through < from) return EMPTY_SLICE;
    const last = this.#lastSlice;
    if (
      last.entries[0]?.index === from &&
      last.entries.at(-1)?.index === through &&
      last.bytes <= maxBytes
    ) return last;
    const start = from - this.firstIndex + this.#head;
    let end = start;
    let bytes = 0;
    const stop = through - this.firstIndex + this.#head + 1;
    for (; end < stop; end++) {
      const entry = this.#slots[end];
      if (entry === undefined) {
        throw new InvariantError(`entry ${from} is not in the tail`);
      }
      const size = entryBytes(entry);
      if (end > start && bytes + size > maxBytes) break;
      bytes += size;
    }
    const entries = this.#slots.slice(start, end) as Entry[];
    return this.#lastSlice = { entries, bytes };
  }

  /** Drops everything from `from` on. */
  truncate(from: LogIndex): void {
    this.#lastSlice = EMPTY_SLICE;
    while (this.#slots.length > this.#head && this.lastIndex >= from) {
      const entry = this.#slots.pop();
      if (entry !== undefined) this.#bytes -= entryBytes(entry);
    }
    if (this.#slots.length === this.#head) this.reset(from);
  }

  /** Forgets entries up to `through` until at most `maxBytes` are held. */
  evict(through: LogIndex, maxBytes: number): void {
    while (this.#bytes > maxBytes && this.firstIndex <= through) {
      const entry = this.#slots[this.#head];
      if (entry === undefined) break;
      this.#bytes -= entryBytes(entry);
      this.#slots[this.#head] = undefined;
      this.#head++;
      this.firstIndex++;
    }
    if (this.#head > MAX_DEAD_SLOTS && this.#head * 2 > this.#slots.length) {
      this.#slots = this.#slots.slice(this.#head);
      this.#head = 0;
    }
  }

  /** Forgets everything; the next entry will be `firstIndex`. */
  reset(firstIndex: LogIndex): void {
    this.#slots = [];
    this.#head = 0;
    this.#bytes = 0;
    this.#lastSlice = EMPTY_SLICE;
    this.firstIndex = firstIndex;
  }
}
