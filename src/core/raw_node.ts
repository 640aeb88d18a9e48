/**
 * The face of the core. (Being written; the signatures are settled.)
 *
 * @module
 */
import type { CoreConfig } from "./config.ts";
import type { DropReason, Message } from "./message.ts";
import type { Load, Ready, RestoredState } from "./ready.ts";
import type {
  ConfChange,
  ConfState,
  Entry,
  LogIndex,
  NodeId,
  Role,
  Term,
} from "./types.ts";

/** What a node is made of. */
export interface RawNodeOptions {
  readonly id: NodeId;
  readonly config?: Partial<CoreConfig> | undefined;
  readonly restored: RestoredState;
  /** A seeded generator: uniform in [0, 1). */
  readonly random: () => number;
}

/** What became of a proposal at this node. */
export type ProposeOutcome =
  | {
    /** In this leader's log, from `index` on; not yet committed. */
    readonly type: "appended";
    readonly term: Term;
    readonly index: LogIndex;
  }
  | {
    /** Sent to the leader; it answers with the ticket, or is lost. */
    readonly type: "forwarded";
    readonly to: NodeId;
  }
  | {
    /** In no log, for certain. */
    readonly type: "dropped";
    readonly reason: DropReason;
  };

/** An answer to a forwarded proposal (see {@linkcode RawNode.takeAnswers}). */
export interface ProposeAnswer {
  readonly ticket: number;
  readonly outcome: Exclude<ProposeOutcome, { type: "forwarded" }>;
}

/** How a message was taken. */
export type StepResult = "accepted" | "unknownPeer" | "proposalDropped";

/** Leader's view of a follower. */
export interface ProgressStatus {
  readonly id: NodeId;
  readonly state: "probe" | "replicate" | "snapshot";
  readonly matchIndex: LogIndex;
  readonly nextIndex: LogIndex;
  readonly pendingSnapshotIndex: LogIndex;
  readonly inflightCount: number;
  readonly recentActive: boolean;
  readonly paused: boolean;
  readonly learner: boolean;
}

/** Everything an observer may ask. */
export interface CoreStatus {
  readonly id: NodeId;
  readonly role: Role;
  readonly term: Term;
  readonly vote: NodeId | null;
  readonly leader: NodeId | null;
  readonly transferTarget: NodeId | null;
  readonly firstIndex: LogIndex;
  readonly lastIndex: LogIndex;
  readonly lastTerm: Term;
  readonly stableIndex: LogIndex;
  readonly commitIndex: LogIndex;
  readonly appliedIndex: LogIndex;
  readonly uncommittedBytes: number;
  readonly conf: ConfState;
  /** Empty unless leader; ascending by id. */
  readonly progress: readonly ProgressStatus[];
}

/** The deterministic core of one member. */
export declare class RawNode {
  constructor(options: RawNodeOptions);
  readonly id: NodeId;
  // cheap getters, for hot paths
  get role(): Role;
  get term(): Term;
  get leader(): NodeId | null;
  get commitIndex(): LogIndex;
  get appliedIndex(): LogIndex;
  get lastIndex(): LogIndex;
  get stableIndex(): LogIndex;
  get conf(): ConfState;
  /** One tick; `nowMs` is a monotonic reading. */
  tick(nowMs?: number): void;
  step(message: Message): StepResult;
  campaign(): void;
  /** Ticket 0: no answer wanted when forwarded. */
  propose(commands: readonly Uint8Array[], ticket?: number): ProposeOutcome;
  proposeConfChange(change: ConfChange): ProposeOutcome;
  applyConfChange(change: ConfChange): ConfState;
  /**
   * `pending`: a ReadState with this context follows, or the leader changes
   * first and it never comes. `dropped`: no leader is known, or too many wait.
   */
  readIndex(context: number): "pending" | "dropped";
  transferLeadership(to: NodeId): void;
  forgetLeader(): void;
  reportUnreachable(peer: NodeId): void;
  reportSnapshot(peer: NodeId, ok: boolean): void;
  hasReady(): boolean;
  /** Also takes it: what it hands out is not handed out again. */
  ready(): Ready;
  /** The write of this Ready, and so of all before it, is durable. */
  persisted(number: number): void;
  /** Everything up to here was applied. */
  applied(index: LogIndex): void;
  entriesLoaded(load: Load, entries: readonly Entry[]): void;
  /** The own log cannot be read; a leader steps down (H42). */
  loadFailed(load: Load): void;
  /** Answers to forwarded proposals that arrived since the last call. */
  takeAnswers(): ProposeAnswer[];
  status(): CoreStatus;
  /** Verifies every invariant in O(n). @throws {InvariantError} */
  check(): void;
  /** Term of an entry of the retained log; `undefined` outside of it. */
  termAt(index: LogIndex): Term | undefined;
}
