/**
 * Configurations change when they are applied (a stated deviation from
 * thesis §4.1), by entries and by snapshots.
 *
 * @module
 */
import { applyChange, isJoint, leavesJoint } from "./conf_change.ts";
import type { DropReason } from "./message.ts";
import type { Raft } from "./raft.ts";
import {
  afterCommit,
  broadcastAppend,
  maybeSendAppend,
} from "./replication.ts";
import { allMembers, isVoter } from "./tracker.ts";
import type { ConfChange, ConfState, EntryId, SnapshotMeta } from "./types.ts";

const LEAVE_JOINT: ConfChange = { transition: "auto", steps: [] };

/**
 * A leader proposes a change. Refused while another may be unapplied (H83),
 * and when it does not fit the configuration (H84) or brings back a removed
 * id.
 */
export function proposeChange(
  raft: Raft,
  change: ConfChange,
): EntryId | DropReason {
  const { conf } = raft.tracker;
  if (raft.role !== "leader") return "notLeader";
  if (!raft.tracker.progress.has(raft.id)) return "notMember";
  if (raft.transferTarget !== null) return "transferring";
  if (raft.pendingConfIndex > raft.log.appliedIndex) return "changePending";
  if (isJoint(conf) !== leavesJoint(change)) return "changePending";
  if (change.steps.some((step) => conf.removed.includes(step.node))) {
    return "notMember";
  }
  const index = raft.log.lastIndex + 1;
  raft.log.append({ type: "confChange", term: raft.term, index, change });
  raft.pendingConfIndex = index;
  broadcastAppend(raft);
  return { term: raft.term, index };
}

/** An entry's change takes effect on this member. */
export function applyConfChange(raft: Raft, change: ConfChange): ConfState {
  const conf = applyChange(raft.tracker.conf, change);
  switchTo(raft, conf);
  return conf;
}

/**
 * Leaving a joint configuration is derived from the log: any leader that has
 * applied one proposes the exit (H82).
 */
export function maybeLeaveJoint(raft: Raft): void {
  const { conf } = raft.tracker;
  if (raft.role !== "leader" || !conf.autoLeave || !isJoint(conf)) return;
  if (raft.pendingConfIndex > raft.log.appliedIndex) return;
  proposeChange(raft, LEAVE_JOINT);
}

/** Whether a snapshot tells more than the log, and this member is in it. */
export function isRestorable(raft: Raft, snapshot: SnapshotMeta): boolean {
  return snapshot.index > raft.log.commitIndex &&
    !raft.log.matches(snapshot) &&
    allMembers(snapshot.conf).includes(raft.id);
}

/** Replaces log and configuration by a snapshot's. */
export function restoreSnapshot(raft: Raft, snapshot: SnapshotMeta): void {
  raft.log.restore(snapshot);
  raft.tracker.switchTo(snapshot.conf, raft.log.lastIndex);
}

function switchTo(raft: Raft, conf: ConfState): void {
  const { tracker } = raft;
  tracker.switchTo(conf, raft.log.lastIndex);
  if (raft.role !== "leader") return;
  if (!isVoter(conf, raft.id)) {
    // Without a vote it goes on only if told to (thesis §4.2.2).
    if (raft.config.stepDownOnRemoval) raft.becomeFollower(raft.term, null);
    return;
  }
  if (raft.maybeCommit()) afterCommit(raft);
  else {
    for (const id of tracker.members) {
      if (id !== raft.id) maybeSendAppend(raft, id, "withEntries");
    }
  }
  if (raft.transferTarget !== null && !isVoter(conf, raft.transferTarget)) {
    raft.transferTarget = null;
  }
}
