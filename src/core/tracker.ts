/**
 * The configuration in force and what is known of each of its members.
 *
 * @module
 */
import type { CoreConfig } from "./config.ts";
import { Progress } from "./progress.ts";
import { jointIndex, jointVote, type VoteResult } from "./quorum.ts";
import type { ConfState, LogIndex, NodeId } from "./types.ts";
import { dataLimit, isWitness, witnessLimit } from "./witness.ts";

/** Everybody who counts in an election or a commit, ascending. */
export function allVoters(conf: ConfState): NodeId[] {
  return ascending([...conf.voters, ...conf.votersOutgoing]);
}

/** Everybody who receives the log, ascending. */
export function allMembers(conf: ConfState): NodeId[] {
  return ascending([
    ...conf.voters,
    ...conf.votersOutgoing,
    ...conf.learners,
    ...conf.learnersNext,
  ]);
}

/** Whether `id` counts in the configuration. */
export function isVoter(conf: ConfState, id: NodeId): boolean {
  return conf.voters.includes(id) || conf.votersOutgoing.includes(id);
}

/** The configuration, the progress of its members, the votes of an election. */
export class Tracker {
  /** The configuration in force. */
  conf: ConfState;
  /** Members of `conf`, ascending: the order in which they are sent to. */
  members: readonly NodeId[];
  /** One record per member, this one included. */
  readonly progress: Map<NodeId, Progress> = new Map();
  /** Answers in the present election; one per voter, the first counts. */
  readonly votes: Map<NodeId, boolean> = new Map();
  readonly #config: CoreConfig;
  readonly #matchOf = (id: NodeId): LogIndex | undefined =>
    this.progress.get(id)?.countedIndex;

  /** This member; `null` before it was part of anything. */
  #self: NodeId | null = null;
  /** See {@linkcode witnessLimit}; as of the last count of a commit. */
  #witnessLimit: LogIndex = Infinity;
  readonly #limitedMatchOf = (id: NodeId): LogIndex | undefined => {
    const counted = this.progress.get(id)?.countedIndex;
    return counted !== undefined && isWitness(this.conf, id)
      ? Math.min(counted, this.#witnessLimit)
      : counted;
  };

  constructor(conf: ConfState, config: CoreConfig, nextIndex: LogIndex) {
    this.#config = config;
    this.conf = conf;
    this.members = allMembers(conf);
    for (const id of this.members) {
      this.progress.set(id, this.#newProgress(id, 0, nextIndex));
    }
  }

  /**
   * Changes the configuration: keeps what is known of members that stay
   * (H85), starts records for new ones.
   */
  switchTo(conf: ConfState, lastIndex: LogIndex): void {
    this.conf = conf;
    this.members = allMembers(conf);
    const staying = new Set(this.members);
    for (const id of [...this.progress.keys()]) {
      if (!staying.has(id)) this.progress.delete(id);
    }
    for (const id of this.members) {
      const known = this.progress.get(id);
      if (known !== undefined) {
        known.learner = !isVoter(conf, id);
        continue;
      }
      // A new member counts as heard of, or check-quorum would depose the
      // leader before the member had a chance to answer.
      const added = this.#newProgress(id, 0, Math.max(lastIndex, 1));
      added.recentActive = true;
      this.progress.set(id, added);
    }
  }

  /** Forgets what was known in an earlier term. */
  reset(self: NodeId, stableIndex: LogIndex, nextIndex: LogIndex): void {
    this.votes.clear();
    this.#self = self;
    for (const id of this.members) {
      const matchIndex = id === self ? stableIndex : 0;
      this.progress.set(id, this.#newProgress(id, matchIndex, nextIndex));
    }
  }

  /**
   * The largest index a quorum holds durably. Witnesses count only for what
   * the data voters hold that can keep up.
   */
  quorumMatch(): LogIndex {
    if (this.conf.witnesses.length === 0) {
      return this.quorumIndex(this.#matchOf);
    }
    const { electionTicks } = this.#config;
    this.#witnessLimit = witnessLimit(this, this.#self, electionTicks);
    return this.quorumIndex(this.#limitedMatchOf);
  }

  /**
   * The highest index a member may be sent. Witnesses follow behind the data
   * voters, so that each of those that keep up may lead when the leader dies.
   */
  sendLimit(to: NodeId): LogIndex {
    if (!isWitness(this.conf, to)) return Infinity;
    const { electionTicks } = this.#config;
    return Math.min(
      dataLimit(this),
      witnessLimit(this, this.#self, electionTicks),
    );
  }

  /** The largest value a quorum has acknowledged; 0 without voters. */
  quorumIndex(acked: (id: NodeId) => LogIndex | undefined): LogIndex {
    const { voters, votersOutgoing } = this.conf;
    const index = jointIndex(voters, votersOutgoing, acked);
    return index === Infinity ? 0 : index;
  }

  /** Notes a vote; the first answer of a member counts (H13). */
  recordVote(id: NodeId, granted: boolean): void {
    if (!this.votes.has(id)) this.votes.set(id, granted);
  }

  /** What the votes so far say; only voters count (H12). */
  voteResult(): VoteResult {
    const { voters, votersOutgoing } = this.conf;
    return jointVote(voters, votersOutgoing, (id) => this.votes.get(id));
  }

  /**
   * Whether a quorum was heard of; `self` always is, and whoever lost its log
   * is not: without it nothing can be committed in this term.
   */
  quorumActive(self: NodeId): boolean {
    const { voters, votersOutgoing } = this.conf;
    return jointVote(voters, votersOutgoing, (id) => {
      const progress = this.progress.get(id);
      return id === self ||
        progress?.recentActive === true && !progress.lostLog;
    }) === "won";
  }

  #newProgress(
    id: NodeId,
    matchIndex: LogIndex,
    nextIndex: LogIndex,
  ): Progress {
    return new Progress({
      matchIndex,
      nextIndex: Math.max(nextIndex, matchIndex + 1),
      config: this.#config,
      learner: !isVoter(this.conf, id),
    });
  }
}

function ascending(ids: readonly NodeId[]): NodeId[] {
  return [...new Set(ids)].sort((a, b) => a - b);
}
