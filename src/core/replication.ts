/**
 * The leader's side of replication (thesis §3.5, §10.2.1).
 *
 * @module
 */
import { changeLimit } from "./change_limit.ts";
import { tellLeavers } from "./departure.ts";
import type {
  AppendEntries,
  AppendEntriesResponse,
  HeartbeatResponse,
} from "./message.ts";
import type { Progress } from "./progress.ts";
import type { Raft } from "./raft.ts";
import { confirmReads, releaseHeldReads } from "./reads.ts";
import type { Load } from "./ready.ts";
import { allMembers } from "./tracker.ts";
import { type Entry, entryBytes, type NodeId } from "./types.ts";
import { entriesThrough, isWitness } from "./witness.ts";

/** Sends to everybody what they lack, or at least the commit index. */
export function broadcastAppend(raft: Raft): void {
  for (const id of raft.tracker.members) {
    if (id !== raft.id) maybeSendAppend(raft, id, "always");
  }
}

/**
 * Sends one append to a member that may be sent to.
 *
 * @param when Whether an append without entries is worth sending.
 * @returns Whether an append was sent.
 */
export function maybeSendAppend(
  raft: Raft,
  to: NodeId,
  when: "always" | "withEntries",
): boolean {
  const progress = raft.tracker.progress.get(to);
  if (progress === undefined || progress.paused) return false;
  const { log } = raft;
  if (
    log.runs.termAt(progress.nextIndex - 1) === undefined ||
    isRootless(raft, progress)
  ) return maybeSendSnapshot(raft, to, progress);
  // To a full window goes an empty append, so that it can recover (H32).
  const full = progress.state === "replicate" && progress.inflights.full;
  const limit = Math.min(raft.tracker.sendLimit(to), changeLimit(raft));
  const slice = full || progress.nextIndex > limit
    ? { entries: [], bytes: 0 }
    : log.entriesFrom(progress.nextIndex, progress.batch.bytes);
  if (slice === "compacted") return maybeSendSnapshot(raft, to, progress);
  if (slice === "evicted") {
    requestLoad(raft, to, progress);
    return false;
  }
  const entries = entriesThrough(slice.entries, limit);
  if (entries.length === 0 && when === "withEntries") return false;
  sendAppend(raft, to, progress, entries, slice.bytes);
  return true;
}

function sendAppend(
  raft: Raft,
  to: NodeId,
  progress: Progress,
  entries: readonly Entry[],
  bytes: number,
): void {
  const { log } = raft;
  const prevLogIndex = progress.nextIndex - 1;
  const sent = isWitness(raft.tracker.conf, to)
    ? raft.omission.of(entries)
    : { entries, bytes };
  const message: AppendEntries = {
    type: "appendEntries",
    from: raft.id,
    to,
    term: raft.term,
    prevLogIndex,
    prevLogTerm: log.runs.termAt(prevLogIndex) ?? 0,
    commitIndex: log.commitIndex,
    entries: sent.entries,
  };
  raft.send(prevLogIndex === 0 ? withFounding(raft, message) : message);
  progress.sentEntries(entries.length, sent.bytes);
  const last = prevLogIndex + entries.length;
  if (entries.length > 0 && last < log.lastIndex) progress.batch.cut(last);
  progress.sentCommit = log.commitIndex;
}

/**
 * Whether the first entry would be sent while nobody here remembers what it
 * builds upon: a snapshot has taken the place of that.
 */
function isRootless({ log }: Raft, progress: Progress): boolean {
  return progress.nextIndex === 1 && log.founding === null &&
    log.snapshot.index > 0;
}

/** Who was no founder has to know what the first entry builds upon. */
function withFounding(raft: Raft, message: AppendEntries): AppendEntries {
  const { founding } = raft.log;
  const isKnown = founding === null ||
    allMembers(founding).includes(message.to);
  return isKnown ? message : { ...message, founding };
}

