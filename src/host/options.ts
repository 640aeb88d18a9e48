/**
 * What hosts and groups are started with, and its checks.
 *
 * @module
 */
import type { CoreConfig } from "../core/config.ts";
import { DEFAULT_CONFIG, resolveConfig } from "../core/config.ts";
import type {
  ConfState,
  GroupId,
  LogIndex,
  MemberAddress,
  NodeId,
  Term,
} from "../core/types.ts";
import { EMPTY_CONF } from "../core/types.ts";
import type { StateMachine } from "../state_machine.ts";
import type { Storage, StorageRepair } from "../storage.ts";
import type { StopReason } from "../status.ts";
import type { PeerState, Transport } from "../transport.ts";
import type { Clock } from "./clock.ts";

/** What a host is made of. */
export interface RaftHostOptions {
  /**
   * Name of the deployment, 1 to 256 characters. Hosts and data of another
   * one are refused.
   */
  readonly deployment: string;
  /** Where other hosts reach this one, `host:port`, as members know it. */
  readonly address: string;
  /** Where clients reach this process, told to peers for redirects. */
  readonly clientAddress?: string | undefined;
  /** Holds the data of all groups. The host opens and closes it. */
  readonly storage: Storage;
  /** Connects to other hosts. The host starts and closes it. */
  readonly transport: Transport;
  /**
   * Milliseconds between ticks, at least 1; below 10 timers are too coarse.
   * An election timeout is `electionTicks` of them. @default {50}
   */
  readonly tickMs?: number | undefined;
  /** Time and turns. @default {systemClock()} */
  readonly clock?: Clock | undefined;
  /**
   * Hears what concerns the whole host. Called synchronously: do little. What
   * it throws is ignored.
   */
  readonly onEvent?: ((event: HostEvent) => void) | undefined;
}

/** Something that happened to a host. */
export type HostEvent =
  | {
    /** A connection or frame from outside was refused by the transport. */
    readonly type: "refused";
    /** The socket's address. */
    readonly remote: string;
    readonly code: string;
    readonly reason: string;
  }
  | {
    /** The connection to another host changed. */
    readonly type: "peer";
    readonly address: string;
    readonly state: PeerState;
  }
  | {
    /** A message that no member here may believe was left out (H131). */
    readonly type: "ignored";
    /** What the sender proved at the handshake. */
    readonly address: string;
    readonly group: GroupId;
    readonly from: NodeId;
    readonly reason: IgnoredReason;
  }
  | {
    /** Opening the storage mended something; nothing durable was lost. */
    readonly type: "repaired";
    readonly repair: StorageRepair;
  }
  | {
    /** A member stopped. */
    readonly type: "stopped";
    readonly group: GroupId;
    readonly node: NodeId;
    readonly reason: StopReason;
  };

/** Why a message was left out. */
export type IgnoredReason =
  | "unknownGroup"
  | "wrongReceiver"
  | "unknownSender"
  | "wrongAddress"
  | "replacedDisk"
  | "repeated"
  | "unsupported";

/**
 * What a member of a group is made of; the limits of
 * {@linkcode CoreConfig} may be given as well.
 *
 * @typeParam C Commands of the machine
 * @typeParam R Results of commands
 * @typeParam Q Queries
 * @typeParam A Answers to queries
 */
export interface GroupOptions<C, R, Q, A> extends
  Partial<
    Omit<
      CoreConfig,
      | "asyncStorageWrites"
      | "guardEmptyLog"
      | "leaseMs"
      | "validateConfChanges"
    >
  > {
  /** Which group; the same number on every host of it, 1 or more. */
  readonly group: GroupId;
  /** Who this member is, 1 or more; one of `members`, for ever. */
  readonly node: NodeId;
  /**
   * The voters a new group starts with, the same list on every host. A member
   * that has data keeps the configuration it has stored, whatever this says.
   * Left out if the member joins.
   */
  readonly members?: readonly MemberAddress[] | undefined;
  /**
   * Whether this member joins a group that runs: it knows nothing, and waits
   * until `changeMembership` on the leader has added it. @default {false}
   */
  readonly join?: boolean | undefined;
  /**
   * Whether this member's host has another address than the group knew when
   * the member last heard of it; `changeMembership` with `update` tells the
   * others. Without it a start at another address is refused, as a mistake.
   * @default {false}
   */
  readonly moved?: boolean | undefined;
  /**
   * Whether reads of consistency `lease` are answered by the leader alone, as
   * long as no other can have been elected (thesis §6.4.1). All members of a
   * group must agree; needs `checkQuorum`. Fast failover then waits until
   * the promises to the old leader have run out. @default {false}
   */
  readonly leaseReads?: boolean | undefined;
  /** What is replicated. */
  readonly machine: StateMachine<C, R, Q, A>;
  /** How long calls wait if they do not say. @default {10_000} */
  readonly timeoutMs?: number | undefined;
  /** Proposals that may wait for their result at once. @default {65_536} */
  readonly maxPendingCount?: number | undefined;
  /** Bytes of commands that may wait at once. @default {33_554_432} */
  readonly maxPendingBytes?: number | undefined;
  /**
   * Entries applied since the last snapshot after which the next one is
   * taken (thesis §5.1.2). A restart replays at most about as many.
   * @default {100_000}
   */
  readonly snapshotEntries?: number | undefined;
  /**
   * Bytes of such entries after which one is taken as well.
   * @default {67_108_864}
   */
  readonly snapshotBytes?: number | undefined;
  /**
   * Entries kept in the log below a snapshot, 0 or more: a follower that is
   * not further behind needs no snapshot. @default {10_000}
   */
  readonly snapshotTrailing?: number | undefined;
  /**
   * Whether stopping the group stops its host with it, as `startNode` wants.
   * @default {false}
   */
  readonly stopsHost?: boolean | undefined;
  /** Uniform in [0, 1); draws election timeouts. @default {entropy} */
  readonly random?: (() => number) | undefined;
}

