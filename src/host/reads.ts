/**
 * Reads that wait for their index (thesis §6.4), and the owner of their
 * promises: each is answered or rejected by its deadline (H98, H124).
 *
 * @module
 */
import type { RawNode } from "../core/raw_node.ts";
import type { ReadState } from "../core/ready.ts";
import type { LogIndex, NodeId, Term } from "../core/types.ts";
import type { RaftErrorCode } from "../errors.ts";
import { RaftError } from "../errors.ts";

/**
 * Rounds under way at once. Reads that come while so many wait share the next
 * one, so that a busy reader does not cost a heartbeat per turn.
 */
const MAX_ROUNDS = 4;

/** What the registry needs of the core. */
export type ReadCore = Pick<RawNode, "role" | "leader" | "term" | "readIndex">;

/** Answers queries; throws or rejects for that query only. */
export type Answerer<Q, A> = (query: Q) => A | Promise<A>;

/** How somebody waits for a confirmed index. */
export interface NewBarrier {
  readonly deadline: number;
  /** Whether a member that does not lead may ask the leader. */
  readonly forward: boolean;
  readonly signal: AbortSignal | undefined;
}

/** How a read is made. */
export interface NewRead<Q> extends NewBarrier {
  readonly query: Q;
}

/** Budgets, and where contexts start. */
export interface ReadsOptions {
  readonly maxPendingCount: number;
  /** No context of an earlier life may be used again (H96). */
  readonly firstContext: number;
  /** Milliseconds without an answer before a round is asked for again. */
  readonly retryMs: number;
  /** Whether nobody else can have been elected so far (thesis §6.4.1). */
  readonly holdsLease: () => boolean;
  /** Asks for a turn with a `flush`. */
  readonly wake: () => void;
}

/** What is to be done once the index of a read is applied. */
type Work<Q, A> =
  | {
    readonly type: "query";
    readonly query: Q;
    readonly resolve: (answer: A | Promise<A>) => void;
  }
  | { readonly type: "barrier"; readonly resolve: () => void };

/** One read and the promise somebody holds for it. */
interface Read<Q, A> {
  readonly work: Work<Q, A>;
  readonly deadline: number;
  readonly forward: boolean;
  readonly reject: (error: unknown) => void;
  readonly signal: AbortSignal | undefined;
  onAbort: (() => void) | null;
  /** Whether only a lease stands for its index; then that is checked last. */
  leased: boolean;
  settled: boolean;
}

/** Reads that share one confirmation. */
interface Round<Q, A> {
  readonly reads: readonly Read<Q, A>[];
  /**
   * Every context it was asked under: the answer to any of them came after
   * all of its reads began.
   */
  readonly contexts: number[];
  askedAt: number;
}

/** Reads whose index is confirmed; served once it is applied (H101). */
interface Confirmed<Q, A> {
  readonly reads: readonly Read<Q, A>[];
  readonly index: LogIndex;
}

/** All unanswered reads of one member. */
export class Reads<Q, A> {
  readonly #options: ReadsOptions;
  /** Not asked for yet, oldest first, and some settled meanwhile. */
  #queue: Read<Q, A>[] = [];
  /** Nothing queued can be asked for before the next tick or leader change. */
  #blocked = false;
  /** Asked for, by each of their contexts. */
  readonly #rounds = new Map<number, Round<Q, A>>();
  /** How many distinct rounds `#rounds` holds. */
  #roundCount = 0;
  #confirmed: Confirmed<Q, A>[] = [];
  /** Reads whose query takes its time. */
  readonly #answering = new Set<Read<Q, A>>();
  #lastContext: number;
  /** How many are unanswered. */
  #count = 0;
  /** No unanswered read has an earlier deadline. */
  #earliestDeadline = Infinity;
  /** The term and leader under which the rounds were asked for. */
  #term: Term = 0;
  #leader: NodeId | null = null;

  constructor(options: ReadsOptions) {
    this.#options = options;
    this.#lastContext = options.firstContext;
  }

  /** How many promises are unsettled. */
  get pendingCount(): number {
    return this.#count;
  }

  /** Whether {@linkcode flush} would ask the core. */
  get canFlush(): boolean {
    return this.#queue.length > 0 && !this.#blocked &&
      this.#roundCount < MAX_ROUNDS;
  }

  /** Whether {@linkcode serve} would answer something. */
  canServe(appliedIndex: LogIndex): boolean {
    return this.#confirmed.some((batch) => batch.index <= appliedIndex);
  }