/** Asks for entries that left memory; others are served meanwhile. */
function requestLoad(raft: Raft, to: NodeId, progress: Progress): void {
  if (progress.loadId !== 0) return;
  progress.loadId = raft.newLoadId();
  raft.loads.push({
    id: progress.loadId,
    purpose: to,
    from: progress.nextIndex,
    through: raft.log.tail.firstIndex - 1,
    maxBytes: progress.batch.bytes,
  });
}

/** Sends entries that were read back, if they are still what is needed. */
export function handleLoaded(
  raft: Raft,
  load: Load,
  entries: readonly Entry[],
): void {
  if (load.purpose === "apply") {
    raft.log.applyLoaded(load, entries);
    return;
  }
  const progress = raft.tracker.progress.get(load.purpose);
  if (progress === undefined || progress.loadId !== load.id) return;
  progress.loadId = 0;
  if (raft.role !== "leader" || progress.paused) return;
  const limit = raft.tracker.sendLimit(load.purpose);
  const isWanted = progress.nextIndex === load.from && load.from <= limit &&
    !wasCompacted(raft, load) && !progress.inflights.full;
  if (isWanted) {
    raft.log.assertOwn(load, entries);
    let bytes = 0;
    for (const entry of entries) bytes += entryBytes(entry);
    const sent = entriesThrough(entries, limit);
    sendAppend(raft, load.purpose, progress, sent, bytes);
  }
  sendWhilePossible(raft, load.purpose);
}

/** The own log cannot be read: others may lead better (H42). */
export function handleLoadFailed(raft: Raft, load: Load): void {
  if (load.purpose === "apply") raft.log.applyLoadFailed(load);
  else {
    const progress = raft.tracker.progress.get(load.purpose);
    if (progress?.loadId !== load.id) return;
    progress.loadId = 0;
    if (wasCompacted(raft, load)) {
      // Not damaged, but gone: the follower needs a snapshot.
      maybeSendAppend(raft, load.purpose, "withEntries");
      return;
    }
  }
  if (raft.role === "leader") raft.becomeFollower(raft.term, null);
}

/** Whether the log has lost what a load asked for since. */
function wasCompacted(raft: Raft, load: Load): boolean {
  return load.from < raft.log.firstIndex;
}

/** Tells a member that its log lies before ours: it needs the state. */
function maybeSendSnapshot(
  raft: Raft,
  to: NodeId,
  progress: Progress,
): boolean {
  if (!progress.recentActive) return false;
  const { snapshot } = raft.log;
  progress.becomeSnapshot(snapshot.index);
  raft.send({
    type: "installSnapshot",
    from: raft.id,
    to,
    term: raft.term,
    snapshot,
  });
  return true;
}

/** See `RawNode.reportUnreachable`. */
export function reportUnreachable(raft: Raft, peer: NodeId): void {
  const progress = raft.tracker.progress.get(peer);
  if (raft.role !== "leader" || progress === undefined) return;
  if (progress.state !== "replicate") return;
  progress.batch.shrink();
  progress.becomeProbe();
}

/** See `RawNode.reportSnapshot`. */
export function reportSnapshot(raft: Raft, peer: NodeId, ok: boolean): void {
  const progress = raft.tracker.progress.get(peer);
  if (raft.role !== "leader" || progress?.state !== "snapshot") return;
  if (!ok) progress.pendingSnapshotIndex = 0;
  progress.becomeProbe();
  // Wait for an answer, or for the next heartbeat's, before going on.
  progress.flowPaused = true;
}

/** Keeps followers, and confirms reads up to `round` (0: none). */
export function broadcastHeartbeat(raft: Raft, round: number): void {
  for (const id of raft.tracker.members) {
    if (id === raft.id) continue;
    const progress = raft.tracker.progress.get(id);
    if (progress === undefined) continue;
    // Never more than the member has (H28).
    const commitIndex = Math.min(progress.countedIndex, raft.log.commitIndex);
    raft.send({
      type: "heartbeat",
      from: raft.id,
      to: id,
      term: raft.term,
      commitIndex,
      round,
      sentAt: raft.now,
      leaderCommit: raft.log.commitIndex,
    });
    progress.sentCommit = commitIndex;
  }
}

