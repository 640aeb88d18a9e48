/**
 * The face of the core: messages, ticks and proposals go in, Readys come out.
 *
 * @module
 */
import { changeLimit, mustFlushChange } from "./change_limit.ts";
import { checkRaft } from "./check.ts";
import type { Removal } from "./departure.ts";
import { timeoutCampaign } from "./election.ts";
import { suspectLeader } from "./failover.ts";
import { dropLease, leaseUntil } from "./lease.ts";
import { applyConfChange, isCaughtUp, maybeLeaveJoint } from "./membership.ts";
import type { Message } from "./message.ts";
import {
  type ProposeAnswer,
  type ProposeOutcome,
  submit,
} from "./proposals.ts";
import { Raft, type RaftOptions } from "./raft.ts";
import { wake } from "./quiesce.ts";
import { beginRound, requestRead } from "./reads.ts";
import type { Load, Ready } from "./ready.ts";
import {
  acknowledgeOwn,
  handleLoaded,
  handleLoadFailed,
  reportSnapshot,
  reportUnreachable,
  sendHeld,
} from "./replication.ts";
import { type CoreStatus, statusOf } from "./status.ts";
import { step, type StepResult } from "./step.ts";
import { tick } from "./tick.ts";
import { answerSummons, requestTransfer } from "./transfer.ts";
import type {
  ChangeGuard,
  ConfChange,
  ConfState,
  Entry,
  HardState,
  LogIndex,
  NodeId,
  Role,
  SnapshotMeta,
  SoftState,
  Term,
} from "./types.ts";

export type { ProposeAnswer, ProposeOutcome } from "./proposals.ts";

/** What a node is made of. */
export type RawNodeOptions = RaftOptions;

/** Messages to ourselves that wait for the write they went out with. */
interface OwnMessages {
  readonly number: number;
  readonly messages: readonly Message[];
}

/**
 * The deterministic core of one member. Every call is synchronous; a call
 * that refuses changes nothing. See {@linkcode Ready} for the caller's duties.
 */
export class RawNode {
  readonly #raft: Raft;
  /** Number of the last Ready. */
  #number = 0;
  /** Number of the last Ready whose write is durable. */
  #persisted = 0;
  /** What the last Ready told to store. */
  #hardState: HardState;
  /** What the last Ready told of role and leader. */
  #softState: SoftState;
  /** Flushes under way and the commit index that each makes durable. */
  readonly #flushes: { number: number; commitIndex: LogIndex }[] = [];
  /** Own votes, ascending in number. */
  #own: OwnMessages[] = [];

  /**
   * Starts a member from what is stored.
   *
   * @throws {RangeError} If a limit is out of range.
   * @throws {InvariantError} If the stored state contradicts itself.
   */
  constructor(options: RawNodeOptions) {
    this.#raft = new Raft(options);
    this.#hardState = this.#raft.hardState;
    this.#softState = this.#currentSoftState();
  }