  /** A read that first needs a confirmed index. */
  add(options: NewRead<Q>): Promise<A> {
    return this.#takeQuery(options, (read) => this.#queue.push(read));
  }

  /** Resolves once everything is applied that was acknowledged before. */
  barrier(options: NewBarrier): Promise<void> {
    return this.#take<void>(
      options,
      (resolve) => ({ type: "barrier", resolve: () => resolve(undefined) }),
      (read) => this.#queue.push(read),
    );
  }

  /** A read of whatever is applied. */
  addStale(options: NewRead<Q>): Promise<A> {
    return this.#takeQuery(
      options,
      (read) => this.#confirmed.push({ reads: [read], index: 0 }),
    );
  }

  /**
   * A read of what this leader has committed, if its lease still holds after
   * the answer was found (H95); else as with {@linkcode add}.
   */
  addLeased(options: NewRead<Q>, commitIndex: LogIndex): Promise<A> {
    if (!this.#options.holdsLease()) return this.add(options);
    return this.#takeQuery(options, (read) => {
      read.leased = true;
      this.#confirmed.push({ reads: [read], index: commitIndex });
    });
  }

  /** Asks for one round for everything queued. */
  flush(core: ReadCore, now: number): void {
    if (!this.canFlush) return;
    const reads = this.#queue.filter((read) => this.#mayLeave(core, read));
    this.#queue = [];
    if (reads.length === 0) return;
    if (core.role !== "leader" && core.leader === null) {
      this.#queue = reads;
      this.#blocked = true;
      return;
    }
    const round: Round<Q, A> = { reads, contexts: [], askedAt: now };
    this.#roundCount++;
    this.#ask(core, round, now);
  }

  /** Takes in a confirmation; unknown contexts are those of dropped rounds. */
  confirm(state: ReadState): void {
    const round = this.#rounds.get(state.context);
    if (round === undefined) return;
    this.#drop(round);
    this.#confirmed.push({ reads: round.reads, index: state.index });
  }

  /**
   * What was asked of a leader that is gone is asked again, with a fresh
   * context (H96).
   */
  leaderChanged(core: ReadCore): void {
    this.#blocked = false;
    if (core.term === this.#term && core.leader === this.#leader) return;
    this.#term = core.term;
    this.#leader = core.leader;
    const reads = this.#distinctRounds().flatMap((round) => round.reads);
    this.#rounds.clear();
    this.#roundCount = 0;
    if (reads.length > 0) this.#queue = [...reads, ...this.#queue];
  }

  /** A tick: asks again where no answer came, rejects what waited too long. */
  tick(core: ReadCore, now: number): void {
    this.#blocked = false;
    if (this.#count === 0) return;
    for (const round of this.#distinctRounds()) {
      if (now - round.askedAt < this.#options.retryMs) continue;
      if (round.reads.every((read) => read.settled)) this.#drop(round);
      else this.#ask(core, round, now);
    }
    this.#expire(now, core.leader);
  }

  /** Answers what is confirmed and applied. */
  serve(appliedIndex: LogIndex, answer: Answerer<Q, A>): void {
    if (this.#confirmed.length === 0) return;
    const waiting: Confirmed<Q, A>[] = [];
    const confirmed = this.#confirmed;
    this.#confirmed = [];
    for (const batch of confirmed) {
      if (batch.index > appliedIndex) waiting.push(batch);
      else for (const read of batch.reads) this.#answer(read, answer);
    }
    this.#confirmed = [...waiting, ...this.#confirmed];
  }

  /** Rejects everything; the member takes part no longer. */
  stop(code: RaftErrorCode, message: string): void {
    for (const read of this.#unsettled()) {
      this.#reject(read, new RaftError(code, message));
    }
    this.#queue = [];
    this.#rounds.clear();
    this.#roundCount = 0;
    this.#confirmed = [];
    this.#answering.clear();
  }

  #takeQuery(
    options: NewRead<Q>,
    enqueue: (read: Read<Q, A>) => void,
  ): Promise<A> {
    const { query } = options;
    return this.#take<A>(
      options,
      (resolve) => ({ type: "query", query, resolve }),
      enqueue,
    );
  }

  #take<T>(
    options: NewBarrier,
    workOf: (resolve: (value: T | Promise<T>) => void) => Work<Q, A>,
    enqueue: (read: Read<Q, A>) => void,
  ): Promise<T> {
    if (options.signal?.aborted === true) {
      return Promise.reject(options.signal.reason);
    }
    if (this.#count >= this.#options.maxPendingCount) {
      return Promise.reject(
        new RaftError(
          "overloaded",
          `Cannot read: ${this.#count} reads wait already, the limit is ${this.#options.maxPendingCount}`,
        ),
      );
    }
    return new Promise((resolve, reject) => {
      const { deadline, forward, signal } = options;
      const read: Read<Q, A> = {
        work: workOf(resolve),
        deadline,
        forward,
        reject,
        signal,
        onAbort: null,
        leased: false,
        settled: false,
      };
      this.#count++;
      if (deadline < this.#earliestDeadline) this.#earliestDeadline = deadline;
      enqueue(read);
      if (signal === undefined) return;
      read.onAbort = () => this.#reject(read, signal.reason);
      signal.addEventListener("abort", read.onAbort);
    });
  }

  #mayLeave(core: ReadCore, read: Read<Q, A>): boolean {
    if (read.settled) return false;
    if (read.forward || core.role === "leader" || core.leader === null) {
      return true;
    }
    this.#reject(
      read,
      new RaftError(
        "notLeader",
        `Cannot read: member ${core.leader} leads, and forwarding is off`,
        { leader: core.leader },
      ),
    );
    return false;
  }

  /** Asks under a fresh context; if nobody can be asked, the tick will. */
  #ask(core: ReadCore, round: Round<Q, A>, now: number): void {
    const context = ++this.#lastContext;
    this.#term = core.term;
    this.#leader = core.leader;
    round.contexts.push(context);
    round.askedAt = now;
    this.#rounds.set(context, round);
    core.readIndex(context);
  }

  #drop(round: Round<Q, A>): void {
    for (const context of round.contexts) this.#rounds.delete(context);
    this.#roundCount--;
  }

  #answer(read: Read<Q, A>, answer: Answerer<Q, A>): void {
    if (read.settled) return;
    if (read.leased && !this.#options.holdsLease()) return this.#askFor(read);
    const { work } = read;
    if (work.type === "barrier") {
      this.#forget(read);
      return work.resolve();
    }
    try {
      this.#finish(read, answer(work.query), work.resolve);
    } catch (error) {
      this.#reject(read, error);
    }
  }

  /**
   * Gives an answer out; a leased one if the lease outlasted the query (H95).
   * A query that takes its time ends with the deadline, as all waiting (H124).
   */
  #finish(
    read: Read<Q, A>,
    result: A | Promise<A>,
    resolve: (answer: A) => void,
  ): void {
    const finish = (value: A) => {
      this.#answering.delete(read);
      if (read.settled) return;
      if (read.leased && !this.#options.holdsLease()) return this.#askFor(read);
      this.#forget(read);
      resolve(value);
    };
    if (!(result instanceof Promise)) return finish(result);
    this.#answering.add(read);
    result.then(finish, (error) => {
      this.#answering.delete(read);
      this.#reject(read, error);
    });
  }

  /** Has a read confirmed by a round after all. */
  #askFor(read: Read<Q, A>): void {
    read.leased = false;
    this.#queue.push(read);
    this.#options.wake();
  }

  #expire(now: number, leader: NodeId | null): void {
    if (now < this.#earliestDeadline) return;
    this.#earliestDeadline = Infinity;
    for (const read of this.#unsettled()) {
      if (read.deadline <= now) this.#reject(read, expired(leader));
      else if (read.deadline < this.#earliestDeadline) {
        this.#earliestDeadline = read.deadline;
      }
    }
    this.#confirmed = this.#confirmed.filter(({ reads }) =>
      reads.some((read) => !read.settled)
    );
  }

  #reject(read: Read<Q, A>, error: unknown): void {
    if (read.settled) return;
    this.#forget(read);
    read.reject(error);
  }

  #forget(read: Read<Q, A>): void {
    read.settled = true;
    this.#count--;
    if (read.onAbort === null) return;
    read.signal?.removeEventListener("abort", read.onAbort);
    read.onAbort = null;
  }

  #distinctRounds(): Round<Q, A>[] {
    return [...new Set(this.#rounds.values())];
  }

  /** A copy, so that settling may change the collections behind it. */
  #unsettled(): Read<Q, A>[] {
    return [
      this.#queue,
      ...this.#distinctRounds().map((round) => round.reads),
      ...this.#confirmed.map((batch) => batch.reads),
      ...this.#answering,
    ].flat().filter((read) => !read.settled);
  }
}

function expired(leader: NodeId | null): RaftError {
  return leader === null
    ? new RaftError(
      "noLeader",
      "Cannot read: no leader was elected before the deadline",
      { leader },
    )
    : new RaftError(
      "timeout",
      "Cannot read: it was not confirmed and applied before the deadline",
      { leader },
    );
}
