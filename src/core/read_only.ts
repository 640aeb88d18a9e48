/**
 * Reads that wait for proof of leadership (thesis §6.4).
 *
 * @module
 */
import type { LogIndex, NodeId } from "./types.ts";

/** A read and who asked for it. */
export interface ReadRequest {
  /** Who gets the answer; the leader's own id for its own reads. */
  readonly from: NodeId;
  /** The asker's name for the read. */
  readonly context: number;
}

/** A read whose index was noted when its round began. */
export interface PendingRead extends ReadRequest {
  readonly round: number;
  readonly index: LogIndex;
}

/**
 * Rounds of heartbeats that confirm reads. A round has a number that is never
 * used again in the term, so a late answer cannot confirm a later read (H96);
 * an answer to round k also confirms every round before k. All reads that
 * arrive between two rounds share the next one.
 */
export class ReadOnly {
  /** Reads that wait until the leader has committed in its term (H93). */
  held: ReadRequest[] = [];
  /** Reads whose round is under way or due; ascending in round. */
  #pending: PendingRead[] = [];
  /** The highest round each member has answered. */
  readonly #acked: Map<NodeId, number> = new Map();
  /** The newest round that was sent; 0 before the first. */
  #round = 0;
  /** Whether reads wait for a round that is not sent yet: `#round + 1`. */
  #isRoundDue = false;
  readonly #self: NodeId;
  /** The highest round a member answered; our own answer is implied. */
  readonly ackedBy: (id: NodeId) => number = (id) =>
    id === this.#self ? this.#round : this.#acked.get(id) ?? 0;

  constructor(self: NodeId) {
    this.#self = self;
  }

  /** Reads that wait, held ones included. */
  get count(): number {
    return this.held.length + this.#pending.length;
  }

  /** Whether reads wait for a round that is not sent yet. */
  get isRoundDue(): boolean {
    return this.#isRoundDue;
  }

  /** Whether reads wait for answers. */
  get hasPending(): boolean {
    return this.#pending.length > 0;
  }

  /** Adds a read to the round that is sent next. */
  add(request: ReadRequest, index: LogIndex): void {
    const { from, context } = request;
    this.#pending.push({ from, context, round: this.#round + 1, index });
    this.#isRoundDue = true;
  }

  /**
   * The number for heartbeats sent now: of a new round, if reads wait for
   * one; else of the newest one still under way; 0 for none.
   */
  nextRound(): number {
    if (this.#isRoundDue) {
      this.#isRoundDue = false;
      this.#round++;
    }
    return this.#pending.length > 0 ? this.#round : 0;
  }

  /** Notes that a member answered a round. */
  acknowledge(from: NodeId, round: number): void {
    // One that was never sent confirms nothing.
    if (round > this.#round) return;
    if (round > (this.#acked.get(from) ?? 0)) this.#acked.set(from, round);
  }

  /** Takes the reads that rounds up to `confirmed` have confirmed. */
  take(confirmed: number): PendingRead[] {
    let done = 0;
    while ((this.#pending[done]?.round ?? Infinity) <= confirmed) done++;
    return done === 0 ? [] : this.#pending.splice(0, done);
  }

  /** Takes the reads that were held back. */
  takeHeld(): ReadRequest[] {
    const held = this.held;
    this.held = [];
    return held;
  }

  /** Forgets everything: the term is over. */
  reset(): void {
    this.held = [];
    this.#pending = [];
    this.#acked.clear();
    this.#round = 0;
    this.#isRoundDue = false;
  }
}
