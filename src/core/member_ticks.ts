/**
 * What a leader does for its members as time passes.
 *
 * @module
 */
import { tickHandOver } from "./departure.ts";
import { maybeLeaveJoint, maybePromote } from "./membership.ts";
import type { Raft } from "./raft.ts";
import { afterCommit, sendToWitnesses } from "./replication.ts";

/** A tick passes for a leader; it may be none any more afterwards. */
export function tickMembers(raft: Raft): void {
  if (raft.role !== "leader") return;
  const { config, log, tracker } = raft;
  for (const id of tracker.members) {
    const progress = tracker.progress.get(id);
    if (id === raft.id || progress === undefined) continue;
    const { matchIndex, pace } = progress;
    pace.tick(matchIndex, log.lastIndex, config.electionTicks);
  }
  // Whom witnesses were waiting for may have fallen behind for good.
  const { witnesses } = tracker.conf;
  if (witnesses.length > 0 && log.commitIndex < log.lastIndex) {
    if (raft.maybeCommit()) afterCommit(raft);
    else sendToWitnesses(raft);
  }
  // Both may have been refused before, by a transfer for one (H82).
  maybeLeaveJoint(raft);
  maybePromote(raft);
  tickHandOver(raft);
}
