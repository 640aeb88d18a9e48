/**
 * One run: hosts and their groups in virtual time, made and driven by a seed.
 *
 * @module
 */
import type { Message } from "../core/message.ts";
import type { GroupId, NodeId } from "../core/types.ts";
import { EventQueue } from "./event_queue.ts";
import { EVENT_CODE, type HostEvent, type SimEvent } from "./events.ts";
import { type GroupWorld, SimGroup } from "./group.ts";
import { type HostWorld, SimHost } from "./host.ts";
import { runLiveness } from "./liveness.ts";
import { MarkCounter } from "./marks.ts";
import type { SimMember } from "./member.ts";
import { Nemesis } from "./nemesis.ts";
import { type Packet, SimNetwork, type SnapshotCargo } from "./network.ts";
import type { SimOptions } from "./options.ts";
import { SimRandom } from "./prng.ts";
import { TraceHash } from "./trace_hash.ts";
import { fail } from "./violation.ts";
import type { AnySubject, SimHooks } from "./world.ts";

/** What a run is made of. */
export interface SimulationParts {
  readonly options: SimOptions;
  readonly subject: AnySubject;
  readonly hooks: SimHooks;
  /** Called with every event and the members it changed, as it happens. */
  readonly onEvent?: ((line: TraceLine) => void) | undefined;
}

/** Group, id, role, term, commit, applied and last index of a member. */
export type MemberState = readonly [
  GroupId,
  NodeId,
  string,
  number,
  number,
  number,
  number,
];

/** One line of the trace: an event, and what it did to members. */
export interface TraceLine {
  /** Virtual time in milliseconds. */
  readonly at: number;
  /** What happened, as plain data. */
  readonly event: { readonly type: string };
  /**
   * What the members that it changed are after it: group, id, role, term,
   * commit, applied and last index. Those that are down are left out.
   */
  readonly states: readonly MemberState[];
}

const ROLE_CODE = {
  follower: 1,
  preCandidate: 2,
  candidate: 3,
  leader: 4,
} as const;

/**
 * Events of a member in a tick, on average over a run, that are more than any
 * honest traffic: about ten times what the busiest runs need.
 */
const MAX_STEPS_PER_TICK = 100;

/** Ticks' worth of events that a run may be ahead of that. */
const STEP_ALLOWANCE_TICKS = 500;

/** Share of lost packets whose sender is told that its peer is away. */
const UNREACHABLE_PERMILLE = 100;

/** Share of packets to a dead process that are refused, and not just lost. */
const REFUSED_PERMILLE = 300;

/** Share of crashes that nobody can tell from a cut network. */
const POWER_LOSS_PERMILLE = 300;

/** Longest time from a crash to the refusal of a new connection. */
const MAX_REDIAL_MS = 100;

/** Hosts, groups and their world. */
export class Simulation implements HostWorld, GroupWorld {
  readonly options: SimOptions;
  readonly subject: AnySubject;
  readonly hooks: SimHooks;
  readonly marks: MarkCounter = new MarkCounter();
  /** In the order in which they came. */
  readonly hosts: SimHost[] = [];
  /** Groups 1, 2, 3 … */
  readonly groups: SimGroup[] = [];
  readonly network: SimNetwork;
  readonly #hostsById = new Map<NodeId, SimHost>();
  readonly #queue = new EventQueue<SimEvent>();
  readonly #hash = new TraceHash();
  readonly #nemesis: Nemesis;
  readonly #random: SimRandom;
  readonly #onEvent: ((line: TraceLine) => void) | undefined;
  #isCalm = false;
  #names = 0;
  #serials = 0;
  #steps = 0;

  /** Makes hosts and members that have not started yet. */
  constructor(parts: SimulationParts) {
    const { options, subject, hooks } = parts;
    this.options = options;
    this.subject = subject;
    this.hooks = hooks;
    this.#onEvent = parts.onEvent;
    this.#random = new SimRandom(options.seed).fork("run");
    this.network = new SimNetwork({
      options: options.network,
      random: this.#random.fork("network"),
      marks: this.marks,
      deliver: (delayMs, packet) => {
        this.#queue.schedule(delayMs, { type: "arrival", packet });
      },
    });
    for (let id = 1; id <= options.groups; id++) {
      const random = this.#random.fork(`group ${id}`);
      this.groups.push(new SimGroup(id, this, random));
    }
    this.#nemesis = new Nemesis(this, this.#random.fork("faults"));
  }

  /** Events that have happened. */
  get steps(): number {
    return this.#steps;
  }

