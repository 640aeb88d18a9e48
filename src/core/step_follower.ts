/**
 * What a follower makes of messages of its term (thesis §3.5).
 *
 * @module
 */
import { promiseLease } from "./lease.ts";
import { isRestorable, restoreSnapshot } from "./membership.ts";
import type {
  AppendEntries,
  Heartbeat,
  InstallSnapshot,
  Message,
  Propose,
} from "./message.ts";
import { answerProposal } from "./proposals.ts";
import { handleQuiesce } from "./quiesce.ts";
import type { Raft } from "./raft.ts";
import type { StepResult } from "./step.ts";
import { takeOver } from "./transfer.ts";
import { allMembers } from "./tracker.ts";
import type { ConfState, LogIndex, NodeId } from "./types.ts";
import { entriesToStore } from "./witness.ts";

/** Handles a message as follower. */
export function stepFollower(raft: Raft, message: Message): StepResult {
  switch (message.type) {
    case "appendEntries":
      hearLeader(raft, message.from);
      handleAppendEntries(raft, message);
      return "accepted";
    case "heartbeat":
      hearLeader(raft, message.from);
      handleHeartbeat(raft, message);
      return "accepted";
    case "installSnapshot":
      hearLeader(raft, message.from);
      handleInstallSnapshot(raft, message);
      return "accepted";
    case "quiesce":
      hearLeader(raft, message.from);
      handleQuiesce(raft, message);
      return "accepted";
    case "timeoutNow":
      // Only the leader of this term hands over, even if this member does not
      // know it yet or any more (H115).
      if (raft.leader === null || raft.leader === message.from) {
        takeOver(raft);
      }
      return "accepted";
    case "transferLeadership":
      if (raft.leader !== null) {
        raft.send({ ...message, to: raft.leader, term: raft.term });
      }
      return "accepted";
    case "readIndex":
      if (raft.leader !== null && message.from === raft.id) {
        raft.send({ ...message, to: raft.leader });
      }
      return "accepted";
    case "propose":
      return forward(raft, message);
    default:
      return "accepted";
  }
}

function hearLeader(raft: Raft, leader: NodeId): void {
  raft.electionElapsed = 0;
  raft.leader = leader;
  raft.suspicion.clear();
}

/**
 * Passes on what others passed on to us, if they want no answer; who wants
 * one is told to ask again.
 */
function forward(raft: Raft, message: Propose): StepResult {
  if (
    raft.leader === null || message.ticket !== 0 ||
    !raft.config.forwardProposals
  ) return answerProposal(raft, message, "notLeader");
  raft.send({ ...message, to: raft.leader });
  return "accepted";
}

/** Only who knows nothing has something to learn of how it all began. */
function learnFounding(raft: Raft, conf: ConfState): void {
  const { log, tracker } = raft;
  if (log.lastIndex > 0 || allMembers(tracker.conf).length > 0) return;
  // Nobody founds a group without voters.
  if (conf.voters.length === 0) return;
  log.found(conf);
  tracker.switchTo(conf, 0);
}

function handleAppendEntries(raft: Raft, message: AppendEntries): void {
  const { log } = raft;
  const { prevLogIndex, prevLogTerm, entries, commitIndex } = message;
  if (prevLogIndex < log.commitIndex) {
    // Committed, hence equal; and maybe compacted here (H25).
    acknowledge(raft, message.from, log.commitIndex);
    return;
  }
  if (message.founding !== undefined) learnFounding(raft, message.founding);
  const matched = log.maybeAppend(
    { term: prevLogTerm, index: prevLogIndex },
    entriesToStore(raft.tracker.conf, raft.id, entries),
  );
  if (matched !== undefined) {
    // Never beyond what this message proved (H24).
    log.commitTo(Math.min(commitIndex, matched));
    noteRefilled(raft, matched, commitIndex);
    acknowledge(raft, message.from, matched);
    return;
  }
  const hint = log.runs.findConflictByTerm(
    Math.min(prevLogIndex, log.lastIndex),
    prevLogTerm,
  );
  raft.sendAfterPersist({
    type: "appendEntriesResponse",
    from: raft.id,
    to: message.from,
    term: raft.term,
    reject: true,
    index: prevLogIndex,
    hintIndex: hint.index,
    hintTerm: hint.term,
  });
}

/**
 * A leader's log has everything that was committed before its term (§3.6.3):
 * whoever holds an entry of that term, and all that is committed in it, holds
 * what it may have lost (H80). The commit index alone proves nothing: that of
 * a new leader may lie far behind. Nor can it vote twice in this term, for no
 * other candidate of it has an entry of it.
 */
function noteRefilled(
  raft: Raft,
  matched: LogIndex,
  leaderCommit: LogIndex,
): void {
  const holdsTerm = raft.log.runs.termAt(matched) === raft.term;
  if (holdsTerm && matched >= leaderCommit) raft.fresh = false;
}

function handleHeartbeat(raft: Raft, message: Heartbeat): void {
  // Beyond our log lies what this member lost; it proves nothing (H28).
  if (message.commitIndex <= raft.log.lastIndex) {
    raft.log.commitTo(message.commitIndex);
  }
  raft.send({
    type: "heartbeatResponse",
    from: raft.id,
    to: message.from,
    term: raft.term,
    round: message.round,
    sentAt: message.sentAt,
    leaseMs: promiseLease(raft, message.from),
    priority: raft.config.priority,
  });
}

function handleInstallSnapshot(raft: Raft, message: InstallSnapshot): void {
  const { snapshot } = message;
  if (isRestorable(raft, snapshot)) {
    restoreSnapshot(raft, snapshot);
    acknowledge(raft, message.from, raft.log.lastIndex);
    return;
  }
  // Stale, or equal to what the log holds (H63).
  if (raft.log.matches(snapshot)) raft.log.commitTo(snapshot.index);
  acknowledge(raft, message.from, raft.log.commitIndex);
}

/** Says that everything up to `index` is equal and, by then, durable. */
function acknowledge(raft: Raft, to: NodeId, index: LogIndex): void {
  raft.sendAfterPersist({
    type: "appendEntriesResponse",
    from: raft.id,
    to,
    term: raft.term,
    reject: false,
    index,
    hintIndex: 0,
    hintTerm: 0,
  });
}
