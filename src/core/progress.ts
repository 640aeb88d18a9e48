/**
 * What a leader knows of one follower's log.
 *
 * @module
 */
import { BatchSize } from "./batch_size.ts";
import type { CoreConfig } from "./config.ts";
import { Inflights } from "./inflights.ts";
import { assertInvariant } from "./invariant.ts";
import { Pace } from "./pace.ts";
import type { LogIndex } from "./types.ts";

/**
 * Denials in a row that prove a log lost. One can be an old answer that was
 * delayed; each further one answers a probe of its own, sent a heartbeat's
 * round trip after the denial before it.
 */
const PROOF_OF_LOSS = 3;

/** See {@linkcode Progress.state}. */
export type ProgressState = "probe" | "replicate" | "snapshot";

/** Where a follower starts, what limits it, and whether the follower is a learner. */
export interface ProgressOptions {
  readonly matchIndex: LogIndex;
  readonly nextIndex: LogIndex;
  readonly config: CoreConfig;
  readonly learner: boolean;
}

/**
 * A leader's view of one member. Holds always: `matchIndex < nextIndex`;
 * `matchIndex` never decreases within a term (H26); the window is empty
 * unless the state is `replicate` (H32).
 */
export class Progress {
  /** Last index known to be durable on the member and equal to ours. */
  matchIndex: LogIndex;
  /**
   * First index to send. Probe: a guess. Replicate: behind everything sent.
   * Snapshot: `pendingSnapshotIndex + 1`.
   */
  nextIndex: LogIndex;
  /**
   * `probe`: one append per heartbeat until its answer tells where to go on;
   * `replicate`: appends are sent as entries come; `snapshot`: none are sent
   * while a snapshot is on its way.
   */
  state: ProgressState = "probe";
  /** Index of the snapshot on its way; 0 unless the state is `snapshot`. */
  pendingSnapshotIndex: LogIndex = 0;
  /** Whether the member was heard of since the last check of the quorum. */
  recentActive = false;
  /**
   * Whether to wait for an answer before sending more: a probe is on its way,
   * or the window is full. Heartbeat answers clear it (H32).
   */
  flowPaused = false;
  /** Appends on their way. */
  readonly inflights: Inflights;
  /** How large they may be. */
  readonly batch: BatchSize;
  /**
   * How often in a row the member denied what it had acknowledged (H80). While
   * there is a doubt it counts in no commit.
   */
  denials = 0;
  /** Whether an append was sent since the last denial. */
  hasAsked = true;
  /** When the last denial came, on the leader's clock. */
  deniedAt = 0;
  /** Highest commit index sent; at most `nextIndex - 1` counts as known. */
  sentCommit: LogIndex = 0;
  /** Learners do not count in quorums. */
  learner: boolean;
  /** The load under way for this member, 0 for none. */
  loadId = 0;
  /**
   * Until when, on the leader's clock, the member promised to ignore
   * candidates; `-Infinity` for no promise.
   */
  promisedUntilMs: number = -Infinity;
  /** How it keeps up. */
  readonly pace: Pace = new Pace();
  /** How much the member is preferred as leader, as far as it told. */
  priority = 0;

  constructor(options: ProgressOptions) {
    this.matchIndex = options.matchIndex;
    this.nextIndex = options.nextIndex;
    this.learner = options.learner;
    this.inflights = new Inflights(
      options.config.maxInflightCount,
      options.config.maxInflightBytes,
    );
    this.batch = new BatchSize(options.config);
  }

  /** What the member counts for in a commit. */
  get countedIndex(): LogIndex {
    return this.denials > 0 ? 0 : this.matchIndex;
  }

  /**
   * Whether the member lacks what it acknowledged, beyond doubt: for the rest
   * of the term it counts in nothing and gets heartbeats only.
   */
  get lostLog(): boolean {
    return this.denials >= PROOF_OF_LOSS;
  }

  /** Whether no append may be sent now. */
  get paused(): boolean {
    return this.state === "snapshot" || this.flowPaused || this.lostLog;
  }

