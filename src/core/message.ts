/**
 * The messages members exchange: one type per RPC of the thesis, a field only
 * where it means something. The network may lose, duplicate, delay and
 * reorder every one of them.
 *
 * @module
 */
import type {
  ConfState,
  Entry,
  EntryId,
  LogIndex,
  NodeId,
  ProposedChange,
  SnapshotMeta,
  Term,
} from "./types.ts";

/** What every message says. */
export interface MessageHeader {
  /** Who sends it. */
  readonly from: NodeId;
  /** Whom it is for. */
  readonly to: NodeId;
  /**
   * Term of the sender, save that a pre-vote carries the term its sender
   * would campaign in, and a granted answer to it echoes that. Messages of
   * clients (`propose` and its response, `readIndex`) and `removed` carry 0:
   * they belong to no term. The answer to a read tells the term it was
   * confirmed in, and is good in every other.
   */
  readonly term: Term;
}

/** Asks for a vote (thesis §3.4). */
export interface RequestVote extends MessageHeader {
  /** The kind of message. */
  readonly type: "requestVote";
  /** Last entry of the candidate's log, for the restriction of §3.6.1. */
  readonly lastLogIndex: LogIndex;
  /** Term of that entry. */
  readonly lastLogTerm: Term;
  /** Set when a leadership transfer caused it; overrides stickiness (§4.2.3). */
  readonly transfer: boolean;
}

/** Answers a {@linkcode RequestVote}. */
export interface RequestVoteResponse extends MessageHeader {
  /** The kind of message. */
  readonly type: "requestVoteResponse";
  /** Whether the vote is refused. */
  readonly reject: boolean;
  /**
   * The last entry the sender knows to be committed. Whoever has it may need
   * other votes than it believes: it may complete a change of the voters.
   */
  readonly committed?: EntryId | undefined;
}

/** Asks whether a vote would be granted (thesis §9.6). Changes no term. */
export interface RequestPreVote extends MessageHeader {
  /** The kind of message. */
  readonly type: "requestPreVote";
  /** Last entry of the sender's log, as in {@linkcode RequestVote}. */
  readonly lastLogIndex: LogIndex;
  /** Term of that entry. */
  readonly lastLogTerm: Term;
}

/** Answers a {@linkcode RequestPreVote}. */
export interface RequestPreVoteResponse extends MessageHeader {
  /** The kind of message. */
  readonly type: "requestPreVoteResponse";
  /** Whether the vote would be refused. */
  readonly reject: boolean;
  /** As in {@linkcode RequestVoteResponse}. */
  readonly committed?: EntryId | undefined;
}

/** Replicates entries (thesis §3.5); without entries it probes or commits. */
export interface AppendEntries extends MessageHeader {
  /** The kind of message. */
  readonly type: "appendEntries";
  /** The entry before the first one carried. */
  readonly prevLogIndex: LogIndex;
  /** Term of that entry. */
  readonly prevLogTerm: Term;
  /** The leader's commit index. */
  readonly commitIndex: LogIndex;
  /** Contiguous, from `prevLogIndex + 1`; never mutated. */
  readonly entries: readonly Entry[];
  /**
   * The configuration that the group began with, for a receiver that was no
   * part of it and gets the log from its first entry on: without it changes
   * would be applied to nothing.
   */
  readonly founding?: ConfState | undefined;
}

/** Answers an {@linkcode AppendEntries} or {@linkcode InstallSnapshot}. */
export interface AppendEntriesResponse extends MessageHeader {
  /** The kind of message. */
  readonly type: "appendEntriesResponse";
  /** Whether the log did not fit and nothing was appended. */
  readonly reject: boolean;
  /**
   * Accepted: the last index proven equal to the leader's. Rejected: the
   * `prevLogIndex` that did not match.
   */
  readonly index: LogIndex;
  /**
   * Rejected: the largest index at or below `index` whose term is at most the
   * leader's `prevLogTerm`; 0 otherwise.
   */
  readonly hintIndex: LogIndex;
  /** Term of `hintIndex` in the follower's log, 0 if unknown. */
  readonly hintTerm: Term;
}

/** Keeps followers and tells them what is committed. */
export interface Heartbeat extends MessageHeader {
  /** The kind of message. */
  readonly type: "heartbeat";
  /** `min(matchIndex, commitIndex)`: never more than the follower has. */
  readonly commitIndex: LogIndex;
  /**
   * The read round this heartbeat confirms (thesis §6.4); 0 for none. A round
   * is never used twice in a term, so a late answer confirms nothing newer.
   */
  readonly round: number;
  /**
   * When it was sent or earlier, in whole milliseconds of the leader's
   * monotonic clock; 0 if the leader has none. A lease counts from here (H95).
   */
  readonly sentAt: number;
  /**
   * What is committed on the leader, whether the follower has it or not: how
   * fresh the follower is, never what it may commit.
   */
  readonly leaderCommit?: LogIndex | undefined;
}