  /** Identity of this member. */
  get id(): NodeId {
    return this.#raft.id;
  }
  /** What this member is in its term. */
  get role(): Role {
    return this.#raft.role;
  }
  /** The current term. */
  get term(): Term {
    return this.#raft.term;
  }
  /** The leader of the term, if known. */
  get leader(): NodeId | null {
    return this.#raft.leader;
  }
  /** Highest index known to be committed. */
  get commitIndex(): LogIndex {
    return this.#raft.log.commitIndex;
  }
  /** Highest index reported by {@linkcode applied}. */
  get appliedIndex(): LogIndex {
    return this.#raft.log.appliedIndex;
  }
  /** Last index of the log. */
  get lastIndex(): LogIndex {
    return this.#raft.log.lastIndex;
  }
  /** Last index that is durable here. */
  get stableIndex(): LogIndex {
    return this.#raft.log.stableIndex;
  }
  /** The configuration in force. */
  get conf(): ConfState {
    return this.#raft.tracker.conf;
  }
  /** Whether the leader has committed an entry of its own term. */
  get committedInTerm(): boolean {
    return this.#raft.committedInTerm;
  }
  /**
   * Set once another member said that this one is none (thesis §4.2.3); then
   * for good, until the next start. It does not campaign and may be stopped.
   */
  get removal(): Removal | null {
    return this.#raft.departure.removal;
  }
  /**
   * Until when, in milliseconds of the clock given to `tick`, no other member
   * can have been elected (thesis §6.4.1). A read of what is committed now
   * needs no round if the clock shows less both before and after it. Not
   * leading, or without a lease: `-Infinity`; alone: `Infinity`.
   */
  get leaseUntil(): number {
    return leaseUntil(this.#raft);
  }
  /**
   * Whether this member sleeps: ticks do nothing and need not come. It wakes
   * in any other call; look again after each.
   */
  get quiesced(): boolean {
    return this.#raft.rest.isAsleep;
  }

  /**
   * One tick passes. Ticks must not come faster than their period: late ones
   * are left out, never made up for (H116).
   *
   * @param now Milliseconds of a monotonic clock; without it no leases.
   */
  tick(now = 0): void {
    tick(this.#raft, now);
  }

  /**
   * Draws a new election timeout now, from the injected random source. The
   * core does so by itself at every change of term or role (H16); this is for
   * tests that choose the timeout.
   */
  drawElectionTimeout(): void {
    this.#raft.drawElectionTimeout();
  }

  /** Takes a message of another member. */
  step(message: Message): StepResult {
    return step(this.#raft, message);
  }

  /** Campaigns now, if this member may; by pre-vote if that is on. */
  campaign(): void {
    this.wake();
    timeoutCampaign(this.#raft);
  }

  /**
   * The clock may have missed time, by a suspended machine for one: forgets
   * the lease. The next one needs heartbeats sent from now on (H117).
   */
  dropLease(): void {
    dropLease(this.#raft);
  }

  /**
   * The process of a member is gone for certain, by a refused connection for
   * one. If it was the leader, this member asks for pre-votes without waiting
   * for its timeout, unless it promised a lease. A false alarm ends with the
   * next message of the leader. Nothing without check-quorum.
   */
  suspectLeader(id: NodeId): void {
    this.wake();
    suspectLeader(this.#raft, id);
  }

  /** Ends the sleep, of a leader that sleeps too as well. */
  wake(): void {
    wake(this.#raft, null);
  }

  /**
   * Proposes commands, all or none. The arrays must not be changed afterwards.
   *
   * @param ticket Names the answer when the proposal is forwarded; 0 asks for
   * none. Fresh for every call.
   */
  propose(commands: readonly Uint8Array[], ticket = 0): ProposeOutcome {
    this.wake();
    return submit(this.#raft, { ticket, commands, change: null });
  }

  /**
   * Proposes a membership change (thesis §4), here or at the leader. One is
   * under way at a time; a change without steps leaves a joint configuration.
   *
   * @param guard On what terms; without it whatever configuration is in force.
   * @param ticket As in {@linkcode propose}.
   */
  proposeConfChange(
    change: ConfChange,
    guard: ChangeGuard = {},
    ticket = 0,
  ): ProposeOutcome {
    this.wake();
    const proposed = { ...guard, change };
    return submit(this.#raft, { ticket, commands: [], change: proposed });
  }

  /**
   * Puts a committed membership change into force. Called for each such entry
   * when it is applied, before `applied`. What does not fit changes nothing
   * but the version (H84); what a snapshot has brought since, nothing at all.
   *
   * @param index Where the entry lies in the log.
   */
  applyConfChange(change: ConfChange, index: LogIndex): ConfState {
    return applyConfChange(this.#raft, change, index);
  }

  /**
   * Asks for the index a linearizable read has to wait for (thesis §6.4).
   *
   * @param context Names the answer; fresh for every call, retries too (H96).
   * @returns `pending`: a `ReadState` follows, unless leadership changes
   * first. `dropped`: no leader is known, too many reads wait, or this member
   * is a witness and has nothing to answer from.
   */
  readIndex(context: number): "pending" | "dropped" {
    this.wake();
    return requestRead(this.#raft, context) ? "pending" : "dropped";
  }

  /**
   * Asks for the leadership to go to a voter (thesis §3.10); a follower passes
   * it on. It is given up after an election timeout (H113).
   *
   * @returns `refused`: nobody to ask, or a target that must not lead.
   */
  transferLeadership(to: NodeId): "pending" | "refused" {
    this.wake();
    return requestTransfer(this.#raft, to) ? "pending" : "refused";
  }

  /**
   * A follower forgets who leads, and so hears candidates again. With leases
   * it does not: it may have promised not to.
   */
  forgetLeader(): void {
    const raft = this.#raft;
    this.wake();
    if (raft.role !== "follower" || raft.config.leaseMs > 0) return;
    raft.leader = null;
    raft.suspicion.clear();
  }

  /** Messages to a member are being lost: stop streaming to it. */
  reportUnreachable(peer: NodeId): void {
    this.wake();
    reportUnreachable(this.#raft, peer);
  }

  /** How sending a snapshot to a member ended. */
  reportSnapshot(peer: NodeId, ok: boolean): void {
    reportSnapshot(this.#raft, peer, ok);
  }

  /** A newer own snapshot is durable: entries up to `through` may go. */
  compact(snapshot: SnapshotMeta, through: LogIndex): void {
    this.#raft.log.compact(snapshot, through);
  }

  /** Whether {@linkcode ready} has something to hand out. */
  hasReady(): boolean {
    const raft = this.#raft;
    const { log } = raft;
    return raft.messages.length > 0 || raft.messagesAfterPersist.length > 0 ||
      raft.readOnly.isRoundDue || log.hasUnwritten ||
      log.pendingFounding !== undefined || log.hasCommitted ||
      log.needsApplyLoad ||
      raft.readStates.length > 0 || raft.loads.length > 0 ||
      this.#hardStateChanged() || this.#softStateChanged();
  }

  /** Takes the work of a turn: nothing in it is handed out again. */
  ready(): Ready {
    const raft = this.#raft;
    const { log } = raft;
    const number = ++this.#number;
    if (raft.readOnly.isRoundDue) beginRound(raft);
    const before = this.#hardState;
    const hardState = this.#hardStateChanged() ? raft.hardState : undefined;
    if (hardState !== undefined) this.#hardState = hardState;
    const softState = this.#softStateChanged()
      ? this.#currentSoftState()
      : undefined;
    if (softState !== undefined) this.#softState = softState;
    const snapshot = log.pendingSnapshot;
    log.pendingSnapshot = undefined;
    const founding = log.pendingFounding;
    log.pendingFounding = undefined;
    const entries = log.takeUnwritten(number);
    if (log.needsApplyLoad) {
      raft.loads.push(log.takeApplyLoad(raft.newLoadId()));
    }
    // Who is told that it may go will not come back to vote for those who
    // have forgotten, after a crash, that its removal was committed (H78).
    const mustSync = entries.length > 0 || snapshot !== undefined ||
      founding !== undefined ||
      mustFlushChange(raft, this.#flushes.at(-1)?.commitIndex ?? 0) ||
      raft.messagesAfterPersist.some(({ type }) => type === "removed") ||
      (hardState !== undefined &&
        (hardState.term !== before.term || hardState.vote !== before.vote));
    if (mustSync) {
      raft.disk.handedOut(number);
      this.#flushes.push({ number, commitIndex: log.commitIndex });
    }
    const ready: Ready = {
      number,
      hardState,
      founding,
      snapshot,
      entries,
      mustSync,
      messages: raft.messages,
      messagesAfterPersist: this.#splitOwn(number),
      committedEntries: log.takeCommitted(),
      readStates: raft.readStates,
      loads: raft.loads,
      softState,
    };
    raft.messages = [];
    raft.messagesAfterPersist = [];
    raft.readStates = [];
    raft.loads = [];
    return ready;
  }

  /**
   * The write of this Ready, and of all before it, is durable. Its
   * `messagesAfterPersist` may leave; own votes and entries count now.
   *
   * @throws {RangeError} If no such Ready was handed out.
   */
  persisted(number: number): void {
    if (number > this.#number) {
      throw new RangeError(
        `Cannot take Ready ${number} as persisted: the last one is ${this.#number}`,
      );
    }
    if (number <= this.#persisted) return;
    this.#persisted = number;
    const raft = this.#raft;
    const limit = changeLimit(raft);
    raft.log.persisted(number);
    while ((this.#flushes[0]?.number ?? Infinity) <= number) {
      raft.durableCommit = this.#flushes.shift()?.commitIndex ?? 0;
    }
    raft.disk.flushed(number);
    while ((this.#own[0]?.number ?? Infinity) <= number) {
      for (const message of this.#own.shift()?.messages ?? []) {
        step(raft, message);
      }
    }
    if (raft.role !== "leader") return;
    acknowledgeOwn(raft);
    if (limit < raft.log.lastIndex) sendHeld(raft);
  }

  /** Everything up to `index` was applied. */
  applied(index: LogIndex): void {
    this.#raft.log.applied(index);
    maybeLeaveJoint(this.#raft);
    answerSummons(this.#raft);
  }

  /**
   * Entries asked for by a {@linkcode Load} were read.
   *
   * @throws {InvariantError} If they are not the entries of the log (H60).
   */
  entriesLoaded(load: Load, entries: readonly Entry[]): void {
    handleLoaded(this.#raft, load, entries);
  }

  /** The own log cannot be read: a leader steps down (H42). */
  loadFailed(load: Load): void {
    handleLoadFailed(this.#raft, load);
  }

  /** Takes the answers to forwarded proposals that have arrived. */
  takeAnswers(): ProposeAnswer[] {
    const { answers } = this.#raft;
    if (answers.length === 0) return [];
    this.#raft.answers = [];
    return answers.map(({ ticket, dropped, index, entryTerm }) => ({
      ticket,
      outcome: dropped === null
        ? { type: "appended", term: entryTerm, index }
        : { type: "dropped", reason: dropped },
    }));
  }

  /**
   * Whether a leader knows a member to live and to lag by less than what comes
   * in during an election timeout (thesis §4.2.1): fit to be promoted. `false`
   * unless leader.
   */
  isCaughtUp(id: NodeId): boolean {
    return isCaughtUp(this.#raft, id);
  }

  /** Everything an observer may ask; O(members). */
  status(): CoreStatus {
    return statusOf(this.#raft);
  }

  /** Term of a retained entry; `undefined` outside of the log. */
  termAt(index: LogIndex): Term | undefined {
    return this.#raft.log.runs.termAt(index);
  }

  /**
   * Verifies every invariant in O(n); for tests and the simulator.
   *
   * @throws {InvariantError} If one is broken.
   */
  check(): void {
    checkRaft(this.#raft);
  }

  /** Keeps own answers back; gives what goes to others. */
  #splitOwn(number: number): readonly Message[] {
    const { id, messagesAfterPersist } = this.#raft;
    if (!messagesAfterPersist.some((message) => message.to === id)) {
      return messagesAfterPersist;
    }
    this.#own.push({
      number,
      messages: messagesAfterPersist.filter(({ to }) => to === id),
    });
    return messagesAfterPersist.filter(({ to }) => to !== id);
  }

  #hardStateChanged(): boolean {
    const { term, vote, log } = this.#raft;
    const last = this.#hardState;
    return last.term !== term || last.vote !== vote ||
      last.commit !== log.commitIndex;
  }

  #softStateChanged(): boolean {
    const { role, leader } = this.#raft;
    return this.#softState.role !== role || this.#softState.leader !== leader;
  }

  #currentSoftState(): SoftState {
    return { role: this.#raft.role, leader: this.#raft.leader };
  }
}
