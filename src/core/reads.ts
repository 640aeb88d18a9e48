/**
 * Linearizable reads without a log write (thesis §6.4).
 *
 * @module
 */
import type { Raft } from "./raft.ts";
import type { ReadRequest } from "./read_only.ts";
import { broadcastHeartbeat } from "./replication.ts";
import type { LogIndex, NodeId } from "./types.ts";
import { isWitness } from "./witness.ts";

/**
 * This member wants to read: takes it as leader, else asks the leader.
 *
 * @returns Whether an answer may be expected.
 */
export function requestRead(raft: Raft, context: number): boolean {
  const { id, leader } = raft;
  if (raft.role === "leader") return takeRead(raft, { from: id, context });
  // A witness has nothing to answer from (H89).
  if (leader === null || isWitness(raft.tracker.conf, id)) return false;
  raft.send({ type: "readIndex", from: id, to: leader, term: 0, context });
  return true;
}

/**
 * A leader takes a read: notes its commit index and proves that it still
 * leads. Until it has committed in its own term the commit index may lag
 * behind what was acknowledged by others, so the read waits (H93, H97).
 *
 * @returns Whether the read was taken; `false` if too many wait.
 */
export function takeRead(raft: Raft, request: ReadRequest): boolean {
  const { readOnly, log } = raft;
  raft.rest.idleTicks = 0;
  if (readOnly.count >= raft.config.maxPendingReads) return false;
  if (!raft.committedInTerm) {
    readOnly.held.push(request);
    return true;
  }
  if (isLoneVoter(raft)) {
    answerRead(raft, request, log.commitIndex);
    return true;
  }
  // Its round begins with the next Ready, and so do those of all reads that
  // arrive until then.
  readOnly.add(request, log.commitIndex);
  return true;
}

/**
 * Sends heartbeats. With them begins a round for the reads that wait for one;
 * a round under way gets another chance.
 */
export function beginRound(raft: Raft): void {
  broadcastHeartbeat(raft, raft.readOnly.nextRound());
  // A configuration change may have left nobody to answer.
  if (isLoneVoter(raft)) releaseReads(raft);
}

/** Starts the reads that waited for the first commit of the term. */
export function releaseHeldReads(raft: Raft): void {
  if (raft.readOnly.held.length === 0 || !raft.committedInTerm) return;
  const held = raft.readOnly.takeHeld();
  if (isLoneVoter(raft)) {
    for (const read of held) answerRead(raft, read, raft.log.commitIndex);
    return;
  }
  for (const read of held) raft.readOnly.add(read, raft.log.commitIndex);
  beginRound(raft);
}

/** Counts an answer to a round. */
export function confirmReads(raft: Raft, from: NodeId, round: number): void {
  raft.readOnly.acknowledge(from, round);
  releaseReads(raft);
}

/** Releases the reads that a quorum confirmed. */
function releaseReads(raft: Raft): void {
  const { readOnly, tracker } = raft;
  if (!readOnly.hasPending) return;
  const confirmed = tracker.quorumIndex(readOnly.ackedBy);
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
      term: raft.term,
      context,
      index,
    });
  }
}

/** Whether no answer but its own makes this leader's quorum. */
function isLoneVoter(raft: Raft): boolean {
  const { voters, votersOutgoing } = raft.tracker.conf;
  // Of both halves of a joint configuration: nobody is left to answer.
  return voters.length === 1 &&
    [...voters, ...votersOutgoing].every((id) => id === raft.id);
}
