/**
 * Time, counted in ticks.
 *
 * @module
 */
import { timeoutCampaign } from "./election.ts";
import type { Raft } from "./raft.ts";
import { broadcastHeartbeat } from "./replication.ts";

/**
 * One tick passes.
 *
 * @param now Milliseconds of a monotonic clock, for leases.
 */
export function tick(raft: Raft, now: number): void {
  raft.now = Math.max(raft.now, Math.floor(now));
  if (raft.role === "leader") tickLeader(raft);
  else tickElection(raft);
}

function tickElection(raft: Raft): void {
  raft.electionElapsed++;
  if (raft.electionElapsed < raft.electionTimeout || !raft.promotable) return;
  raft.electionElapsed = 0;
  timeoutCampaign(raft);
}

function tickLeader(raft: Raft): void {
  raft.heartbeatElapsed++;
  raft.electionElapsed++;
  if (raft.electionElapsed >= raft.config.electionTicks) {
    raft.electionElapsed = 0;
    checkQuorum(raft);
    if (raft.role !== "leader") return;
    // The target had an election timeout to take over (H113).
    raft.transferTarget = null;
  }
  if (raft.heartbeatElapsed >= raft.config.heartbeatTicks) {
    raft.heartbeatElapsed = 0;
    broadcastHeartbeat(raft, raft.readOnly.openRound);
  }
}

/** A leader that heard of no quorum since the last check steps down. */
function checkQuorum(raft: Raft): void {
  if (!raft.config.checkQuorum) return;
  if (!raft.tracker.quorumActive(raft.id)) {
    raft.becomeFollower(raft.term, null);
    return;
  }
  for (const [id, progress] of raft.tracker.progress) {
    if (id !== raft.id) progress.recentActive = false;
  }
}
