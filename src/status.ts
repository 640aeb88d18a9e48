/**
 * What a member tells about itself: immutable snapshots and events.
 *
 * @module
 */
import type { RaftErrorCode } from "./errors.ts";
import type {
  ConfState,
  GroupId,
  LogIndex,
  NodeId,
  Role,
  Term,
} from "./core/types.ts";

/** How a leader replicates to a follower (thesis §10.2). */
export type ProgressState = "probe" | "replicate" | "snapshot";

/** One member of a group, as seen by the member that reports it. */
export interface MemberStatus {
  /** The member. */
  readonly id: NodeId;
  /** Where its host is reached (`host:port`). */
  readonly address: string;
  /** Where its clients reach it (`host:port`), once it has said so. */
  readonly clientAddress: string | null;
  /** Its part in the configuration. */
  readonly role: "voter" | "learner" | "staging" | "witness";
  /** On a leader: the last index known to be on the member; else `null`. */
  readonly matchIndex: LogIndex | null;
  /** On a leader: how it replicates to the member; else `null`. */
  readonly state: ProgressState | null;
  /** Milliseconds since a message of this member; `null` if none yet. */
  readonly lastContactMs: number | null;
  /**
   * On a leader: whether the member lacks what it has acknowledged, so that it
   * counts no more and must be replaced (H80); else `false`.
   */
  readonly lostLog: boolean;
}

/** A member at one instant. */
export interface GroupStatus {
  /** The group. */
  readonly group: GroupId;
  /** The member that reports. */
  readonly node: NodeId;
  /** What it is in its term. */
  readonly role: Role;
  /** Its current term. */
  readonly term: Term;
  /** Who leads, as far as it knows; `null` for nobody. */
  readonly leader: NodeId | null;
  /** First index of the retained log. */
  readonly firstIndex: LogIndex;
  /** Where the newest durable snapshot ends; 0 for none. */
  readonly snapshotIndex: LogIndex;
  /** Last index of the log; `firstIndex - 1` if it is empty. */
  readonly lastIndex: LogIndex;
  /** Everything up to here is on this member's disk. */
  readonly stableIndex: LogIndex;
  /** Last index known to be committed. */
  readonly commitIndex: LogIndex;
  /** Last index that its machine has applied. */
  readonly appliedIndex: LogIndex;
  /** The configuration in force; `version` is what `expect` compares. */
  readonly conf: ConfState;
  /** On a leader that hands over: to whom; else `null`. */
  readonly transferTarget: NodeId | null;
  /** Whether the group sleeps, for there is nothing to do. */
  readonly quiesced: boolean;
  /** All members of the configuration, ascending by id. */
  readonly members: readonly MemberStatus[];
  /**
   * How old stale reads may be: milliseconds since a message of a leader
   * arrived after which this member had applied all that was committed when it
   * was sent; how long it was on its way is not in it. 0 on a leader; `null`
   * if never.
   */
  readonly staleMs: number | null;
  /**
   * Whether this member has applied everything that was committed when it
   * last heard of a leader, and knows who leads.
   */
  readonly ready: boolean;
  /** Why the member stopped; `null` while it runs. */
  readonly stopped: StopReason | null;
}

/** Why a member stopped. */
export interface StopReason {
  /** Why, for programs. */
  readonly code: RaftErrorCode;
  /** Why, for people. */
  readonly message: string;
}

/**
 * Something that happened to a member. A subscriber first gets the current
 * role, leader and membership, then every change, in order.
 */
export type GroupEvent =
  | {
    readonly type: "role";
    readonly role: Role;
    readonly term: Term;
  }
  | {
    readonly type: "leader";
    readonly leader: NodeId | null;
    readonly term: Term;
  }
  | {
    /** This member leads and has applied an entry of its own term. */
    readonly type: "leading";
    readonly term: Term;
  }
  | {
    readonly type: "membership";
    readonly conf: ConfState;
    readonly index: LogIndex;
  }
  | {
    /**
     * A snapshot is durable on this member: one of its own state, or one of
     * the leader's that has replaced state and log.
     */
    readonly type: "snapshot";
    readonly index: LogIndex;
    readonly term: Term;
    readonly kind: "taken" | "installed";
  }
  | {
    /**
     * A snapshot could not be stored (`snapshotFailed`), or a stored one could
     * not be read when a follower was to get it (`corrupt`, `storageFailed`).
     * The member goes on, and takes another one.
     */
    readonly type: "snapshotProblem";
    /** Where the snapshot is. */
    readonly index: LogIndex;
    /** What went wrong, for programs. */
    readonly code: RaftErrorCode;
    /** What went wrong, for people; names the file. */
    readonly reason: string;
  }
  | {
    readonly type: "peer";
    readonly node: NodeId;
    readonly state: "connected" | "unreachable" | "rejected";
    readonly reason: string | null;
  }
  | {
    readonly type: "stopped";
    readonly reason: StopReason;
  }
  | {
    /** The subscriber was too slow; this many events were left out. */
    readonly type: "dropped";
    readonly count: number;
  };
