/**
 * How members leave: they are told so, stop disturbing, and come back under no
 * id that was removed (thesis §4.2.2, §4.2.3).
 *
 * @module
 */
import type { Message, RemovalReason, Removed } from "./message.ts";
import { answerProposal } from "./proposals.ts";
import type { Raft } from "./raft.ts";
import { maybeSendAppend, sendTimeoutNow } from "./replication.ts";
import { findHeir } from "./stall.ts";
import { isVoter } from "./tracker.ts";
import { transfer } from "./transfer.ts";
import type { ConfState, LogIndex, NodeId } from "./types.ts";

/** Election timeouts after which a leader that left stops handing over. */
const MAX_HAND_OVER_TIMEOUTS = 4;

/** What a member was told of its own removal. */
export interface Removal {
  /** Why it is no member any more. */
  readonly reason: RemovalReason;
  /** Version of the configuration that says so. */
  readonly version: number;
}

/** What a member knows of its leaving. */
export class Departure {
  /** Set once another member said that this one is none; then for good. */
  removal: Removal | null = null;
  /**
   * Ticks since this leader lost its vote, or since this member last asked
   * whether others know of its removal.
   */
  ticks = 0;
  /** Whom this leader still has to tell that a change has removed them. */
  leavers: NodeId[] = [];
  /** Once this is committed, this leader tells of removals; see `mayTell`. */
  proofIndex: LogIndex = 0;

  /** The term is over. */
  reset(): void {
    this.leavers = [];
    this.proofIndex = 0;
  }
}

/**
 * Whether an id is refused for ever. Where removed ids may return, nobody is
 * ever told that it was removed.
 */
export function isBarred(raft: Raft, id: NodeId): boolean {
  return raft.config.validateConfChanges === true &&
    raft.tracker.conf.removed.includes(id);
}

/** Whether this leader has no vote any more and looks for a successor. */
export function isHandingOver(raft: Raft): boolean {
  return raft.role === "leader" &&
    raft.config.stepDownOnRemoval === "handOver" &&
    !isVoter(raft.tracker.conf, raft.id);
}

/**
 * Tells a removed member so, in place of an answer (thesis §4.2.3). A leader
 * is only told once its term is over: until then it leads, for all that this
 * member knows.
 *
 * @returns Whether the message needs no further handling.
 */
export function turnAway(raft: Raft, message: Message): boolean {
  switch (message.type) {
    case "requestVote":
    case "requestPreVote":
      break;
    case "appendEntries":
    case "heartbeat":
      if (message.term >= raft.term) return false;
      break;
    case "propose":
    case "readIndex":
      if (raft.role !== "leader") return false;
      break;
    default:
      return false;
  }
  if (!isBarred(raft, message.from) || message.from === raft.id) return false;
  if (mayTell(raft)) tellRemoved(raft, message.from);
  if (message.type === "propose") answerProposal(raft, message, "notMember");
  return true;
}

/**
 * A leader is to tell those whom a change has removed. Until then it alone may
 * know that they are; what it appends now proves that others do.
 */
export function noteLeavers(raft: Raft, before: ConfState): void {
  const { departure, log, term } = raft;
  const leavers = raft.tracker.conf.removed.filter((id) =>
    id !== raft.id && !before.removed.includes(id) && isBarred(raft, id)
  );
  if (leavers.length === 0) return;
  departure.leavers.push(...leavers);
  departure.proofIndex = log.lastIndex + 1;
  log.append({ type: "noop", term, index: departure.proofIndex });
}

/** The commit index of this leader moved: it may tell now. */
export function tellLeavers(raft: Raft): void {
  const { departure } = raft;
  if (departure.leavers.length === 0 || !mayTell(raft)) return;
  for (const id of departure.leavers) tellRemoved(raft, id);
  departure.leavers = [];
}

/**
 * Whether the votes of those who left are needed no more (H79). A leader knows
 * when: whoever holds an entry that it appended after it had applied the
 * removal got the commit of that with it, onto its disk, and a quorum without
 * the leavers holds it. Others know only of two that have learned of it.
 */
