/** Where entries lie, against a map that knows it entry by entry. */
import { describe, it } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { EntryIndex, type RecordPlace } from "../../storage/wal/entry_index.ts";
import { LiveBytes } from "../../storage/wal/live_bytes.ts";

const STEPS = 400;
const SEEDS = 30;

/** Mulberry32. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** An index, and the place of every entry by itself. */
class Pair {
  readonly #random: () => number;
  readonly live = new LiveBytes();
  readonly index = new EntryIndex(this.live);
  readonly places = new Map<number, RecordPlace>();
  #first = 1;
  #last = 0;
  #offset = 0;

  constructor(seed: number) {
    this.#random = generator(seed);
  }

  step(): void {
    const choice = this.#random();
    if (choice < 0.6) this.#push();
    else if (choice < 0.8) this.#move();
    else this.#drop();
  }

  check(): void {
    for (let index = this.#first; index <= this.#last; index++) {
      const row = this.index.rowOf(index);
      assertEquals(this.index.placeOf(row), this.places.get(index), `${index}`);
    }
    const bytes = new Map<number, number>();
    const records = new Map<number, number>();
    for (let row = 0; row < this.index.rows; row++) {
      const { segment, ...place } = this.index.placeOf(row);
      bytes.set(segment, (bytes.get(segment) ?? 0) + place.bytes);
      records.set(segment, (records.get(segment) ?? 0) + 1);
    }
    let total = 0;
    for (let segment = 0; segment < 10; segment++) {
      assertEquals(this.live.recordsIn(segment), records.get(segment) ?? 0);
      assertEquals(
        this.index.firstsIn(segment).length,
        records.get(segment) ?? 0,
      );
      total += bytes.get(segment) ?? 0;
    }
    assertEquals(this.live.bytes, total);
  }

  /** Entries behind the last, or instead of some. */
  #push(): void {
    const isCut = this.#random() < 0.2;
    const span = this.#last + 1 - this.#first;
    const first = isCut ? this.#first + this.#pick(span + 1) : this.#last + 1;
    const place = this.#place();
    this.index.push(first, place);
    for (let at = first; at <= this.#last; at++) this.places.delete(at);
    this.#last = first + this.#pick(6);
    this.#put(first, this.#last, place);
  }

  #move(): void {
    if (this.#first > this.#last) return;
    const from = this.#first + this.#pick(this.#last + 1 - this.#first);
    const through = from + this.#pick(this.#last + 1 - from);
    const place = this.#place();
    this.index.move({ from, through }, this.#last, place);
    this.#put(from, through, place);
  }

  #drop(): void {
    if (this.#first > this.#last) return;
    const through = this.#first + this.#pick(this.#last + 1 - this.#first);
    if (through < this.#last) this.index.dropThrough(through);
    else this.index.clear();
    for (let at = this.#first; at <= through; at++) this.places.delete(at);
    this.#first = through + 1;
  }

  #put(from: number, through: number, place: RecordPlace): void {
    for (let at = from; at <= through; at++) this.places.set(at, place);
  }

  #place(): RecordPlace {
    this.#offset += 100;
    return {
      segment: this.#pick(10),
      offset: this.#offset,
      bytes: 1 + this.#pick(100),
      checksum: this.#pick(2 ** 32),
    };
  }

  #pick(count: number): number {
    return Math.floor(this.#random() * count);
  }
}

describe("EntryIndex", () => {
  it("knows where each entry lies, whatever is replaced, moved and dropped, and counts what lives", () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const pair = new Pair(seed);
      for (let i = 0; i < STEPS; i++) {
        pair.step();
        pair.check();
      }
    }
  });

  it("gives memory back when most is dropped, replaced or cleared", () => {
    const place = { segment: 1, offset: 0, bytes: 1, checksum: 0 };
    const ends: ((index: EntryIndex) => void)[] = [
      (index) => index.dropThrough(9_990),
      (index) => index.push(10, place),
      (index) => index.clear(),
    ];
    for (const end of ends) {
      const index = new EntryIndex();
      for (let at = 1; at <= 10_000; at++) index.push(at, place);
      end(index);
      assert(index.rows <= 10);
      assert(index.capacity <= 64, `${index.capacity}`);
    }
    const index = new EntryIndex();
    for (let at = 1; at <= 10_000; at++) index.push(at, place);
    index.dropThrough(9_990);
    assertEquals(index.firstOf(0), 9_991);
    for (let at = 10_001; at <= 10_100; at++) index.push(at, place);
    assertEquals(index.rowOf(10_050), 59);
    assert(index.rowOf(9_990) < 0);
  });

  it("leaves nothing of segments that are forgotten", () => {
    const live = new LiveBytes();
    const index = new EntryIndex(live);
    for (let segment = 1; segment <= 100; segment++) {
      index.push(segment, { segment, offset: 0, bytes: 7, checksum: 0 });
      if (segment > 1) index.dropThrough(segment - 1);
      live.forget(segment - 1);
    }
    assertEquals(live.bytes, 7);
    assertEquals(live.recordsIn(100), 1);
    assert(live.segments <= 3, `${live.segments}`);
  });
});
