/**
 * A process and its machine: the members of several groups that share a
 * clock, a device, turns and a fate.
 *
 * @module
 */
import type { GroupId, NodeId } from "../core/types.ts";
import { SimClock } from "./clock.ts";
import { type DevicePart, SimDevice } from "./device.ts";
import type { HostEvent, MemberEvent, SimEvent } from "./events.ts";
import type { MarkCounter } from "./marks.ts";
import type { SimMember } from "./member.ts";
import type { Packet } from "./network.ts";
import type { SimOptions } from "./options.ts";
import type { SimRandom } from "./prng.ts";
import { fail } from "./violation.ts";
import type { SimHooks } from "./world.ts";

/** What a host has around it. */
export interface HostWorld {
  readonly options: SimOptions;
  readonly hooks: SimHooks;
  readonly marks: MarkCounter;
  /** Virtual time in milliseconds. */
  now(): number;
  schedule(delayMs: number, event: SimEvent): void;
  /** Whether faults are over and everything is quick. */
  isCalm(): boolean;
  /** The host cannot go on: its device has failed (H44). */
  hostFailed(host: SimHost): void;
}

/** Milliseconds by which two clocks may differ between two looks. */
const MAX_CLOCK_JUMP_MS = 20;

/** More rounds in one turn than this mean that they never end. */
const MAX_ROUNDS_PER_TURN = 10_000;

/** More frozen events than this are lost, as in a full socket buffer. */
const MAX_FROZEN_EVENTS = 2_000;

/** One host, over all its lives. */
export class SimHost {
  readonly id: NodeId;
  readonly clock: SimClock;
  /** Counts starts and ends of the process: odd while it is up. */
  life = 0;
  /** Whether it stays dead: nothing will mend its disks (H62). */
  isDoomed = false;
  /** Whether it lost its disks again before they were full (H80). */
  #isScrapped = false;
  readonly #world: HostWorld;
  readonly #random: SimRandom;
  readonly #members = new Map<GroupId, SimMember>();
  /** The same, and each device once: looked through at every event. */
  #memberList: readonly SimMember[] = [];
  #deviceList: readonly SimDevice[] = [];
  /** By group; the same one for all where they share it. */
  readonly #devices = new Map<GroupId, SimDevice>();
  /** Members whose cores may have something to say. */
  readonly #touched = new Set<SimMember>();
  #turnScheduled = false;
  #isUp = false;
  #isSuspended = false;
  /** What came while the process was frozen; `undefined` while it runs. */
  #frozen: (HostEvent | MemberEvent)[] | undefined;
  /** Grid point of the last tick, in ticks of the own monotonic clock. */
  #tickPoint = 0;
  /** By how much the wall clock was ahead of the other at the last look. */
  #wallAhead = 0;
  /** Where the grid of ticks begins, in milliseconds of the same clock. */
  #tickOrigin = 0;

  /** Makes a host without members, not yet started. */
  constructor(id: NodeId, world: HostWorld, random: SimRandom) {
    this.id = id;
    this.#world = world;
    this.#random = random;
    const { ratePermille } = world.options.clock;
    this.clock = new SimClock(ratePermille[id - 1] ?? 1000);
  }

