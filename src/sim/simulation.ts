/**
 * One run: a cluster in virtual time, made and driven by a seed.
 *
 * @module
 */
import type { Message } from "../core/message.ts";
import { type ConfState, EMPTY_CONF } from "../core/types.ts";
import {
  type PendingOperation,
  type Settlement,
  SimClients,
} from "./clients.ts";
import { EventQueue } from "./event_queue.ts";
import { EVENT_CODE, type SimEvent } from "./events.ts";
import { runLiveness } from "./liveness.ts";
import { MachineChecks } from "./machine_checks.ts";
import { MarkCounter } from "./marks.ts";
import { SimMember } from "./member.ts";
import { MessageChecks } from "./message_checks.ts";
import { Nemesis } from "./nemesis.ts";
import { type Packet, SimNetwork } from "./network.ts";
import type { SimOptions } from "./options.ts";
import { type MemberView, Oracle } from "./oracle.ts";
import { PacketMarks } from "./packet_marks.ts";
import { SimRandom } from "./prng.ts";
import { TraceHash } from "./trace_hash.ts";
import { fail } from "./violation.ts";
import type { AnySubject, SimHooks, World } from "./world.ts";

/** What a run is made of. */
export interface SimulationParts {
  readonly options: SimOptions;
  readonly subject: AnySubject;
  readonly hooks: SimHooks;
  /** Called with every event and the member it changed, as it happens. */
  readonly onEvent?: ((line: TraceLine) => void) | undefined;
}

/** One line of the trace: an event, and what it did to its member. */
export interface TraceLine {
  /** Virtual time in milliseconds. */
  readonly at: number;
  /** What happened, as plain data. */
  readonly event: { readonly type: string };
  /** Role, term, commit, applied and last index after it; `null` if none. */
  readonly state:
    | readonly [string, number, number, number, number]
    | null;
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
const STEP_ALLOWANCE_TICKS = 2_000;

/** Share of lost packets whose sender is told that its peer is away. */
const UNREACHABLE_PERMILLE = 100;

/** A cluster and its world. */
export class Simulation implements World {
  readonly options: SimOptions;
  readonly subject: AnySubject;
  readonly hooks: SimHooks;
  readonly marks: MarkCounter = new MarkCounter();
  readonly conf: ConfState;
  readonly oracle: Oracle;
  readonly machineChecks: MachineChecks;
  readonly members: SimMember[] = [];
  readonly network: SimNetwork;
  readonly clients: SimClients;
  readonly #queue = new EventQueue<SimEvent>();
  readonly #hash = new TraceHash();
  readonly #messageChecks: MessageChecks;
  readonly #packetMarks: PacketMarks;
  readonly #nemesis: Nemesis;
  readonly #random: SimRandom;
  readonly #onEvent: ((line: TraceLine) => void) | undefined;
  #isCalm = false;
  #names = 0;
  #steps = 0;

  /** Makes a cluster of members that have not started yet. */
  constructor(parts: SimulationParts) {
    const { options, subject, hooks } = parts;
    this.options = options;
    this.subject = subject;
    this.hooks = hooks;
    this.#onEvent = parts.onEvent;
    this.conf = bootstrapConf(options.members);
    this.oracle = new Oracle(this.members, this.conf, this.marks);
    this.machineChecks = new MachineChecks(this.oracle.committed);
    this.#messageChecks = new MessageChecks(
      this.oracle,
      this.members,
      this.marks,
    );
    this.#packetMarks = new PacketMarks(this.marks);
    this.#random = new SimRandom(options.seed).fork("run");
    this.network = new SimNetwork(options.members, {
      options: options.network,
      random: this.#random.fork("network"),
      marks: this.marks,
      deliver: (delayMs, packet) => {
        this.#queue.schedule(delayMs, { type: "arrival", packet });
      },
    });
    for (let id = 1; id <= options.members; id++) {
      const random = this.#random.fork(`member ${id}`);
      this.members.push(new SimMember(id, this, random));
    }
    this.clients = new SimClients(
      this,
      this.members,
      this.#random.fork("clients"),
    );
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
    const { ticks, clock, flags } = this.options;
    if (
      flags.some(({ preVote, checkQuorum }) =>
        preVote !== flags[0]?.preVote || checkQuorum !== flags[0]?.checkQuorum
      )
    ) this.marks.hit("mixedFlags");
    for (const member of this.members) member.start();
    this.clients.start();
    this.#nemesis.start();
    this.runUntil(ticks * clock.tickMs);
    this.#nemesis.stop();
    this.#isCalm = true;
    runLiveness(this, this.#random.fork("liveness"));
    this.subject.checkHistory?.(this.clients.history());
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

  /** Checks a message and puts it on the network. */
  send(message: Message, sender: MemberView): void {
    this.#messageChecks.check(sender, message);
    this.#nemesis.sees(message);
    this.network.send(message, sender.life, this.now());
  }

  /** Whether faults are over. */
  isCalm(): boolean {
    return this.#isCalm;
  }

  /** A fresh number. */
  newName(): number {
    return ++this.#names;
  }

  /** Tells the client. */
  settle(operation: PendingOperation, settlement: Settlement): void {
    this.clients.settle(operation, settlement);
  }

  /** Kills a member; its clients notice. */
  crash(member: SimMember): void {
    member.crash();
    this.clients.memberCrashed(member.id);
  }

  #stepLimit(): number {
    const { clock, members } = this.options;
    const ticks = STEP_ALLOWANCE_TICKS + this.now() / clock.tickMs;
    return MAX_STEPS_PER_TICK * members * ticks;
  }

