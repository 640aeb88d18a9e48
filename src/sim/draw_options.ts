/**
 * Swarm testing: each seed draws its own cluster, its own faults and their
 * strength, so that no fault hides behind another one.
 *
 * @module
 */
import type { CoreConfig } from "../core/config.ts";
import type {
  ClientOptions,
  ClockOptions,
  DiskOptions,
  FaultKind,
  FaultOptions,
  HostOptions,
  MemberFlags,
  NetworkOptions,
  PartitionShape,
  SimOptions,
} from "./options.ts";
import { drawProtocol } from "./draw_protocol.ts";
import { drawSessions } from "./draw_sessions.ts";
import { SimRandom } from "./prng.ts";

const FAULT_KINDS: readonly FaultKind[] = [
  "crash",
  "crashLeader",
  "crashAll",
  "bounce",
  "ambush",
  "pause",
  "pauseLeader",
  "partition",
  "isolateLeader",
  "swizzle",
  "clog",
  "slowDisk",
  "hangDisk",
  "failDisk",
  "rot",
  "stepClock",
  "lossBurst",
  "duel",
];

/** Disks that are replaced (H80). */
const LOSS_KINDS: readonly FaultKind[] = ["emptyDisk", "olderDisk"];

const CRASH_ONLY: readonly FaultKind[] = ["crash"];

const PARTITION_SHAPES: readonly PartitionShape[] = [
  "split",
  "oneWay",
  "bridge",
  "chain",
  "star",
  "random",
];

/**
 * Ticks of all members of all groups together, so that every run costs about
 * the same: more members and groups, shorter runs.
 */
const MEMBER_TICKS = 15_000;

/** Shortest and longest phase with faults, in ticks. */
const MIN_TICKS = 300;
const MAX_TICKS = 5_000;

const TICK_MS = 50;

/** Draws the options of a seed: the same ones, always. */
export function drawOptions(seed: number): SimOptions {
  const random = new SimRandom(seed).fork("options");
  const members = random.pick([1, 2, 3, 3, 3, 3, 3, 4, 5, 5, 5, 5, 6, 7]);
  const groups = drawGroups(random);
  const electionTicks = random.pick([6, 10, 10, 20]);
  const options = {
    seed,
    members,
    groups,
    ticks: ticksFor(members, groups),
    core: drawCore(random, electionTicks),
    flags: withPriorities(
      new SimRandom(seed).fork("priorities"),
      drawFlags(random, members, electionTicks),
    ),
    network: drawNetwork(random),
    disk: drawDisk(random),
    host: drawHost(random),
    clock: drawClock(random, members),
    clients: drawClients(random),
    sessions: drawSessions(new SimRandom(seed).fork("sessions")),
    faults: drawFaults(random, members, electionTicks),
    protocol: drawProtocol(
      new SimRandom(seed).fork("protocol"),
      members,
      electionTicks * TICK_MS,
    ),
    tail: random.pick(["all", "quorum", "clique", "hungLeader"] as const),
  };
  return drawTimes(random, options);
}

/** One group mostly: several are about what they share. */
function drawGroups(random: SimRandom): number {
  if (random.chance(800)) return 1;
  return random.chance(800) ? random.between(2, 5) : random.between(6, 20);
}

/** Length of the phase with faults, unless told otherwise. */
function ticksFor(members: number, groups: number): number {
  const ticks = Math.floor(MEMBER_TICKS / (members * groups));
  return Math.max(MIN_TICKS, Math.min(MAX_TICKS, ticks));
}

function drawCore(
  random: SimRandom,
  electionTicks: number,
): Partial<CoreConfig> {
  const maxAppendBytes = random.pick([0, 64, 200, 1_000, 1 << 20]);
  return {
    electionTicks,
    heartbeatTicks: random.between(1, Math.floor(electionTicks / 3)),
    maxAppendBytes,
    maxInflightCount: random.pick([1, 2, 4, 16, 256]),
    maxInflightBytes: Math.max(
      1,
      maxAppendBytes,
      random.pick([100, 500, 2_000, 16 << 20]),
    ),
    maxUncommittedBytes: random.pick([200, 2_000, 64 << 20]),
    maxEntryBytes: random.pick([300, 8 << 20]),
    maxCommittedBytes: random.pick([0, 150, 1_000, 4 << 20]),
    maxTailBytes: random.pick([0, 200, 1_000, 4_000]),
    maxPendingReads: random.pick([1, 4, 65_536]),
    quiesceTicks: random.chance(200) ? electionTicks * random.between(1, 6) : 0,
    priorityTicks: electionTicks * random.pick([1, 4]),
  };
}

/** The same for all and always, or of each member's every start its own. */
function drawFlags(
  random: SimRandom,
  members: number,
  electionTicks: number,
): MemberFlags[][] {
  const isMixed = random.chance(250);
  const shared = drawMemberFlags(random, electionTicks);
  return Array.from({ length: members }, () => {
    if (!isMixed) return [shared];
    const starts = random.between(1, 3);
    return Array.from(
      { length: starts },
      () => drawMemberFlags(random, electionTicks),
    );
  });
}