  /** Digest of all of them, and of what they did. */
  get hash(): string {
    return this.#hash.digest();
  }

  /**
   * Runs the phase with faults, then the one without.
   *
   * @throws {Violation} If a check fails.
   */
  run(): void {
    const { ticks, clock } = this.options;
    this.#markOptions();
    for (const host of this.hosts) host.start();
    for (const group of this.groups) group.clients.start();
    this.#nemesis.start();
    for (const { nemesis } of this.groups) nemesis.start();
    this.runUntil(ticks * clock.tickMs);
    this.#nemesis.stop();
    for (const { nemesis } of this.groups) nemesis.stop();
    this.#isCalm = true;
    runLiveness(this, this.#random.fork("liveness"));
    for (const { clients } of this.groups) {
      this.subject.checkHistory?.(clients.history());
    }
  }

  /** Lets virtual time pass. */
  runUntil(timeMs: number): void {
    while (this.#queue.nextTime <= timeMs) {
      if (this.#steps >= this.#stepLimit()) {
        fail(
          "progress",
          `${this.#steps} events up to ${this.now()} ms: messages go round for ever`,
        );
      }
      const event = this.#queue.next();
      if (event !== undefined) this.#happen(event);
    }
    this.#queue.advanceTo(timeMs);
  }

  /** Virtual time in milliseconds. */
  now(): number {
    return this.#queue.now;
  }

  /** Plans an event. */
  schedule(delayMs: number, event: SimEvent): void {
    this.#queue.schedule(delayMs, event);
  }

  /** The host with this id, made if it is new. */
  hostOf(id: NodeId): SimHost {
    const known = this.#hostsById.get(id);
    if (known !== undefined) return known;
    const host = new SimHost(id, this, this.#random.fork(`host ${id}`));
    this.hosts.push(host);
    this.#hostsById.set(id, host);
    return host;
  }

  /** Puts a message on the network. */
  transmit(group: GroupId, message: Message, life: number): void {
    this.#nemesis.sees(message);
    this.network.send(group, message, life, this.now());
  }

  /** Puts a snapshot on the network. Returns whether it is on its way. */
  transmitSnapshot(
    group: GroupId,
    message: Message,
    life: number,
    { data, delayMs }: SnapshotCargo,
  ): boolean {
    this.#nemesis.sees(message);
    const packet = { group, message, life, sentAt: this.now(), snapshot: data };
    return this.network.sendSnapshot(packet, delayMs);
  }

  /** Whether faults are over. */
  isCalm(): boolean {
    return this.#isCalm;
  }

  /** A fresh number. */
  newName(): number {
    return ++this.#names;
  }

  /** A fresh number for an operation, from 0 on. */
  newSerial(): number {
    return this.#serials++;
  }

  /** Kills a process; the clients of its members notice. */
  crash(host: SimHost): void {
    host.crash();
    for (const { group } of host.members) {
      this.groups[group - 1]?.clients.memberCrashed(host.id);
    }
    this.#mayNoticeCrash(host);
  }

  /** A process stops because its disk failed; somebody restarts it (H44). */
  hostFailed(host: SimHost): void {
    this.marks.hit("stoppedByDisk");
    this.crash(host);
    this.#nemesis.hostFailed(host);
  }

  #markOptions(): void {
    const { flags, groups } = this.options;
    const all = flags.flat();
    const isMixed = all.some((one) =>
      one.preVote !== all[0]?.preVote || one.checkQuorum !== all[0]?.checkQuorum
    );
    if (isMixed) this.marks.hit("mixedFlags");
    if (groups > 1) this.marks.hit("severalGroups");
  }

  #stepLimit(): number {
    const { clock, members, groups } = this.options;
    const ticks = STEP_ALLOWANCE_TICKS + this.now() / clock.tickMs;
    return MAX_STEPS_PER_TICK * members * groups * ticks;
  }

