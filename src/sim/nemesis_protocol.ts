/**
 * What is asked of the protocol while faults go on: changes of membership and
 * leadership, snapshots, and blows at the worst moment.
 *
 * @module
 */
import type { Message } from "../core/message.ts";
import type {
  ChangeGuard,
  ConfChange,
  GroupId,
  NodeId,
  Term,
} from "../core/types.ts";
import { checkTaken } from "./change_checks.ts";
import { CHANGE_MARK, REFUSAL_MARK } from "./change_marks.ts";
import {
  type ConfRoles,
  isQuorum,
  membersOf,
  rolesAfter,
  rolesPromoted,
} from "./conf_model.ts";
import { drawChange, LEAVE_JOINT } from "./draw_change.ts";
import type { SimEvent } from "./events.ts";
import { FigureEight } from "./figure_eight.ts";
import type { Mark, MarkCounter } from "./marks.ts";
import type { SimMember } from "./member.ts";
import type { Link, SimNetwork } from "./network.ts";
import type { SimOptions } from "./options.ts";
import {
  CHANGE_KINDS,
  type ChangeKind,
  type ProtocolFaultKind,
} from "./options_protocol.ts";
import type { Oracle } from "./oracle.ts";
import type { SimRandom } from "./prng.ts";
import { drawJointPlan } from "./strand.ts";
import { Stranding } from "./stranding.ts";
import { linksOf } from "./topology.ts";

/** What it can reach: one group. */
export interface ProtocolWorld {
  readonly group: GroupId;
  readonly options: SimOptions;
  /** Everybody who was ever started. */
  readonly members: readonly SimMember[];
  readonly network: SimNetwork;
  readonly oracle: Oracle;
  readonly marks: MarkCounter;
  /** Milliseconds of virtual time. */
  now(): number;
  /** Plans an event of this group. */
  schedule(delayMs: number, event: SimEvent): void;
  /** Kills a member's process. */
  crash(id: NodeId): void;
  /** Starts it again, if it is down. */
  restart(id: NodeId): void;
  /** Starts a member that was never there, with an empty disk. */
  join(id: NodeId): void;
  /** A client asks a member for one read, besides all others. */
  read(id: NodeId): void;
  /** Whether the host of an id is there and of no more use, or may soon be. */
  isLost(id: NodeId): boolean;
  /** Who leads the newest term, if anybody who runs does. */
  leader(): SimMember | undefined;
  memberOf(id: NodeId): SimMember | undefined;
  /** Stops a member that was removed, for good. */
  retire(id: NodeId): void;
}

/** The next part of something that takes longer. Void once its epoch ended. */
export type ProtocolStep =
  | { readonly type: "crash"; readonly node: NodeId }
  | { readonly type: "restart"; readonly node: NodeId }
  | { readonly type: "isolate"; readonly node: NodeId }
  | { readonly type: "bounce"; readonly node: NodeId }
  | { readonly type: "campaign"; readonly node: NodeId }
  | { readonly type: "read"; readonly node: NodeId }
  | { readonly type: "cut"; readonly links: readonly Link[] }
  | { readonly type: "heal"; readonly links: readonly Link[] }
  | { readonly type: "change"; readonly node: NodeId }
  | { readonly type: "join"; readonly node: NodeId }
  | { readonly type: "retire"; readonly node: NodeId }
  | { readonly type: "figureEight" };

/** Longest time from an election to the change that is proposed in haste. */
const HASTE_MS = 30;

/** Longest time from a message to the blow that it provokes. */
const BLOW_MS = 250;

/** Kinds that change who counts: those meet trouble best. */
const WEIGHTY_KINDS = CHANGE_KINDS.filter((kind) =>
  kind !== "update" && kind !== "nonsense"
);

/** Acts on one group until it is told to stop. */
export class ProtocolNemesis {
  readonly #world: ProtocolWorld;
  readonly #random: SimRandom;
  readonly #figureEight: FigureEight;
  readonly #stranding: Stranding;
  #epoch = 0;
  #isStopped = false;
  /** What the next fitting message sets off. */
  #trap: "hastyChange" | "jointCrash" | "installCrash" | undefined;
  #newestTerm: Term = 0;
  /** Ids from here on were never used. */
  #nextId: NodeId;

