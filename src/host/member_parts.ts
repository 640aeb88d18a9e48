/**
 * What a member consists of, and how the parts reach each other: through the
 * member's turns, and never one into the other.
 *
 * @module
 */
import type { Message } from "../core/message.ts";
import type { RawNode } from "../core/raw_node.ts";
import type { Entry, NodeId, SnapshotMeta } from "../core/types.ts";
import type { RaftError } from "../errors.ts";
import type { ApplyOutcome, MachineRunner } from "../rsm/machine_runner.ts";
import { Announcer } from "./announcer.ts";
import { Applier } from "./applier.ts";
import { CommitNotices } from "./commit_notices.ts";
import { Departure } from "./departure.ts";
import { Durability } from "./durability.ts";
import { Freshness } from "./freshness.ts";
import { DiskBinder } from "./disk_binder.ts";
import { Loads } from "./loads.ts";
import { Memberships } from "./memberships.ts";
import type { GroupSettings } from "./options.ts";
import type { HostServices } from "./participant.ts";
import { Peers } from "./peers.ts";
import { Proposals } from "./proposals.ts";
import { requestNumberBase } from "./random.ts";
import { Reads } from "./reads.ts";
import { type SnapshotKind, Snapshots } from "./snapshots.ts";
import { Transfers } from "./transfers.ts";

/** What a member is made of. */
export interface MemberOptions<C, R, Q, A> {
  readonly services: HostServices;
  readonly settings: GroupSettings;
  readonly core: RawNode;
  readonly runner: MachineRunner<C, R, Q, A>;
  /** What lies below the stored log; the machine has it. */
  readonly snapshot: SnapshotMeta;
  readonly random: () => number;
}

/** The member, as its parts see it. */
export interface MemberHooks<R> {
  /** Runs `work` within a turn. */
  readonly inTurn: (work: () => void) => void;
  /** Asks for a turn. */
  readonly wake: () => void;
  /** Sends a message of the core. */
  readonly send: (message: Message) => void;
  /** Tells a member that its data directory is not the one it is known by. */
  readonly turnAway: (id: NodeId) => void;
  /** Something is broken beyond repair: the member stops. */
  readonly onFailure: (error: unknown) => void;
  /** These entries were applied. */
  readonly onApplied: (
    entries: readonly Entry[],
    outcomes: readonly ApplyOutcome<R>[],
  ) => void;
  /** A snapshot is durable. */
  readonly onSnapshot: (meta: SnapshotMeta, kind: SnapshotKind) => void;
  /** A snapshot could not be stored or read; the member goes on. */
  readonly onSnapshotProblem: (meta: SnapshotMeta, error: RaftError) => void;
}

/** The parts that belong to the protocol and its I/O. */
export interface EngineParts<R> {
  readonly peers: Peers;
  readonly freshness: Freshness;
  readonly announcer: Announcer;
  readonly durability: Durability;
  readonly notices: CommitNotices;
  readonly applier: Applier<R>;
  readonly loads: Loads;
  readonly snapshots: Snapshots;
}

/** The parts that own promises of callers. */
export interface CallerParts<R, Q, A> {
  readonly proposals: Proposals<R>;
  readonly reads: Reads<Q, A>;
  readonly transfers: Transfers;
  readonly memberships: Memberships;
  readonly binder: DiskBinder;
  readonly departure: Departure;
}

/** Makes the parts of the protocol and its I/O. */
export function engineParts<C, R, Q, A>(
  options: MemberOptions<C, R, Q, A>,
  hooks: MemberHooks<R>,
): EngineParts<R> {
  const { core, runner, services, settings } = options;
  const { group, node } = settings;
  const { clock, pipeline, storage, tasks } = services;
  const { inTurn, onApplied, onFailure, onSnapshot, send, wake } = hooks;
  const { onSnapshotProblem } = hooks;
  const peers = new Peers(node, core.conf);
  const shared = { group, node, core, clock, tasks, inTurn, onFailure };
  const applier = new Applier({ ...shared, runner, onApplied });
  return {
    peers,
    freshness: new Freshness(),
    announcer: new Announcer(core, core.conf, core.appliedIndex),
    durability: new Durability({ group, core, pipeline, send, wake }),
    notices: new CommitNotices({ clock, send, inTurn }),
    applier,
    loads: new Loads({ ...shared, storage }),
    snapshots: new Snapshots({
      ...shared,
      runner,
      applier,
      services,
      settings: settings.snapshots,
      electionMs: electionMs(options),
      meta: options.snapshot,
      addressOf: (id) => peers.addressOf(id),
      onSnapshot,
      onProblem: onSnapshotProblem,
    }),
  };
}

/** Makes the parts that own promises. */
export function callerParts<C, R, Q, A>(
  options: MemberOptions<C, R, Q, A>,
  { announcer, peers }: EngineParts<R>,
  { inTurn, turnAway, wake }: MemberHooks<R>,
): CallerParts<R, Q, A> {
  const { core, random, services, settings } = options;
  const { clock } = services;
  const timeoutMs = electionMs(options);
  const proposals = new Proposals<R>({
    maxPendingCount: settings.maxPendingCount,
    maxPendingBytes: settings.maxPendingBytes,
    maxEntryBytes: settings.core.maxEntryBytes,
    firstTicket: requestNumberBase(random),
    appliedIndex: core.appliedIndex,
  });
  const transfers = new Transfers({
    core,
    isAlive: (id) => {
      // All were there when they fell asleep, and nobody speaks since.
      if (core.quiesced) return true;
      const silentMs = peers.lastContactMs(id, clock.now());
      return silentMs !== null && silentMs < timeoutMs;
    },
    inTurn,
  });
  const reads = new Reads<Q, A>({
    maxPendingCount: settings.core.maxPendingReads,
    firstContext: requestNumberBase(random),
    retryMs: timeoutMs / 2,
    holdsLease: () => services.clocksAgree() && clock.now() < core.leaseUntil,
    wake,
  });
  const memberships = new Memberships(core, inTurn);
  const incarnation = () => services.incarnation;
  const binder = new DiskBinder({ core, peers, incarnation, turnAway });
  const departure = new Departure({
    clock,
    transfers,
    electionMs: timeoutMs,
    isStopped: () => announcer.stopped !== null,
    proposalCount: () => proposals.pendingCount,
  });
  return { proposals, reads, transfers, memberships, binder, departure };
}

/** Milliseconds of the shortest election timeout. */
function electionMs<C, R, Q, A>(
  { services, settings }: MemberOptions<C, R, Q, A>,
): number {
  return settings.core.electionTicks * services.tickMs;
}
