/**
 * Campaigns and votes (thesis §3.4, §9.6).
 *
 * @module
 */
import type {
  RequestPreVote,
  RequestPreVoteResponse,
  RequestVote,
  RequestVoteResponse,
} from "./message.ts";
import type { Raft } from "./raft.ts";
import { broadcastAppend } from "./replication.ts";
import { isStalled } from "./stall.ts";
import { allVoters } from "./tracker.ts";
import type { EntryId, NodeId, Term } from "./types.ts";

/** Why a member campaigns. */
export type CampaignKind = "preVote" | "election" | "transfer";

/**
 * Campaigns, if this member may: a voter, not leading already (H08), with no
 * committed membership change left to apply (H77), a disk that works (H20), no
 * promise to keep, and a log that is known to be whole (H80).
 */
export function maybeCampaign(raft: Raft, kind: CampaignKind): boolean {
  if (raft.role === "leader" || !raft.promotable) return false;
  // Behind the last number a term could be mistaken for the one before.
  if (raft.term >= Number.MAX_SAFE_INTEGER) return false;
  if (raft.log.mayHoldUnappliedConf || isStalled(raft)) return false;
  // Its own vote is promised away like all others.
  if (kind !== "transfer" && raft.lease.deafTicks > 0) return false;
  campaign(raft, kind);
  return true;
}

/** Begins a campaign on a timeout or on demand. */
export function timeoutCampaign(raft: Raft): boolean {
  return maybeCampaign(raft, raft.config.preVote ? "preVote" : "election");
}

function campaign(raft: Raft, kind: CampaignKind): void {
  if (kind === "preVote") raft.becomePreCandidate();
  else raft.becomeCandidate();
  const term = kind === "preVote" ? raft.term + 1 : raft.term;
  const last = raft.log.lastId;
  for (const to of allVoters(raft.tracker.conf)) {
    if (to === raft.id) {
      // Our own vote counts once it is durable, like everybody's (H01).
      raft.sendAfterPersist({
        type: kind === "preVote"
          ? "requestPreVoteResponse"
          : "requestVoteResponse",
        from: raft.id,
        to,
        term,
        reject: false,
      });
    } else sendVoteRequest(raft, { kind, to, term, last });
  }
}

interface VoteRequest {
  readonly kind: CampaignKind;
  readonly to: NodeId;
  readonly term: Term;
  readonly last: EntryId;
}

function sendVoteRequest(raft: Raft, request: VoteRequest): void {
  const { kind, to, term, last } = request;
  const header = {
    from: raft.id,
    to,
    term,
    lastLogIndex: last.index,
    lastLogTerm: last.term,
  };
  if (kind === "preVote") raft.send({ type: "requestPreVote", ...header });
  else {
    // Not before term, vote and the log it speaks of are durable. Others may
    // elect us without our own vote; after a crash we would stand for the
    // same term again, with another log, and lead it twice.
    raft.sendAfterPersist({
      type: "requestVote",
      ...header,
      transfer: kind === "transfer",
    });
  }
}

/**
 * Answers a request for a vote or a pre-vote. Whether this member counts is
 * the asker's business (H11); a repeated request gets the same answer (H14).
 */
export function handleVoteRequest(
  raft: Raft,
  message: RequestVote | RequestPreVote,
): void {
  const pre = message.type === "requestPreVote";
  const free = raft.vote === message.from ||
    (raft.vote === null && raft.leader === null) ||
    (pre && message.term > raft.term);
  const grant = free && !(raft.fresh && message.lastLogIndex > 0) &&
    raft.log.isUpToDate({
      term: message.lastLogTerm,
      index: message.lastLogIndex,
    });
  if (grant && !pre) {
    raft.electionElapsed = 0;
    raft.vote = message.from;
    // Its vote counts from now on, and a group founded by it counts on it.
    raft.fresh = false;
  }
  raft.sendAfterPersist({
    type: pre ? "requestPreVoteResponse" : "requestVoteResponse",
    from: raft.id,
    to: message.from,
    // A refusal tells our own term, from which the asker may learn (H04).
    term: grant ? message.term : raft.term,
    reject: !grant,
    ...commitNews(raft),
  });
}

function commitNews({ config, log }: Raft): { committed?: EntryId } {
  const term = log.runs.termAt(log.commitIndex) ?? 0;
  if (!config.tellCommit || term === 0) return {};
  return { committed: { term, index: log.commitIndex } };
}

/** What is committed stays so, whoever says it and in whatever term. */
export function learnCommit(
  raft: Raft,
  { committed }: RequestVoteResponse | RequestPreVoteResponse,
): void {
  if (committed === undefined || !raft.config.tellCommit) return;
  if (raft.role === "leader" || !raft.log.matches(committed)) return;
  raft.log.commitTo(committed.index);
}

/** Counts an answer to the present campaign, and only to it (H03). */
export function handleVoteResponse(
  raft: Raft,
  message: RequestVoteResponse | RequestPreVoteResponse,
): void {
  const pre = message.type === "requestPreVoteResponse";
  if (raft.role !== (pre ? "preCandidate" : "candidate")) return;
  if (pre && !message.reject && message.term !== raft.term + 1) return;
  raft.tracker.recordVote(message.from, !message.reject);
  switch (raft.tracker.voteResult()) {
    case "won":
      if (pre) campaign(raft, "election");
      else {
        raft.becomeLeader();
        broadcastAppend(raft);
      }
      return;
    case "lost":
      raft.becomeFollower(raft.term, null);
      return;
    case "pending":
      return;
  }
}
