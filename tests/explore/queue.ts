/**
 * What is to be done, the least advanced first.
 *
 * @module
 */

/** Indexes by rank; those of one rank in the order they came. */
export class RankQueue {
  /** One list per rank; the first `#taken` of it are done. */
  readonly #lists: Map<number, { indexes: number[]; taken: number }> =
    new Map();
  /** Ranks that are not empty, as a heap: the least on top. */
  readonly #ranks: number[] = [];

  /** Puts an index in. */
  push(index: number, rank: number): void {
    let list = this.#lists.get(rank);
    if (list === undefined) {
      list = { indexes: [], taken: 0 };
      this.#lists.set(rank, list);
      this.#raise(rank);
    }
    list.indexes.push(index);
  }

  /** Takes the oldest index of the least rank; `undefined` if there is none. */
  pop(): number | undefined {
    const rank = this.#ranks[0];
    const list = rank === undefined ? undefined : this.#lists.get(rank);
    if (rank === undefined || list === undefined) return undefined;
    const index = list.indexes[list.taken++];
    if (list.taken === list.indexes.length) {
      this.#lists.delete(rank);
      this.#lower();
    }
    return index;
  }

  #raise(rank: number): void {
    const heap = this.#ranks;
    let at = heap.push(rank) - 1;
    while (at > 0) {
      const above = (at - 1) >> 1;
      const other = heap[above] ?? 0;
      if (other <= rank) break;
      heap[at] = other;
      at = above;
    }
    heap[at] = rank;
  }

  #lower(): void {
    const heap = this.#ranks;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      if (below >= heap.length) break;
      const right = heap[below + 1];
      if (right !== undefined && right < (heap[below] ?? 0)) below++;
      const other = heap[below] ?? 0;
      if (other >= last) break;
      heap[at] = other;
      at = below;
    }
    heap[at] = last;
  }
}
