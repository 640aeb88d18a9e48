/**
 * One group of a run: its members, its clients, and what checks them.
 *
 * @module
 */
import type { InstallSnapshot, Message } from "../core/message.ts";
import type { ConfState, GroupId, NodeId } from "../core/types.ts";
import { EMPTY_CONF } from "../core/types.ts";
import {
  type ConfRoles,
  isQuorum,
  membersOf,
  rolesPromoted,
} from "./conf_model.ts";
import { confsInPlay, isWritten, someoneMayLead } from "./confs_in_play.ts";
import { LEAVE_JOINT } from "./draw_change.ts";
import {
  type PendingOperation,
  type Settlement,
  SimClients,
} from "./clients.ts";
import { LostDisks } from "./disk_loss.ts";
import type { SimEvent } from "./events.ts";
import type { SimHost } from "./host.ts";
import { MachineChecks } from "./machine_checks.ts";
import type { MarkCounter } from "./marks.ts";
import { SimMember } from "./member.ts";
import { MemberChecks } from "./member_checks.ts";
import { MessageChecks } from "./message_checks.ts";
import { ProtocolNemesis } from "./nemesis_protocol.ts";
import type { SimNetwork, SnapshotCargo } from "./network.ts";
import type { SimOptions } from "./options.ts";
import { type MemberView, Oracle } from "./oracle.ts";
import { PacketMarks } from "./packet_marks.ts";
import type { SimRandom } from "./prng.ts";
import { type SessionChecks, sessionChecksOf } from "./session_checks.ts";
import type { AnySubject, SimHooks, World } from "./world.ts";

/** What a group has around it: the run that it is in. */
export interface GroupWorld {
  readonly options: SimOptions;
  readonly subject: AnySubject;
  readonly hooks: SimHooks;
  readonly marks: MarkCounter;
  now(): number;
  schedule(delayMs: number, event: SimEvent): void;
  isCalm(): boolean;
  newName(): number;
  newSerial(): number;
  hostFailed(host: SimHost): void;
  /** All hosts that there ever were. */
  readonly hosts: readonly SimHost[];
  /** The host with this id, made if it is new. */
  hostOf(id: NodeId): SimHost;
  /** Puts a message on the network. */
  transmit(group: GroupId, message: Message, life: number): void;
  /** Puts a snapshot on it; returns whether it is on its way. */
  transmitSnapshot(
    group: GroupId,
    message: Message,
    life: number,
    cargo: SnapshotCargo,
  ): boolean;
  readonly network: SimNetwork;
  crash(host: SimHost): void;
}

/** Election timeouts that a leader without a vote may go on leading. */
const HAND_OVER_TIMEOUTS = 5;

/** One group of a run. */
export class SimGroup implements World {
  readonly group: GroupId;
  readonly options: SimOptions;
  readonly subject: AnySubject;
  readonly hooks: SimHooks;
  readonly marks: MarkCounter;
  readonly conf: ConfState;
  readonly oracle: Oracle;
  readonly machineChecks: MachineChecks;
  readonly sessions: SessionChecks | undefined;
  readonly checks: MemberChecks;
  readonly clients: SimClients;
  readonly packetMarks: PacketMarks;
  readonly lostDisks: LostDisks;
  /** In the order in which they came. */
  readonly members: SimMember[] = [];
  readonly network: SimNetwork;
  /** What is asked of the protocol. */
  readonly nemesis: ProtocolNemesis;
  readonly #byId = new Map<NodeId, SimMember>();
  readonly #run: GroupWorld;
  readonly #random: SimRandom;
  readonly #messageChecks: MessageChecks;

