/**
 * Telling followers how far is committed, without a message of its own where
 * the next append says it as well.
 *
 * @module
 */
import type { AppendEntries, Message } from "../core/message.ts";
import type { LogIndex, NodeId } from "../core/types.ts";
import type { Clock } from "./clock.ts";

/**
 * How long a notice waits for company, in milliseconds: what a follower that
 * nobody writes through lags behind at most, and little against a tick.
 */
const HOLD_MS = 1;

/** What notices are made of. */
export interface CommitNoticesOptions {
  readonly clock: Clock;
  readonly send: (message: AppendEntries) => void;
  /** Runs `work` within a turn. */
  readonly inTurn: (work: () => void) => void;
}

/**
 * Holds back appends without entries. With a notice and its answer for each
 * commit, a single client's write would cost the leader twice the messages,
 * and half of them before its answer leaves.
 */
export class CommitNotices {
  readonly #options: CommitNoticesOptions;
  /** The newest of each follower. */
  readonly #held = new Map<NodeId, AppendEntries>();
  /**
   * Up to where followers wait for entries they passed on: their own clients
   * are answered when they learn of the commit, so they are told at once.
   */
  readonly #awaited = new Map<NodeId, LogIndex>();
  /** Set while something is held, and for a while after. */
  #timer: number | null = null;

  constructor(options: CommitNoticesOptions) {
    this.#options = options;
  }

  /** A message was stepped; the own log now ends at `lastIndex`. */
  stepped(message: Message, lastIndex: LogIndex): void {
    if (message.type === "propose") this.#awaited.set(message.from, lastIndex);
  }

  /** Whether a message is kept back, to be sent later or made needless. */
  hold(message: Message): boolean {
    if (message.type !== "appendEntries") return false;
    const { commitIndex, entries, to } = message;
    this.#held.delete(to);
    const awaited = this.#awaited.get(to);
    if (awaited !== undefined) {
      if (awaited <= commitIndex) this.#awaited.delete(to);
      return false;
    }
    if (entries.length > 0) return false;
    this.#held.set(to, message);
    this.#timer ??= this.#options.clock.setTimer(
      () => this.#release(),
      HOLD_MS,
    );
    return true;
  }

  /** Nothing more is sent. */
  stop(): void {
    this.#held.clear();
    if (this.#timer !== null) this.#options.clock.clearTimer(this.#timer);
    this.#timer = null;
  }

  #release(): void {
    this.#timer = null;
    if (this.#held.size === 0) return;
    this.#options.inTurn(() => {
      for (const message of this.#held.values()) this.#options.send(message);
      this.#held.clear();
    });
  }
}