/** A member is as much preferred after every start. */
function withPriorities(
  random: SimRandom,
  flags: readonly (readonly MemberFlags[])[],
): MemberFlags[][] {
  const isAnyPreferred = random.chance(300);
  return flags.map((starts) => {
    const priority = isAnyPreferred ? random.pick([0, 0, 1, 2]) : 0;
    return starts.map((own) => ({ ...own, priority }));
  });
}

function drawMemberFlags(
  random: SimRandom,
  electionTicks: number,
): MemberFlags {
  return {
    preVote: random.chance(700),
    checkQuorum: random.chance(700),
    forwardProposals: !random.chance(100),
    adaptiveFlow: random.chance(700),
    fastFailover: random.chance(700),
    stallTicks: random.chance(600) ? random.pick([1, 2, 4]) * electionTicks : 0,
  };
}

function drawNetwork(random: SimRandom): NetworkOptions {
  const hostile = random.chance(700);
  return {
    minDelayMs: random.pick([0, 1, 1, 5, 20]),
    spreadMs: random.pick([1, 5, 20, 100]),
    slowPermille: random.pick([0, 0, 10, 50]),
    slowSpreadMs: random.pick([200, 1_000, 5_000]),
    lossPermille: hostile ? random.pick([0, 5, 20, 50, 100, 300]) : 0,
    duplicatePermille: hostile ? random.pick([0, 5, 50, 200, 500]) : 0,
    replayMs: random.pick([10, 200, 5_000, 180_000]),
    duplicateProposals: random.chance(300),
  };
}

function drawDisk(random: SimRandom): DiskOptions {
  return {
    minFlushMs: random.pick([0, 0, 1, 10]),
    spreadMs: random.pick([1, 5, 30, 150]),
    loadMs: random.pick([0, 5, 50, 300]),
    loadFailPermille: random.pick([0, 0, 0, 20]),
    loadShortPermille: random.pick([0, 300]),
    keepPrefixPermille: random.pick([0, 200, 800]),
    tornPermille: random.pick([0, 500]),
    reorderGroups: random.chance(500),
    devicePerGroup: random.chance(200),
  };
}

function drawHost(random: SimRandom): HostOptions {
  return {
    turnMs: random.pick([0, 0, 1, 10, 60]),
    applyMs: random.pick([0, 1, 20, 300]),
    applyBatch: random.pick([1, 3, 1_000]),
    joinWrites: random.chance(500),
    restoreTailBytes: random.pick([0, 300, 4_000]),
    durableMachine: random.chance(250),
    ticksSleepers: random.chance(300),
    asyncWrites: !random.chance(150),
  };
}

function drawClock(random: SimRandom, members: number): ClockOptions {
  const drift = random.pick([0, 0, 20, 100]);
  const ratePermille = [];
  for (let i = 0; i < members; i++) {
    ratePermille.push(1000 - drift + random.below(2 * drift + 1));
  }
  return {
    tickMs: TICK_MS,
    jitterMs: random.pick([0, 1, 10, 50, 120]),
    ratePermille,
  };
}

function drawClients(random: SimRandom): ClientOptions {
  const count = random.pick([1, 2, 4, 8]);
  return {
    count,
    thinkMs: random.pick([500, 1_500, 4_000]) * count,
    timeoutMs: random.pick([1_000, 5_000, 20_000]),
    readRetryMs: random.pick([200, 1_000, 4_000]),
    leaderPermille: random.pick([0, 500, 900]),
    batchCount: random.pick([1, 1, 3, 8]),
  };
}

function drawFaults(
  random: SimRandom,
  members: number,
  electionTicks: number,
): FaultOptions {
  const kinds = FAULT_KINDS.filter(() => random.chance(500));
  const shapes = PARTITION_SHAPES.filter(() => random.chance(600));
  const electionMs = electionTicks * TICK_MS;
  const gapMs = random.pick([1, 3, 8, 20]) * electionMs;
  // Drawn apart, so that what else a seed draws stays what it was.
  const disks = random.fork("disks");
  const losses = LOSS_KINDS.filter(() => disks.chance(250));
  return {
    kinds: [...(kinds.length > 0 ? kinds : CRASH_ONLY), ...losses],
    shapes: shapes.length > 0 ? shapes : ["split"],
    gapMs,
    lullPermille: random.pick([50, 150, 300]),
    lastMs: Math.max(
      2 * electionMs,
      Math.floor(gapMs * random.pick([3, 10, 30]) / 10),
    ),
    maxDownCount: random.chance(700)
      ? Math.max(1, (members - 1) >> 1)
      : members,
    rotIsFinal: random.chance(500),
  };
}

/**
 * Leases need clocks that agree well enough: this is the sum a host does, with
 * the true spread of the rates. Ticks may come late, so one may be missing at
 * both ends of an election timeout.
 */
function drawTimes(random: SimRandom, options: SimOptions): SimOptions {
  const { clock, core } = options;
  if (random.chance(600)) return options;
  // The clocks of members that join later are exact.
  const slowest = Math.min(1000, ...clock.ratePermille);
  const fastest = Math.max(1000, ...clock.ratePermille);
  const promiseMs = ((core.electionTicks ?? 10) - 2) * clock.tickMs;
  const leaseMs = Math.floor(promiseMs * slowest / fastest);
  return { ...options, core: { ...core, leaseMs } };
}
