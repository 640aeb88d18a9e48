/**
 * The one entry for messages: terms first, then the role.
 *
 * @module
 */
import { handleRemoved, turnAway } from "./departure.ts";
import { handleVoteRequest, learnCommit } from "./election.ts";
import { holdPreVote, maybeTakeTurn } from "./failover.ts";
import { isPromised } from "./lease.ts";
import type { Message, RequestPreVote, RequestVote } from "./message.ts";
import { isWaking, wake } from "./quiesce.ts";
import type { Raft } from "./raft.ts";
import { stepCandidate } from "./step_candidate.ts";
import { stepFollower } from "./step_follower.ts";
import { stepLeader } from "./step_leader.ts";

/** How a message was taken. */
export type StepResult = "accepted" | "unknownPeer" | "proposalDropped";

/** Messages that belong to a term. */
export type TermMessage = Exclude<
  Message,
  {
    type:
      | "propose"
      | "proposeResponse"
      | "readIndex"
      | "readIndexResponse"
      | "removed";
  }
>;

/** Takes one message. */
export function step(raft: Raft, message: Message): StepResult {
  if (message.to !== raft.id) return "unknownPeer";
  if (turnAway(raft, message)) return "accepted";
  if (raft.rest.isAsleep && isWaking(message)) wake(raft, message.from);
  switch (message.type) {
    case "propose":
    case "readIndex":
      return stepRole(raft, message);
    case "proposeResponse":
      raft.answers.push(message);
      return "accepted";
    case "readIndexResponse":
      raft.readStates.push({
        context: message.context,
        index: message.index,
      });
      return "accepted";
    case "removed":
      handleRemoved(raft, message);
      return "accepted";
    default:
      return stepTerm(raft, message);
  }
}

/** The term check, once for all messages that have a term (thesis §3.3). */
function stepTerm(raft: Raft, message: TermMessage): StepResult {
  if (isAnswer(message) && !raft.tracker.progress.has(message.from)) {
    return "unknownPeer";
  }
  if (
    message.type === "requestVoteResponse" ||
    message.type === "requestPreVoteResponse"
  ) learnCommit(raft, message);
  if (message.term < raft.term) {
    answerOldTerm(raft, message);
    return "accepted";
  }
  if (message.type === "requestVote" || message.type === "requestPreVote") {
    stepVoteRequest(raft, message);
    return "accepted";
  }
  if (message.term > raft.term) acceptNewTerm(raft, message);
  return stepRole(raft, message);
}

function stepRole(raft: Raft, message: Message): StepResult {
  switch (raft.role) {
    case "leader":
      return stepLeader(raft, message);
    case "candidate":
    case "preCandidate":
      return stepCandidate(raft, message);
    case "follower":
      return stepFollower(raft, message);
  }
}

/** Hears a candidate of this term or of one above, or ignores it. */
function stepVoteRequest(
  raft: Raft,
  message: RequestVote | RequestPreVote,
): void {
  const isNew = message.term > raft.term;
  if (isPromised(raft, message) || isNew && isSticky(raft, message)) {
    holdPreVote(raft, message);
    return;
  }
  // A pre-vote changes nobody's term.
  if (isNew && message.type === "requestVote") {
    raft.becomeFollower(message.term, null);
  }
  handleVoteRequest(raft, message);
  if (message.type === "requestPreVote") maybeTakeTurn(raft, message);
}

/** Meets a term above ours. */
function acceptNewTerm(
  raft: Raft,
  message: Exclude<TermMessage, RequestVote | RequestPreVote>,
): void {
  switch (message.type) {
    case "requestPreVoteResponse":
      // A grant echoes the term we would campaign in; a refusal tells of a
      // term that exists.
      if (message.reject) raft.becomeFollower(message.term, null);
      return;
    case "appendEntries":
    case "heartbeat":
    case "installSnapshot":
    case "quiesce":
      raft.becomeFollower(message.term, message.from);
      return;
    default:
      raft.becomeFollower(message.term, null);
      return;
  }
}

/**
 * Whether a live leader makes this member deaf to candidates (thesis
 * §4.2.3). The target of a transfer is heard (H114). With fast failover so is
 * that leader itself, which has no office left if it campaigns (H07), and a
 * leader whose process is said to be gone is not live.
 */
function isSticky(raft: Raft, message: RequestVote | RequestPreVote): boolean {
  const { checkQuorum, electionTicks, fastFailover } = raft.config;
  const { leader, suspicion } = raft;
  if (message.type === "requestVote" && message.transfer) return false;
  if (!checkQuorum || leader === null) return false;
  if (fastFailover && (leader === message.from || leader === suspicion.of)) {
    return false;
  }
  return raft.electionElapsed < electionTicks;
}

/** Meets a term below ours: the sender has to learn of the newer one. */
function answerOldTerm(raft: Raft, message: TermMessage): void {
  const { config, id, leader, term } = raft;
  switch (message.type) {
    case "appendEntries":
    case "heartbeat":
      // A leader cut off under check-quorum or pre-vote would never hear of
      // the new term otherwise, and its follower never rejoin (H04, H05). We
      // cannot know which flags others have: who follows nobody tells (H06).
      if (!config.checkQuorum && !config.preVote) {
        if (leader !== null || !config.mixedSettings) return;
      }
      raft.sendAfterPersist({
        type: "appendEntriesResponse",
        from: id,
        to: message.from,
        term,
        reject: false,
        index: 0,
        hintIndex: 0,
        hintTerm: 0,
      });
      return;
    case "requestPreVote":
      raft.sendAfterPersist({
        type: "requestPreVoteResponse",
        from: id,
        to: message.from,
        term,
        reject: true,
      });
      return;
    default:
      return;
  }
}

function isAnswer(message: TermMessage): boolean {
  switch (message.type) {
    case "appendEntriesResponse":
    case "heartbeatResponse":
    case "requestVoteResponse":
    case "requestPreVoteResponse":
      return true;
    default:
      return false;
  }
}
