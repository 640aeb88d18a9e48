/**
 * The states found so far, without those that others cover.
 *
 * A state covers another if all members are in the same states, at least the
 * same messages are on their way, and no more of the bounds is used up. As
 * messages stay on their way, whatever can come of a state can come of one
 * that covers it; so nothing is lost when it is left out.
 *
 * @module
 */
import { isWithin } from "./budget.ts";
import type { Mailbox } from "./mailbox.ts";
import { RowList, RowSet } from "./state_set.ts";

/** Columns of the rows that say how states hang together. */
const PARENT = 0;
const NEXT = 1;
const COVERED = 2;
const DEPTH = 3;
const COLUMNS = 4;

/** States, of which none covers another one found later. */
export class Cover {
  readonly #mailboxes: readonly Mailbox[];
  readonly #states: RowList;
  readonly #links: RowList = new RowList(COLUMNS);
  /** The states of all members together, without the messages. */
  readonly #cores: RowSet;
  /** For each of them, the index + 1 of the newest state, or 0. */
  readonly #heads: number[] = [];
  readonly #link: Uint32Array = new Uint32Array(COLUMNS);
  /** States left out because another covered them. */
  covered = 0;
  /** Steps to the farthest state. */
  depth = 0;

  constructor(mailboxes: readonly Mailbox[]) {
    this.#mailboxes = mailboxes;
    this.#states = new RowList(2 * mailboxes.length + 1);
    this.#cores = new RowSet(mailboxes.length);
  }

  /** How many states were ever added. */
  get size(): number {
    return this.#states.size;
  }

  /** How many combinations of member states there are. */
  get coreCount(): number {
    return this.#cores.size;
  }

  /**
   * Adds a state, unless another covers it.
   *
   * @param parent Index of the state it was found from.
   * @returns Whether it was added.
   */
  add(row: Uint32Array, parent: number): boolean {
    const core = this.#cores.numberOf(row);
    let before = -1;
    for (let at = this.#heads[core] ?? 0; at !== 0;) {
      const index = at - 1;
      if (this.#covers(index, row)) return false;
      at = this.#links.get(index, NEXT);
      if (!this.#isCoveredBy(index, row)) before = index;
      else {
        this.#links.set(index, COVERED, 1);
        this.covered++;
        if (before < 0) this.#heads[core] = at;
        else this.#links.set(before, NEXT, at);
      }
    }
    this.#link[PARENT] = parent;
    this.#link[NEXT] = this.#heads[core] ?? 0;
    const depth = this.size === 0 ? 0 : this.#links.get(parent, DEPTH) + 1;
    this.#link[DEPTH] = depth;
    this.depth = Math.max(this.depth, depth);
    this.#states.push(row);
    this.#links.push(this.#link);
    this.#heads[core] = this.#states.size;
    return true;
  }

  /** Whether a state is there that covers this one. */
  isKnown(row: Uint32Array): boolean {
    const core = this.#cores.numberOf(row);
    for (let at = this.#heads[core] ?? 0; at !== 0;) {
      if (this.#covers(at - 1, row)) return true;
      at = this.#links.get(at - 1, NEXT);
    }
    return false;
  }

  /** Whether a state found later covers this one. */
  isCovered(index: number): boolean {
    return this.#links.get(index, COVERED) === 1;
  }

  /** Copies a state out. */
  read(index: number, row: Uint32Array): void {
    this.#states.read(index, row);
  }

  /** The index of the state that a state was found from. */
  parentOf(index: number): number {
    return this.#links.get(index, PARENT);
  }

  #covers(index: number, row: Uint32Array): boolean {
    const width = this.#mailboxes.length;
    const used = this.#states.get(index, 2 * width);
    if (!isWithin(used, row[2 * width] ?? 0)) return false;
    for (let i = 0; i < width; i++) {
      const other = this.#states.get(index, width + i);
      const mailbox = this.#mailboxes[i];
      if (mailbox?.isSubset(row[width + i] ?? 0, other) !== true) return false;
    }
    return true;
  }

  #isCoveredBy(index: number, row: Uint32Array): boolean {
    const width = this.#mailboxes.length;
    const used = this.#states.get(index, 2 * width);
    if (!isWithin(row[2 * width] ?? 0, used)) return false;
    for (let i = 0; i < width; i++) {
      const other = this.#states.get(index, width + i);
      const mailbox = this.#mailboxes[i];
      if (mailbox?.isSubset(other, row[width + i] ?? 0) !== true) return false;
    }
    return true;
  }
}
