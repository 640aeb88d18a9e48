/**
 * The owner of every promise a proposer holds. Each is settled exactly once,
 * as applied, *not appended* or *outcome unknown* (H104, H124).
 *
 * @module
 */
import type { DropReason } from "../core/message.ts";
import type { ProposeAnswer, RawNode } from "../core/raw_node.ts";
import type { Entry, EntryId, LogIndex, NodeId, Term } from "../core/types.ts";
import type { RaftErrorCode } from "../errors.ts";
import { RaftError } from "../errors.ts";
import type { ApplyOutcome } from "../rsm/machine_runner.ts";
import { AppendedProposals } from "./appended_proposals.ts";
import { AppliedHistory } from "./applied_history.ts";
import type { Committed } from "./options.ts";
import { Proposal } from "./proposal.ts";
import { isFull } from "./proposal_chunk.ts";
import { ProposalBatch } from "./proposal_batch.ts";
import {
  dropError,
  expired,
  isPassing,
  notAppended,
  notLeader,
  overwritten,
  resultGone,
  unanswered,
} from "./proposal_errors.ts";

/** Commands of one batch; far below what one message may carry. */
const MAX_BATCH_COUNT = 16_384;

/** What the registry needs of the core. */
export type ProposalCore = Pick<
  RawNode,
  "role" | "leader" | "term" | "propose" | "takeAnswers"
>;

/** Budgets, and where tickets start. */
export interface ProposalsOptions {
  readonly maxPendingCount: number;
  readonly maxPendingBytes: number;
  readonly maxEntryBytes: number;
  /** No ticket of an earlier life may be used again. */
  readonly firstTicket: number;
  /** What the machine already holds. */
  readonly appliedIndex: LogIndex;
}

/** How a proposal is made. */
export interface NewProposal extends ProposalWait {
  readonly data: Uint8Array;
}

/** How long a proposal waits, and for whom. */
export interface ProposalWait {
  readonly deadline: number;
  readonly forward: boolean;
  readonly signal: AbortSignal | undefined;
}

/** Proposals on their way to a leader that has not answered. */
interface Forwarded<R> {
  readonly proposals: readonly Proposal<R>[];
  /** The term in which they were sent. */
  readonly term: Term;
}

/** All unsettled proposals of one member. */
export class Proposals<R> {
  readonly #options: ProposalsOptions;
  /** Those of stage `queued`, oldest first, and some settled meanwhile. */
  #queue: Proposal<R>[] = [];
  /** Nothing queued can leave before the next tick or leader change. */
  #blocked = false;
  /** Those of stage `forwarded`, by ticket. */
  readonly #forwarded = new Map<number, Forwarded<R>>();
  /** Those of stage `appended`. */
  readonly #appended: AppendedProposals<R> = new AppendedProposals();
  /** For answers that are late; empty unless something is forwarded. */
  readonly #history: AppliedHistory<R> = new AppliedHistory();
  #lastTicket: number;
  /** How many are unsettled, and their bytes. */
  #count = 0;
  #bytes = 0;
  /** No unsettled proposal has an earlier deadline. */
  #earliestDeadline = Infinity;
  #appliedIndex: LogIndex;
  /** Term of the last entry applied; 0 if none was seen. */
  #appliedTerm: Term = 0;

  constructor(options: ProposalsOptions) {
    this.#options = options;
    this.#lastTicket = options.firstTicket;
    this.#appliedIndex = options.appliedIndex;
  }

  /** How many promises are unsettled. */
  get pendingCount(): number {
    return this.#count;
  }

  /** Calls passed on whose answer still matters to somebody. */
  get forwardedCount(): number {
    return this.#forwarded.size;
  }

  /** Whether {@linkcode flush} would hand something to the core. */
  get canFlush(): boolean {
    return this.#queue.length > 0 && !this.#blocked;
  }

  /** Takes a command in, unless a budget is exceeded. */
  add(options: NewProposal): Promise<Committed<R>> {
    const size = { count: 1, bytes: options.data.length };
    const refusal = this.#refusal(size, options);
    if (refusal !== null) return Promise.reject(refusal);
    return new Promise((resolve, reject) => {
      this.#enqueue(new Proposal<R>(options.data, options, resolve, reject));
    });
  }

