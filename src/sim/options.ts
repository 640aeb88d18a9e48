/**
 * Everything that a seed decides about a run. Times are virtual milliseconds,
 * shares are in thousandths.
 *
 * @module
 */
import type { CoreConfig } from "../core/config.ts";
import type { ProtocolOptions } from "./options_protocol.ts";
import type { SessionOptions } from "./options_sessions.ts";

/**
 * One thing that the fault injector may do. `bounce` kills a member and
 * restarts it at once, `ambush` waits for the next vote, acknowledgement or
 * append and strikes its sender, `duel` makes several members campaign at the
 * same time, `swizzle` cuts members off one by one and heals them in another
 * order (H142), `hangDisk` makes a disk silent until it is healed (H20),
 * `failDisk` makes its next write fail, so that the process stops (H44), `rot`
 * flips a bit of a stored entry (H62), `stepClock` sets a wall clock,
 * `emptyDisk` and `olderDisk` replace a disk (H80). Some pauses suspend the whole machine, clock and all (H117).
 */
export type FaultKind =
  | "crash"
  | "crashLeader"
  | "crashAll"
  | "bounce"
  | "ambush"
  | "pause"
  | "pauseLeader"
  | "partition"
  | "isolateLeader"
  | "swizzle"
  | "clog"
  | "slowDisk"
  | "hangDisk"
  | "failDisk"
  | "rot"
  | "stepClock"
  | "lossBurst"
  | "duel"
  | "emptyDisk"
  | "olderDisk";

/**
 * Shape of a partition: into two halves, deaf members, halves that share one
 * member, a chain of neighbours, a centre with spokes, or any links (H10).
 */
export type PartitionShape =
  | "split"
  | "oneWay"
  | "bridge"
  | "chain"
  | "star"
  | "random";

/** How packets travel. */
export interface NetworkOptions {
  /** Shortest way. */
  readonly minDelayMs: number;
  /** Uniformly more than that. */
  readonly spreadMs: number;
  /** Share of packets that take the slow way. */
  readonly slowPermille: number;
  /** Uniformly more on the slow way. */
  readonly slowSpreadMs: number;
  /** Share of packets that are lost. */
  readonly lossPermille: number;
  /** Share of packets that arrive a second time. */
  readonly duplicatePermille: number;
  /** Longest time after which a second copy arrives. */
  readonly replayMs: number;
  /** Whether forwarded proposals are duplicated too (H102). */
  readonly duplicateProposals: boolean;
}

/** How disks behave. */
export interface DiskOptions {
  /** Shortest flush. */
  readonly minFlushMs: number;
  /** Uniformly more than that. */
  readonly spreadMs: number;
  /** Longest time to read entries back. */
  readonly loadMs: number;
  /** Share of loads that fail (H42). */
  readonly loadFailPermille: number;
  /** Share of loads that return fewer entries than fit (H37). */
  readonly loadShortPermille: number;
  /** Share of crashes after which some whole unflushed writes are there. */
  readonly keepPrefixPermille: number;
  /** Share of crashes that leave a write half done (H47). */
  readonly tornPermille: number;
  /** Whether the groups' parts of a write become durable in any order. */
  readonly reorderGroups: boolean;
  /** Whether each group has a device of its own, and so its own flushes. */
  readonly devicePerGroup: boolean;
}

/** How a process carries out the Readys of its core. */
export interface HostOptions {
  /**
   * Whether the next Ready is taken while a write is under way. If not, each
   * one is carried out whole, apply included, before the next.
   */
  readonly asyncWrites: boolean;
  /** Longest time from an event to the turn that collects its Ready. */
  readonly turnMs: number;
  /** Longest time from commit to apply. */
  readonly applyMs: number;
  /** Most entries applied at a time. */
  readonly applyBatch: number;
  /** Whether writes flushed together are reported by their last number. */
  readonly joinWrites: boolean;
  /** Bytes of entries in memory after a restart. */
  readonly restoreTailBytes: number;
  /** Whether the machine keeps its state over a crash (H57). */
  readonly durableMachine: boolean;
  /** Whether members that sleep are ticked all the same. */
  readonly ticksSleepers: boolean;
}

/** How clocks run. */
export interface ClockOptions {
  /** Nominal length of a tick. */
  readonly tickMs: number;
  /** Each tick is late by up to this; the next one is not for that. */
  readonly jitterMs: number;
  /** Rate of each member's clock; 1000 is exact. */
  readonly ratePermille: readonly number[];
}

/** What clients do. */
export interface ClientOptions {
  /** Clients; each has one batch of operations under way at a time. */
  readonly count: number;
  /** Longest time between two batches of a client. */
  readonly thinkMs: number;
  /** After this the outcome of a write is unknown. */
  readonly timeoutMs: number;
  /** After this a read asks again, with a fresh context. */
  readonly readRetryMs: number;
  /** Share of operations sent to a member that believes to lead. */
  readonly leaderPermille: number;
  /** Most commands in one proposal. */
  readonly batchCount: number;
}

/** What goes wrong. */
export interface FaultOptions {
  /** What may happen; all equally likely. */
  readonly kinds: readonly FaultKind[];
  /** Shapes that partitions may have. */
  readonly shapes: readonly PartitionShape[];
  /** Longest time between two faults. */
  readonly gapMs: number;
  /** Share of the times between two faults that are ten times as long. */
  readonly lullPermille: number;
  /** Longest time that a fault lasts. */
  readonly lastMs: number;
  /** With this many members down or frozen, no other one is killed. */
  readonly maxDownCount: number;
  /** Whether what has rotted is never mended: its host is dead for good. */
  readonly rotIsFinal: boolean;
}

/**
 * How the liveness phase begins: with everybody well, with a bare quorum, with
 * a quorum whose links work while all others may not, or with a leader whose
 * disk falls silent.
 */
export type TailShape = "all" | "quorum" | "clique" | "hungLeader";

/** What members of one group need not agree on. */
export type MemberFlags = Partial<
  Pick<
    CoreConfig,
    | "preVote"
    | "checkQuorum"
    | "forwardProposals"
    | "adaptiveFlow"
    | "fastFailover"
    | "stallTicks"
    | "priority"
  >
>;

/** Everything that a seed decides. */
export interface SimOptions {
  /** The seed itself. */
  readonly seed: number;
  /** Voters of each group at first, with ids from 1 on; 1 to 7. */
  readonly members: number;
  /** Groups, all of them on the same hosts; 1 to 20. */
  readonly groups: number;
  /** Length of the phase with faults, in nominal ticks. */
  readonly ticks: number;
  /** Limits and timeouts that all members share. */
  readonly core: Partial<CoreConfig>;
  /**
   * Per member, what is its own: for its first start, its second and so on,
   * round and round, as in a rolling change of settings (H06).
   */
  readonly flags: readonly (readonly MemberFlags[])[];
  /** Between the members. */
  readonly network: NetworkOptions;
  /** Of every host. */
  readonly disk: DiskOptions;
  /** Of every host. */
  readonly host: HostOptions;
  /** Of every host. */
  readonly clock: ClockOptions;
  /** Who uses each group. */
  readonly clients: ClientOptions;
  /** How they number their commands, if they do. */
  readonly sessions: SessionOptions;
  /** What happens to it. */
  readonly faults: FaultOptions;
  /** What is asked of the protocol of each group meanwhile. */
  readonly protocol: ProtocolOptions;
  /** How it has to recover. */
  readonly tail: TailShape;
}
