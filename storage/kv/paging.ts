/**
 * Lists rows of an engine that returns them a page at a time: pages are of
 * about a megabyte, however large the rows are, and no cursor stays open
 * while somebody thinks about a row.
 *
 * @module
 */
import { joinBytes } from "./bytes.ts";
import type { KvRange, KvRow } from "./ordered_kv.ts";

const PAGE_BYTES = 1 << 20;
const MAX_PAGE_ROWS = 512;
const FIRST_PAGE_ROWS = 4;
const ZERO = new Uint8Array(1);

/** Which rows of a range make the next page. */
export interface Page {
  /** Inclusive. */
  readonly start: Uint8Array;
  /** Exclusive. */
  readonly end: Uint8Array;
  /** At most this many rows, from the side that the range begins with. */
  readonly limit: number;
}

/** The rows of a range, page by page. */
export async function* pageRows(
  range: KvRange,
  read: (page: Page) => readonly KvRow[] | Promise<readonly KvRow[]>,
): AsyncGenerator<KvRow> {
  let { start, end } = range;
  let left = range.limit ?? Infinity;
  let size = FIRST_PAGE_ROWS;
  while (left > 0) {
    const limit = Math.min(left, size);
    const rows = await read({ start, end, limit });
    let bytes = 1;
    for (const row of rows) {
      bytes += row[0].length + row[1].length;
      yield row;
    }
    const last = rows.at(-1);
    if (last === undefined || rows.length < limit) return;
    left -= rows.length;
    if (range.reverse === true) end = last[0];
    // The smallest key behind it.
    else start = joinBytes([last[0], ZERO]);
    const fitting = Math.floor(PAGE_BYTES * rows.length / bytes);
    size = Math.max(1, Math.min(MAX_PAGE_ROWS, 8 * size, fitting));
  }
}
