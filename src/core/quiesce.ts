/**
 * Sleep: a group that has nothing to do stops its timers, heartbeats included,
 * and wakes on whatever happens (H107). Agreement is not needed: who did not
 * hear that the leader sleeps goes on ticking, asks for pre-votes after its
 * timeout, is refused by sleepers as by everybody in contact with the leader,
 * and wakes them all.
 *
 * @module
 */
import { isJoint } from "./conf_change.ts";
import { isHandingOver } from "./departure.ts";
import type { Message, Quiesce } from "./message.ts";
import type { Raft } from "./raft.ts";
import { broadcastHeartbeat } from "./replication.ts";
import type { NodeId } from "./types.ts";

/** Whether a member sleeps, and how near it is to it. */
export class Rest {
  /** Whether ticks are ignored; never as candidate. */
  isAsleep = false;
  /** Ticks for which this leader has had nothing to do. */
  idleTicks = 0;
  /** Last index of this leader's log at the last tick. */
  lastIndex = 0;

  /** Something happens. */
  end(): void {
    this.isAsleep = false;
    this.idleTicks = 0;
  }
}

/**
 * A tick passes for a leader that may sleep.
 *
 * @returns Whether it now sleeps.
 */
export function maybeQuiesce(raft: Raft): boolean {
  const { rest, log } = raft;
  const { quiesceTicks } = raft.config;
  if (quiesceTicks === 0) return false;
  const isIdle = rest.lastIndex === log.lastIndex && isSettled(raft);
  rest.lastIndex = log.lastIndex;
  rest.idleTicks = isIdle ? rest.idleTicks + 1 : 0;
  if (rest.idleTicks < quiesceTicks) return false;
  for (const to of raft.tracker.members) {
    if (to === raft.id) continue;
    raft.send({
      type: "quiesce",
      from: raft.id,
      to,
      term: raft.term,
      commitIndex: log.commitIndex,
    });
  }
  rest.isAsleep = true;
  return true;
}

/**
 * Whether nothing is left to do: all members hold all of the log, it is
 * committed, no read, change or transfer is under way. Without check-quorum
 * nothing would keep a member that goes on ticking from being elected.
 */
export function isSettled(raft: Raft): boolean {
  const { config, log, tracker, readOnly } = raft;
  const { conf } = tracker;
  if (!config.checkQuorum || raft.transferTarget !== null) return false;
  // Somebody preferred is about to take over, or anybody.
  if (raft.preference.target !== null || isHandingOver(raft)) return false;
  if (readOnly.count > 0 || log.commitIndex < log.lastIndex) return false;
  if (!raft.committedInTerm || raft.pendingConfIndex > log.appliedIndex) {
    return false;
  }
  if (isJoint(conf) || conf.staging.length > 0) return false;
  for (const progress of tracker.progress.values()) {
    if (progress.state !== "replicate") return false;
    if (progress.matchIndex < log.lastIndex) return false;
  }
  return true;
}

/**
 * A follower hears that its leader sleeps, and does too, if it holds just what
 * the leader held; else it says so.
 */
export function handleQuiesce(raft: Raft, message: Quiesce): void {
  const { config, log, rest } = raft;
  const agrees = config.quiesceTicks > 0 && config.checkQuorum &&
    log.lastIndex === message.commitIndex;
  if (!agrees) {
    ping(raft, message.from);
    return;
  }
  // The leader had our acknowledgement of all of it in this very term.
  log.commitTo(message.commitIndex);
  rest.isAsleep = true;
}

/**
 * Wakes a member. A leader heartbeats at once, with a whole election timeout
 * to hear a quorum; a follower lets its leader know.
 *
 * @param cause Who woke it; `null` for somebody on this host.
 */
export function wake(raft: Raft, cause: NodeId | null): void {
  const { rest, leader } = raft;
  if (!rest.isAsleep) return;
  rest.end();
  if (raft.role === "leader") {
    raft.electionElapsed = 0;
    raft.heartbeatElapsed = 0;
    for (const [id, progress] of raft.tracker.progress) {
      // Who was heard of before the sleep may be gone by now.
      progress.recentActive = id === raft.id;
    }
    broadcastHeartbeat(raft, 0);
  } else if (leader !== null && leader !== cause) ping(raft, leader);
}

/**
 * Whether a message wakes a sleeper. Late answers do not: they tell nothing
 * that was not known, or need no timer. A ping answers no heartbeat and so
 * bears no time.
 */
export function isWaking(message: Message): boolean {
  switch (message.type) {
    case "quiesce":
    case "proposeResponse":
    case "readIndexResponse":
      return false;
    case "heartbeatResponse":
      return message.sentAt === 0;
    default:
      return true;
  }
}

/** Tells the leader that somebody is awake: an answer to no heartbeat. */
export function ping(raft: Raft, leader: NodeId): void {
  raft.send({
    type: "heartbeatResponse",
    from: raft.id,
    to: leader,
    term: raft.term,
    round: 0,
    sentAt: 0,
    leaseMs: 0,
    priority: raft.config.priority,
  });
}
