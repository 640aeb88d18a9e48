/**
 * Errors answer the caller's question: what happened to my entry, and what
 * can I do?
 *
 * @module
 */
import type { NodeId } from "./core/types.ts";

/** Every reason for which Balsa refuses or gives up. A closed set. */
export type RaftErrorCode =
  // proposals, reads, membership
  | "notLeader"
  | "noLeader"
  | "notMember"
  | "transferring"
  | "tooLarge"
  | "overloaded"
  | "invalidCommand"
  | "leadershipLost"
  | "timeout"
  | "changePending"
  | "conflict"
  | "invalidChange"
  | "quorumAtRisk"
  | "removedMember"
  | "unknownMember"
  | "sessionExpired"
  // life of a member or host
  | "stopped"
  | "removed"
  | "replacedDisk"
  | "machineFailed"
  | "invariantBroken"
  // storage
  | "storageFailed"
  | "corrupt"
  | "locked"
  | "identityMismatch"
  | "unsupportedFormat"
  | "compacted"
  | "unsupported"
  // transport
  | "malformedFrame"
  | "frameTooLarge"
  | "handshakeRefused"
  | "unreachable";

/**
 * What became of a proposal that did not succeed. `notAppended`: it is in no
 * log and never will be; retry freely. `unknown`: it may still commit; retry
 * only through a session, or if the command is idempotent.
 */
export type ProposalOutcome = "notAppended" | "unknown";

/** What an error may carry besides its message. */
export interface RaftErrorOptions {
  /** Set exactly when a proposal was involved. */
  readonly outcome?: ProposalOutcome | undefined;
  /** Who leads, as far as is known. */
  readonly leader?: NodeId | null | undefined;
  /** File the error is about. */
  readonly file?: string | undefined;
  /** Byte offset in `file`. */
  readonly offset?: number | undefined;
  /** What led to it, as in every `Error`. */
  readonly cause?: unknown;
}

/** The one error class of Balsa; branch on `code`. */
export class RaftError extends Error {
  /** Why. */
  readonly code: RaftErrorCode;
  /** What became of the proposal, if one was involved. */
  readonly outcome: ProposalOutcome | undefined;
  /** Who leads, if known and relevant. */
  readonly leader: NodeId | null | undefined;
  /** The damaged or locked file, for storage errors. */
  readonly file: string | undefined;
  /** Where in `file`, in bytes. */
  readonly offset: number | undefined;

  /** Makes an error of a code, with a message for people. */
  constructor(
    code: RaftErrorCode,
    message: string,
    options: RaftErrorOptions = {},
  ) {
    super(
      message,
      options.cause === undefined ? undefined : { cause: options.cause },
    );
    this.name = "RaftError";
    this.code = code;
    this.outcome = options.outcome;
    this.leader = options.leader;
    this.file = options.file;
    this.offset = options.offset;
  }

  /** Whether waiting and trying again can help (see also `outcome`). */
  get retryable(): boolean {
    return RETRYABLE.has(this.code);
  }
}

const RETRYABLE: ReadonlySet<RaftErrorCode> = new Set<RaftErrorCode>([
  "notLeader",
  "noLeader",
  "transferring",
  "overloaded",
  "leadershipLost",
  "timeout",
  "changePending",
  "unreachable",
]);

/** Whether `error` is a {@linkcode RaftError}, of `code` if given. */
export function isRaftError(
  error: unknown,
  code?: RaftErrorCode,
): error is RaftError {
  return error instanceof RaftError &&
    (code === undefined || error.code === code);
}
