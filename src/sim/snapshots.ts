/**
 * Snapshots as disks keep them and as members hand them on.
 *
 * @module
 */
import type { SnapshotMeta } from "../core/types.ts";

/** A snapshot with its data. */
export interface StoredSnapshot {
  readonly meta: SnapshotMeta;
  /** The machine's state as of `meta.index`; empty at a witness. */
  readonly data: Uint8Array;
}

/** How a member gets from its log to snapshots. */
export interface SnapshotOptions {
  /** Applied entries after which the next one is taken; 0 for never. */
  readonly everyCount: number;
  /** Entries that are kept behind the newest snapshot. */
  readonly trailingCount: number;
  /** Longest time from the copy of the state to its being durable (H68). */
  readonly storeMs: number;
  /** Longest time that a snapshot takes to a member that needs it. */
  readonly sendMs: number;
  /** Share of transfers that are reported wrongly. */
  readonly wrongReportPermille: number;
  /** Longest time from the end of a transfer to its report. */
  readonly reportMs: number;
}
