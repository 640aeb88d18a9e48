/**
 * The second phase of a run: faults stop, and now the cluster has to work
 * again within a stated time, also without any write (H31, H34, H139).
 *
 * @module
 */
import type { NodeId } from "../core/types.ts";
import type { PendingOperation, SimClients } from "./clients.ts";
import type { MarkCounter } from "./marks.ts";
import type { SimMember } from "./member.ts";
import type { SimNetwork } from "./network.ts";
import type { NetworkOptions, SimOptions } from "./options.ts";
import type { Oracle } from "./oracle.ts";
import type { SimRandom } from "./prng.ts";
import { allLinks } from "./topology.ts";
import { fail } from "./violation.ts";

/** What the liveness phase works with. */
export interface LivenessWorld {
  readonly options: SimOptions;
  readonly members: readonly SimMember[];
  readonly network: SimNetwork;
  readonly clients: SimClients;
  readonly oracle: Oracle;
  readonly marks: MarkCounter;
  now(): number;
  crash(member: SimMember): void;
  /** Lets virtual time pass. */
  runUntil(timeMs: number): void;
}

/** A network without faults. */
const CALM_NETWORK: NetworkOptions = {
  minDelayMs: 1,
  spreadMs: 3,
  slowPermille: 0,
  slowSpreadMs: 0,
  lossPermille: 0,
  duplicatePermille: 0,
  replayMs: 0,
  duplicateProposals: false,
};

/**
 * Election timeouts within which a leader must be there and do its work, and
 * ticks more for each entry that some member lacks.
 */
const PATIENCE_TIMEOUTS = 60;
const PATIENCE_TICKS_PER_ENTRY = 3;

/** Runs the phase. Throws a `Violation` if the cluster does not recover. */
export function runLiveness(world: LivenessWorld, random: SimRandom): void {
  world.clients.stop();
  world.network.calm(CALM_NETWORK);
  for (const member of world.members) {
    if (member.core === undefined) member.start();
    else member.resume();
    member.hurry();
  }
  switch (tailShape(world.options)) {
    case "all":
      break;
    case "quorum":
      serveWithQuorum(world, random);
      break;
    case "clique":
      serveWithClique(world, random);
      break;
  }
  converge(world, "without a write");
  world.marks.hit("tailConverged");
  serve(world, world.members, "with all members");
  converge(world, "after a write");
}

/**
 * A leader that a clique cannot follow is only got rid of by check-quorum,
 * and a disturbing member is only kept quiet by pre-vote: partial links are a
 * fair trial only where everybody has both (H10).
 */
function tailShape(options: SimOptions): SimOptions["tail"] {
  const hasBoth = options.flags.every((flags) =>
    flags.preVote && flags.checkQuorum
  );
  return options.tail === "clique" && !hasBoth ? "all" : options.tail;
}

/** A minority stays dead: the rest must do. */
function serveWithQuorum(world: LivenessWorld, random: SimRandom): void {
  world.marks.hit("tailWithQuorumOnly");
  const order = random.shuffle(world.members);
  const quorum = quorumSize(world);
  for (const member of order.slice(quorum)) world.crash(member);
  serve(world, order.slice(0, quorum), "with a bare quorum");
  for (const member of order.slice(quorum)) member.start();
}

/** A quorum is fully connected; all other links work or not at random. */
function serveWithClique(world: LivenessWorld, random: SimRandom): void {
  world.marks.hit("tailWithPartialLinks");
  const order = random.shuffle(world.members.map(({ id }) => id));
  const clique = order.slice(0, quorumSize(world));
  const inClique = (id: NodeId) => clique.includes(id);
  const cut = allLinks(order).filter(({ from, to }) =>
    !(inClique(from) && inClique(to)) && random.chance(500)
  );
  world.network.cut(cut);
  // The leader need not be in the clique, if it reaches a quorum itself.
  serve(world, world.members, "with partial links around a clique");
  world.network.heal(cut);
}

/** Some write through one of `members` must be acknowledged. */
function serve(
  world: LivenessWorld,
  members: readonly SimMember[],
  situation: string,
): void {
  const deadline = world.now() + patienceMs(world);
  const step = stepMs(world);
  while (world.now() < deadline) {
    const probes = members.map((member) => askOnce(world, member, step));
    if (probes.some(({ outcome }) => outcome === "ok")) return;
  }
  fail(
    "progress",
    `No write was acknowledged ${situation} within ${patienceMs(world)} ms: ${
      describe(world)
    }`,
  );
}

function askOnce(
  world: LivenessWorld,
  member: SimMember,
  stepMs: number,
): PendingOperation {
  const probe = world.clients.probe(member);
  world.runUntil(world.now() + stepMs);
  return probe;
}

/** Everybody must know the same leader and have applied the same. */
function converge(world: LivenessWorld, situation: string): void {
  const deadline = world.now() + patienceMs(world);
  while (world.now() < deadline) {
    world.runUntil(world.now() + stepMs(world));
    if (hasConverged(world)) return checkDisks(world);
  }
  fail(
    "convergence",
    `The members did not become equal ${situation} within ${
      patienceMs(world)
    } ms: ${describe(world)}`,
  );
}

function hasConverged(world: LivenessWorld): boolean {
  const first = world.members[0]?.core;
  return first !== undefined && first.leader !== null &&
    world.members.every(({ core, disk }) =>
      core?.leader === first.leader && core.term === first.term &&
      core.lastIndex === first.lastIndex &&
      core.commitIndex === core.lastIndex &&
      core.appliedIndex === core.commitIndex && disk.pendingCount === 0
    );
}

/** All that was ever committed is on every disk, in the same place. */
function checkDisks(world: LivenessWorld): void {
  const { committed } = world.oracle;
  const last = committed.lastIndex;
  for (const { id, disk } of world.members) {
    if (
      disk.durable.digestAt(last) === committed.digestAt(last) &&
      disk.durable.lastIndex >= last
    ) continue;
    fail(
      "committedForever",
      `The disk of member ${id} does not hold the ${last} entries that were committed`,
    );
  }
}

function patienceMs(world: LivenessWorld): number {
  const { options, members } = world;
  const { tickMs } = options.clock;
  const electionMs = (options.core.electionTicks ?? 10) * tickMs;
  const lengths = members.map(({ disk }) => disk.durable.lastIndex);
  const behind = Math.max(...lengths, 1);
  return PATIENCE_TIMEOUTS * electionMs +
    PATIENCE_TICKS_PER_ENTRY * tickMs * behind;
}

function stepMs({ options }: LivenessWorld): number {
  return (options.core.electionTicks ?? 10) * options.clock.tickMs;
}

function quorumSize({ members }: LivenessWorld): number {
  return (members.length >> 1) + 1;
}

function describe({ members }: LivenessWorld): string {
  return members.map(({ id, core, disk }) =>
    core === undefined
      ? `${id} is down`
      : `${id} is ${core.role} of term ${core.term} behind ${core.leader}, committed ${core.commitIndex}, applied ${core.appliedIndex}, last ${core.lastIndex}, ${disk.pendingCount} writes open`
  ).join("; ");
}
