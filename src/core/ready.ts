/**
 * What the core hands out, and what it is started from: plain data.
 *
 * @module
 */
import type { Message } from "./message.ts";
import type {
  AppliedConf,
  ConfState,
  Entry,
  HardState,
  LogIndex,
  NodeId,
  SnapshotMeta,
  SoftState,
  TermRun,
} from "./types.ts";

/** A read whose index is confirmed: serve it once that much is applied. */
export interface ReadState {
  /** The context given to `readIndex`. */
  readonly context: number;
  /** What must be applied before the read is served. */
  readonly index: LogIndex;
}

/**
 * A stretch of stored entries the core needs back, because they are no longer
 * in memory. Answer with `entriesLoaded` or `loadFailed`; at most one load is
 * outstanding per purpose.
 */
export interface Load {
  /** Unique within the life of the node. */
  readonly id: number;
  /** `apply`: to be handed out as committed; else the follower in need. */
  readonly purpose: "apply" | NodeId;
  /** Inclusive. */
  readonly from: LogIndex;
  /** Inclusive. */
  readonly through: LogIndex;
  /** Return at least one entry, and stop before this many bytes. */
  readonly maxBytes: number;
}

/**
 * A turn's worth of work. Carry it out in this order: write `hardState`,
 * `snapshot` and `entries` as one; `messages` may leave at once; when the
 * write is durable call `persisted(number)` and only then send
 * `messagesAfterPersist`; apply `committedEntries` in order and call
 * `applied`. Several Readys may be outstanding; they become durable in order.
 */
export interface Ready {
  /** 1, 2, 3 …: the order of the writes. */
  readonly number: number;
  /** Present when term, vote or commit changed. */
  readonly hardState?: HardState | undefined;
  /**
   * Present when this member, which knew nothing, learned what its group began
   * with: to be stored as the snapshot of index 0, together with the rest.
   */
  readonly founding?: ConfState | undefined;
  /** Present when a snapshot replaces the log up to its index. */
  readonly snapshot?: SnapshotMeta | undefined;
  /**
   * To append, contiguous. The first may lie at or below the stored last
   * index: then everything stored from there on is dropped first.
   */
  readonly entries: readonly Entry[];
  /** Whether the write must be flushed before it counts as durable. */
  readonly mustSync: boolean;
  /** May leave now, before the write (thesis §10.2.1). */
  readonly messages: readonly Message[];
  /** May leave only once this Ready's write is durable (thesis §3.8). */
  readonly messagesAfterPersist: readonly Message[];
  /** Committed and locally durable, each handed out once, in order. */
  readonly committedEntries: readonly Entry[];
  /** Reads that may be served once their index is applied. */
  readonly readStates: readonly ReadState[];
  /** Stored entries to fetch, in any order, beside everything else. */
  readonly loads: readonly Load[];
  /** Present when role or leader changed. */
  readonly softState?: SoftState | undefined;
}

/** What a node starts from; storage's view of one group. */
export interface RestoredState {
  /** The newest one written. */
  readonly hardState: HardState;
  /** The state below the log: the last snapshot, or index 0 and bootstrap. */
  readonly snapshot: SnapshotMeta;
  /** The newest configuration known to have been applied, if newer. */
  readonly conf?: AppliedConf | undefined;
  /** `snapshot.index + 1` or less; entries before it are gone. */
  readonly firstIndex: LogIndex;
  /** `firstIndex - 1` for an empty log. */
  readonly lastIndex: LogIndex;
  /** Term of the entry before `firstIndex`. */
  readonly prevTerm: number;
  /** Terms of the retained entries; empty for an empty log. */
  readonly termRuns: readonly TermRun[];
  /** The newest entries, contiguous up to `lastIndex`; may be empty. */
  readonly tail: readonly Entry[];
  /** What the state machine already holds; at least `snapshot.index`. */
  readonly appliedIndex: LogIndex;
}