  /**
   * Takes commands in that are appended in one call, all or none, unless a
   * budget is exceeded.
   */
  addAll(
    commands: readonly Uint8Array[],
    options: ProposalWait,
  ): Promise<Committed<R>[]> {
    if (commands.length === 0) return Promise.resolve([]);
    let bytes = 0;
    for (const { length } of commands) bytes += length;
    const refusal = this.#refusal({ count: commands.length, bytes }, options);
    if (refusal !== null) return Promise.reject(refusal);
    return new Promise((resolve, reject) => {
      const batch = new ProposalBatch<R>(commands.length, resolve, reject);
      const applied = (committed: Committed<R>) => batch.applied(committed);
      const failed = (error: unknown) => batch.failed(error);
      const unit = commands.map((data) =>
        new Proposal<R>(data, options, applied, failed)
      );
      for (const proposal of unit) {
        proposal.unit = unit;
        this.#enqueue(proposal);
      }
    });
  }

  /** Hands what is queued to the core, in order, in few calls. */
  flush(core: ProposalCore): void {
    if (!this.canFlush) return;
    const queue = this.#queue;
    this.#queue = [];
    let chunk: Proposal<R>[] = [];
    let bytes = 0;
    for (const proposal of queue) {
      if (proposal.stage === "settled") continue;
      // What has to leave together is never cut.
      const isFirst = proposal.unit === null || proposal.unit[0] === proposal;
      const mayCut = isFirst && !this.#blocked;
      if (mayCut && isFull(chunk, bytes, proposal)) {
        this.#submit(core, chunk);
        chunk = [];
        bytes = 0;
      }
      if (this.#blocked) this.#queue.push(proposal);
      else if (this.#mayLeave(core, proposal)) {
        chunk.push(proposal);
        bytes += proposal.bytes;
      }
    }
    if (chunk.length > 0) this.#submit(core, chunk);
  }

  /** Takes in what leaders answered to forwarded proposals. */
  takeAnswers(core: ProposalCore): void {
    for (const answer of core.takeAnswers()) this.#answer(core, answer);
    if (this.#forwarded.size === 0) this.#history.clear();
  }

  /** The frame with this ticket was never sent: the leader has nothing. */
  undelivered(core: ProposalCore, ticket: number): void {
    this.#answer(core, {
      ticket,
      outcome: { type: "dropped", reason: "noLeader" },
    });
  }

  /** Tick or leader change: what was held back may be tried again. */
  unblock(): void {
    this.#blocked = false;
  }

