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
  NetworkOptions,
  PartitionShape,
  SimOptions,
} from "./options.ts";
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
  "lossBurst",
  "duel",
];

const PARTITION_SHAPES: readonly PartitionShape[] = [
  "split",
  "oneWay",
  "bridge",
  "chain",
  "star",
  "random",
];

/** Ticks of the phase with faults, unless told otherwise. */
export const DEFAULT_TICKS = 20_000;

const TICK_MS = 50;

/** Draws the options of a seed: the same ones, always. */
export function drawOptions(seed: number): SimOptions {
  const random = new SimRandom(seed).fork("options");
  const members = random.chance(500) ? 3 : 5;
  const electionTicks = random.pick([6, 10, 10, 20]);
  return {
    seed,
    members,
    ticks: DEFAULT_TICKS,
    core: drawCore(random, electionTicks),
    flags: drawFlags(random, members),
    network: drawNetwork(random),
    disk: drawDisk(random),
    host: drawHost(random),
    clock: drawClock(random, members),
    clients: drawClients(random),
    faults: drawFaults(random, members, electionTicks),
    tail: random.pick(["all", "quorum", "clique"]),
  };
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
    forwardProposals: !random.chance(100),
  };
}

function drawFlags(
  random: SimRandom,
  members: number,
): Pick<CoreConfig, "preVote" | "checkQuorum">[] {
  const mixed = random.chance(200);
  const shared = {
    preVote: random.chance(700),
    checkQuorum: random.chance(700),
  };
  const flags = [];
  for (let i = 0; i < members; i++) {
    flags.push(
      mixed
        ? { preVote: random.chance(500), checkQuorum: random.chance(500) }
        : shared,
    );
  }
  return flags;
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
    jitterMs: random.pick([0, 1, 10, 50]),
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
  const gapMs = random.pick([1, 4, 10, 40]) * electionMs;
  return {
    kinds: kinds.length > 0 ? kinds : ["crash"],
    shapes: shapes.length > 0 ? shapes : ["split"],
    gapMs,
    lullPermille: random.pick([50, 150, 300]),
    lastMs: Math.max(
      2 * electionMs,
      Math.floor(gapMs * random.pick([3, 10, 30]) / 10),
    ),
    maxDownCount: random.chance(700) ? (members - 1) >> 1 : members,
  };
}