  #happen(event: SimEvent): void {
    this.#steps++;
    this.#hash.add(this.now());
    this.#hash.add(EVENT_CODE[event.type]);
    try {
      this.#dispatch(event);
    } finally {
      this.#record(event);
    }
  }

  #dispatch(event: SimEvent): void {
    switch (event.type) {
      case "arrival":
        this.#arrive(event.packet);
        break;
      case "client":
        this.groups[event.group - 1]?.clients.begin(event.client);
        break;
      case "deadline":
        this.groups[event.group - 1]?.clients.deadline(
          event.client,
          event.batch,
        );
        break;
      case "resend":
        this.groups[event.group - 1]?.clients.resend(event);
        break;
      case "fault":
        this.#nemesis.strike();
        break;
      case "repair":
        this.#nemesis.repair(event.epoch, event.repair);
        break;
      case "protocolFault":
        this.groups[event.group - 1]?.nemesis.strike();
        break;
      case "protocolStep":
        this.groups[event.group - 1]?.nemesis.step(event.epoch, event.step);
        break;
      default:
        this.hostOf(event.node).handle(event);
    }
  }

  /** What happened and what it did, also if it ended the run. */
  #record(event: SimEvent): void {
    if (event.type === "arrival") this.#hash.add(event.packet.sequence);
    const members = this.#changedBy(event);
    for (const member of members) this.#addState(member);
    this.#onEvent?.({
      at: this.now(),
      event,
      states: members.flatMap(stateOf),
    });
  }

  #arrive(packet: Packet): void {
    const { group, message } = packet;
    const arrival = this.network.arrive(packet, this.now());
    if (typeof arrival === "number") {
      this.#queue.schedule(arrival, { type: "arrival", packet });
      return;
    }
    const { from, to } = message;
    const sender = this.groups[group - 1]?.memberOf(from);
    const receiver = this.groups[group - 1]?.memberOf(to);
    if (sender === undefined || receiver === undefined) return;
    if (arrival === "void" || this.#isOfLostDisk(packet)) return;
    if (arrival === "cut") return this.#mayReportLoss(from, to, "silent");
    if (receiver.core === undefined) {
      const why = receiver.host.isUp ? "silent" : "gone";
      return this.#mayReportLoss(from, to, why);
    }
    const { packetMarks } = this.groups[group - 1] ?? {};
    packetMarks?.note(packet, sender, receiver.core);
    receiver.host.deliver(packet);
  }

  /**
   * Connections are made to a member and its disk: what was sent to a former
   * one never gets to another (H80). What a former one sent does for a while.
   */
  #isOfLostDisk({ group, message, sentAt }: Packet): boolean {
    const { from, to } = message;
    const lostAt = (id: NodeId) =>
      this.groups[group - 1]?.memberOf(id)?.loss.at ?? -Infinity;
    return sentAt <= lostAt(to) || this.#isCalm && sentAt <= lostAt(from);
  }

  /** What a transport can tell: nobody answers, or the port is closed. */
  #mayReportLoss(
    from: NodeId,
    peer: NodeId,
    why: "gone" | "silent",
  ): void {
    const refused = why === "gone" && this.#random.chance(REFUSED_PERMILLE);
    if (!refused && !this.#random.chance(UNREACHABLE_PERMILLE)) return;
    const { id: node, life } = this.hostOf(from);
    this.hostOf(from).handle(
      {
        type: "unreachable",
        node,
        life,
        peer,
        refused,
      } satisfies HostEvent,
    );
  }

  /** Connections that break tell of a dead process, not of a dead machine. */
  #mayNoticeCrash(crashed: SimHost): void {
    if (this.#random.chance(POWER_LOSS_PERMILLE)) return;
    for (const { id: node, life } of this.hosts) {
      if (node === crashed.id || this.#random.chance(500)) continue;
      this.schedule(this.#random.below(MAX_REDIAL_MS), {
        type: "unreachable",
        node,
        life,
        peer: crashed.id,
        refused: true,
      });
    }
  }

  /** Members whose state an event may have changed, in a fixed order. */
  #changedBy(event: SimEvent): readonly SimMember[] {
    if (event.type === "arrival") {
      const { group, message } = event.packet;
      const member = this.groups[group - 1]?.memberOf(message.to);
      return member === undefined ? [] : [member];
    }
    if (!("node" in event)) return [];
    const host = this.hostOf(event.node);
    if (!("group" in event)) return host.members;
    const member = host.memberOf(event.group);
    return member === undefined ? [] : [member];
  }

  #addState({ id, group, core }: SimMember): void {
    this.#hash.add(id);
    this.#hash.add(group);
    if (core === undefined) return;
    this.#hash.add(ROLE_CODE[core.role]);
    this.#hash.add(core.term);
    this.#hash.add(core.commitIndex);
    this.#hash.add(core.appliedIndex);
    this.#hash.add(core.lastIndex);
  }
}

function stateOf({ id, group, core }: SimMember): MemberState[] {
  if (core === undefined) return [];
  const { role, term, commitIndex, appliedIndex, lastIndex } = core;
  return [[group, id, role, term, commitIndex, appliedIndex, lastIndex]];
}
