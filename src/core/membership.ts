/**
 * Configurations change when they are applied (a stated deviation from
 * thesis §4.1), by entries and by snapshots.
 *
 * @module
 */
import { applyChange, isJoint, leavesJoint } from "./conf_change.ts";
import { beginHandOver, isHandingOver, noteLeavers } from "./departure.ts";
import { InvariantError } from "./invariant.ts";
import type { DropReason } from "./message.ts";
import type { Raft } from "./raft.ts";
import {
  afterCommit,
  broadcastAppend,
  maybeSendAppend,
} from "./replication.ts";
import { allMembers, isVoter } from "./tracker.ts";
import type {
  ConfChange,
  ConfState,
  EntryId,
  LogIndex,
  NodeId,
  ProposedChange,
  SnapshotMeta,
} from "./types.ts";
import { validateChange } from "./validate_change.ts";

const LEAVE_JOINT: ConfChange = { transition: "auto", steps: [] };

/**
 * A leader proposes a change. Refused while another may be unapplied (H83),
 * before an entry of the own term is committed (H76), and when
 * {@linkcode validateChange} has something against it.
 */
export function proposeChange(
  raft: Raft,
  proposed: ProposedChange,
): EntryId | DropReason {
  const { change } = proposed;
  if (raft.role !== "leader") return "notLeader";
  if (raft.transferTarget !== null || isHandingOver(raft)) {
    return "transferring";
  }
  if (!raft.tracker.progress.has(raft.id)) return "notMember";
  const refused = objectionTo(raft, proposed);
  if (refused !== null) return refused;
  const index = raft.log.lastIndex + 1;
  raft.log.append({ type: "confChange", term: raft.term, index, change });
  raft.pendingConfIndex = index;
  broadcastAppend(raft);
  return { term: raft.term, index };
}

function objectionTo(raft: Raft, proposed: ProposedChange): DropReason | null {
  const { config, tracker } = raft;
  if (config.validateConfChanges === false) return null;
  if (raft.pendingConfIndex > raft.log.appliedIndex) return "changePending";
  if (config.validateConfChanges === "pending") {
    return isJoint(tracker.conf) === leavesJoint(proposed.change)
      ? null
      : "changePending";
  }
  if (!raft.committedInTerm) return "changePending";
  return validateChange(tracker.conf, proposed, (id) => isReady(raft, id));
}

/**
 * Whether a voter of a configuration to come is known to live, and will not
 * keep a commit waiting: a new one counts only once it has caught up (H81).
 */
function isReady(raft: Raft, id: NodeId): boolean {
  if (id === raft.id) return true;
  return isVoter(raft.tracker.conf, id)
    ? isLive(raft, id)
    : isCaughtUp(raft, id);
}

/** Whether a leader heard of a member within an election timeout. */
function isLive(raft: Raft, id: NodeId): boolean {
  const progress = raft.tracker.progress.get(id);
  return progress !== undefined && !progress.lostLog &&
    progress.pace.silentTicks < raft.config.electionTicks;
}

/** See `RawNode.isCaughtUp`. */
export function isCaughtUp(raft: Raft, id: NodeId): boolean {
  if (raft.role !== "leader") return false;
  if (id === raft.id) return true;
  const progress = raft.tracker.progress.get(id);
  return isLive(raft, id) && progress?.state === "replicate" &&
    progress.pace.isCaughtUp;
}

/** An entry's change takes effect on this member. */
export function applyConfChange(
  raft: Raft,
  change: ConfChange,
  index: LogIndex,
): ConfState {
  // In force already, by a snapshot that came in since it was handed out.
  if (index <= raft.confIndex) return raft.tracker.conf;
  raft.confIndex = index;
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
  proposeChange(raft, { change: LEAVE_JOINT });
}

/**
 * A leader promotes a staging member that has caught up (thesis §4.2.1). What
 * is refused now is tried again at the next tick.
 */
export function maybePromote(raft: Raft): void {
  const { conf } = raft.tracker;
  if (conf.staging.length === 0 || isJoint(conf)) return;
  if (raft.pendingConfIndex > raft.log.appliedIndex) return;
  const node = conf.staging.find((id) => isCaughtUp(raft, id));
  if (node === undefined) return;
  proposeChange(raft, {
    change: { transition: "auto", steps: [{ type: "addVoter", node }] },
  });
}

/**
 * Whether a snapshot tells more than the log.
 *
 * @throws {InvariantError} If it contradicts what is committed here (H64).
 */
export function isRestorable(raft: Raft, snapshot: SnapshotMeta): boolean {
  const { log } = raft;
  if (snapshot.index <= log.commitIndex) {
    const term = log.runs.termAt(snapshot.index);
    if (term !== undefined && term !== snapshot.term) {
      throw new InvariantError(
        `a snapshot says that entry ${snapshot.index} has term ${snapshot.term}, committed here is term ${term}`,
      );
    }
    return false;
  }
  if (log.matches(snapshot)) return false;
  // Whoever is a member already would learn of its removal by it, and nobody
  // sends to the removed: it is not meant for this member. A newcomer takes
  // it all the same: the change that adds it may be newer (H69).
  return allMembers(snapshot.conf).includes(raft.id) ||
    !raft.tracker.progress.has(raft.id);
}

/** Replaces log and configuration by a snapshot's. */
export function restoreSnapshot(raft: Raft, snapshot: SnapshotMeta): void {
  raft.log.restore(snapshot);
  raft.confIndex = snapshot.index;
  raft.tracker.switchTo(snapshot.conf, raft.log.lastIndex);
}

function switchTo(raft: Raft, conf: ConfState): void {
  const { tracker } = raft;
  const before = tracker.conf;
  tracker.switchTo(conf, raft.log.lastIndex);
  if (raft.role !== "leader") {
    // Whoever may not lead does not go on campaigning (H12).
    const campaigns = raft.role !== "follower";
    if (campaigns && !raft.promotable) raft.becomeFollower(raft.term, null);
    return;
  }
  noteLeavers(raft, before);
  // Even without a vote of its own: what the rest holds may now be enough.
  const hasCommitted = raft.maybeCommit();
  if (hasCommitted) afterCommit(raft);
  if (!isVoter(conf, raft.id)) {
    leaveOffice(raft, before);
    return;
  }
  if (!hasCommitted) {
    for (const id of tracker.members) {
      if (id !== raft.id) maybeSendAppend(raft, id, "withEntries");
    }
  }
  if (raft.transferTarget !== null && !isVoter(conf, raft.transferTarget)) {
    raft.transferTarget = null;
  }
}

/** Without a vote a leader goes on only if told to (thesis §4.2.2). */
function leaveOffice(raft: Raft, before: ConfState): void {
  switch (raft.config.stepDownOnRemoval) {
    case "handOver":
      if (isVoter(before, raft.id)) beginHandOver(raft);
      return;
    case true:
      raft.becomeFollower(raft.term, null);
      return;
    case false:
      return;
  }
}
