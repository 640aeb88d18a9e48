/**
 * What a leader makes of messages of its term.
 *
 * @module
 */
import { takePromise } from "./lease.ts";
import type { Message } from "./message.ts";
import { takePriority } from "./priority.ts";
import { answerProposal, appendProposal } from "./proposals.ts";
import type { Raft } from "./raft.ts";
import { takeRead } from "./reads.ts";
import {
  handleAppendResponse,
  handleHeartbeatResponse,
} from "./replication.ts";
import type { StepResult } from "./step.ts";
import { transfer } from "./transfer.ts";

/** Handles a message as leader. */
export function stepLeader(raft: Raft, message: Message): StepResult {
  const progress = raft.tracker.progress.get(message.from);
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
      if (progress === undefined) return "unknownPeer";
      handleAppendResponse(raft, progress, message);
      return "accepted";
    case "heartbeatResponse":
      if (progress === undefined) return "unknownPeer";
      takePromise(raft, progress, message);
      takePriority(raft, progress, message);
      handleHeartbeatResponse(raft, progress, message);
      return "accepted";
    default:
      return "accepted";
  }
}
