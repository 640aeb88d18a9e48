/**
 * The state of one member and its roles. The step functions in the sibling
 * files work on it; `RawNode` is the only way in from outside.
 *
 * @module
 */
import { type CoreConfig, resolveConfig } from "./config.ts";
import { Departure } from "./departure.ts";
import { Suspicion } from "./failover.ts";
import { assertInvariant } from "./invariant.ts";
import { Lease } from "./lease.ts";
import type { Message, ProposeResponse } from "./message.ts";
import { Preference } from "./priority.ts";
import { Rest } from "./quiesce.ts";
import { RaftLog } from "./raft_log.ts";
import { ReadOnly } from "./read_only.ts";
import type { Load, ReadState, RestoredState } from "./ready.ts";
import { DiskWatch } from "./stall.ts";
import { isVoter, Tracker } from "./tracker.ts";
import type {
  Entry,
  EntryId,
  HardState,
  LogIndex,
  NodeId,
  Role,
  Term,
} from "./types.ts";
import { isWitness, Omission } from "./witness.ts";

/** What a member is made of. */
export interface RaftOptions {
  /** Identity of this member. */
  readonly id: NodeId;
  /** What deviates from the defaults. */
  readonly config?: Partial<CoreConfig> | undefined;
  /** What the member's storage holds. */
  readonly restored: RestoredState;
  /** Uniform in [0, 1). */
  readonly random: () => number;
}

/** One member of a group. Fields are public to the step functions only. */
export class Raft {
  readonly id: NodeId;
  readonly config: CoreConfig;
  readonly log: RaftLog;
  readonly tracker: Tracker;
  /** Reads that wait for proof of leadership; empty unless leader. */
  readonly readOnly: ReadOnly;

  /** Persistent. Never decreases. */
  term: Term;
  /** Persistent, together with `term`; changes to `null` only with it (H02). */
  vote: NodeId | null;
  /** Changes only in the `become…` methods. */
  role: Role = "follower";
  /** The leader of `term`, once known; `id` exactly when this one leads. */
  leader: NodeId | null = null;

  /** Whom the leader is handing over to; `null` unless leader. */
  transferTarget: NodeId | null = null;
  /**
   * No membership change is proposed before this index is applied: one may
   * lie there (H83). Only meaningful on a leader.
   */
  pendingConfIndex: LogIndex = 0;
  /**
   * Payload bytes of the entries from `uncommittedFrom` on that are not
   * committed (H35); 0 unless leader.
   */
  uncommittedBytes = 0;
  /** First index this leader appended commands at. */
  uncommittedFrom: LogIndex = 0;

  /**
   * Ticks since contact with a leader, since the own campaign began, or, on a
   * leader, since the last check of the quorum.
   */
  electionElapsed = 0;
  /** Ticks since the last heartbeat; only counted on a leader. */
  heartbeatElapsed = 0;
  /**
   * The last tick's reading of a monotonic clock, in whole milliseconds;
   * never later than the present, never decreases; 0 without a clock.
   */
  now = 0;
  /** The entry that made the configuration in force; never goes back. */
  confIndex: LogIndex;
  /** A commit index that no crash of this member takes back. */
  durableCommit: LogIndex;
  /**
   * Ticks for which this follower still stands for election as soon as it has
   * applied what keeps it from that; no longer than its leader waits (H113).
   */
  summonsTicks = 0;
  /** Drawn anew at every change of term or role (H16). */
  electionTimeout = 0;

  /** Promises not to hear candidates, given and taken. */
  readonly lease: Lease;
  /** Whether the leader is said to be gone. */
  readonly suspicion: Suspicion = new Suspicion();
  /** The search for a preferred leader. */
  readonly preference: Preference = new Preference();
  /** Whether the own disk gets its writes done. */
  readonly disk: DiskWatch;
  /** Whether this member sleeps. */
  readonly rest: Rest = new Rest();
  /** What this member knows of its own removal. */
  readonly departure: Departure = new Departure();
  /** Batches as witnesses get them. */
  readonly omission: Omission = new Omission();
  /**
   * Whether this member may have lost what it once acknowledged (H80): a
   * founder with an empty log that has heard of no term before it started, has
   * not voted since, and does not yet hold an entry of its leader's term and
   * all that this leader has committed. It helps nobody who has entries.
   */
  fresh: boolean;

  /** May leave now. */
  messages: Message[] = [];
  /** May leave once the next Ready's write is durable. */
  messagesAfterPersist: Message[] = [];
  /** Confirmed reads of this member. */
  readStates: ReadState[] = [];
  /** Entries needed back from storage. */
  loads: Load[] = [];
  /** Answers to proposals this member forwarded. */
  answers: ProposeResponse[] = [];

  #lastLoadId = 0;
  readonly #random: () => number;

  constructor(options: RaftOptions) {
    const { id, restored } = options;
    assertInvariant(
      Number.isSafeInteger(id) && id > 0,
      `member id is ${id}, wanted a safe integer above 0`,
    );
    this.id = id;
    this.readOnly = new ReadOnly(id);
    this.config = resolveConfig(options.config ?? {});
    this.#random = options.random;
    this.log = new RaftLog(restored, this.config);
    const known = restored.conf;
    const start = known !== undefined && known.index <= restored.appliedIndex &&
        known.index > restored.snapshot.index
      ? known
      : restored.snapshot;
    const { conf } = start;
    this.confIndex = start.index;
    this.tracker = new Tracker(conf, this.config, this.log.lastIndex + 1);
    this.durableCommit = this.log.commitIndex;
    this.term = restored.hardState.term;
    this.vote = restored.hardState.vote;
    this.fresh = this.config.guardEmptyLog && isVoter(conf, id) &&
      this.term === 0 && this.log.lastIndex === 0;
    // What a former life promised is not known, but that it was kept to (H95).
    // Whoever heard a leader and has stored anything knows of a term.
    this.disk = new DiskWatch(this.term > 0);
    const mayHavePromised = this.config.leaseMs > 0 && this.disk.holdsTerm;
    this.lease = new Lease(mayHavePromised ? this.config.electionTicks : 0);
    this.drawElectionTimeout();
  }

