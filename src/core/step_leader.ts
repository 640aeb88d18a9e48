/**
 * What a leader makes of messages of its term.
 *
 * @module
 */
import { takePromise } from "./lease.ts";
import type { Message } from "./message.ts";
import { takePriority } from "./priority.ts";
import { answerProposal, takeProposal } from "./proposals.ts";
import type { Raft } from "./raft.ts";
import { takeRead } from "./reads.ts";
import {
  handleAppendResponse,
  handleHeartbeatResponse,
} from "./replication.ts";
import type { StepResult } from "./step.ts";
import { transfer } from "./transfer.ts";
import { isWitness } from "./witness.ts";

/** Handles a message as leader. */
export function stepLeader(raft: Raft, message: Message): StepResult {
  const progress = raft.tracker.progress.get(message.from);
  switch (message.type) {
    case "propose":
      return answerProposal(raft, message, takeProposal(raft, message));
    case "readIndex":
      // A witness has nothing to answer a read from (H89).
      if (isWitness(raft.tracker.conf, message.from)) return "accepted";
      takeRead(raft, { from: message.from, context: message.context });
      return "accepted";
    case "transferLeadership":
      transfer(raft, message.target);
      return "accepted";
    case "appendEntriesResponse":
      if (progress === undefined) return "unknownPeer";
      progress.pace.heard();
      handleAppendResponse(raft, progress, message);
      return "accepted";
    case "heartbeatResponse":
      if (progress === undefined) return "unknownPeer";
      progress.pace.heard();
      takePromise(raft, progress, message);
      takePriority(raft, progress, message);
      handleHeartbeatResponse(raft, progress, message);
      return "accepted";
    default:
      return "accepted";
  }
}