  #happen(event: SimEvent): void {
    this.#steps++;
    this.#hash.add(this.now());
    this.#hash.add(EVENT_CODE[event.type]);
    switch (event.type) {
      case "arrival":
        this.#arrive(event.packet);
        break;
      case "client":
        this.clients.begin(event.client);
        break;
      case "deadline":
        this.clients.deadline(event.client, event.batch);
        break;
      case "fault":
        this.#nemesis.strike();
        break;
      case "repair":
        this.#nemesis.repair(event.epoch, event.repair);
        break;
      default:
        this.members[event.node - 1]?.handle(event);
    }
    const member = this.#memberOf(event);
    if (event.type === "arrival") this.#hash.add(event.packet.sequence);
    if (member !== undefined) this.#addState(member);
    this.#onEvent?.({
      at: this.now(),
      event,
      state: member === undefined ? null : stateOf(member),
    });
  }

  #arrive(packet: Packet): void {
    const { message } = packet;
    const arrival = this.network.arrive(packet, this.now());
    if (typeof arrival === "number") {
      this.#queue.schedule(arrival, { type: "arrival", packet });
      return;
    }
    const sender = this.members[message.from - 1];
    const receiver = this.members[message.to - 1];
    if (sender === undefined || receiver === undefined) return;
    if (arrival === "cut" || receiver.core === undefined) {
      this.#mayReportLoss(sender, message);
      return;
    }
    this.#packetMarks.note(packet, sender, receiver.core);
    receiver.deliver(packet);
  }

  #mayReportLoss(sender: SimMember, message: Message): void {
    if (!this.#random.chance(UNREACHABLE_PERMILLE)) return;
    sender.handle({
      type: "unreachable",
      node: sender.id,
      life: sender.life,
      peer: message.to,
    });
  }

  #memberOf(event: SimEvent): SimMember | undefined {
    if (event.type === "arrival") {
      return this.members[event.packet.message.to - 1];
    }
    return "node" in event ? this.members[event.node - 1] : undefined;
  }

  #addState({ id, core }: SimMember): void {
    this.#hash.add(id);
    if (core === undefined) return;
    this.#hash.add(ROLE_CODE[core.role]);
    this.#hash.add(core.term);
    this.#hash.add(core.commitIndex);
    this.#hash.add(core.appliedIndex);
    this.#hash.add(core.lastIndex);
  }
}

function stateOf({ core }: SimMember): TraceLine["state"] {
  if (core === undefined) return null;
  const { role, term, commitIndex, appliedIndex, lastIndex } = core;
  return [role, term, commitIndex, appliedIndex, lastIndex];
}

/** The configuration of members 1 to `count`. */
function bootstrapConf(count: number): ConfState {
  const voters = Array.from({ length: count }, (_, i) => i + 1);
  const addresses = voters.map((id) => ({ id, address: `member-${id}:1` }));
  return { ...EMPTY_CONF, voters, addresses };
}
