/**
 * The fault injector: draws what goes wrong, and when it ends.
 *
 * @module
 */
import type { Message } from "../core/message.ts";
import type { NodeId } from "../core/types.ts";
import type { Repair, SimEvent } from "./events.ts";
import { DiskNemesis } from "./nemesis_disks.ts";
import type { MarkCounter } from "./marks.ts";
import type { SimGroup } from "./group.ts";
import type { SimHost } from "./host.ts";
import type { Link, SimNetwork } from "./network.ts";
import type { FaultKind, PartitionShape, SimOptions } from "./options.ts";
import type { SimRandom } from "./prng.ts";
import { allLinks, drawPartition, linksOf } from "./topology.ts";

/** What the fault injector can reach. */
export interface NemesisWorld {
  readonly options: SimOptions;
  readonly hosts: readonly SimHost[];
  readonly groups: readonly SimGroup[];
  readonly network: SimNetwork;
  readonly marks: MarkCounter;
  now(): number;
  schedule(delayMs: number, event: SimEvent): void;
  crash(host: SimHost): void;
}

/** Most of the time that a swizzle takes to cut, and to heal, one member. */
const SWIZZLE_STEP_MS = 1_500;

/** How much longer than usual the time without a new fault is in a lull. */
const LULL_FACTOR = 10;

/** Longest time from a message to the ambush that it springs. */
const AMBUSH_MS = 60;

/** Longest time that a bounced member is down. */
const BOUNCE_MS = 150;

/** Share of pauses in which the whole machine sleeps (H117). */
const SUSPEND_PERMILLE = 300;

/** Messages that make promises, or that a crash leaves half sent. */
const TRAPS: readonly Message["type"][] = [
  "requestVote",
  "requestVoteResponse",
  "appendEntries",
  "appendEntriesResponse",
];

const SHAPE_MARK = {
  split: "splitPartition",
  oneWay: "oneWayPartition",
  bridge: "bridgePartition",
  chain: "chainPartition",
  star: "starPartition",
  random: "randomPartition",
} as const satisfies Readonly<Record<PartitionShape, string>>;

/** Makes faults until it is told to stop. */
export class Nemesis {
  readonly #world: NemesisWorld;
  readonly #random: SimRandom;
  readonly #disks: DiskNemesis;
  /** Repairs of earlier epochs are void. */
  #epoch = 0;
  #isStopped = false;
  /** The type of message that an ambush waits for. */
  #trap: Message["type"] | undefined;