function mayTell({ role, committedInTerm, departure, log }: Raft): boolean {
  return role !== "leader" ||
    committedInTerm && log.commitIndex >= departure.proofIndex;
}

/**
 * Goes out once the commit of the removal is on disk: after a crash this
 * member must not need the vote of somebody it has sent home (H79).
 */
function tellRemoved(raft: Raft, to: NodeId): void {
  raft.sendAfterPersist({
    type: "removed",
    from: raft.id,
    to,
    term: 0,
    reason: "removed",
    version: raft.tracker.conf.version,
  });
}

/**
 * Believes that this member is none, unless it knows better: configurations
 * have an order, and in a later one than the sender's it may be a member. That
 * cannot come true for a removed id, but for news of another group's making.
 */
export function handleRemoved(raft: Raft, message: Removed): void {
  const { reason, version } = message;
  const { conf } = raft.tracker;
  if (raft.config.validateConfChanges !== true) return;
  if (raft.departure.removal !== null) return;
  const isNews = version > conf.version ||
    (reason === "replacedDisk" && version === conf.version);
  if (!isNews && !conf.removed.includes(raft.id)) return;
  raft.departure.removal = { reason, version };
  if (raft.role !== "follower") raft.becomeFollower(raft.term, null);
}

/**
 * The leader has lost its vote and begins to hand over. It goes on leading
 * without counting itself, so that the rest learns of the change and has a
 * leader all the while (H78).
 */
export function beginHandOver(raft: Raft): void {
  raft.departure.ticks = 0;
  appoint(raft);
}

/** A tick passes for a leader: it may be one that is to go. */
export function tickHandOver(raft: Raft): void {
  if (!isHandingOver(raft)) return;
  const { electionTicks, heartbeatTicks } = raft.config;
  raft.departure.ticks++;
  if (raft.departure.ticks >= MAX_HAND_OVER_TIMEOUTS * electionTicks) {
    raft.becomeFollower(raft.term, null);
    return;
  }
  if (raft.departure.ticks % heartbeatTicks === 0) appoint(raft);
}

/**
 * Names a successor; or asks again, for until it has applied the change the
 * successor does not campaign (H77).
 */
function appoint(raft: Raft): void {
  const { transferTarget, tracker, log } = raft;
  if (transferTarget === null) {
    // Until a quorum without this leader holds what is committed, it alone can
    // bring it to them: whoever begins with nothing elects nobody (H80).
    if (tracker.quorumMatch() < log.commitIndex) return;
    const heir = findHeir(raft);
    if (heir !== null) transfer(raft, heir);
    return;
  }
  const progress = tracker.progress.get(transferTarget);
  if (progress?.matchIndex === log.lastIndex) {
    sendTimeoutNow(raft, transferTarget);
  } else maybeSendAppend(raft, transferTarget, "always");
}

/**
 * A tick passes for a member that has applied its own removal, or may have
 * missed it. It stays as a voter for those that know of none, until somebody
 * that will stay says that it may go (H78, H79); it asks for that with
 * pre-votes, which change nothing.
 */
export function tickDeparture(raft: Raft): void {
  const { departure, tracker, config } = raft;
  if (departure.removal !== null) return;
  if (!isBarred(raft, raft.id) && !isForsaken(raft)) return;
  departure.ticks++;
  if (departure.ticks < config.electionTicks) return;
  departure.ticks = 0;
  const { index, term } = raft.log.lastId;
  for (const to of tracker.conf.voters) {
    if (to === raft.id) continue;
    raft.send({
      type: "requestPreVote",
      from: raft.id,
      to,
      term: raft.term + 1,
      lastLogIndex: index,
      lastLogTerm: term,
    });
  }
}

/**
 * Whether a member that never campaigns, or not before its log is whole again,
 * hears of no leader: it would not call, and so not be told if it was removed
 * meanwhile.
 */
function isForsaken(raft: Raft): boolean {
  return raft.config.validateConfChanges === true && !raft.promotable &&
    raft.tracker.progress.has(raft.id) &&
    raft.electionElapsed >= raft.electionTimeout;
}
