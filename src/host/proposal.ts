/**
 * One command on its way, and the promise somebody holds for it.
 *
 * @module
 */
import type { LogIndex, Term } from "../core/types.ts";
import type { Committed } from "./options.ts";

/** Where a proposal is. It only ever moves on, or back to `queued`. */
export type ProposalStage =
  /** In no log, for certain. */
  | "queued"
  /** Sent to the leader, which has not answered. */
  | "forwarded"
  /** In the log of the leader of `term`, at `index`. */
  | "appended"
  /** The promise is settled; the record is forgotten. */
  | "settled";

const NO_BYTES = new Uint8Array(0);

/** The record of one proposal: plain fields, since there are very many. */
export class Proposal<R> {
  stage: ProposalStage = "queued";
  /** The encoded command; emptied once it need not be sent again. */
  data: Uint8Array;
  /** Its size, kept for the budget. */
  readonly bytes: number;
  /** When the wait ends, in the clock's milliseconds. */
  readonly deadline: number;
  /** Whether it may be passed on to the leader. */
  readonly forward: boolean;
  /** Meaningful once appended. */
  index: LogIndex = 0;
  term: Term = 0;
  /** Another proposal waiting at the same index, for another term (H105). */
  sibling: Proposal<R> | null = null;
  /**
   * Those that leave with it in one call, itself included, oldest first;
   * `null` if it may leave alone.
   */
  unit: readonly Proposal<R>[] | null = null;
  readonly signal: AbortSignal | undefined;
  /** Listens to `signal`; taken off when the proposal settles. */
  onAbort: (() => void) | null = null;
  readonly resolve: (committed: Committed<R>) => void;
  readonly reject: (error: unknown) => void;

  constructor(
    data: Uint8Array,
    options: {
      readonly deadline: number;
      readonly forward: boolean;
      readonly signal: AbortSignal | undefined;
    },
    resolve: (committed: Committed<R>) => void,
    reject: (error: unknown) => void,
  ) {
    this.data = data;
    this.bytes = data.length;
    this.deadline = options.deadline;
    this.forward = options.forward;
    this.signal = options.signal;
    this.resolve = resolve;
    this.reject = reject;
  }

  /** Lets go of the command's bytes: the log has them. */
  release(): void {
    this.data = NO_BYTES;
  }
}
