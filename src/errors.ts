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
  /**
   * Another member leads, and the call is one that only a leader takes, or
   * forwarding is off: ask `leader`.
   */
  | "notLeader"
  /** Nobody was known to lead until the deadline: wait, then ask again. */
  | "noLeader"
  /**
   * This member was removed from the group, or a transfer names one that is no
   * voter that may lead: ask a present member, or name another one.
   */
  | "notMember"
  /**
   * The leadership is being handed over, which lasts an election timeout at
   * most: ask again.
   */
  | "transferring"
  /**
   * A command, a change or a write is larger than its limit: make it smaller, or
   * raise the limit on all members.
   */
  | "tooLarge"
  /**
   * Too much waits already, here or for the leader's quorum: send less, and ask
   * again later.
   */
  | "overloaded"
  /** The state machine refuses the shape of a command or query: correct it. */
  | "invalidCommand"
  /**
   * The leader changed on the way. If `outcome` is `unknown` the command may
   * still commit: ask again through a session, or look first.
   */
  | "leadershipLost"
  /**
   * The deadline passed first. If `outcome` is `unknown` the command may still
   * commit: ask again through a session, or look first.
   */
  | "timeout"
  /**
   * Another membership change is under way, or the leader is too new to take
   * one: ask again.
   */
  | "changePending"
  /**
   * The configuration is not the one that a membership change expected: read it
   * anew, then decide again.
   */
  | "conflict"
  /**
   * A membership change that comes to no valid configuration, or to the present
   * one: correct it.
   */
  | "invalidChange"
  /**
   * No quorum of the changed group is known to live: repair the members first,
   * or use `force`.
   */
  | "quorumAtRisk"
  /**
   * A membership change names an id that was removed, and ids are used once:
   * take a new one.
   */
  | "removedMember"
  /**
   * A membership change names a member that the group does not have: correct
   * it.
   */
  | "unknownMember"
  /**
   * The group knows nothing of the session any more, so the command may have
   * been applied before: look at the state, and open a new session.
   */
  | "sessionExpired"
  // life of a member or host
  /**
   * The member or its host was told to stop, or is stopping: start it again, or
   * ask another one.
   */
  | "stopped"
  /**
   * The group removed this member, which therefore stopped for good: delete its
   * data; to come back it needs a new id.
   */
  | "removed"
  /**
   * The group knows this member by another data directory, and stopped it: bring
   * that one back, or remove the member and add a new id (H80).
   */
  | "replacedDisk"
  /**
   * The state machine threw, when it applied or answered something: correct the
   * machine, then start the member again if it has stopped.
   */
  | "machineFailed"
  /**
   * Something happened that never can; the member stopped before it could do
   * harm: report it, with the message.
   */
  | "invariantBroken"
  // storage
  /**
   * A write to storage failed, and what is on disk is uncertain; the host
   * stopped: repair the disk, then start it again.
   */
  | "storageFailed"
  /**
   * A snapshot could not be stored, and nothing else is affected: the member
   * goes on with its log and tries again later. Make room, or repair the disk.
   */
  | "snapshotFailed"
  /**
   * What was read is not what was written: restore the file, or replace the
   * member by one with a new id.
   */
  | "corrupt"
  /**
   * Another process has the data directory open: stop that one, or choose
   * another directory.
   */
  | "locked"
  /**
   * The data is of another deployment, member or address than it is opened for:
   * correct the path or the settings.
   */
  | "identityMismatch"
  /**
   * Data or a command was written by another version of the software: use one
   * that knows it.
   */
  | "unsupportedFormat"
  /** The entries asked for have given way to a snapshot: begin behind that. */
  | "compacted"
  /**
   * This member or storage cannot do that at all, as a witness cannot read: ask
   * another one, or make their settings equal.
   */
  | "unsupported"
  // transport
  /**
   * Bytes from the network are no message: see that both ends are members of
   * the same protocol version.
   */
  | "malformedFrame"
  /**
   * A message is larger than a frame may be: raise the limit on both ends, or
   * send less at once.
   */
  | "frameTooLarge"
  /**
   * The other end refuses the connection, and says why in the message: correct
   * address, cluster, secret or version.
   */
  | "handshakeRefused"
  /**
   * Nobody answers at an address, or no voter took the leadership over: wait,
   * or repair the connection, then ask again.
   */
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
