/**
 * What an observer may see of the core.
 *
 * @module
 */
import { leaseUntil } from "./lease.ts";
import type { ProgressState } from "./progress.ts";
import type { Raft } from "./raft.ts";
import { isStalled } from "./stall.ts";
import type { ConfState, LogIndex, NodeId, Role, Term } from "./types.ts";

/** A leader's view of one member. */
export interface ProgressStatus {
  /** The member. */
  readonly id: NodeId;
  /** How it is replicated to. */
  readonly state: ProgressState;
  /** Last index proven to be on it. */
  readonly matchIndex: LogIndex;
  /** Next index to send; above `matchIndex`. */
  readonly nextIndex: LogIndex;
  /** 0 unless a snapshot is on its way. */
  readonly pendingSnapshotIndex: LogIndex;
  /** Appends sent and not acknowledged. */
  readonly inflightCount: number;
  /** Bytes of entries one append may hold at present. */
  readonly batchBytes: number;
  /** Whether it was heard of since the last check of the quorum. */
  readonly recentActive: boolean;
  /** Whether nothing may be sent to it now. */
  readonly paused: boolean;
  /** Whether it listens without a vote. */
  readonly learner: boolean;
  /** Whether it lacks what it acknowledged; it must be replaced (H80). */
  readonly lostLog: boolean;
  /** How much it is preferred as leader, as far as it told. */
  readonly priority: number;
}

/** A member at one instant. */
export interface CoreStatus {
  /** This member. */
  readonly id: NodeId;
  /** What it is in its term. */
  readonly role: Role;
  /** Its current term. */
  readonly term: Term;
  /** Whom it voted for in the term; `null` for nobody. */
  readonly vote: NodeId | null;
  /** Who leads the term, as far as it knows. */
  readonly leader: NodeId | null;
  /** On a leader that hands over: to whom; else `null`. */
  readonly transferTarget: NodeId | null;
  /** First index of the retained log. */
  readonly firstIndex: LogIndex;
  /** Last index of the log; `firstIndex - 1` if it is empty. */
  readonly lastIndex: LogIndex;
  /** Term of the last entry. */
  readonly lastTerm: Term;
  /** Last index that is durable here. */
  readonly stableIndex: LogIndex;
  /** Last index known to be committed. */
  readonly commitIndex: LogIndex;
  /** Last index reported as applied. */
  readonly appliedIndex: LogIndex;
  /** Payload bytes this leader appended that are not committed. */
  readonly uncommittedBytes: number;
  /** Reads that wait for this leader's confirmation. */
  readonly pendingReads: number;
  /**
   * Until when this leader may answer reads by itself, in milliseconds of the
   * clock given to `tick`; `-Infinity` without a lease.
   */
  readonly leaseUntil: number;
  /** Whether it sleeps: its ticks are not needed. */
  readonly quiesced: boolean;
  /**
   * Whether it started with an empty log and was not brought up to date since:
   * it may have held more once, and votes for empty logs only (H80).
   */
  readonly fresh: boolean;
  /** Whether its disk hangs, so that it must not lead (H20). */
  readonly stalled: boolean;
  /** The configuration in force. */
  readonly conf: ConfState;
  /** Empty unless leader; ascending by id. */
  readonly progress: readonly ProgressStatus[];
}

/** A snapshot of a member's state. */
export function statusOf(raft: Raft): CoreStatus {
  const { log } = raft;
  return {
    id: raft.id,
    role: raft.role,
    term: raft.term,
    vote: raft.vote,
    leader: raft.leader,
    transferTarget: raft.transferTarget,
    firstIndex: log.firstIndex,
    lastIndex: log.lastIndex,
    lastTerm: log.lastId.term,
    stableIndex: log.stableIndex,
    commitIndex: log.commitIndex,
    appliedIndex: log.appliedIndex,
    uncommittedBytes: raft.uncommittedBytes,
    pendingReads: raft.readOnly.count,
    leaseUntil: leaseUntil(raft),
    quiesced: raft.rest.isAsleep,
    fresh: raft.fresh,
    stalled: isStalled(raft),
    conf: raft.tracker.conf,
    progress: raft.role === "leader" ? progressOf(raft) : [],
  };
}

function progressOf(raft: Raft): ProgressStatus[] {
  const all: ProgressStatus[] = [];
  for (const id of raft.tracker.members) {
    const progress = raft.tracker.progress.get(id);
    if (progress === undefined) continue;
    all.push({
      id,
      state: progress.state,
      matchIndex: progress.matchIndex,
      nextIndex: progress.nextIndex,
      pendingSnapshotIndex: progress.pendingSnapshotIndex,
      inflightCount: progress.inflights.count,
      batchBytes: progress.batch.bytes,
      recentActive: progress.recentActive,
      paused: progress.paused,
      learner: progress.learner,
      lostLog: progress.lostLog,
      priority: progress.priority,
    });
  }
  return all;
}
