/**
 * What a candidate and a pre-candidate make of messages of their term.
 *
 * @module
 */
import { handleVoteResponse } from "./election.ts";
import type { Message } from "./message.ts";
import { answerProposal } from "./proposals.ts";
import type { Raft } from "./raft.ts";
import type { StepResult } from "./step.ts";
import { stepFollower } from "./step_follower.ts";

/** Handles a message as candidate or pre-candidate. */
export function stepCandidate(raft: Raft, message: Message): StepResult {
  switch (message.type) {
    case "appendEntries":
    case "heartbeat":
    case "installSnapshot":
    case "quiesce":
      // Somebody leads this term already.
      raft.becomeFollower(message.term, message.from);
      return stepFollower(raft, message);
    case "requestVoteResponse":
    case "requestPreVoteResponse":
      handleVoteResponse(raft, message);
      return "accepted";
    case "propose":
      return answerProposal(raft, message, "noLeader");
    default:
      return "accepted";
  }
}