  /** A peer is not where it was, as its connections tell. */
  loses(peer: NodeId, delayMs: number): void {
    if (peer === this.id || !this.#isUp) return;
    const { id: node, life } = this;
    const event = { type: "unreachable", node, life, peer } as const;
    this.#world.schedule(delayMs, { ...event, refused: false });
  }

  /** Whether the process is there. */
  get isUp(): boolean {
    return this.#isUp;
  }

  /** Whether the process is there but does nothing. */
  get isPaused(): boolean {
    return this.#frozen !== undefined;
  }

  /** Whether the whole machine sleeps. */
  get isSuspended(): boolean {
    return this.#isSuspended;
  }

  /** Whether the process is there and works. */
  get isRunning(): boolean {
    return this.#isUp && this.#frozen === undefined;
  }

  /** Whether a checksum is wrong on one of its disks. */
  get isRotten(): boolean {
    return this.members.some(({ disk }) => disk.isRotten);
  }

  /**
   * The monotonic clock. If the wall clock went on without it, the machine may
   * have slept: then nothing is known of leases (H117).
   */
  checkedMono(): number {
    const now = this.#world.now();
    const mono = this.clock.mono(now);
    const ahead = this.clock.wall(now) - mono;
    if (Math.abs(ahead - this.#wallAhead) > MAX_CLOCK_JUMP_MS) {
      this.#world.marks.hit("clockJumped");
      for (const { core } of this.members) core?.dropLease();
    }
    this.#wallAhead = ahead;
    return mono;
  }

  /** Its members, in the order of their groups. */
  get members(): readonly SimMember[] {
    return this.#memberList;
  }

  /** Its devices, each of them once. */
  get devices(): readonly SimDevice[] {
    return this.#deviceList;
  }

  /** Its member of `group`, if it has one. */
  memberOf(group: GroupId): SimMember | undefined {
    return this.#members.get(group);
  }

  /** The device that a group's disk is on. */
  deviceOf(group: GroupId): SimDevice {
    const { disk } = this.#world.options;
    const shared = disk.devicePerGroup
      ? this.#devices.get(group)
      : this.devices[0];
    const device = shared ??
      new SimDevice(disk, this.#random.fork(`device ${group}`));
    this.#devices.set(group, device);
    this.#deviceList = [...new Set(this.#devices.values())];
    return device;
  }

  /** Takes in a member; it starts with the host, or now if that is up. */
  add(member: SimMember): void {
    this.#members.set(member.group, member);
    this.#memberList = [...this.#members.values()];
    if (!this.#isUp) return;
    member.start();
    this.settle();
  }

  /** Starts the process, unless what is on its disks forbids it. */
  start(): void {
    if (this.#isUp || this.#isScrapped) return;
    const { marks, hooks, options } = this.#world;
    if (this.isRotten && hooks.trustsDamage !== true) {
      marks.hit("rotRefused");
      return;
    }
    this.#isUp = true;
    this.life++;
    const { tickMs } = options.clock;
    this.#tickOrigin = this.clock.mono(this.#world.now()) -
      this.#random.below(tickMs);
    this.#tickPoint = 0;
    this.#planTick();
    for (const member of this.members) member.start();
    this.settle();
  }

  /**
   * Whether a crash loses the host for good, with its members of all groups:
   * those that have lost nothing, too.
   */
  get isBrittle(): boolean {
    return this.members.some(({ loss }) => loss.isHalfFilled);
  }

  /** Kills the process; its disks lose what they had not flushed. */
  crash(): void {
    if (!this.#isUp) return;
    if (this.isBrittle) this.#scrap();
    this.#isUp = false;
    this.life++;
    const losses = this.devices.map((device) => device.crash());
    for (const member of this.members) {
      const isOwn = ({ disk }: DevicePart) => disk === member.disk;
      member.crash({
        lost: losses.flatMap(({ lost }) => lost.filter(isOwn)),
        kept: losses.flatMap(({ kept }) => kept.filter(isOwn)),
      });
    }
    this.#touched.clear();
    this.#turnScheduled = false;
    this.#frozen = undefined;
    this.#wakeUp();
    this.#world.marks.hit("crashed");
  }

  /** Freezes the process: it does nothing and notices nothing. */
  pause(): void {
    if (!this.isRunning) return;
    this.#frozen = [];
    const { marks } = this.#world;
    marks.hit("paused");
    if (this.members.some(({ core }) => core?.role === "leader")) {
      marks.hit("leaderPaused");
    }
  }

  /**
   * Freezes the whole machine: its monotonic clock stands still, and what is
   * sent to it is lost (H117).
   */
  suspend(): void {
    if (!this.isRunning) return;
    this.#frozen = [];
    this.#isSuspended = true;
    this.clock.suspend(this.#world.now());
    this.#world.marks.hit("suspended");
  }

  /** Goes on where it was; the ticks that it missed are lost (H116). */
  resume(): void {
    this.#wakeUp();
    const frozen = this.#frozen;
    if (frozen === undefined) return;
    this.#frozen = undefined;
    const { marks } = this.#world;
    for (const member of this.members) member.resumed();
    if (frozen.length > 0) marks.hit("frozenQueueFlushed");
    // What first: the timers that are due, or the packets that wait?
    const timersFirst = this.#random.chance(500);
    const isLate = ({ type }: { type: string }) =>
      (type === "message") === timersFirst;
    const events = [
      ...frozen.filter((event) => !isLate(event)),
      ...frozen.filter(isLate),
    ];
    for (const event of events) this.#world.schedule(0, event);
  }

  /** Ends all waits of the disks, and their troubles. */
  hurry(): void {
    for (const device of this.devices) device.heal(this.#world.now());
    if (!this.#isUp) return;
    this.#world.schedule(0, this.#event("flushed"));
    for (const member of this.members) member.hurry();
  }

  /** Something happens to the process, unless it was meant for a former one. */
  handle(event: HostEvent | MemberEvent): void {
    if (!this.#isUp || event.life !== this.life) return;
    if (this.#frozen !== undefined) return this.#freeze(this.#frozen, event);
    switch (event.type) {
      case "tick":
        this.#tick();
        break;
      case "turn":
        this.#turnScheduled = false;
        return this.#turn();
      case "flushed":
        for (const device of this.devices) this.#complete(device);
        break;
      case "unreachable":
        for (const member of this.members) {
          member.lostPeer(event.peer, event.refused);
        }
        break;
      default:
        this.#members.get(event.group)?.handle(event);
    }
    this.settle();
  }

  /** A packet has arrived. */
  deliver(packet: Packet): void {
    const { group } = packet;
    if (this.#frozen !== undefined) {
      const { id: node, life } = this;
      this.handle({ type: "message", group, node, life, packet });
      return;
    }
    this.#members.get(group)?.arrived(packet);
    this.settle();
  }

  /** A member's core may have something to say. */
  touch(member: SimMember): void {
    this.#touched.add(member);
  }

  /** Carries out what touched cores have to say, now or in a while. */
  settle(): void {
    if (this.#touched.size === 0 || this.#turnScheduled) return;
    const { turnMs } = this.#world.options.host;
    if (turnMs === 0 || this.#world.isCalm()) return this.#turn();
    this.#turnScheduled = true;
    const delay = this.#random.below(turnMs + 1);
    this.#world.schedule(delay, this.#event("turn"));
  }

  #freeze(
    frozen: (HostEvent | MemberEvent)[],
    event: HostEvent | MemberEvent,
  ): void {
    if (event.type === "message") {
      if (this.#isSuspended || frozen.length >= MAX_FROZEN_EVENTS) return;
    }
    frozen.push(event);
  }

  /** A disk that cannot be told from one that merely lags is not used again. */
  #scrap(): void {
    this.#world.marks.hit("replacedDiskScrapped");
    this.isDoomed = true;
    this.#isScrapped = true;
  }

  #wakeUp(): void {
    this.#isSuspended = false;
    this.clock.wake(this.#world.now());
  }

  #event<T extends "tick" | "turn" | "flushed">(
    type: T,
  ): { type: T; node: NodeId; life: number } {
    return { type, node: this.id, life: this.life };
  }

  /** One write for all groups of the turn, then what follows from it. */
  #turn(): void {
    let rounds = 0;
    this.checkedMono();
    while (this.#touched.size > 0) {
      if (++rounds > MAX_ROUNDS_PER_TURN) {
        fail("readyContract", `Host ${this.id} never ends its turn`);
      }
      const touched = [...this.#touched];
      this.#touched.clear();
      for (const member of touched) member.collect();
      if (touched.length > 1) this.#world.marks.hit("writesOfSeveralGroups");
      for (const device of this.devices) {
        const doneIn = device.flush(this.#world.now());
        if (doneIn === 0) this.#complete(device);
        else if (doneIn !== undefined) {
          this.#world.schedule(doneIn, this.#event("flushed"));
        }
      }
    }
  }

  #complete(device: SimDevice): void {
    const { done, failed } = device.complete(this.#world.now());
    for (const member of done.length > 0 ? this.#memberList : []) {
      const own = done.filter(({ disk }) => disk === member.disk);
      if (own.length > 0) member.writesDone(own.map(({ write }) => write));
    }
    if (failed) this.#world.hostFailed(this);
  }

  /**
   * Ticks fall on a grid of the monotonic clock. They come late, so that two
   * may come close together; those that were slept through are left out.
   */
  #planTick(): void {
    const { tickMs, jitterMs } = this.#world.options.clock;
    const now = this.#world.now();
    const passed = Math.floor(
      (this.clock.mono(now) - this.#tickOrigin) / tickMs,
    );
    this.#tickPoint = Math.max(passed, this.#tickPoint) + 1;
    const due = this.#tickOrigin + this.#tickPoint * tickMs;
    const lateMs = this.#random.below(jitterMs + 1);
    const delay = this.clock.timeOf(due, now) - now + lateMs;
    this.#world.schedule(delay, this.#event("tick"));
  }

  #tick(): void {
    const { tickMs } = this.#world.options.clock;
    const mono = this.clock.mono(this.#world.now());
    const due = this.#tickOrigin + this.#tickPoint * tickMs;
    if (mono - due > tickMs) this.#world.marks.hit("ticksLeftOut");
    this.#planTick();
    for (const member of this.#memberList) member.tick(mono);
  }
}
