/**
 * A map ordered by `<` on its keys, with captures that cost O(pages).
 *
 * A sorted list of pages, each a short sorted list of keys and values. Pages
 * are copied before a change if a capture may hold them, so a capture is a
 * copy of the list of pages and stays as it is while the map goes on. One
 * hash table would find keys faster but grows in one stop of the world.
 *
 * @module
 */

/** Most entries of a page. */
const MAX_PAGE_ENTRIES = 128;

/**
 * Two neighbours that have no more together are joined: lower than the limit
 * of a page, so that the next insertion does not split them again.
 */
const JOIN_ENTRIES = 64;

interface Page<V> {
  /** Ascending, at least one. */
  readonly keys: string[];
  /** `values[i]` belongs to `keys[i]`. */
  readonly values: V[];
  /** Captures up to this one may hold the page. */
  readonly generation: number;
}

/** A map as it was; see {@linkcode OrderedMap.capture}. */
export interface OrderedCapture<V> {
  readonly size: number;
  /** All entries, ascending. */
  entries(): IterableIterator<[key: string, value: V]>;
}

/** An ordered map from strings. Values are opaque and never `undefined`. */
export class OrderedMap<V> {
  /**
   * Ascending, their key ranges do not overlap; two neighbours together have
   * more than {@linkcode JOIN_ENTRIES}, so a page has 32 on average at least.
   */
  #pages: Page<V>[] = [];
  /** `#lows[i]` ≤ every key of page i and > every key of page i - 1. */
  #lows: string[] = [];
  #size = 0;
  /** Number of captures taken. */
  #generation = 0;

  /** Number of keys. */
  get size(): number {
    return this.#size;
  }

  /** The value of a key. O(log n). */
  get(key: string): V | undefined {
    const page = this.#pages[this.#pageOf(key)];
    if (page === undefined) {
      return undefined;
    }
    const at = lowerBound(page.keys, key);
    return page.keys[at] === key ? page.values[at] : undefined;
  }

  /** Sets a value; returns the one before. O(log n). */
  set(key: string, value: V): V | undefined {
    const pageAt = this.#pageOf(key);
    const found = this.#pages[pageAt];
    if (found === undefined) {
      this.#insertPage(0, key, this.#page([key], [value]));
      this.#size = 1;
      return undefined;
    }
    const page = this.#own(pageAt, found);
    const at = lowerBound(page.keys, key);
    if (page.keys[at] === key) {
      const before = page.values[at];
      page.values[at] = value;
      return before;
    }
    insertAt(page.keys, at, key);
    insertAt(page.values, at, value);
    this.#size += 1;
    if (at === 0) {
      // The first page takes keys below its low, which must follow.
      this.#lows[pageAt] = key;
    }
    if (page.keys.length > MAX_PAGE_ENTRIES) {
      this.#split(pageAt, page);
    }
    return undefined;
  }

  /** Removes a key; returns its value. O(log n). */
  delete(key: string): V | undefined {
    const pageAt = this.#pageOf(key);
    const found = this.#pages[pageAt];
    if (found === undefined) {
      return undefined;
    }
    const at = lowerBound(found.keys, key);
    if (found.keys[at] !== key) {
      return undefined;
    }
    const page = this.#own(pageAt, found);
    page.keys.splice(at, 1);
    const [before] = page.values.splice(at, 1);
    this.#size -= 1;
    if (page.keys.length === 0) {
      this.#removePage(pageAt);
    } else {
      this.#join(pageAt);
      this.#join(pageAt - 1);
    }
    return before;
  }

