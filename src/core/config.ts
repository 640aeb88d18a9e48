/**
 * The limits of the core, in one place, with their relations asserted.
 *
 * @module
 */

/** Settings of one member. All have defaults; see {@linkcode DEFAULT_CONFIG}. */
export interface CoreConfig {
  /**
   * Ticks without contact after which a follower campaigns; each timeout is
   * drawn uniformly from `[electionTicks, 2 * electionTicks - 1]`.
   */
  readonly electionTicks: number;
  /** Ticks between heartbeats; less than `electionTicks`. */
  readonly heartbeatTicks: number;
  /** Ask before raising the term (thesis §9.6). */
  readonly preVote: boolean;
  /**
   * A leader that hears no quorum for an election timeout steps down, and a
   * follower in contact with its leader ignores candidates (thesis §4.2.3).
   */
  readonly checkQuorum: boolean;
  /** Bytes of entries in one append; one entry always fits. */
  readonly maxAppendBytes: number;
  /** Appends with entries in flight per follower. */
  readonly maxInflightCount: number;
  /** Bytes of entries in flight per follower; at least `maxAppendBytes`. */
  readonly maxInflightBytes: number;
  /** Payload bytes appended but not committed, before proposals are refused. */
  readonly maxUncommittedBytes: number;
  /** Bytes of one command. */
  readonly maxEntryBytes: number;
  /** Bytes of committed entries handed out in one Ready. */
  readonly maxCommittedBytes: number;
  /** Bytes of durable, applied entries kept in memory for slow followers. */
  readonly maxTailBytes: number;
  /** Reads waiting for confirmation. */
  readonly maxPendingReads: number;
  /**
   * `true`: writes complete while later Readys are made, and entries are
   * handed out to be applied once they are durable here. `false`: every Ready
   * is carried out whole, write first, before the next is taken; then its
   * `committedEntries` may be among its own `entries`.
   */
  readonly asyncStorageWrites: boolean;
  /** Whether a follower passes proposals on to the leader. */
  readonly forwardProposals: boolean;
  /**
   * What a leader does when it applies its own removal or demotion (thesis
   * §4.2.2). `"handOver"`: it goes on without counting itself until a voter
   * has taken over (H78); `true`: it steps down at once; `false`: it leads on.
   */
  readonly stepDownOnRemoval: boolean | "handOver";
  /**
   * Whether a founding member with an empty log votes only for others with an
   * empty log until a leader has brought it up to date: its disk may have been
   * replaced (H80). Turn it off where something else recognises that, as the
   * incarnations of hosts do: a founder that starts late cannot help to
   * replace a leader that dies before it came.
   */
  readonly guardEmptyLog: boolean;
  /**
   * Which membership changes a leader refuses. `true`: all that do not fit or
   * put the group at risk; removed ids are refused for ever and told so.
   * `"pending"`: only those that come while another may be under way, or that
   * enter or leave a joint configuration out of order; removed ids may return.
   * `false`: none; what cannot be applied is applied as no change.
   */
  readonly validateConfChanges: boolean | "pending";
  /**
   * Milliseconds for which a follower ignores candidates after each contact
   * with its leader, also over a restart, so that the leader may answer reads
   * without asking (thesis §6.4.1); 0: no leases. Must be shorter than
   * `electionTicks - 1` ticks as the slowest and fastest clock count them.
   */
  readonly leaseMs: number;
  /** How much this member is preferred as leader; 0 like all others. */
  readonly priority: number;
  /** Ticks a preferred member must be fit to lead before it is handed over to. */
  readonly priorityTicks: number;
  /**
   * Whether batches grow and shrink with what each follower takes, and silent
   * followers are only probed.
   */
  readonly adaptiveFlow: boolean;
  /** Whether a follower acts on the news that its leader's process is gone. */
  readonly fastFailover: boolean;
  /**
   * Whether other members may run with other settings of `preVote` and
   * `checkQuorum`. Then one that has neither and follows nobody still tells
   * leaders of older terms of its own: they may be deaf to its requests (H06).
   */
  readonly mixedSettings: boolean;
  /**
   * Whether candidates are told what is committed: one that has not heard of
   * a change of the voters waits for votes that no longer count (H77).
   */
  readonly tellCommit: boolean;
  /**
   * Ticks of idleness after which a leader puts its group to sleep, at least
   * `electionTicks`, so that a quorum was heard of in between; 0: never. Needs
   * `checkQuorum`.
   */
  readonly quiesceTicks: number;
  /** Ticks a write of a leader may take before it steps aside; 0: any (H20). */
  readonly stallTicks: number;
}

/** The defaults of {@linkcode CoreConfig}. */
export const DEFAULT_CONFIG: CoreConfig = {
  electionTicks: 10,
  heartbeatTicks: 1,
  preVote: true,
  checkQuorum: true,
  maxAppendBytes: 1 << 20,
  maxInflightCount: 256,
  maxInflightBytes: 16 << 20,
  maxUncommittedBytes: 64 << 20,
  maxEntryBytes: 8 << 20,
  maxCommittedBytes: 4 << 20,
  maxTailBytes: 16 << 20,
  maxPendingReads: 65_536,
  asyncStorageWrites: true,
  forwardProposals: true,
  stepDownOnRemoval: "handOver",
  guardEmptyLog: true,
  validateConfChanges: true,
  leaseMs: 0,
  priority: 0,
  priorityTicks: 40,
  adaptiveFlow: true,
  fastFailover: true,
  mixedSettings: true,
  tellCommit: true,
  quiesceTicks: 0,
  stallTicks: 20,
};

const COUNTS = [
  "electionTicks",
  "heartbeatTicks",
  "maxInflightCount",
  "maxInflightBytes",
  "maxUncommittedBytes",
  "maxEntryBytes",
  "maxPendingReads",
  "priorityTicks",
] as const;

const COUNTS_OR_ZERO = [
  "maxAppendBytes",
  "maxCommittedBytes",
  "maxTailBytes",
  "leaseMs",
  "priority",
  "quiesceTicks",
  "stallTicks",
] as const;

/**
 * Fills in defaults and checks the limits and their relations.
 *
 * @throws {RangeError} If a value is no safe integer in range, or two
 * contradict each other.
 */
export function resolveConfig(overrides: Partial<CoreConfig>): CoreConfig {
  const config: CoreConfig = { ...DEFAULT_CONFIG, ...overrides };
  for (const name of COUNTS) assertAtLeast(name, config[name], 1);
  for (const name of COUNTS_OR_ZERO) assertAtLeast(name, config[name], 0);
  if (config.heartbeatTicks >= config.electionTicks) {
    throw new RangeError(
      `Cannot configure the core: heartbeatTicks is ${config.heartbeatTicks}, wanted less than electionTicks ${config.electionTicks}`,
    );
  }
  if (config.maxInflightBytes < config.maxAppendBytes) {
    throw new RangeError(
      `Cannot configure the core: maxInflightBytes is ${config.maxInflightBytes}, wanted at least maxAppendBytes ${config.maxAppendBytes}`,
    );
  }
  if (config.quiesceTicks > 0 && config.quiesceTicks < config.electionTicks) {
    throw new RangeError(
      `Cannot configure the core: quiesceTicks is ${config.quiesceTicks}, wanted 0 or at least electionTicks ${config.electionTicks}`,
    );
  }
  return config;
}

function assertAtLeast(name: string, value: number, least: number): void {
  if (Number.isSafeInteger(value) && value >= least) return;
  throw new RangeError(
    `Cannot configure the core: ${name} is ${value}, wanted a safe integer of at least ${least}`,
  );
}
