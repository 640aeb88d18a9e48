/**
 * Handing the leadership over (thesis §3.10).
 *
 * @module
 */
import { maybeCampaign } from "./election.ts";
import type { Raft } from "./raft.ts";
import { maybeSendAppend, sendTimeoutNow } from "./replication.ts";
import type { NodeId } from "./types.ts";

/**
 * This member is asked to see to it that `target` leads: begins as leader,
 * else asks the leader.
 *
 * @returns Whether that may come of it.
 */
export function requestTransfer(raft: Raft, target: NodeId): boolean {
  const { id, leader, term } = raft;
  if (raft.role === "leader") {
    transfer(raft, target);
    return raft.transferTarget === target;
  }
  if (raft.role !== "follower" || leader === null) return false;
  raft.send({
    type: "transferLeadership",
    from: id,
    to: leader,
    term,
    target,
  });
  return true;
}

/** Whether a member may be handed over to at all: a voter that may lead. */
export function isTransferable(raft: Raft, target: NodeId): boolean {
  const progress = raft.tracker.progress.get(target);
  return progress !== undefined && !progress.learner && !progress.lostLog &&
    target !== raft.id &&
    !raft.tracker.conf.witnesses.includes(target);
}

/**
 * Begins to hand over to a voter (thesis §3.10). No new proposals are taken
 * until it leads, or an election timeout has passed (H112, H113). A leader
 * that names itself goes on leading and gives up what it had begun.
 */
export function transfer(raft: Raft, target: NodeId): void {
  if (target === raft.id) raft.transferTarget = null;
  const progress = raft.tracker.progress.get(target);
  if (progress === undefined || !isTransferable(raft, target)) return;
  if (raft.transferTarget === target) return;
  raft.transferTarget = target;
  raft.electionElapsed = 0;
  if (progress.matchIndex === raft.log.lastIndex) sendTimeoutNow(raft, target);
  else maybeSendAppend(raft, target, "always");
}

/**
 * The leader hands over to this member. If it has to apply a committed change
 * first (H77), whose commit came along with this, it stands once it has.
 */
export function takeOver(raft: Raft): void {
  if (maybeCampaign(raft, "transfer")) return;
  if (raft.promotable && raft.log.mayHoldUnappliedConf) {
    raft.summonsTicks = raft.config.electionTicks;
  }
}

/** Something was applied: maybe this member may take over now. */
export function answerSummons(raft: Raft): void {
  if (raft.summonsTicks > 0) maybeCampaign(raft, "transfer");
}
