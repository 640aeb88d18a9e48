/**
 * Draws lost disks: a member comes back with an empty one, or with an older
 * copy of its own (H80). Only where the protocol promises that nothing
 * acknowledged is lost: what it does not promise is spelled out here.
 *
 * @module
 */
import type { Message } from "../core/message.ts";
import type { GroupId, NodeId } from "../core/types.ts";
import { INITIAL_HARD_STATE } from "../core/types.ts";
import type { DiskCopy } from "./disk.ts";
import type { Repair } from "./events.ts";
import type { SimGroup } from "./group.ts";
import type { SimHost } from "./host.ts";
import { LogMirror } from "./log_mirror.ts";
import type { MarkCounter } from "./marks.ts";
import type { SimMember } from "./member.ts";
import type { SimOptions } from "./options.ts";
import type { SimRandom } from "./prng.ts";

/** What it can reach. */
export interface DiskWorld {
  readonly options: SimOptions;
  readonly hosts: readonly SimHost[];
  readonly groups: readonly SimGroup[];
  readonly marks: MarkCounter;
  crash(host: SimHost): void;
  /** Whether a host has damaged disks, or is gone for good, or a crash away. */
  isHurt(id: NodeId): boolean;
  /** Plans the next step. */
  after(delayMs: number, repair: Repair): void;
}

/** Longest time that a member whose disk was lost stays away. */
const AWAY_MS = 1_000;

/** Share of the acknowledgements of an emptied member that it campaigns by. */
const HURRIED_PERMILLE = 300;

/** Longest time from then until it does. */
const HURRY_MS = 20;

/** Replaces disks. */
export class DiskNemesis {
  readonly #world: DiskWorld;
  readonly #random: SimRandom;
  /** Older copies of the disks of a host, one at a time. */
  readonly #copies = new Map<NodeId, ReadonlyMap<GroupId, DiskCopy>>();

  /** Makes one that waits to be asked. */
  constructor(world: DiskWorld, random: SimRandom) {
    this.#world = world;
    this.#random = random;
  }

  /** The disks of a host are lost, and it comes back with empty ones. */
  empty(host: SimHost): void {
    this.#replace(
      host,
      (group) => mayForgetAll(group, host.id, this.#isSound),
      {
        kind: "emptied",
        copyOf: () => EMPTY_DISK,
      },
    );
  }

  /** Copies the disks of a host; some time later the copies take their place. */
  copy(host: SimHost): void {
    if (this.#copies.has(host.id) || this.#world.isHurt(host.id)) return;
    this.#copies.set(
      host.id,
      new Map(host.members.map(({ group, disk }) => [group, disk.copy()])),
    );
    const { lastMs } = this.#world.options.faults;
    const delay = this.#random.below(2 * lastMs + 1);
    this.#world.after(delay, { type: "takeBack", node: host.id });
  }