  /** Makes one; its first action comes when its event does. */
  constructor(world: ProtocolWorld, random: SimRandom) {
    this.#world = world;
    this.#random = random;
    this.#nextId = world.options.members + 1;
    this.#figureEight = new FigureEight(world, random.fork("figure 8"));
    this.#stranding = new Stranding(world, random, (delayMs, step) => {
      this.#after(delayMs, step);
    });
  }

  /** Schedules the next action. */
  start(): void {
    const { kinds, gapMs } = this.#world.options.protocol;
    if (kinds.length === 0) return;
    const delay = this.#random.below(gapMs + 1);
    const { group } = this.#world;
    this.#world.schedule(delay, { type: "protocolFault", group });
  }

  /** Nothing more happens, and what was planned is void. */
  stop(): void {
    this.#isStopped = true;
    this.#trap = undefined;
    this.#stranding.disarm();
    this.#figureEight.stop();
    this.#epoch++;
  }

  /** It is time for the next action. */
  strike(): void {
    if (this.#isStopped) return;
    this.#tidy();
    this.#make(this.#random.pick(this.#world.options.protocol.kinds));
    this.start();
  }

  /** Something that takes longer goes on. */
  step(epoch: number, step: ProtocolStep): void {
    if (epoch !== this.#epoch) return;
    const { network } = this.#world;
    switch (step.type) {
      case "crash":
        return this.#crash(step.node);
      case "restart":
        return this.#world.restart(step.node);
      case "isolate":
        return this.#isolate(step.node);
      case "cut":
        return network.cut(step.links);
      case "heal":
        return network.heal(step.links);
      case "bounce":
        return this.#bounce(step.node);
      case "campaign":
        this.#world.memberOf(step.node)?.act((core) => core.campaign());
        return;
      case "read":
        return this.#stranding.ask(step.node);
      case "change":
        return this.#propose(step.node, this.#random.pick(WEIGHTY_KINDS));
      case "join":
        return this.#world.join(step.node);
      case "retire":
        return this.#retire(step.node);
      case "figureEight":
        if (this.#figureEight.advance()) this.#nextFigure();
        return;
      default: {
        const unreachable: never = step;
        return unreachable;
      }
    }
  }

  /** A message leaves. */
  sees(message: Message): void {
    if (this.#isStopped) return;
    this.#figureEight.sees(message);
    const isFirst = message.type === "appendEntries" &&
      message.term > this.#newestTerm;
    if (isFirst) this.#newestTerm = message.term;
    this.#stranding.sees(message);
    switch (this.#trap) {
      case "hastyChange":
        if (isFirst) this.#spring("hastyChangeProposed", message.from);
        return;
      case "jointCrash":
        if (!entersJoint(message)) return;
        this.#trap = undefined;
        this.#world.marks.hit("jointCrash");
        return this.#after(this.#random.below(BLOW_MS), {
          type: "crash",
          node: message.from,
        });
      case "installCrash":
        if (message.type !== "installSnapshot") return;
        this.#trap = undefined;
        return this.#after(
          this.#random.below(this.#world.options.protocol.snapshots.sendMs),
          { type: "crash", node: message.to },
        );
      case undefined:
        return;
    }
  }

  #make(kind: ProtocolFaultKind): void {
    const { marks, members } = this.#world;
    const random = this.#random;
    switch (kind) {
      case "rivalChanges":
        return this.#rivalChanges();
      case "hastyChange":
      case "jointCrash":
      case "installCrash":
        this.#trap = kind;
        return;
      case "transfer": {
        const target = random.pick(members).id;
        const asked = random.chance(700) ? this.#world.leader() : undefined;
        (asked ?? random.pick(members)).act((core) => {
          if (core.role === "leader") marks.hit("transferAsked");
          core.transferLeadership(target);
        });
        return;
      }
      case "forgetLeader":
        marks.hit("leaderForgotten");
        random.pick(members).act((core) => core.forgetLeader());
        return;
      case "campaign":
        return this.#campaign(random.pick(members));
      case "snapshot":
        return random.pick(members).takeSnapshot();
      case "figureEight":
        if (this.#figureEight.begin()) this.#nextFigure();
        return;
      case "strandLeader":
        return this.#stranding.strandLeader();
      case "strandInJoint":
        return this.#plotInJoint();
      default: {
        const leader = this.#world.leader();
        if (leader !== undefined) this.#propose(leader.id, kind);
      }
    }
  }

  get #ids(): NodeId[] {
    return this.#world.members.map(({ id }) => id);
  }

  get #lastMs(): number {
    return this.#world.options.faults.lastMs;
  }

  get #electionMs(): number {
    const { clock, core } = this.#world.options;
    return (core.electionTicks ?? 10) * clock.tickMs;
  }

  get #freshIds(): NodeId[] {
    const { maxIds } = this.#world.options.protocol;
    return [this.#nextId, this.#nextId + 1].filter((id) => id <= maxIds);
  }

  #propose(node: NodeId, kind: ChangeKind): void {
    const { marks, options } = this.#world;
    const { maxMembers } = options.protocol;
    const freshIds = this.#freshIds;
    this.#world.memberOf(node)?.act((core) => {
      const { conf, id } = core;
      const inputs = { random: this.#random, leader: id, maxMembers, freshIds };
      const change = drawChange(kind, { ...inputs, conf });
      if (change === undefined || this.#costsQuorum(conf, change)) return;
      const guard = this.#drawGuard();
      const holders = core.status().progress
        .filter(({ matchIndex }) => matchIndex > 0).map((held) => held.id);
      const outcome = core.proposeConfChange(change, guard);
      if (outcome.type === "dropped") {
        const mark = REFUSAL_MARK[outcome.reason];
        if (mark !== undefined) marks.hit(mark);
        return;
      }
      if (outcome.type === "appended") {
        checkTaken({ leader: id, conf, change, guard, holders });
      }
      marks.hit(CHANGE_MARK[kind]);
      this.#joinAll(change);
    });
  }

  #joinAll({ steps }: ConfChange): void {
    for (const { node } of steps) {
      if (node >= this.#nextId) this.#join(node);
    }
  }

  /** What somebody last saw, and whether it is meant in spite of everything. */
  #drawGuard(): ChangeGuard {
    const seen = this.#random.pick(this.#world.members).core?.conf.version;
    return {
      expect: this.#random.chance(300) ? seen : undefined,
      force: this.#random.chance(500),
    };
  }

  /**
   * Whether those would be missed that are dead for good, or that elect
   * nobody before they were written to (H80); now, or once a leader promotes
   * them.
   */
  #costsQuorum(before: ConfRoles, change: ConfChange): boolean {
    const isSound = (id: NodeId) => {
      const member = this.#world.memberOf(id);
      const isFresh = id <= this.#world.options.members &&
        member?.disk.durable.lastIndex === 0;
      return !isFresh && !this.#world.isLost(id);
    };
    const after = rolesPromoted(
      rolesAfter(before, change),
      (id) => !isSound(id),
    );
    const isDamaged = after.witnesses.length > 0 &&
      this.#world.members.some(({ id }) => !isSound(id));
    return isDamaged || !isQuorum(after, isSound) ||
      !isQuorum({ ...after, votersOutgoing: [] }, isSound);
  }

  /** The new member may be there before the change, or long after it. */
  #join(node: NodeId): void {
    this.#nextId = Math.max(this.#nextId, node + 1);
    const { gapMs } = this.#world.options.protocol;
    const delay = this.#random.chance(500) ? 0 : this.#random.below(gapMs + 1);
    this.#after(delay, { type: "join", node });
  }

  /** Changes at everybody who believes to lead, one or more at a time. */
  #rivalChanges(): void {
    for (const { id, core } of this.#world.members) {
      if (core?.role !== "leader") continue;
      this.#world.marks.hit("rivalChanges");
      for (let i = this.#random.between(1, 3); i > 0; i--) {
        this.#propose(id, this.#random.pick(WEIGHTY_KINDS));
      }
    }
  }

  /** A change right after an election, and then trouble for the leader. */
  #spring(mark: Mark, node: NodeId): void {
    this.#trap = this.#random.chance(500) ? this.#trap : undefined;
    this.#world.marks.hit(mark);
    const delay = this.#random.below(HASTE_MS);
    this.#after(delay, { type: "change", node });
    if (this.#random.chance(300)) return;
    const type = this.#random.chance(500) ? "crash" : "isolate";
    this.#after(delay + this.#random.below(BLOW_MS), { type, node });
  }

  #campaign(member: SimMember): void {
    const { committed } = this.#world.oracle;
    const { conf } = committed.lastConf;
    if (conf.removed.includes(member.id)) {
      this.#world.marks.hit("removedCampaigned");
    }
    if (conf.learners.includes(member.id)) {
      this.#world.marks.hit("learnerAskedToCampaign");
    }
    member.act((core) => core.campaign());
  }

  /** Leaves joint configurations that wait for it, stops removed members. */
  #tidy(): void {
    const leader = this.#world.leader();
    const conf = leader?.core?.conf;
    if (conf === undefined) return;
    if (
      conf.votersOutgoing.length > 0 && !conf.autoLeave &&
      this.#random.chance(500)
    ) {
      leader?.act((core) => {
        const outcome = core.proposeConfChange(LEAVE_JOINT);
        if (outcome.type === "appended") {
          this.#world.marks.hit("explicitLeaveProposed");
        }
      });
    }
    for (const member of this.#world.members) this.#mayRetire(member);
  }

  /** Who was told that it is no member stops, sooner or later. */
  #mayRetire({ id: node, core }: SimMember): void {
    if ((core?.removal ?? null) === null) return;
    const { disturberPermille, gapMs } = this.#world.options.protocol;
    // Drawn anew each time: who disturbs does so for a while.
    if (this.#random.chance(disturberPermille)) {
      this.#world.marks.hit("removedGoesOn");
      return;
    }
    this.#after(this.#random.below(gapMs + 1), { type: "retire", node });
  }

  #retire(node: NodeId): void {
    if ((this.#world.memberOf(node)?.core?.removal ?? null) === null) return;
    this.#world.marks.hit("removedStopped");
    this.#world.retire(node);
  }

  #nextFigure(): void {
    this.#after(Math.floor(this.#electionMs / 4), { type: "figureEight" });
  }

  #crash(node: NodeId): void {
    const member = this.#world.memberOf(node);
    if (member?.core === undefined) return;
    this.#world.crash(node);
    this.#later({ type: "restart", node });
  }

  /** A leader is led into a joint configuration to be cut off there. */
  #plotInJoint(): void {
    const leader = this.#world.leader();
    leader?.act((core) => {
      const { conf, id, term } = core;
      const { maxMembers } = this.#world.options.protocol;
      const room = Math.max(0, maxMembers - membersOf(conf).length);
      const freshIds = this.#freshIds.slice(0, room);
      const plan = drawJointPlan(conf, id, freshIds, this.#random);
      if (plan === undefined || this.#costsQuorum(conf, plan.change)) return;
      const outcome = core.proposeConfChange(plan.change, { force: true });
      if (outcome.type !== "appended") return;
      this.#stranding.arm({ ...plan, leader: id, term, index: outcome.index });
      this.#joinAll(plan.change);
    });
  }

  /** Down, and up again before anybody notices. */
  #bounce(node: NodeId): void {
    if (this.#world.memberOf(node)?.core === undefined) return;
    this.#world.crash(node);
    this.#after(1, { type: "restart", node });
  }

  #isolate(node: NodeId): void {
    const links = linksOf(node, this.#ids);
    this.#world.network.cut(links);
    this.#later({ type: "heal", links });
  }

  #later(step: ProtocolStep): void {
    this.#after(this.#random.below(this.#lastMs + 1), step);
  }

  #after(delayMs: number, step: ProtocolStep): void {
    const epoch = this.#epoch;
    const { group } = this.#world;
    this.#world.schedule(delayMs, { type: "protocolStep", group, epoch, step });
  }
}

/** Whether a message carries a change that enters a joint configuration. */
function entersJoint(message: Message): boolean {
  return message.type === "appendEntries" &&
    message.entries.some((entry) =>
      entry.type === "confChange" &&
      (entry.change.steps.length > 1 ||
        entry.change.transition === "implicit" ||
        entry.change.transition === "explicit")
    );
}