/** Answers a {@linkcode Heartbeat}. */
export interface HeartbeatResponse extends MessageHeader {
  /** The kind of message. */
  readonly type: "heartbeatResponse";
  /** The round of the heartbeat it answers. */
  readonly round: number;
  /** `sentAt` of the heartbeat it answers. */
  readonly sentAt: number;
  /**
   * For how many milliseconds after it received that heartbeat the sender
   * ignores candidates, by its own clock; 0: no promise.
   */
  readonly leaseMs: number;
  /** How much the sender is preferred as leader; 0 by default. */
  readonly priority: number;
}

/** Replaces the receiver's log and state (thesis §5.3). */
export interface InstallSnapshot extends MessageHeader {
  /** The kind of message. */
  readonly type: "installSnapshot";
  /** What the data, sent beside the messages, contains. */
  readonly snapshot: SnapshotMeta;
}

/** Tells the receiver to campaign at once (thesis §3.10). */
export interface TimeoutNow extends MessageHeader {
  /** The kind of message. */
  readonly type: "timeoutNow";
}

/** Asks the leader to hand over to `target` (thesis §3.10). */
export interface TransferLeadership extends MessageHeader {
  /** The kind of message. */
  readonly type: "transferLeadership";
  /** The voter that is to lead. */
  readonly target: NodeId;
}

/** Commands, or a membership change, that a member forwards to the leader. */
export interface Propose extends MessageHeader {
  /** The kind of message. */
  readonly type: "propose";
  /**
   * Correlates the answer; 0 asks for none. Fresh per request of a sender.
   */
  readonly ticket: number;
  /** The commands, to be appended all or none; none beside a change. */
  readonly commands: readonly Uint8Array[];
  /** The membership change, if it is one that is proposed. */
  readonly change: ProposedChange | null;
}

/** Why a proposal was not appended; then it never will be. */
export type DropReason =
  | "noLeader"
  | "notLeader"
  | "notMember"
  | "transferring"
  | "tooLarge"
  | "uncommittedLimit"
  | "changePending"
  | "conflict"
  | "invalidChange"
  | "quorumAtRisk"
  | "removedMember"
  | "unknownMember"
  | "forwardingDisabled";

/** Answers a {@linkcode Propose} as soon as the leader took or refused it. */
export interface ProposeResponse extends MessageHeader {
  /** The kind of message. */
  readonly type: "proposeResponse";
  /** The ticket of the proposal it answers. */
  readonly ticket: number;
  /**
   * `null`: the commands are in the leader's log from `index` on, in
   * `entryTerm`; not yet committed. Else nothing was appended.
   */
  readonly dropped: DropReason | null;
  /** Index of the first command; 0 if dropped. */
  readonly index: LogIndex;
  /** Term of the commands' entries; 0 if dropped. */
  readonly entryTerm: Term;
}

/** Asks the leader for a read index (thesis §6.4). */
export interface ReadIndex extends MessageHeader {
  /** The kind of message. */
  readonly type: "readIndex";
  /** Chosen by the asker, fresh for every request and retry. */
  readonly context: number;
}

/** Answers a {@linkcode ReadIndex}. */
export interface ReadIndexResponse extends MessageHeader {
  /** The kind of message. */
  readonly type: "readIndexResponse";
  /** The context of the request it answers. */
  readonly context: number;
  /** What must be applied before the read may be served. */
  readonly index: LogIndex;
}

/**
 * Tells the receiver that it is not, or no longer, a member (thesis §4.2.3).
 * Never taken back: removed ids do not return.
 */
export interface Removed extends MessageHeader {
  /** The kind of message. */
  readonly type: "removed";
  /**
   * `removed`: by a membership change. `replacedDisk`: its data directory is
   * not the one that the member was bound to (H80).
   */
  readonly reason: RemovalReason;
  /** Version of the configuration that says so. */
  readonly version: number;
}

/** Why a member is none. */
export type RemovalReason = "removed" | "replacedDisk";

/**
 * A leader with nothing to do proposes to sleep. A follower that holds just
 * this log, all of it committed, stops its timer until it hears of something.
 */
export interface Quiesce extends MessageHeader {
  /** The kind of message. */
  readonly type: "quiesce";
  /** The leader's commit index; also its last index. */
  readonly commitIndex: LogIndex;
}

/** Every message of the protocol. */
export type Message =
  | RequestVote
  | RequestVoteResponse
  | RequestPreVote
  | RequestPreVoteResponse
  | AppendEntries
  | AppendEntriesResponse
  | Heartbeat
  | HeartbeatResponse
  | InstallSnapshot
  | TimeoutNow
  | TransferLeadership
  | Propose
  | ProposeResponse
  | ReadIndex
  | ReadIndexResponse
  | Removed
  | Quiesce;