  /** Settles what these entries, just applied in order, decide. */
  applied(
    entries: readonly Entry[],
    outcomes: readonly ApplyOutcome<R>[],
  ): void {
    const first = entries[0];
    const last = entries.at(-1);
    if (first === undefined || last === undefined) return;
    if (this.#count > 0) this.#settleApplied(entries, outcomes);
    this.#appliedIndex = last.index;
    this.#appliedTerm = last.term;
    if (this.#forwarded.size > 0) this.#history.add(entries, outcomes);
  }

  /**
   * A snapshot took the place of all entries up to its last: what became of
   * those is not to be known any more (H71).
   */
  installed(last: EntryId): void {
    if (last.index <= this.#appliedIndex) return;
    this.#appliedIndex = last.index;
    this.#appended.forEach((proposal) => {
      if (proposal.index > last.index) return;
      this.#reject(proposal, resultGone(proposal));
    });
    if (last.term > this.#appliedTerm) this.#enterTerm(last.term);
  }

  /** Rejects what has waited long enough. */
  expire(now: number, leader: NodeId | null): void {
    if (now < this.#earliestDeadline) return;
    this.#earliestDeadline = Infinity;
    for (const proposal of this.#unsettled()) {
      if (proposal.deadline <= now) {
        this.#reject(proposal, expired(proposal, leader));
      } else if (proposal.deadline < this.#earliestDeadline) {
        this.#earliestDeadline = proposal.deadline;
      }
    }
    // The network may have lost an answer: nobody waits for that one.
    for (const [ticket, { proposals }] of this.#forwarded) {
      const isOver = proposals.every(({ stage }) => stage === "settled");
      if (isOver) this.#forwarded.delete(ticket);
    }
  }

  /** Rejects everything; the member takes part no longer. */
  stop(code: RaftErrorCode, message: string): void {
    for (const proposal of this.#unsettled()) {
      const outcome = proposal.stage === "queued" ? "notAppended" : "unknown";
      this.#reject(proposal, new RaftError(code, message, { outcome }));
    }
    this.#queue = [];
    this.#forwarded.clear();
    this.#history.clear();
  }

  #enqueue(proposal: Proposal<R>): void {
    this.#count++;
    this.#bytes += proposal.bytes;
    if (proposal.deadline < this.#earliestDeadline) {
      this.#earliestDeadline = proposal.deadline;
    }
    this.#queue.push(proposal);
    if (proposal.signal !== undefined) this.#listen(proposal);
  }

  #refusal(
    { count, bytes }: { readonly count: number; readonly bytes: number },
    { signal }: ProposalWait,
  ): unknown {
    const { maxEntryBytes, maxPendingBytes, maxPendingCount } = this.#options;
    if (signal?.aborted === true) return signal.reason;
    const maxCount = Math.min(MAX_BATCH_COUNT, maxPendingCount);
    if (bytes > maxEntryBytes || count > maxCount) {
      return notAppended(
        "tooLarge",
        `${count} commands have ${bytes} bytes, wanted at most ${maxCount} of ${maxEntryBytes} bytes`,
      );
    }
    if (this.#count + count > maxPendingCount) {
      return notAppended(
        "overloaded",
        `${this.#count} proposals wait already, the limit is ${maxPendingCount}`,
      );
    }
    if (this.#count > 0 && this.#bytes + bytes > maxPendingBytes) {
      return notAppended(
        "overloaded",
        `${this.#bytes} bytes of commands wait already, the limit is ${maxPendingBytes}`,
      );
    }
    return null;
  }

  #listen(proposal: Proposal<R>): void {
    proposal.onAbort = () => this.#reject(proposal, proposal.signal?.reason);
    proposal.signal?.addEventListener("abort", proposal.onAbort);
  }