  /** Makes an injector; its first fault comes when its event does. */
  constructor(world: NemesisWorld, random: SimRandom) {
    this.#world = world;
    this.#random = random;
    const { options, hosts, groups, marks } = world;
    this.#disks = new DiskNemesis({
      options,
      hosts,
      groups,
      marks,
      crash: (host) => world.crash(host),
      isHurt: (id) => this.#isHurt(id),
      after: (delayMs, repair) => this.#after(delayMs, repair),
    }, random.fork("disks"));
  }

  get #ids(): NodeId[] {
    return this.#world.hosts.map(({ id }) => id);
  }

  /** Schedules the next fault. */
  start(): void {
    const { gapMs, lullPermille } = this.#world.options.faults;
    const stretch = this.#random.chance(lullPermille) ? LULL_FACTOR : 1;
    const delay = stretch * this.#random.below(gapMs + 1);
    this.#world.schedule(delay, { type: "fault" });
  }

  /** No more faults, and what was planned for their ends is void. */
  stop(): void {
    this.#isStopped = true;
    this.#trap = undefined;
    this.#epoch++;
  }

  /** It is time for the next fault. */
  strike(): void {
    if (this.#isStopped) return;
    this.#make(this.#random.pick(this.#world.options.faults.kinds));
    this.start();
  }

  /** A fault ends, or goes on to its next step. */
  repair(epoch: number, repair: Repair): void {
    if (epoch !== this.#epoch) return;
    const { network } = this.#world;
    switch (repair.type) {
      case "crash":
        return this.#bounce(this.#host(repair.node));
      case "isolate":
        return this.#isolate(this.#host(repair.node));
      case "restart":
        return this.#host(repair.node)?.start();
      case "takeBack": {
        const host = this.#host(repair.node);
        return host && this.#disks.takeBack(host);
      }
      case "hurry": {
        const host = this.#host(repair.node);
        return host && this.#disks.hurry(host);
      }
      case "mend":
        return this.#mend(this.#host(repair.node));
      case "resume":
        return this.#host(repair.node)?.resume();
      case "cut":
        return network.cut(repair.links);
      case "heal":
        return network.heal(repair.links);
      case "speedUp":
        return this.#host(repair.node)?.hurry();
      case "endBurst":
        network.burstPermille = 0;
        return;
      default: {
        const unreachable: never = repair;
        return unreachable;
      }
    }
  }

  /** A message leaves; whoever waits for such a one strikes its sender. */
  sees(message: Message): void {
    if (!this.#isStopped) this.#disks.sees(message);
    const trap = this.#trap;
    if (trap === undefined || message.type !== trap || !isWeighty(message)) {
      return;
    }
    this.#trap = undefined;
    this.#world.marks.hit("ambushed");
    const type = this.#random.chance(700) ? "crash" : "isolate";
    const delay = this.#random.below(AMBUSH_MS);
    this.#after(delay, { type, node: message.from });
  }

  /** A host has stopped by itself; somebody starts it again. */
  hostFailed(host: SimHost): void {
    if (!this.#isStopped) this.#later({ type: "restart", node: host.id });
  }

  #make(kind: FaultKind): void {
    const random = this.#random;
    const { hosts } = this.#world;
    switch (kind) {
      case "crash":
        return this.#crash(random.pick(hosts));
      case "crashLeader":
        return this.#crash(this.#leader());
      case "crashAll":
        return this.#crashAll();
      case "pause":
        return this.#pause(random.pick(hosts));
      case "pauseLeader":
        return this.#pause(this.#leader());
      case "partition":
        return this.#partition();
      case "isolateLeader":
        return this.#isolate(this.#leader());
      case "swizzle":
        return this.#swizzle();
      case "clog":
        return this.#clog();
      case "slowDisk":
        return this.#slowDisk(random.pick(hosts));
      case "hangDisk":
        return this.#hangDisk(this.#leader() ?? random.pick(hosts));
      case "failDisk":
        return this.#failDisk(random.pick(hosts));
      case "rot":
        return this.#rot(random.pick(hosts));
      case "stepClock":
        return this.#stepClock(random.pick(hosts));
      case "lossBurst":
        this.#world.network.burstPermille = random.between(200, 900);
        return this.#later({ type: "endBurst" });
      case "bounce":
        this.#world.marks.hit("bounced");
        return this.#bounce(random.pick(hosts));
      case "ambush":
        this.#trap = random.pick(TRAPS);
        return;
      case "duel":
        return this.#duel();
      case "emptyDisk":
        return this.#disks.empty(random.pick(hosts));
      case "olderDisk":
        return this.#disks.copy(random.pick(hosts));
      default: {
        const unreachable: never = kind;
        return unreachable;
      }
    }
  }

  #crash(host: SimHost | undefined): void {
    if (host === undefined || !host.isUp) return;
    const down = this.#world.hosts.filter(({ isRunning }) => !isRunning);
    if (down.length >= this.#world.options.faults.maxDownCount) return;
    this.#world.crash(host);
    this.#later({ type: "restart", node: host.id });
  }

  /** Down, and up again before anybody notices. */
  #bounce(host: SimHost | undefined): void {
    if (host === undefined || !host.isUp) return;
    this.#world.crash(host);
    const delay = this.#random.below(BOUNCE_MS);
    this.#after(delay, { type: "restart", node: host.id });
  }

  #duel(): void {
    this.#world.marks.hit("duelled");
    const { members } = this.#random.pick(this.#world.groups);
    const order = this.#random.shuffle(members);
    const count = this.#random.between(1, 3);
    for (const member of order.slice(0, count)) {
      member.act((core) => core.campaign());
    }
  }

  #crashAll(): void {
    this.#world.marks.hit("allCrashed");
    for (const host of this.#world.hosts) {
      if (!host.isUp) continue;
      this.#world.crash(host);
      this.#later({ type: "restart", node: host.id });
    }
  }

  #pause(host: SimHost | undefined): void {
    if (host === undefined || !host.isRunning) return;
    if (this.#random.chance(SUSPEND_PERMILLE)) host.suspend();
    else host.pause();
    this.#later({ type: "resume", node: host.id });
  }

  #partition(): void {
    const shape = this.#random.pick(this.#world.options.faults.shapes);
    this.#world.marks.hit(SHAPE_MARK[shape]);
    this.#cutForAWhile(drawPartition(shape, this.#ids, this.#random));
  }

  #isolate(host: SimHost | undefined): void {
    if (host === undefined) return;
    this.#world.marks.hit("isolatedLeader");
    this.#cutForAWhile(linksOf(host.id, this.#ids));
  }

  #cutForAWhile(links: readonly Link[]): void {
    this.#world.network.cut(links);
    this.#later({ type: "heal", links });
  }

  /** Cuts members off one by one, then lets them back in another order. */
  #swizzle(): void {
    this.#world.marks.hit("swizzled");
    const random = this.#random;
    const some = random.shuffle(this.#ids).slice(
      0,
      random.between(1, this.#ids.length),
    );
    let delay = 0;
    for (const id of some) {
      const links = linksOf(id, this.#ids);
      this.#after(delay, { type: "cut", links });
      delay += random.below(SWIZZLE_STEP_MS);
    }
    for (const id of random.shuffle(some)) {
      delay += random.below(SWIZZLE_STEP_MS);
      this.#after(delay, { type: "heal", links: linksOf(id, this.#ids) });
    }
  }

  #clog(): void {
    const { network, options } = this.#world;
    const until = this.#world.now() + this.#random.below(options.faults.lastMs);
    for (const link of allLinks(this.#ids)) {
      if (this.#random.chance(300)) network.clog(link, until);
    }
  }

  #slowDisk(host: SimHost): void {
    const slowness = this.#random.between(2, 50);
    for (const device of host.devices) device.slowness = slowness;
    this.#later({ type: "speedUp", node: host.id });
  }

  /** Silence, no error: nothing completes until it is healed (H20). */
  #hangDisk(host: SimHost): void {
    this.#world.marks.hit("diskHung");
    for (const device of host.devices) device.hang();
    this.#later({ type: "speedUp", node: host.id });
  }

  #failDisk(host: SimHost): void {
    this.#random.pick(host.devices).willFail = true;
  }

  /**
   * Lets an entry or a snapshot rot, if the members that would be left without it can do
   * without: no quorum of anything may be lost (H62).
   */
  #rot(host: SimHost): void {
    const { rotIsFinal } = this.#world.options.faults;
    if (host.isRotten || !this.#canLose(host)) return;
    const { disk } = this.#random.pick(host.members);
    const { firstIndex, lastIndex } = disk.durable;
    const isInLog = this.#random.chance(700);
    const hasRotted = isInLog
      ? disk.rot(this.#random.between(firstIndex, lastIndex)) !== undefined
      : disk.rotSnapshot();
    if (!hasRotted) return;
    this.#world.marks.hit(isInLog ? "rotted" : "snapshotRotted");
    if (rotIsFinal) host.isDoomed = true;
    else this.#later({ type: "mend", node: host.id });
  }

  /** Whether every group has a quorum of whole disks without `host`. */
  #canLose(host: SimHost): boolean {
    return this.#world.groups.every((group) =>
      group.mayLose((id) => id !== host.id && !this.#isHurt(id))
    );
  }

  #isHurt(id: NodeId): boolean {
    const host = this.#host(id);
    return host !== undefined &&
      (host.isRotten || host.isDoomed || host.isBrittle);
  }

  #mend(host: SimHost | undefined): void {
    if (host === undefined) return;
    for (const { disk } of host.members) disk.mend();
    host.start();
  }

  /** Somebody sets a wall clock, a little or a lot, forward or back. */
  #stepClock(host: SimHost): void {
    this.#world.marks.hit("wallClockStepped");
    const reach = this.#random.pick([100, 10_000, 86_400_000]);
    host.clock.step(this.#random.between(-reach, reach));
  }

  /** The host of a leader of some group. */
  #leader(): SimHost | undefined {
    return this.#random.pick(this.#world.groups).leader()?.host;
  }

  #host(id: NodeId): SimHost | undefined {
    return this.#world.hosts.find((host) => host.id === id);
  }

  #later(repair: Repair): void {
    const { lastMs } = this.#world.options.faults;
    this.#after(this.#random.below(lastMs + 1), repair);
  }

  #after(delayMs: number, repair: Repair): void {
    const event = { type: "repair", epoch: this.#epoch, repair } as const;
    this.#world.schedule(delayMs, event);
  }
}

/** Whether a message grants, acknowledges or carries something. */
function isWeighty(message: Message): boolean {
  switch (message.type) {
    case "requestVoteResponse":
      return !message.reject;
    case "appendEntriesResponse":
      return !message.reject && message.index > 0;
    case "appendEntries":
      return message.entries.length > 0;
    default:
      return true;
  }
}
