/**
 * What a leader makes of messages of its term.
 *
 * @module
 */
import type { Message } from "./message.ts";
import type { Progress } from "./progress.ts";
import { answerProposal, appendProposal } from "./proposals.ts";
import type { Raft } from "./raft.ts";
import { takeRead } from "./reads.ts";
import {
  handleAppendResponse,
  handleHeartbeatResponse,
  maybeSendAppend,
  sendTimeoutNow,
} from "./replication.ts";
import type { StepResult } from "./step.ts";
import type { NodeId } from "./types.ts";

/** Handles a message as leader. */
export function stepLeader(raft: Raft, message: Message): StepResult {
  switch (message.type) {
    case "propose":
      return answerProposal(
        raft,
        message,
        appendProposal(raft, message.commands),
      );
    case "readIndex":
      takeRead(raft, { from: message.from, context: message.context });
      return "accepted";
    case "transferLeadership":
      transfer(raft, message.target);
      return "accepted";
    case "appendEntriesResponse":
      return withProgress(raft, message.from, (progress) => {
        handleAppendResponse(raft, progress, message);
      });
    case "heartbeatResponse":
      return withProgress(raft, message.from, (progress) => {
        handleHeartbeatResponse(raft, progress, message);
      });
    default:
      return "accepted";
  }
}

function withProgress(
  raft: Raft,
  from: NodeId,
  handle: (progress: Progress) => void,
): StepResult {
  const progress = raft.tracker.progress.get(from);
  if (progress === undefined) return "unknownPeer";
  handle(progress);
  return "accepted";
}

/**
 * Begins to hand over to a voter (thesis §3.10). No new proposals are taken
 * until it leads, or an election timeout has passed (H112, H113).
 */
export function transfer(raft: Raft, target: NodeId): void {
  const progress = raft.tracker.progress.get(target);
  if (progress === undefined || progress.learner || target === raft.id) return;
  if (raft.tracker.conf.witnesses.includes(target)) return;
  if (raft.transferTarget === target) return;
  raft.transferTarget = target;
  raft.electionElapsed = 0;
  if (progress.matchIndex === raft.log.lastIndex) sendTimeoutNow(raft, target);
  else maybeSendAppend(raft, target, "always");
}
