/**
 * The second phase of a run: faults stop, and now the cluster has to work
 * again within a stated time, also without any write (H31, H34, H139).
 *
 * @module
 */
import type { NodeId } from "../core/types.ts";
import type { PendingOperation } from "./clients.ts";
import { votesIn } from "./conf_model.ts";
import { isWritten } from "./confs_in_play.ts";
import type { SimGroup } from "./group.ts";
import type { SimHost } from "./host.ts";
import type { MarkCounter } from "./marks.ts";
import type { SimMember } from "./member.ts";
import type { SimNetwork } from "./network.ts";
import type { NetworkOptions, SimOptions } from "./options.ts";
import { awaitPreferred } from "./preference_tail.ts";
import type { SimRandom } from "./prng.ts";
import { allLinks } from "./topology.ts";
import { fail } from "./violation.ts";

/** What the liveness phase works with. */
export interface LivenessWorld {
  readonly options: SimOptions;
  readonly hosts: readonly SimHost[];
  readonly groups: readonly SimGroup[];
  readonly network: SimNetwork;
  readonly marks: MarkCounter;
  now(): number;
  crash(host: SimHost): void;
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

/** Ticks within which writes that are under way are done, whatever comes. */
const MAX_WRITE_TICKS = 20;

/** Runs the phase. Throws a `Violation` if a group does not recover. */
export function runLiveness(world: LivenessWorld, random: SimRandom): void {
  for (const { clients } of world.groups) clients.stop();
  world.network.calm(CALM_NETWORK);
  for (const host of world.hosts) restore(world, host);
  tellOfLostDisks(world);
  awaitWrites(world);
  switch (tailShape(world.options)) {
    case "all":
      break;
    case "quorum":
      serveWithQuorum(world, random);
      break;
    case "clique":
      serveWithClique(world, random);
      break;
    case "hungLeader":
      serveWithHungLeader(world);
      break;
  }
  converge(world, "without a write");
  world.marks.hit("tailConverged");
  serve(world, "with all members");
  converge(world, "after a write");
  awaitPreferred(world, {
    stepMs: stepMs(world),
    handOverMs: patienceMs(world),
  });
}

/** Everything works again, save what is lost for good. */
function restore(world: LivenessWorld, host: SimHost): void {
  if (host.isDoomed) {
    // What has rotted may still be unread: now it is noticed.
    world.crash(host);
    return;
  }
  for (const { disk } of host.members) disk.mend();
  host.resume();
  host.hurry();
  host.start();
}

/** What a member has lost shows only if it is asked for (H80). */
function tellOfLostDisks({ hosts }: LivenessWorld): void {
  for (const { id, members } of hosts) {
    if (!members.some(({ loss }) => loss.isOpen)) continue;
    for (const host of hosts) host.loses(id, 0);
  }
}

/** What the configurations in play are is told by what is written. */
function awaitWrites(world: LivenessWorld): void {
  const { tickMs } = world.options.clock;
  for (let tick = 0; tick < MAX_WRITE_TICKS; tick++) {
    if (world.groups.every(({ members }) => members.every(isWritten))) return;
    world.runUntil(world.now() + tickMs);
  }
}

/**
 * A leader that a clique cannot follow is only got rid of by check-quorum,
 * and a disturbing member is only kept quiet by pre-vote: partial links are a
 * fair trial only where everybody has both (H10). Nor does a leader whose
 * disk is silent leave unless it may.
 */
function tailShape({ flags, tail }: SimOptions): SimOptions["tail"] {
  const all = flags.flat();
  const isFair = tail === "clique"
    ? all.every(({ preVote, checkQuorum }) =>
      preVote !== false && checkQuorum !== false
    )
    : tail !== "hungLeader" || all.every(({ stallTicks }) => stallTicks !== 0);
  return isFair ? tail : "all";
}

/** As many hosts stay dead as every group can bear: the rest must do. */
function serveWithQuorum(world: LivenessWorld, random: SimRandom): void {
  world.marks.hit("tailWithQuorumOnly");
  const dead: SimHost[] = [];
  for (const host of random.shuffle(world.hosts)) {
    if (!host.isUp || !areQuorate(world, [...dead, host])) continue;
    dead.push(host);
    world.crash(host);
  }
  serve(world, "with a bare quorum");
  for (const host of dead) host.start();
}

/** A quorum is fully connected; all other links work or not at random. */
function serveWithClique(world: LivenessWorld, random: SimRandom): void {
  world.marks.hit("tailWithPartialLinks");
  const outside: SimHost[] = [];
  for (const host of random.shuffle(world.hosts)) {
    const isInside = (id: NodeId) =>
      id !== host.id && !outside.some((other) => other.id === id);
    if (
      areQuorate(world, [...outside, host]) &&
      world.groups.every((group) => group.mayStandApart(isInside))
    ) outside.push(host);
  }
  const isOutside = (id: NodeId) => outside.some((host) => host.id === id);
  // What a leader outside sends to a witness inside nobody inside has, and
  // the witness then elects none of them: no link may lead to one.
  const hasWitnesses = world.groups.some(({ oracle }) =>
    oracle.committed.lastConf.conf.witnesses.length > 0
  );
  const permille = hasWitnesses ? 1_000 : 500;
  const cut = allLinks(world.hosts.map(({ id }) => id)).filter(({ from, to }) =>
    (isOutside(from) || isOutside(to)) && random.chance(permille)
  );
  world.network.cut(cut);
  // The leader need not be in the clique, if it reaches a quorum itself.
  serve(world, "with partial links around a clique");
  world.network.heal(cut);
}

/** The disk of every leader goes silent: somebody else must lead (H20). */
function serveWithHungLeader(world: LivenessWorld): void {
  serve(world, "before a disk hangs");
  world.marks.hit("tailWithHungLeader");
  const hung: SimHost[] = [];
  for (const group of world.groups) {
    const host = group.leader()?.host;
    if (host === undefined || hung.includes(host)) continue;
    if (areQuorate(world, [...hung, host])) hung.push(host);
  }
  for (const { devices } of hung) for (const device of devices) device.hang();
  serve(world, "while the disk of the leader hangs");
  for (const host of hung) host.hurry();
}

/** Whether every group has a quorum without `lost`, and without the doomed. */
function areQuorate(world: LivenessWorld, lost: readonly SimHost[]): boolean {
  const isLost = (id: NodeId) =>
    world.hosts.some((host) =>
      host.id === id && (host.isDoomed || lost.includes(host))
    );
  return world.groups.every((group) => group.hasQuorum((id) => !isLost(id)));
}

/** In every group some write through some member must be acknowledged. */
function serve(world: LivenessWorld, situation: string): void {
  const patience = patienceMs(world);
  const deadline = world.now() + patience;
  let waiting = world.groups;
  for (let turn = 0; world.now() < deadline; turn++) {
    const probes = waiting.map((group) => askOne(group, turn));
    for (const group of world.groups) group.settleMembership();
    world.runUntil(world.now() + stepMs(world));
    waiting = waiting.filter((_, i) => probes[i]?.outcome !== "ok");
    if (waiting.length === 0) return;
  }
  fail(
    "progress",
    `No write was acknowledged ${situation} within ${patience} ms: ${
      waiting.map(describe).join("; ")
    }`,
  );
}

/** Asks the members one after the other, as a client would that tries all. */
function askOne(
  group: SimGroup,
  turn: number,
): PendingOperation | undefined {
  const members = group.settledMembers().filter(({ isRunning }) => isRunning);
  const member = members[turn % members.length];
  return member && group.clients.probe(member);
}

/** In every group all must know the same leader and have applied the same. */
function converge(world: LivenessWorld, situation: string): void {
  const patience = patienceMs(world);
  const deadline = world.now() + patience;
  while (world.now() < deadline) {
    for (const group of world.groups) group.settleMembership();
    world.runUntil(world.now() + stepMs(world));
    if (!world.groups.every(hasConverged)) continue;
    for (const group of world.groups) checkDisks(group);
    return;
  }
  const apart = world.groups.filter((group) => !hasConverged(group));
  fail(
    "convergence",
    `The members did not become equal ${situation} within ${patience} ms: ${
      apart.map(describe).join("; ")
    }`,
  );
}

function hasConverged(group: SimGroup): boolean {
  const members = group.settledMembers();
  const first = members[0]?.core;
  return first !== undefined && first.leader !== null &&
    !hasLearnersToPromote(group) && !hasUntoldLeavers(group) &&
    members.every(({ core, disk }) =>
      core?.leader === first.leader && core.term === first.term &&
      core.lastIndex === first.lastIndex &&
      core.commitIndex === core.lastIndex &&
      core.appliedIndex === core.commitIndex && disk.pendingCount === 0
    );
}

/** Who only waits to catch up gets its vote in the end (thesis §4.2.1). */
function hasLearnersToPromote(group: SimGroup): boolean {
  const { staging } = group.oracle.committed.lastConf.conf;
  return staging.some((id) => group.isLeft(id));
}

/**
 * Who was removed and believes to have a vote, or knows better, learns it from
 * those whom it asks (thesis §4.2.3): if one of them is left.
 */
function hasUntoldLeavers(group: SimGroup): boolean {
  const { oracle, members } = group;
  const present = oracle.committed.lastConf.conf;
  return members.some(({ id, core, isRunning }) => {
    if (core === undefined || !isRunning || core.quiesced) return false;
    if (!present.removed.includes(id) || core.removal !== null) return false;
    const { conf } = core;
    const campaigns = votesIn(conf, id) && !conf.witnesses.includes(id);
    return (campaigns || conf.removed.includes(id)) &&
      conf.voters.some((voter) =>
        present.voters.includes(voter) && group.isLeft(voter)
      );
  });
}

/** All that was ever committed is on every disk, in the same place. */
function checkDisks(group: SimGroup): void {
  const { committed } = group.oracle;
  const last = committed.lastIndex;
  for (const { id, disk } of group.settledMembers()) {
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

function patienceMs({ options, groups }: LivenessWorld): number {
  const { tickMs } = options.clock;
  const electionMs = (options.core.electionTicks ?? 10) * tickMs;
  const lengths = groups.flatMap(({ members }) =>
    members.map(({ disk }) => disk.durable.lastIndex)
  );
  const behind = Math.max(...lengths, 1);
  return PATIENCE_TIMEOUTS * electionMs +
    PATIENCE_TICKS_PER_ENTRY * tickMs * behind;
}

function stepMs({ options }: LivenessWorld): number {
  return (options.core.electionTicks ?? 10) * options.clock.tickMs;
}

function describe({ group, members }: SimGroup): string {
  return `in group ${group} ` + members.map(describeMember).join(", ");
}

function describeMember({ id, core, disk }: SimMember): string {
  return core === undefined
    ? `${id} is down`
    : `${id} is ${core.role} of term ${core.term} behind ${core.leader}, committed ${core.commitIndex}, applied ${core.appliedIndex}, last ${core.lastIndex}, ${disk.pendingCount} writes open`;
}