/** Options of everything that waits. */
export interface WaitOptions {
  /**
   * Aborts the wait, not the work: a proposal may still commit. The promise
   * rejects with the signal's reason.
   */
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds to wait. @default {the group's `timeoutMs`} */
  readonly timeoutMs?: number | undefined;
}

/** Options of a proposal. */
export interface ProposeOptions extends WaitOptions {
  /**
   * Whether a member that does not lead passes the command on. If not it
   * rejects with `notLeader` and says who leads. @default {true}
   */
  readonly forward?: boolean | undefined;
}

/** How fresh an answer must be. */
export type ReadConsistency = "linearizable" | "lease" | "stale";

/** Options of a read. */
export interface ReadOptions extends WaitOptions {
  /**
   * `linearizable`: sees every write acknowledged anywhere before the read
   * began; costs a round of heartbeats, shared by all reads of a turn (thesis
   * §6.4). `lease`: the same, without the round while the leader has a lease
   * (see `leaseReads`; thesis §6.4.1); everywhere else, and whenever clocks
   * are in doubt, served as `linearizable`. `stale`: whatever this member has applied, at once; see
   * `staleMs` of the status. @default {"linearizable"}
   */
  readonly consistency?: ReadConsistency | undefined;
  /**
   * Whether a member that does not lead asks the leader. If not it rejects
   * with `notLeader` and says who leads. @default {true}
   */
  readonly forward?: boolean | undefined;
}

/** Options of a backup. */
export interface BackupOptions extends WaitOptions {
  /**
   * `linearizable`: holds every write acknowledged anywhere before the call;
   * needs a leader and a quorum. `stale`: what this member has applied, for
   * when there is none. @default {"linearizable"}
   */
  readonly consistency?: "linearizable" | "stale" | undefined;
}

/** A command that was committed and applied. */
export interface Committed<R> {
  /** What the machine answered. */
  readonly result: R;
  /** Where the command is in the log. */
  readonly index: LogIndex;
  /** The term of the leader that appended it. */
  readonly term: Term;
}

/** When snapshots are taken, and what stays below them. */
export interface SnapshotSettings {
  readonly entries: number;
  readonly bytes: number;
  readonly trailing: number;
}

/** Group options with every default filled in. */
export interface GroupSettings {
  readonly group: GroupId;
  readonly node: NodeId;
  readonly timeoutMs: number;
  readonly maxPendingCount: number;
  readonly maxPendingBytes: number;
  readonly snapshots: SnapshotSettings;
  readonly moved: boolean;
  /** The voters of a new group. */
  readonly conf: ConfState;
  readonly core: CoreConfig;
}

const MAX_NAME_LENGTH = 256;

/**
 * Checks what a host is started with.
 *
 * @throws {TypeError} If something is missing or of the wrong kind.
 * @throws {RangeError} If a value is out of range.
 */
export function checkHostOptions(options: RaftHostOptions): void {
  checkText("a host", "deployment", options.deployment);
  checkText("a host", "address", options.address);
  if (options.clientAddress !== undefined) {
    checkText("a host", "clientAddress", options.clientAddress);
  }
  if (options.tickMs !== undefined) {
    checkCount("a host", "tickMs", options.tickMs);
  }
}

/**
 * Checks what a group is started with and fills in the defaults.
 *
 * @throws {TypeError} If something is missing or of the wrong kind.
 * @throws {RangeError} If a value is out of range or contradicts another.
 */
export function groupSettings<C, R, Q, A>(
  options: GroupOptions<C, R, Q, A>,
  tickMs: number,
): GroupSettings {
  checkCount("a group", "group", options.group);
  checkCount("a group", "node", options.node);
  const settings = {
    timeoutMs: options.timeoutMs ?? 10_000,
    maxPendingCount: options.maxPendingCount ?? 65_536,
    maxPendingBytes: options.maxPendingBytes ?? 32 << 20,
  };
  for (const [name, value] of Object.entries(settings)) {
    checkCount("a group", name, value);
  }
  return {
    group: options.group,
    node: options.node,
    ...settings,
    snapshots: snapshotSettings(options),
    moved: options.moved ?? false,
    conf: options.join === true
      ? joiningConf(options.members)
      : bootstrapConf(options.node, options.members ?? []),
    core: resolveConfig(coreOverrides(options, tickMs)),
  };
}

function snapshotSettings(
  options: Pick<
    GroupOptions<unknown, unknown, unknown, unknown>,
    "snapshotEntries" | "snapshotBytes" | "snapshotTrailing"
  >,
): SnapshotSettings {
  const entries = options.snapshotEntries ?? 100_000;
  const bytes = options.snapshotBytes ?? 64 << 20;
  const trailing = options.snapshotTrailing ?? 10_000;
  checkCount("a group", "snapshotEntries", entries);
  checkCount("a group", "snapshotBytes", bytes);
  if (!Number.isSafeInteger(trailing) || trailing < 0) {
    throw new RangeError(
      `Cannot start a group: snapshotTrailing is ${trailing}, wanted a safe integer of at least 0`,
    );
  }
  return { entries, bytes, trailing };
}

/**
 * When a wait ends.
 *
 * @throws {RangeError} If the timeout is no positive number.
 */
export function deadlineOf(
  now: number,
  timeoutMs: number | undefined,
  defaultMs: number,
): number {
  if (timeoutMs === undefined) return now + defaultMs;
  if (timeoutMs > 0) return now + timeoutMs;
  throw new RangeError(
    `Cannot wait: timeoutMs is ${timeoutMs}, wanted a number above 0`,
  );
}

/** Who joins knows nobody: the leader's log tells it everything. */
function joiningConf(members: readonly MemberAddress[] = []): ConfState {
  if (members.length === 0) return EMPTY_CONF;
  throw new RangeError(
    `Cannot start a group: a member that joins was given ${members.length} members, wanted none`,
  );
}

function bootstrapConf(
  node: NodeId,
  members: readonly MemberAddress[],
): ConfState {
  const seen = new Set<NodeId>();
  const addresses = new Set<string>();
  for (const member of members) {
    checkCount("a group", "a member's id", member.id);
    checkText("a group", "a member's address", member.address);
    if (seen.has(member.id)) {
      throw new RangeError(
        `Cannot start a group: member ${member.id} is listed twice`,
      );
    }
    if (addresses.has(member.address)) {
      throw new RangeError(
        `Cannot start a group: two members share the address "${member.address}"`,
      );
    }
    seen.add(member.id);
    addresses.add(member.address);
  }
  if (!seen.has(node)) {
    throw new RangeError(
      `Cannot start a group: node ${node} is not among the members ${
        [...seen].join(", ")
      }`,
    );
  }
  const ascending = [...members].sort((a, b) => a.id - b.id);
  return {
    ...EMPTY_CONF,
    voters: ascending.map((member) => member.id),
    addresses: ascending.map(({ id, address }) => ({ id, address })),
  };
}

/** The options that are the core's, and no others. */
function coreOverrides<C, R, Q, A>(
  given: GroupOptions<C, R, Q, A>,
  tickMs: number,
): Partial<CoreConfig> {
  const names = new Set(Object.keys(DEFAULT_CONFIG));
  const overrides = Object.fromEntries(
    Object.entries(given).filter(([name, value]) =>
      names.has(name) && value !== undefined
    ),
  );
  return {
    ...overrides,
    asyncStorageWrites: true,
    // Hosts tell replaced disks by their incarnation.
    guardEmptyLog: false,
    leaseMs: leaseMs(given, tickMs),
  };
}

/** How much slower one member's clock may run than another's. */
const MAX_CLOCK_DRIFT = 0.1;

/**
 * For how long a member's promise stands for certain. Two ticks are taken off,
 * for a tick may come late and the next one on time (H95).
 */
function leaseMs<C, R, Q, A>(
  options: GroupOptions<C, R, Q, A>,
  tickMs: number,
): number {
  if (options.leaseReads !== true) return 0;
  const { electionTicks = DEFAULT_CONFIG.electionTicks } = options;
  if (electionTicks > 2 && options.checkQuorum !== false) {
    return Math.floor((electionTicks - 2) * tickMs * (1 - MAX_CLOCK_DRIFT));
  }
  throw new RangeError(
    `Cannot start a group: leaseReads needs checkQuorum and at least 3 electionTicks, these are ${electionTicks}`,
  );
}

function checkCount(what: string, name: string, value: number): void {
  if (Number.isSafeInteger(value) && value >= 1) return;
  throw new RangeError(
    `Cannot start ${what}: ${name} is ${value}, wanted a safe integer of at least 1`,
  );
}

function checkText(what: string, name: string, value: string): void {
  if (typeof value !== "string") {
    throw new TypeError(
      `Cannot start ${what}: ${name} is ${typeof value}, wanted a string`,
    );
  }
  if (value.length >= 1 && value.length <= MAX_NAME_LENGTH) return;
  throw new RangeError(
    `Cannot start ${what}: ${name} has ${value.length} characters, wanted 1 to ${MAX_NAME_LENGTH}`,
  );
}
