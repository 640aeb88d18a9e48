/**
 * Time, counted in ticks.
 *
 * @module
 */
import { tickDeparture } from "./departure.ts";
import { timeoutCampaign } from "./election.ts";
import { tickSuspicion } from "./failover.ts";
import { tickMembers } from "./member_ticks.ts";
import { notePriorityFailure, tickPriority } from "./priority.ts";
import { maybeQuiesce, ping } from "./quiesce.ts";
import type { Raft } from "./raft.ts";
import { beginRound } from "./reads.ts";
import { reportUnreachable } from "./replication.ts";
import { tickStall } from "./stall.ts";

/**
 * One tick passes.
 *
 * @param now Milliseconds of a monotonic clock, for leases.
 */
export function tick(raft: Raft, now: number): void {
  raft.now = Math.max(raft.now, Math.floor(now));
  if (raft.rest.isAsleep) return;
  raft.disk.tick();
  if (raft.lease.deafTicks > 0) raft.lease.deafTicks--;
  if (raft.role === "leader") tickLeader(raft);
  else tickElection(raft);
}

function tickElection(raft: Raft): void {
  tickDeparture(raft);
  tickSuspicion(raft);
  if (raft.summonsTicks > 0) raft.summonsTicks--;
  raft.electionElapsed++;
  if (raft.electionElapsed < raft.electionTimeout) return;
  if (raft.promotable) {
    raft.electionElapsed = 0;
    timeoutCampaign(raft);
  } else if (raft.config.quiesceTicks > 0 && raft.leader !== null) {
    // It cannot campaign, but wake a leader that sleeps without it. The count
    // goes on: whoever hears nothing of the leader has to hear candidates.
    if (raft.electionElapsed % raft.electionTimeout === 0) {
      ping(raft, raft.leader);
    }
  }
}

function tickLeader(raft: Raft): void {
  raft.heartbeatElapsed++;
  raft.electionElapsed++;
  if (raft.electionElapsed >= raft.config.electionTicks) {
    raft.electionElapsed = 0;
    checkQuorum(raft);
    if (raft.role !== "leader") return;
    endTransfer(raft);
  }
  tickStall(raft);
  tickMembers(raft);
  if (raft.role !== "leader") return;
  tickPriority(raft);
  if (maybeQuiesce(raft)) return;
  if (raft.heartbeatElapsed >= raft.config.heartbeatTicks) {
    raft.heartbeatElapsed = 0;
    beginRound(raft);
  }
}

/** The target had an election timeout to take over (H113). */
function endTransfer(raft: Raft): void {
  const { transferTarget } = raft;
  if (transferTarget === null) return;
  raft.transferTarget = null;
  notePriorityFailure(raft, transferTarget);
}

/** A leader that heard of no quorum since the last check steps down. */
function checkQuorum(raft: Raft): void {
  const { config } = raft;
  if (!config.checkQuorum) return;
  if (!raft.tracker.quorumActive(raft.id)) {
    raft.becomeFollower(raft.term, null);
    return;
  }
  for (const [id, progress] of raft.tracker.progress) {
    if (id === raft.id) continue;
    if (!progress.recentActive && config.adaptiveFlow) {
      // What is sent to a silent member may be lost.
      reportUnreachable(raft, id);
    }
    progress.recentActive = false;
  }
}