  /** Makes a group of members that have not started yet. */
  constructor(group: GroupId, run: GroupWorld, random: SimRandom) {
    this.group = group;
    this.#run = run;
    this.#random = random;
    this.options = run.options;
    this.subject = run.subject;
    this.hooks = run.hooks;
    this.marks = run.marks;
    this.network = run.network;
    this.conf = bootstrapConf(run.options.members);
    const { electionTicks = 10 } = run.options.core;
    this.oracle = new Oracle({
      members: this.members,
      conf: this.conf,
      marks: this.marks,
      handOverTicks: HAND_OVER_TIMEOUTS * electionTicks,
      mute: this.hooks.mute ?? [],
    });
    this.machineChecks = new MachineChecks(this.oracle.committed);
    this.sessions = sessionChecksOf(run.options, this.marks);
    this.#messageChecks = new MessageChecks(
      this.oracle,
      this.members,
      this.marks,
    );
    this.packetMarks = new PacketMarks(this.marks);
    this.checks = new MemberChecks(this);
    this.lostDisks = new LostDisks({
      members: this.members,
      committed: this.oracle.committed,
      marks: this.marks,
      retire: (id) => this.retire(id),
    });
    for (const id of this.conf.voters) this.addMember(id);
    this.clients = new SimClients(this, this.members, random.fork("clients"));
    this.nemesis = new ProtocolNemesis(this, random.fork("protocol"));
  }

  /** The member with this id, if there is one. */
  memberOf(id: NodeId): SimMember | undefined {
    return this.#byId.get(id);
  }

  /** A member with an empty disk, on the host of the same id. */
  addMember(id: NodeId): SimMember {
    const host = this.#run.hostOf(id);
    const random = this.#random.fork(`member ${id}`);
    const member = new SimMember(host, this, random);
    this.members.push(member);
    this.#byId.set(id, member);
    host.add(member);
    return member;
  }

  /** A new member, on its way into the group or out of it already. */
  join(id: NodeId): void {
    if (this.memberOf(id) !== undefined) return;
    this.addMember(id).host.start();
  }

  /** Whether the host of an id is there and of no more use, or may soon be. */
  isLost(id: NodeId): boolean {
    return this.#run.hosts.some((host) =>
      host.id === id && (host.isDoomed || host.isRotten || host.isBrittle)
    ) || this.memberOf(id)?.loss.isOpen === true;
  }

  /** Whether a member is there and will not be lost for good. */
  isLeft(id: NodeId): boolean {
    const member = this.memberOf(id);
    return member !== undefined && !member.host.isDoomed &&
      !member.loss.isTurnedAway;
  }

  /** Kills the process of a member. */
  crash(id: NodeId): void {
    const host = this.memberOf(id)?.host;
    if (host !== undefined) this.#run.crash(host);
  }

  /** Starts it again. */
  restart(id: NodeId): void {
    this.memberOf(id)?.host.start();
  }

  /** A client asks a member for one read. */
  read(id: NodeId): void {
    const member = this.memberOf(id);
    if (member !== undefined) this.clients.probeRead(member);
  }

  /** A removed member stops for good. */
  retire(id: NodeId): void {
    this.memberOf(id)?.retire();
    this.clients.memberCrashed(id);
  }

  /** Who leads the newest term, if anybody who runs does. */
  leader(): SimMember | undefined {
    let newest: SimMember | undefined;
    for (const member of this.members) {
      if (!member.isRunning || member.core?.role !== "leader") continue;
      if (member.core.term > (newest?.core?.term ?? 0)) newest = member;
    }
    return newest;
  }

  /** Members that must agree in the end. */
  settledMembers(): readonly SimMember[] {
    const ids = membersOf(this.oracle.committed.lastConf.conf);
    return this.members.filter(({ id }) => ids.includes(id) && this.isLeft(id));
  }

  /**
   * Whether the voters for whom `has` holds are a quorum: by every
   * configuration that somebody may have to go by.
   */
  hasQuorum(has: (id: NodeId) => boolean): boolean {
    // An empty disk might have held something: it elects nobody who has more,
    // until a leader has brought it up to date (H80).
    const isFilled = (id: NodeId) =>
      this.#hasLog(id) && this.memberOf(id)?.core?.status().fresh !== true &&
      this.memberOf(id)?.loss.isOpen !== true;
    const isFounded = this.members.some(({ id }) =>
      has(id) && this.#hasLog(id)
    );
    const hasVoice = (id: NodeId) => has(id) && (isFilled(id) || !isFounded);
    // Whoever is staging may have its vote before anybody knows it to be gone.
    const confs = this.#confsInPlay().map((conf) =>
      rolesPromoted(conf, (id) => !has(id))
    );
    const leaders = {
      members: this.members,
      entriesOnTheirWay: (to: NodeId) =>
        this.network.entriesOnTheirWay(this.group, to),
    };
    return confs
      .every((conf) =>
        isQuorum(conf, hasVoice) &&
        someoneMayLead(conf, leaders, hasVoice)
      );
  }

  /**
   * Whether a member may be lost with its disk, if those for whom `has` holds
   * are left. Witnesses are no help there: what they acknowledged may be
   * nowhere else (thesis §11.7.2). Whoever is staging will be waited for: it
   * votes as soon as its leader wants it to, and damage shows much later. And
   * a change that a leader has just taken may be committed by the others, and
   * need whoever is lost: it shows once it is written.
   */
  mayLose(has: (id: NodeId) => boolean): boolean {
    return this.members.some(({ id }) => has(id) && this.#hasLog(id)) &&
      this.members.every(isWritten) &&
      this.hasQuorum(has) &&
      this.#confsInPlay().every(({ witnesses }) => witnesses.length === 0);
  }

  /**
   * Whether members may go on disturbing those for whom `has` holds: a data
   * voter among them could give a witness what those who may lead lack.
   */
  mayStandApart(has: (id: NodeId) => boolean): boolean {
    return this.#confsInPlay()
      .every(({ voters, votersOutgoing, witnesses }) =>
        witnesses.length === 0 ||
        [...voters, ...votersOutgoing].every((id) =>
          has(id) || witnesses.includes(id)
        )
      );
  }

  /** Those who began the group. */
  get founders(): readonly NodeId[] {
    return this.conf.voters;
  }

  /** Everybody whose vote may count somewhere. */
  votersInPlay(): NodeId[] {
    const confs = this.#confsInPlay();
    return confs.flatMap((conf) => [...conf.voters, ...conf.votersOutgoing]);
  }

  #hasLog(id: NodeId): boolean {
    return (this.memberOf(id)?.disk.durable.lastIndex ?? 0) > 0;
  }

  /** See {@linkcode confsInPlay}. */
  #confsInPlay(): ConfRoles[] {
    const changes = this.network.changesOnTheirWay(this.group);
    return confsInPlay(this.oracle.committed, this.members, changes);
  }

  /** Does what is left to do for the membership, without anything new. */
  settleMembership(): void {
    const { conf } = this.oracle.committed.lastConf;
    for (const id of membersOf(conf)) this.join(id);
    for (const { id, core } of this.members) {
      if ((core?.removal ?? null) !== null) this.retire(id);
    }
    if (conf.votersOutgoing.length === 0 || conf.autoLeave) return;
    this.leader()?.act((core) => core.proposeConfChange(LEAVE_JOINT));
  }

  now(): number {
    return this.#run.now();
  }

  schedule(delayMs: number, event: SimEvent): void {
    this.#run.schedule(delayMs, event);
  }

  isCalm(): boolean {
    return this.#run.isCalm();
  }

  newName(): number {
    return this.#run.newName();
  }

  newSerial(): number {
    return this.#run.newSerial();
  }

  hostFailed(host: SimHost): void {
    this.#run.hostFailed(host);
  }

  /** Checks a message and puts it on the network. */
  send(message: Message, sender: MemberView): void {
    this.#messageChecks.check(sender, message);
    this.lostDisks.sees(message);
    this.nemesis.sees(message);
    this.#run.transmit(this.group, message, sender.life);
  }

  /** Checks a snapshot's message and puts both on the network. */
  sendSnapshot(
    message: InstallSnapshot,
    sender: MemberView,
    cargo: SnapshotCargo,
  ): boolean {
    this.#messageChecks.check(sender, message);
    this.nemesis.sees(message);
    const { life } = sender;
    return this.#run.transmitSnapshot(this.group, message, life, cargo);
  }

  /** Tells the client. */
  settle(operation: PendingOperation, settlement: Settlement): void {
    this.clients.settle(operation, settlement);
  }
}

/** The configuration of members 1 to `count`. */
function bootstrapConf(count: number): ConfState {
  const voters = Array.from({ length: count }, (_, i) => i + 1);
  const addresses = voters.map((id) => ({ id, address: `member-${id}:1` }));
  return { ...EMPTY_CONF, voters, addresses };
}
