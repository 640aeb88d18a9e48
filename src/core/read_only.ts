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
 * an answer to round k also confirms every round before k.
 */
export class ReadOnly {
  /** Reads that wait until the leader has committed in its term (H93). */
  held: ReadRequest[] = [];
  /** Reads whose round is under way; ascending in round. */
  #pending: PendingRead[] = [];
  /** The highest round each member has answered. */
  readonly #acked: Map<NodeId, number> = new Map();
  /** The newest round; 0 before the first. */
  #round = 0;

  /** Reads that wait, held ones included. */
  get count(): number {
    return this.held.length + this.#pending.length;
  }

  /** The newest round that still waits for answers; 0 for none. */
  get openRound(): number {
    return this.#pending.length > 0 ? this.#round : 0;
  }

  /** Opens a round for a read; its number goes out with heartbeats. */
  open(request: ReadRequest, index: LogIndex): number {
    this.#round++;
    this.#pending.push({ ...request, round: this.#round, index });
    return this.#round;
  }

  /** Notes that a member answered a round. */
  acknowledge(from: NodeId, round: number): void {
    if (round > (this.#acked.get(from) ?? 0)) this.#acked.set(from, round);
  }

  /** The highest round a member answered; our own answer is implied. */
  ackedBy(id: NodeId, self: NodeId): number {
    return id === self ? this.#round : this.#acked.get(id) ?? 0;
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
  }
}