  /** Decides over those that want no forwarding on a member that does not lead. */
  #mayLeave(core: ProposalCore, proposal: Proposal<R>): boolean {
    if (proposal.forward || core.role === "leader") return true;
    if (core.leader === null) {
      // Nor can any other leave, or the turns would go on asking.
      this.#blocked = true;
      this.#queue.push(proposal);
    } else this.#reject(proposal, notLeader(core.leader));
    return false;
  }

  #submit(core: ProposalCore, chunk: readonly Proposal<R>[]): void {
    const ticket = ++this.#lastTicket;
    const commands = chunk.map((proposal) => proposal.data);
    const outcome = core.propose(commands, ticket);
    switch (outcome.type) {
      case "appended":
        this.#place(chunk, outcome.index, outcome.term);
        return;
      case "forwarded":
        for (const proposal of chunk) proposal.stage = "forwarded";
        this.#forwarded.set(ticket, { proposals: chunk, term: core.term });
        return;
      case "dropped":
        this.#dropped(core, chunk, outcome.reason);
        return;
      default: {
        const unreachable: never = outcome;
        return unreachable;
      }
    }
  }

  #answer(core: ProposalCore, answer: ProposeAnswer): void {
    const forwarded = this.#forwarded.get(answer.ticket);
    if (forwarded === undefined) return;
    this.#forwarded.delete(answer.ticket);
    const { outcome } = answer;
    if (outcome.type === "appended") {
      this.#place(forwarded.proposals, outcome.index, outcome.term);
    } else {
      this.#dropped(core, forwarded.proposals, outcome.reason);
    }
  }

  /** They are in a leader's log, one after the other from `first` on. */
  #place(chunk: readonly Proposal<R>[], first: LogIndex, term: Term): void {
    let index = first;
    for (const proposal of chunk) {
      if (proposal.stage !== "settled") {
        proposal.stage = "appended";
        proposal.index = index;
        proposal.term = term;
        proposal.release();
        if (index <= this.#appliedIndex) this.#settleLate(proposal);
        else this.#await(proposal);
      }
      index++;
    }
  }

  #await(proposal: Proposal<R>): void {
    if (proposal.term < this.#appliedTerm) {
      this.#reject(proposal, overwritten(proposal));
      return;
    }
    this.#appended.add(proposal);
  }

  /** They are in no log; whoever can still succeed is tried again. */
  #dropped(
    core: ProposalCore,
    chunk: readonly Proposal<R>[],
    reason: DropReason,
  ): void {
    if (isPassing(reason)) {
      this.#blocked = true;
      for (const proposal of chunk) {
        if (proposal.stage !== "settled") proposal.stage = "queued";
      }
      this.#queue = [...chunk, ...this.#queue];
      return;
    }
    const error = dropError(reason, core.leader);
    for (const proposal of chunk) this.#reject(proposal, error());
  }

  #settleApplied(
    entries: readonly Entry[],
    outcomes: readonly ApplyOutcome<R>[],
  ): void {
    let position = 0;
    for (const entry of entries) {
      if (entry.term > this.#appliedTerm) this.#enterTerm(entry.term);
      const outcome = outcomes[position++];
      const proposal = this.#appended.take(entry.index);
      if (proposal === undefined || outcome === undefined) continue;
      this.#settleChain(proposal, entry.term, outcome);
    }
  }

  /** Everybody who waits at an index: one may be right, the others lost it. */
  #settleChain(
    first: Proposal<R>,
    term: Term,
    outcome: ApplyOutcome<R>,
  ): void {
    let proposal: Proposal<R> | null = first;
    while (proposal !== null) {
      const next: Proposal<R> | null = proposal.sibling;
      proposal.sibling = null;
      if (proposal.term === term) this.#settleWith(proposal, outcome);
      else this.#reject(proposal, overwritten(proposal));
      proposal = next;
    }
  }

  /**
   * Terms never fall along a log: with the first applied entry of a term, no
   * entry of an earlier one that is not applied yet ever will be.
   */
  #enterTerm(term: Term): void {
    this.#appliedTerm = term;
    this.#appended.forEach((proposal) => {
      if (proposal.term < term) this.#reject(proposal, overwritten(proposal));
    });
    for (const [ticket, forwarded] of this.#forwarded) {
      if (forwarded.term >= term) continue;
      this.#forwarded.delete(ticket);
      for (const proposal of forwarded.proposals) {
        this.#reject(proposal, unanswered());
      }
    }
  }

  /** The answer came after the entry was applied: look what became of it. */
  #settleLate(proposal: Proposal<R>): void {
    const applied = this.#history.find(proposal.index);
    if (applied === undefined) this.#reject(proposal, resultGone(proposal));
    else if (applied.term === proposal.term) {
      this.#settleWith(proposal, applied.outcome);
    } else this.#reject(proposal, overwritten(proposal));
  }

  #settleWith(proposal: Proposal<R>, outcome: ApplyOutcome<R>): void {
    if (proposal.stage === "settled") return;
    if (outcome.type === "refused") {
      this.#reject(proposal, outcome.error);
    } else if (outcome.type === "none") {
      // A leader put these commands here itself: no other type can be.
      this.#reject(proposal, resultGone(proposal));
    } else {
      const { index, term } = proposal;
      this.#forget(proposal);
      proposal.resolve({ result: outcome.result, index, term });
    }
  }

  #reject(proposal: Proposal<R>, error: unknown): void {
    if (proposal.stage === "settled") return;
    if (proposal.stage === "appended") this.#appended.remove(proposal);
    this.#forget(proposal);
    proposal.reject(error);
  }

  #forget(proposal: Proposal<R>): void {
    proposal.stage = "settled";
    proposal.release();
    this.#count--;
    this.#bytes -= proposal.bytes;
    if (proposal.onAbort === null) return;
    proposal.signal?.removeEventListener("abort", proposal.onAbort);
    proposal.onAbort = null;
  }

  /** A copy, so that settling may change the collections behind it. */
  #unsettled(): Proposal<R>[] {
    const found: Proposal<R>[] = [];
    const take = (proposal: Proposal<R>) => {
      if (proposal.stage !== "settled") found.push(proposal);
    };
    this.#queue.forEach(take);
    for (const forwarded of this.#forwarded.values()) {
      forwarded.proposals.forEach(take);
    }
    this.#appended.forEach(take);
    return found;
  }
}