/** The leader's own disk caught up: it counts itself only now (H41). */
export function acknowledgeOwn(raft: Raft): void {
  const own = raft.tracker.progress.get(raft.id);
  if (own?.maybeUpdate(raft.log.stableIndex)) {
    if (raft.maybeCommit()) afterCommit(raft);
    else sendToWitnesses(raft);
  }
}

/** What was held back may go (see `changeLimit`). */
export function sendHeld(raft: Raft): void {
  for (const id of raft.tracker.members) {
    if (id !== raft.id) sendWhilePossible(raft, id);
  }
}

/** A data voter holds more, or is not waited for any longer. */
export function sendToWitnesses(raft: Raft): void {
  for (const id of raft.tracker.conf.witnesses) {
    if (id !== raft.id) sendWhilePossible(raft, id);
  }
}

/** What follows when a leader's commit index moved. */
export function afterCommit(raft: Raft): void {
  tellLeavers(raft);
  releaseHeldReads(raft);
  broadcastAppend(raft);
}

/** Handles the answer to an append or a snapshot. */
export function handleAppendResponse(
  raft: Raft,
  progress: Progress,
  message: AppendEntriesResponse,
): void {
  progress.recentActive = true;
  if (message.reject) handleRejection(raft, progress, message);
  else handleAcknowledgement(raft, progress, message);
}

function handleRejection(
  raft: Raft,
  progress: Progress,
  message: AppendEntriesResponse,
): void {
  const { index, hintIndex, hintTerm, from } = message;
  if (progress.maybeDeny(index, raft.now)) return;
  // Skips all our entries of terms the follower cannot hold (C04).
  const probe = hintTerm > 0
    ? raft.log.runs.findConflictByTerm(hintIndex, hintTerm).index
    : hintIndex;
  if (!progress.maybeDecrement(index, probe)) return;
  progress.batch.shrink();
  if (progress.state === "replicate") progress.becomeProbe();
  maybeSendAppend(raft, from, "always");
}

function handleAcknowledgement(
  raft: Raft,
  progress: Progress,
  message: AppendEntriesResponse,
): void {
  const { from, index } = message;
  // A member never has more of our log than we do; do not believe it. Nor one
  // that lost its log: the answer may be from before (H27).
  if (index > raft.log.lastIndex || progress.lostLog) return;
  const probed = progress.state === "probe" && progress.matchIndex === index;
  if (!progress.maybeUpdate(index) && !probed) return;
  progress.denials = 0;
  progress.batch.acknowledged(index);
  if (progress.state === "probe") progress.becomeReplicate();
  else if (progress.state === "replicate") {
    progress.inflights.freeThrough(index);
  } else if (progress.matchIndex + 1 >= raft.log.firstIndex) {
    progress.becomeReplicate();
  }
  if (raft.maybeCommit()) afterCommit(raft);
  else if (progress.canBumpCommit(raft.log.commitIndex)) {
    maybeSendAppend(raft, from, "always");
  }
  sendWhilePossible(raft, from);
  sendToWitnesses(raft);
  if (
    from === raft.transferTarget &&
    progress.matchIndex === raft.log.lastIndex
  ) sendTimeoutNow(raft, from);
}

/** Fills the window. */
function sendWhilePossible(raft: Raft, to: NodeId): void {
  while (maybeSendAppend(raft, to, "withEntries"));
}

/** Handles the answer to a heartbeat. */
export function handleHeartbeatResponse(
  raft: Raft,
  progress: Progress,
  message: HeartbeatResponse,
): void {
  progress.recentActive = true;
  if (progress.mayAskAgain(message.sentAt)) {
    progress.flowPaused = false;
    if (
      progress.matchIndex < raft.log.lastIndex || progress.state === "probe"
    ) maybeSendAppend(raft, message.from, "always");
  }
  if (message.round > 0) confirmReads(raft, message.from, message.round);
}

/**
 * Tells the target of a transfer to campaign at once (thesis §3.10). From now
 * on no lease holds in this term.
 */
export function sendTimeoutNow(raft: Raft, to: NodeId): void {
  raft.lease.isForfeited = true;
  raft.send({ type: "timeoutNow", from: raft.id, to, term: raft.term });
}
