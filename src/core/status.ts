/**
 * What an observer may see of the core.
 *
 * @module
 */
import type { ProgressState } from "./progress.ts";
import type { Raft } from "./raft.ts";
import type { ConfState, LogIndex, NodeId, Role, Term } from "./types.ts";

/** A leader's view of one member. */
export interface ProgressStatus {
  readonly id: NodeId;
  readonly state: ProgressState;
  readonly matchIndex: LogIndex;
  readonly nextIndex: LogIndex;
  /** 0 unless a snapshot is on its way. */
  readonly pendingSnapshotIndex: LogIndex;
  /** Appends sent and not acknowledged. */
  readonly inflightCount: number;
  /** Whether it was heard of since the last check of the quorum. */
  readonly recentActive: boolean;
  /** Whether nothing may be sent to it now. */
  readonly paused: boolean;
  readonly learner: boolean;
}

/** A member at one instant. */
export interface CoreStatus {
  readonly id: NodeId;
  readonly role: Role;
  readonly term: Term;
  readonly vote: NodeId | null;
  readonly leader: NodeId | null;
  readonly transferTarget: NodeId | null;
  readonly firstIndex: LogIndex;
  readonly lastIndex: LogIndex;
  readonly lastTerm: Term;
  readonly stableIndex: LogIndex;
  readonly commitIndex: LogIndex;
  readonly appliedIndex: LogIndex;
  /** Payload bytes this leader appended that are not committed. */
  readonly uncommittedBytes: number;
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
      recentActive: progress.recentActive,
      paused: progress.paused,
      learner: progress.learner,
    });
  }
  return all;
}
