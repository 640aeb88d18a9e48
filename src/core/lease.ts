/**
 * Leases: a leader answers reads by itself while a quorum of voters keeps the
 * promise to ignore candidates (thesis §6.4.1). `docs/protocol.md` has the
 * argument why that is safe.
 *
 * @module
 */
import type {
  HeartbeatResponse,
  RequestPreVote,
  RequestVote,
} from "./message.ts";
import type { Progress } from "./progress.ts";
import { jointIndex } from "./quorum.ts";
import type { Raft } from "./raft.ts";
import type { NodeId } from "./types.ts";

/** What this member promised, and what it must not build on as a leader. */
export class Lease {
  /**
   * Ticks for which this member goes on ignoring every candidate but
   * `promisedTo`, itself included. Outlives roles and terms.
   */
  deafTicks: number;
  /** The leader that was promised so; `null` once a restart forgot it. */
  promisedTo: NodeId | null = null;
  /**
   * Whether this leader told somebody to campaign in its term: nobody is deaf
   * to that candidate, however late it comes (H99, H115). `false` unless
   * leader.
   */
  isForfeited = false;
  /** Answers to heartbeats sent at or before this time prove nothing. */
  floorMs = 0;

  constructor(deafTicks: number) {
    this.deafTicks = deafTicks;
  }
}

/**
 * Promises the leader, whose heartbeat is being answered, to ignore other
 * candidates. With an empty disk nothing would hold the member to it after a
 * restart (H95), and without check-quorum nothing does at all (H06).
 *
 * @returns For how many milliseconds; 0 for no promise.
 */
export function promiseLease(raft: Raft, leader: NodeId): number {
  const { checkQuorum, electionTicks, leaseMs } = raft.config;
  if (!checkQuorum || leaseMs === 0 || !raft.disk.holdsTerm) return 0;
  raft.lease.deafTicks = electionTicks;
  raft.lease.promisedTo = leader;
  return leaseMs;
}

/**
 * Whether a promise keeps this member from hearing a candidate. The leader it
 * promised to has given up its lease if it campaigns (H07), and before it
 * tells somebody else to (H114).
 */
export function isPromised(
  raft: Raft,
  message: RequestVote | RequestPreVote,
): boolean {
  if (message.type === "requestVote" && message.transfer) return false;
  return raft.lease.deafTicks > 0 && raft.lease.promisedTo !== message.from;
}

/** A leader takes a follower's promise, which counts from the sending. */
export function takePromise(
  raft: Raft,
  progress: Progress,
  message: HeartbeatResponse,
): void {
  if (message.leaseMs === 0) {
    // It promises nothing any more: what it did before, it may have lost.
    progress.promisedUntilMs = -Infinity;
    return;
  }
  const sentAt = Math.min(message.sentAt, raft.now);
  if (sentAt <= raft.lease.floorMs) return;
  progress.promisedUntilMs = Math.max(
    progress.promisedUntilMs,
    sentAt + Math.min(message.leaseMs, raft.config.leaseMs),
  );
}

/** See `RawNode.leaseUntil`. */
export function leaseUntil(raft: Raft): number {
  if (raft.role !== "leader" || raft.config.leaseMs === 0) return -Infinity;
  if (raft.lease.isForfeited || raft.transferTarget !== null) return -Infinity;
  // Before its first commit it may not know what others committed (H93).
  if (!raft.committedInTerm) return -Infinity;
  const { conf, progress } = raft.tracker;
  // A leader votes for nobody without losing its office: it counts itself
  // for ever.
  const promisedBy = (id: NodeId): number =>
    id === raft.id ? Infinity : progress.get(id)?.promisedUntilMs ?? -Infinity;
  return jointIndex(conf.voters, conf.votersOutgoing, promisedBy);
}

/** See `RawNode.dropLease`. */
export function dropLease(raft: Raft): void {
  raft.lease.floorMs = raft.now;
  for (const progress of raft.tracker.progress.values()) {
    progress.promisedUntilMs = -Infinity;
  }
}
