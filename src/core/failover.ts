/**
 * Fast failover: a follower that learns that its leader's process is gone asks
 * for pre-votes without waiting for its timeout. Nothing but the waiting is
 * left out: a leader that others still hear stays (thesis §4.2.3, §9.6), and
 * promises are kept.
 *
 * @module
 */
import { handleVoteRequest, maybeCampaign } from "./election.ts";
import type { RequestPreVote, RequestVote } from "./message.ts";
import type { Raft } from "./raft.ts";
import { allVoters } from "./tracker.ts";
import type { NodeId } from "./types.ts";

/** Ticks between the turns of two members that suspect the same leader. */
const HEARTBEATS_PER_RANK = 2;

/** What a follower has been told of its leader. Empty unless follower. */
export class Suspicion {
  /** The leader that is said to be gone; `null` for nobody. */
  of: NodeId | null = null;
  /** Ticks until this member asks for pre-votes; 0 once it was its turn. */
  waitTicks = 0;
  /** The last pre-vote that was ignored for the leader's sake. */
  held: RequestPreVote | null = null;

  /** The leader was heard of, or is none any more. */
  clear(): void {
    this.of = null;
    this.waitTicks = 0;
    this.held = null;
  }
}

/** See `RawNode.suspectLeader`. */
export function suspectLeader(raft: Raft, id: NodeId): void {
  const { config, suspicion } = raft;
  if (!config.fastFailover || !config.checkQuorum) return;
  if (raft.role !== "follower" || raft.leader !== id) return;
  if (suspicion.of === id) return;
  suspicion.of = id;
  suspicion.waitTicks = raft.lease.deafTicks +
    rankOf(raft, raft.id) * HEARTBEATS_PER_RANK * config.heartbeatTicks;
  answerHeld(raft);
  if (suspicion.waitTicks === 0) maybeCampaign(raft, "preVote");
}

/** A tick passes for a member that suspects its leader. */
export function tickSuspicion(raft: Raft): void {
  const { suspicion } = raft;
  if (suspicion.of === null || raft.role !== "follower") return;
  answerHeld(raft);
  if (suspicion.waitTicks === 0) return;
  suspicion.waitTicks--;
  if (suspicion.waitTicks === 0) maybeCampaign(raft, "preVote");
}

/**
 * Remembers a pre-vote that a live leader made this member ignore: the asker
 * may only have been told sooner that the leader is gone.
 */
export function holdPreVote(
  raft: Raft,
  message: RequestVote | RequestPreVote,
): void {
  if (message.type !== "requestPreVote" || raft.role !== "follower") return;
  if (raft.config.fastFailover) raft.suspicion.held = message;
}

/**
 * Who asked before us asked in vain, for we hold more of the log: it is our
 * turn, if we are next.
 */
export function maybeTakeTurn(raft: Raft, message: RequestPreVote): void {
  const { suspicion, lease, log } = raft;
  if (suspicion.of === null || suspicion.waitTicks === 0) return;
  if (raft.role !== "follower" || lease.deafTicks > 0) return;
  const asked = { term: message.lastLogTerm, index: message.lastLogIndex };
  if (log.isUpToDate(asked)) return;
  if (rankOf(raft, raft.id) !== rankOf(raft, message.from) + 1) return;
  suspicion.waitTicks = 0;
  maybeCampaign(raft, "preVote");
}

/** Answers the pre-vote that was held, once no promise forbids it. */
function answerHeld(raft: Raft): void {
  const { held } = raft.suspicion;
  if (held === null || raft.lease.deafTicks > 0) return;
  raft.suspicion.held = null;
  if (held.term <= raft.term) return;
  handleVoteRequest(raft, held);
  maybeTakeTurn(raft, held);
}

/**
 * The place of a member among those that may succeed the suspected leader. It
 * turns with the term, so that one member with a short log is not always the
 * first.
 */
function rankOf(raft: Raft, id: NodeId): number {
  const { conf } = raft.tracker;
  const heirs = allVoters(conf).filter((voter) =>
    voter !== raft.suspicion.of && !conf.witnesses.includes(voter)
  );
  const place = heirs.indexOf(id);
  return place < 0 ? heirs.length : (place + raft.term) % heirs.length;
}
