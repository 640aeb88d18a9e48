/**
 * Linearizable reads without a log write (thesis §6.4).
 *
 * @module
 */
import type { Raft } from "./raft.ts";
import type { ReadRequest } from "./read_only.ts";
import { broadcastHeartbeat } from "./replication.ts";
import { isVoter } from "./tracker.ts";
import type { LogIndex, NodeId } from "./types.ts";

/**
 * A leader takes a read: notes its commit index and proves that it still
 * leads. Until it has committed in its own term the commit index may lag
 * behind what was acknowledged by others, so the read waits (H93, H97).
 *
 * @returns Whether the read was taken; `false` if too many wait.
 */
export function takeRead(raft: Raft, request: ReadRequest): boolean {
  const { readOnly, log } = raft;
  if (readOnly.count >= raft.config.maxPendingReads) return false;
  if (!raft.committedInTerm) {
    readOnly.held.push(request);
    return true;
  }
  if (isLoneVoter(raft)) {
    answerRead(raft, request, log.commitIndex);
    return true;
  }
  const round = readOnly.open(request, log.commitIndex);
  broadcastHeartbeat(raft, round);
  return true;
}

/** Starts the reads that waited for the first commit of the term. */
export function releaseHeldReads(raft: Raft): void {
  if (raft.readOnly.held.length === 0 || !raft.committedInTerm) return;
  const held = raft.readOnly.takeHeld();
  if (isLoneVoter(raft)) {
    for (const read of held) answerRead(raft, read, raft.log.commitIndex);
    return;
  }
  // One round serves them all.
  let round = 0;
  for (const read of held) {
    round = raft.readOnly.open(read, raft.log.commitIndex);
  }
  broadcastHeartbeat(raft, round);
}

/** Counts an answer to a round; releases the reads a quorum confirmed. */
export function confirmReads(raft: Raft, from: NodeId, round: number): void {
  const { readOnly, tracker } = raft;
  readOnly.acknowledge(from, round);
  const confirmed = tracker.quorumIndex((id) => readOnly.ackedBy(id, raft.id));
  for (const read of readOnly.take(confirmed)) {
    answerRead(raft, read, read.index);
  }
}

function answerRead(raft: Raft, read: ReadRequest, index: LogIndex): void {
  const { from, context } = read;
  if (from === raft.id) raft.readStates.push({ context, index });
  else {
    raft.send({
      type: "readIndexResponse",
      from: raft.id,
      to: from,
      term: 0,
      context,
      index,
    });
  }
}

function isLoneVoter(raft: Raft): boolean {
  const { conf } = raft.tracker;
  return conf.voters.length === 1 && conf.votersOutgoing.length === 0 &&
    isVoter(conf, raft.id);
}