  /**
   * Takes a rejection that denies the very entry acknowledged last. Waits for
   * a heartbeat's answer before asking again: sending the same at once could
   * go on for ever.
   *
   * @param now The leader's clock.
   * @returns Whether it was one.
   */
  maybeDeny(rejected: LogIndex, now: number): boolean {
    const isDenial = this.state === "probe" && rejected > 0 &&
      rejected === this.matchIndex && this.nextIndex === rejected + 1;
    if (!isDenial) return false;
    // Copies of one answer, or answers to what was sent before it, prove no
    // more than the first of them.
    if (this.hasAsked) this.denials++;
    this.hasAsked = false;
    this.flowPaused = true;
    this.deniedAt = now;
    return true;
  }

  /**
   * Whether the answer to a heartbeat sent at `sentAt` lets a member that
   * denied be asked again: old ones would bring but old denials (H26).
   */
  mayAskAgain(sentAt: number): boolean {
    return this.denials === 0 || this.deniedAt === 0 || sentAt > this.deniedAt;
  }

  /** Starts to probe behind what is known to match, or behind a snapshot. */
  becomeProbe(): void {
    const next = Math.max(this.matchIndex, this.pendingSnapshotIndex) + 1;
    this.#reset("probe");
    this.nextIndex = next;
    this.sentCommit = Math.min(this.sentCommit, next - 1);
  }

  /** Starts to stream behind what is known to match. */
  becomeReplicate(): void {
    this.#reset("replicate");
    this.nextIndex = this.matchIndex + 1;
  }

  /** Waits for a snapshot to be taken. */
  becomeSnapshot(index: LogIndex): void {
    this.#reset("snapshot");
    this.pendingSnapshotIndex = index;
    this.nextIndex = index + 1;
    this.sentCommit = index;
  }

  /**
   * Takes an acknowledgement of everything up to `index`.
   *
   * @returns Whether it told something new; a late one does not.
   */
  maybeUpdate(index: LogIndex): boolean {
    if (index <= this.matchIndex) return false;
    this.matchIndex = index;
    this.nextIndex = Math.max(this.nextIndex, index + 1);
    this.flowPaused = false;
    return true;
  }

  /**
   * Takes a rejection of an append whose previous index was `rejected`; the
   * follower may match at `hint`.
   *
   * @returns Whether it belongs to the append in question; one that is late
   * changes nothing (H26).
   */
  maybeDecrement(rejected: LogIndex, hint: LogIndex): boolean {
    if (this.state === "replicate") {
      if (rejected <= this.matchIndex) return false;
      this.nextIndex = this.matchIndex + 1;
      this.sentCommit = Math.min(this.sentCommit, this.nextIndex - 1);
      return true;
    }
    if (this.nextIndex - 1 !== rejected) return false;
    this.nextIndex = Math.max(
      Math.min(rejected, hint + 1),
      this.matchIndex + 1,
    );
    this.sentCommit = Math.min(this.sentCommit, this.nextIndex - 1);
    this.flowPaused = false;
    return true;
  }

  /** Notes that an append with this many entries and bytes was sent. */
  sentEntries(count: number, bytes: number): void {
    this.hasAsked = true;
    if (this.state === "replicate") {
      if (count > 0) {
        this.nextIndex += count;
        this.inflights.add(this.nextIndex - 1, bytes);
      }
      this.flowPaused = this.inflights.full;
      return;
    }
    assertInvariant(this.state === "probe", "append sent during a snapshot");
    if (count > 0) this.flowPaused = true;
  }

  /**
   * Whether an append is worth sending for the commit index alone: the
   * follower may not know it yet, and would learn more of it.
   */
  canBumpCommit(commitIndex: LogIndex): boolean {
    return commitIndex > this.sentCommit &&
      this.sentCommit < this.nextIndex - 1;
  }

  #reset(state: ProgressState): void {
    this.flowPaused = false;
    this.pendingSnapshotIndex = 0;
    this.state = state;
    this.inflights.reset();
    this.batch.forget();
    this.loadId = 0;
  }
}