  /** What must be durable. */
  get hardState(): HardState {
    return { term: this.term, vote: this.vote, commit: this.log.commitIndex };
  }

  /**
   * Whether this member may campaign: a voter that may lead (H12, H89), with a
   * log that is known to be whole: what it has got back so far of a lost one
   * may be a time when it was the only voter (H80).
   */
  get promotable(): boolean {
    const { conf } = this.tracker;
    return isVoter(conf, this.id) && !isWitness(conf, this.id) &&
      this.departure.removal === null &&
      !(this.fresh && this.log.lastIndex > 0) &&
      this.log.pendingSnapshot === undefined;
  }

  /** Whether the leader has committed an entry of its own term (H93). */
  get committedInTerm(): boolean {
    return this.log.runs.termAt(this.log.commitIndex) === this.term;
  }

  /** A message that needs no durable state of ours. */
  send(message: Message): void {
    this.messages.push(message);
  }

  /**
   * A message that promises something: a vote, or that entries are on disk
   * (thesis §3.8). Leaves after the write of everything up to now.
   */
  sendAfterPersist(message: Message): void {
    this.messagesAfterPersist.push(message);
  }

  /** An id for a load, never used again. */
  newLoadId(): number {
    return ++this.#lastLoadId;
  }

  /**
   * Follows `leader`, or nobody, in `term`. Never touches the log (H22); a
   * vote is forgotten only with its term (H02).
   */
  becomeFollower(term: Term, leader: NodeId | null): void {
    this.#reset(term);
    this.role = "follower";
    this.leader = leader;
  }

  /** Asks around before raising the term. Changes neither term nor vote. */
  becomePreCandidate(): void {
    assertInvariant(this.role !== "leader", "a leader became pre-candidate");
    this.role = "preCandidate";
    this.leader = null;
    this.suspicion.clear();
    this.tracker.votes.clear();
  }

  /** Raises the term and votes for itself. */
  becomeCandidate(): void {
    assertInvariant(this.role !== "leader", "a leader became candidate");
    this.#reset(this.term + 1);
    this.role = "candidate";
    this.vote = this.id;
  }

  /** Leads, and opens the term with an empty entry (thesis §6.4). */
  becomeLeader(): void {
    assertInvariant(this.role === "candidate", `a ${this.role} became leader`);
    this.#reset(this.term);
    this.role = "leader";
    this.leader = this.id;
    this.fresh = false;
    const own = this.tracker.progress.get(this.id);
    if (own !== undefined) {
      own.becomeReplicate();
      own.recentActive = true;
    }
    // A change may hide among the entries of earlier terms.
    this.pendingConfIndex = this.log.lastIndex;
    const index = this.log.lastIndex + 1;
    this.log.append({ type: "noop", term: this.term, index });
    this.uncommittedFrom = index + 1;
  }

  /** Appends commands of known total size to the leader's own log. */
  appendCommands(commands: readonly Uint8Array[], bytes: number): EntryId {
    const first = this.log.lastIndex + 1;
    const { term } = this;
    let index = first;
    for (const data of commands) {
      this.log.append({ type: "command", term, index, data });
      index++;
    }
    this.uncommittedBytes += bytes;
    return { term, index: first };
  }

  /**
   * Commits what a quorum holds durably, if it is of this term (§3.6.2).
   *
   * @returns Whether the commit index moved.
   */
  maybeCommit(): boolean {
    const index = this.tracker.quorumMatch();
    const from = this.log.commitIndex + 1;
    if (index < from || this.log.runs.termAt(index) !== this.term) return false;
    const counted = Math.max(from, this.uncommittedFrom);
    for (let i = counted; i <= index; i++) {
      this.uncommittedBytes -= payloadBytes(this.log.tail.at(i));
    }
    return this.log.commitTo(index);
  }

  /** Draws the next timeout: uniform in [electionTicks, 2 electionTicks). */
  drawElectionTimeout(): void {
    const { electionTicks } = this.config;
    this.electionTimeout = electionTicks +
      Math.floor(this.#random() * electionTicks);
  }

  #reset(term: Term): void {
    assertInvariant(
      term >= this.term,
      `term went from ${this.term} to ${term}`,
    );
    if (term > this.term) {
      this.term = term;
      this.vote = null;
    }
    this.leader = null;
    this.summonsTicks = 0;
    this.electionElapsed = 0;
    this.heartbeatElapsed = 0;
    this.drawElectionTimeout();
    this.transferTarget = null;
    this.lease.isForfeited = false;
    this.suspicion.clear();
    this.preference.reset();
    this.rest.end();
    this.departure.reset();
    this.pendingConfIndex = 0;
    this.uncommittedBytes = 0;
    this.uncommittedFrom = 0;
    this.readOnly.reset();
    this.tracker.reset(
      this.id,
      this.log.stableIndex,
      this.log.lastIndex + 1,
    );
  }
}

/** Bytes an entry counts for against the limit on uncommitted entries. */
export function payloadBytes(entry: Entry | undefined): number {
  return entry?.type === "command" ? entry.data.length : 0;
}