  /** The copies take the place of the disks. */
  takeBack(host: SimHost): void {
    const copies = this.#copies.get(host.id);
    this.#copies.delete(host.id);
    const copyOf = ({ group }: SimMember) => copies?.get(group) ?? EMPTY_DISK;
    const mayReplace = (group: SimGroup) =>
      mayGoBack(group, host.id, copies?.get(group.group), this.#isSound);
    this.#replace(host, mayReplace, { kind: "older", copyOf });
  }

  /**
   * A message leaves. Who acknowledges a part of what it forgot may find that
   * it was once the only voter, or one among others who lack as much: that is
   * the time to campaign.
   */
  sees({ type, from }: Message): void {
    if (type !== "appendEntriesResponse") return;
    const host = this.#world.hosts.find(({ id }) => id === from);
    if (host?.members.some(({ loss }) => loss.isHalfFilled) !== true) return;
    if (!this.#random.chance(HURRIED_PERMILLE)) return;
    const delay = this.#random.below(HURRY_MS);
    this.#world.after(delay, { type: "hurry", node: from });
  }

  /** Members that have a part of what they had are to campaign. */
  hurry(host: SimHost): void {
    for (const member of host.members) {
      const isPart = member.loss.isHalfFilled && (member.core?.lastIndex ?? 0);
      if (!isPart) continue;
      this.#world.marks.hit("emptiedCampaigned");
      member.act((core) => core.campaign());
    }
  }

  readonly #isSound = (id: NodeId): boolean => !this.#world.isHurt(id);

  #replace(
    host: SimHost,
    mayReplace: (group: SimGroup) => boolean,
    { kind, copyOf }: {
      readonly kind: "emptied" | "older";
      readonly copyOf: (member: SimMember) => DiskCopy;
    },
  ): void {
    const { groups, hosts, marks } = this.#world;
    if (!host.isUp || this.#world.isHurt(host.id)) return;
    if (!groups.every(mayReplace)) return;
    this.#world.crash(host);
    const delay = this.#random.below(AWAY_MS);
    this.#world.after(delay, { type: "restart", node: host.id });
    // The crash may have left more than was done before it.
    if (host.isRotten || !groups.every(mayReplace)) return;
    marks.hit(kind === "emptied" ? "diskEmptied" : "diskTakenBack");
    for (const member of host.members) {
      if (member.isRetired) continue;
      const { committed } = groups[member.group - 1]?.oracle ?? {};
      member.replaceDisk(kind, copyOf(member), committed?.lastIndex ?? 0);
    }
    // Connections break; new ones are made to somebody with another disk.
    for (const other of hosts) {
      other.loses(host.id, 0);
      other.loses(host.id, delay + 1);
    }
  }
}

const EMPTY_DISK: DiskCopy = {
  hardState: INITIAL_HARD_STATE,
  founding: undefined,
  snapshot: undefined,
  log: new LogMirror(),
};

/**
 * Whether a member may forget everything. A founder may: an empty log makes it
 * useless to all who have something, until it has back what was committed.
 * That is a promise only as long as
 *
 * - the others are a quorum with logs, and have their disks;
 * - it needs another founder to found the group anew, and no other one's log is
 *   empty: they need no more than each other;
 * - nobody waits for what this member has acknowledged: the leader finds out
 *   about the loss by asking, and might have counted it until then;
 * - nobody leads, or stands for, a term that the member has left or voted in:
 *   it would be believed once more.
 */
function mayForgetAll(
  group: SimGroup,
  id: NodeId,
  isSound: (id: NodeId) => boolean,
): boolean {
  const member = group.memberOf(id);
  if (member === undefined || member.isRetired) return true;
  const { founders, oracle, members } = group;
  const { durable } = member.disk;
  const isEmpty = ({ disk }: SimMember) => disk.durable.lastIndex === 0;
  return founders.includes(id) && founders.length > 1 &&
    durable.lastIndex > 0 &&
    !member.loss.isOpen && durable.lastIndex <= oracle.committed.lastIndex &&
    !members.some((one) => founders.includes(one.id) && isEmpty(one)) &&
    !hasRivals(group, member) &&
    group.mayLose((other) => other !== id && isSound(other));
}

/**
 * Whether a member may go back to what it once was. Nothing but a leader that
 * has its acknowledgements finds that out, and only if it is asked, so nobody
 * may need to: who else votes, holds all that the member held, is in its term
 * and behind the same leader, and the member knows the configuration.
 */
function mayGoBack(
  group: SimGroup,
  id: NodeId,
  copy: DiskCopy | undefined,
  isSound: (id: NodeId) => boolean,
): boolean {
  const member = group.memberOf(id);
  if (member === undefined || member.isRetired) return true;
  const { hardState: { term }, durable } = member.disk;
  const leader = group.leader();
  if (copy === undefined || leader === undefined || leader === member) {
    return false;
  }
  const knowsConf = copy.hardState.term > 0 &&
    copy.hardState.commit >= group.oracle.committed.lastConf.index;
  const last = durable.lastIndex;
  const holdsAll = ({ disk }: SimMember) =>
    disk.hardState.term >= term &&
    disk.durable.digestAt(last) === durable.digestAt(last);
  return copy.log.lastIndex < last && knowsConf &&
    leader.core?.term === term && !hasRivals(group, member) &&
    group.members.every(({ loss }) => !loss.isOpen) &&
    group.votersInPlay().every((voter) => {
      const other = group.memberOf(voter);
      return voter === id || other !== undefined && holdsAll(other);
    }) &&
    group.mayLose((other) => other !== id && isSound(other));
}

/** Whether others lead, or stand for, terms that a member has known. */
function hasRivals({ members }: SimGroup, { id, disk }: SimMember): boolean {
  const { term } = disk.hardState;
  return members.some(({ id: other, core }) =>
    core !== undefined && other !== id &&
    (core.role === "leader" && core.term < term ||
      core.role === "candidate" && core.term <= term)
  );
}