  /** Entries from `key` on, ascending; the map must not change meanwhile. */
  *from(key: string): IterableIterator<[key: string, value: V]> {
    let pageAt = this.#pageOf(key);
    let at = lowerBound(this.#pages[pageAt]?.keys ?? [], key);
    for (; pageAt < this.#pages.length; pageAt++, at = 0) {
      const page = this.#pages[pageAt];
      if (page !== undefined) {
        yield* pageEntries(page, at);
      }
    }
  }

  /** The map as of now. O(pages): about one per hundred keys. */
  capture(): OrderedCapture<V> {
    this.#generation += 1;
    const pages = this.#pages.slice();
    return {
      size: this.#size,
      *entries(): IterableIterator<[key: string, value: V]> {
        for (const page of pages) {
          yield* pageEntries(page, 0);
        }
      },
    };
  }

  /**
   * Verifies every invariant; for tests. O(n).
   *
   * @throws {Error} If one is broken.
   */
  check(): void {
    let size = 0;
    let last: string | undefined;
    for (const [at, { keys, values }] of this.#pages.entries()) {
      const next = this.#pages[at + 1];
      assertHolds(keys.length > 0, `page ${at} is not empty`);
      assertHolds(keys.length <= MAX_PAGE_ENTRIES, `page ${at} is bounded`);
      assertHolds(keys.length === values.length, `page ${at} is paired`);
      assertHolds(
        last === undefined || last < (this.#lows[at] ?? ""),
        `low ${at} is above the page before`,
      );
      assertHolds(
        (this.#lows[at] ?? "") <= (keys[0] ?? ""),
        `low ${at} is not above its page`,
      );
      assertHolds(
        next === undefined || keys.length + next.keys.length > JOIN_ENTRIES,
        `page ${at} and the next are too many for one`,
      );
      assertHolds(
        next === undefined || next.generation <= this.#generation,
        `page ${at + 1} is not of the future`,
      );
      for (const key of keys) {
        assertHolds(last === undefined || last < key, `${key} ascends`);
        last = key;
      }
      size += keys.length;
    }
    assertHolds(
      this.#lows.length === this.#pages.length,
      "each page has a low",
    );
    assertHolds(size === this.#size, "the size is the number of keys");
  }

  /** Index of the page that has or would take `key`; 0 if there is none. */
  #pageOf(key: string): number {
    let low = 0;
    let high = this.#lows.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#lows[middle] ?? "") <= key) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low === 0 ? 0 : low - 1;
  }

  #page(keys: string[], values: V[]): Page<V> {
    return { keys, values, generation: this.#generation };
  }

  /** The page itself, or in its place a copy that no capture holds. */
  #own(pageAt: number, page: Page<V>): Page<V> {
    if (page.generation === this.#generation) {
      return page;
    }
    const copy = this.#page(page.keys.slice(), page.values.slice());
    this.#pages[pageAt] = copy;
    return copy;
  }

  /** Halves a page; the last one is left full, for ascending insertions. */
  #split(pageAt: number, page: Page<V>): void {
    const isLast = pageAt === this.#pages.length - 1;
    const from = isLast ? MAX_PAGE_ENTRIES : MAX_PAGE_ENTRIES >>> 1;
    const keys = page.keys.splice(from);
    const values = page.values.splice(from);
    this.#insertPage(pageAt + 1, keys[0] ?? "", this.#page(keys, values));
  }

  /** Joins a page with the next one if both are small. */
  #join(pageAt: number): void {
    const page = this.#pages[pageAt];
    const next = this.#pages[pageAt + 1];
    if (
      page === undefined || next === undefined ||
      page.keys.length + next.keys.length > JOIN_ENTRIES
    ) {
      return;
    }
    this.#pages[pageAt] = this.#page(
      page.keys.concat(next.keys),
      page.values.concat(next.values),
    );
    this.#removePage(pageAt + 1);
  }

  #insertPage(pageAt: number, low: string, page: Page<V>): void {
    insertAt(this.#pages, pageAt, page);
    insertAt(this.#lows, pageAt, low);
  }

  #removePage(pageAt: number): void {
    this.#pages.splice(pageAt, 1);
    this.#lows.splice(pageAt, 1);
  }
}

/** Index of the first of `keys` that is not below `key`. */
function lowerBound(keys: readonly string[], key: string): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((keys[middle] ?? "") < key) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

function insertAt<T>(list: T[], at: number, item: T): void {
  if (at === list.length) {
    list.push(item);
  } else {
    list.splice(at, 0, item);
  }
}

function* pageEntries<V>(
  { keys, values }: Page<V>,
  from: number,
): IterableIterator<[key: string, value: V]> {
  for (let at = from; at < keys.length; at++) {
    const key = keys[at];
    const value = values[at];
    if (key !== undefined && value !== undefined) {
      yield [key, value];
    }
  }
}

function assertHolds(condition: boolean, what: string): void {
  if (!condition) {
    throw new Error(`Cannot trust the ordered map: "${what}" does not hold`);
  }
}
