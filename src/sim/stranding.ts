/**
 * Leaves leaders on the wrong side of partitions while the other side elects
 * (H94, H95, H100).
 *
 * @module
 */
import type { Message } from "../core/message.ts";
import type { NodeId } from "../core/types.ts";
import type { MarkCounter } from "./marks.ts";
import type { SimMember } from "./member.ts";
import type { ProtocolStep } from "./nemesis_protocol.ts";
import { linksBetween, type SimNetwork } from "./network.ts";
import type { SimOptions } from "./options.ts";
import type { Oracle } from "./oracle.ts";
import type { SimRandom } from "./prng.ts";
import {
  drawStranded,
  type JointTrap,
  type Sides,
  sidesOf,
  tellsOfCommit,
} from "./strand.ts";

/** What it works with. */
export interface StrandingWorld {
  readonly options: SimOptions;
  readonly members: readonly SimMember[];
  readonly network: SimNetwork;
  readonly marks: MarkCounter;
  readonly oracle: Oracle;
  now(): number;
  leader(): SimMember | undefined;
  memberOf(id: NodeId): SimMember | undefined;
  /** A client asks a member for one read, besides all others. */
  read(id: NodeId): void;
}

/** Longest time from the cut to the first campaigns and restarts. */
const BLOW_MS = 250;

/** Share of strandings in which answers to a round of reads are held back. */
const HELD_PERMILLE = 350;

/** For so long they are. */
const HELD_MS = 5 * BLOW_MS;

/** Reads that are asked of the leader meanwhile. */
const HELD_READS = 4;

/** Election timeouts in which the others elect while a leader is asked. */
const JOINT_TIMEOUTS = 3;

/** For so many it is left alone now and then: it should have stepped down. */
const LONG_TIMEOUTS = 12;

/** How often in an election timeout somebody campaigns then, and reads. */
const JOINT_STEPS = 5;

/** Strands the leaders of one group. */
export class Stranding {
  readonly #world: StrandingWorld;
  readonly #random: SimRandom;
  /** Plans a step. */
  readonly #after: (delayMs: number, step: ProtocolStep) => void;
  /** A change whose commit is the moment to cut its leader off. */
  #trap: JointTrap | undefined;

  /** Draws from `random`, plans with `after`. */
  constructor(
    world: StrandingWorld,
    random: SimRandom,
    after: (delayMs: number, step: ProtocolStep) => void,
  ) {
    this.#world = world;
    this.#random = random;
    this.#after = after;
  }

  /** Waits for the commit of a change. */
  arm(trap: JointTrap): void {
    this.#trap = trap;
  }

  /** Waits no more. */
  disarm(): void {
    this.#trap = undefined;
  }

  /** Cuts a bare quorum off from the leader, and lets it campaign at once. */
  strandLeader(): void {
    const leader = this.#world.leader();
    if (leader?.core === undefined) return;
    const { conf } = leader.core;
    const sides = drawStranded(conf, leader.id, this.#ids, this.#random);
    if (sides === undefined) return;
    this.#world.marks.hit("leaderStranded");
    const lastMs = this.#random.below(this.#world.options.faults.lastMs + 1);
    if (this.#random.chance(HELD_PERMILLE)) {
      return this.#strandInRound(leader.id, sides, lastMs);
    }
    this.#strand(sides, lastMs);
    const type = this.#random.chance(300) ? "bounce" : "campaign";
    this.#stir(sides, type, 0);
  }

  /** Who is outside campaigns, at once or after a restart. */
  #stir(
    { outside }: Sides,
    type: "bounce" | "campaign",
    fromMs: number,
  ): void {
    for (const node of outside) {
      this.#after(fromMs + this.#random.below(BLOW_MS), { type, node });
    }
    const [node] = outside;
    if (node === undefined) return;
    this.#after(fromMs + 2 * BLOW_MS, { type: "campaign", node });
  }

  /**
   * The leader opens a round of heartbeats for a read. They get through, the
   * answers come late: after those who gave them have elected another leader,
   * and after more reads were asked, which they must not confirm (H96).
   */
  #strandInRound(leader: NodeId, sides: Sides, lastMs: number): void {
    const { network, options } = this.#world;
    const { minDelayMs, spreadMs } = options.network;
    const outwards = linksBetween(sides.inside, sides.outside)
      .filter(({ to }) => sides.outside.includes(to));
    // Longer than a tick and a way: the heartbeats have come by then.
    const cutMs = options.clock.tickMs + minDelayMs + spreadMs;
    const untilMs = this.#world.now() + cutMs + HELD_MS;
    for (const { from, to } of outwards) {
      network.clog({ from: to, to: from }, untilMs);
    }
    this.#world.read(leader);
    this.#after(cutMs, { type: "cut", links: outwards });
    this.#after(cutMs + lastMs, { type: "heal", links: outwards });
    this.#stir(sides, this.#random.chance(700) ? "bounce" : "campaign", cutMs);
    for (let i = 1; i <= HELD_READS; i++) {
      const delayMs = cutMs + i * HELD_MS / (HELD_READS + 1);
      this.#after(delayMs, { type: "read", node: leader });
    }
  }

  /**
   * A message leaves. If it is the first to tell that the leader is in the
   * joint configuration, nobody outside hears it: they forget the leader, by
   * and by or in a crash, and elect another one, while reads are asked of it.
   */
  sees(message: Message): void {
    const trap = this.#trap;
    if (trap === undefined || !tellsOfCommit(trap, message)) return;
    this.#trap = undefined;
    this.#world.marks.hit("strandedInJoint");
    const { clock, core } = this.#world.options;
    const electionMs = (core.electionTicks ?? 10) * clock.tickMs;
    const { outside, leader } = trap;
    const busyMs = JOINT_TIMEOUTS * electionMs;
    const isLong = this.#random.chance(250);
    const lastMs = isLong ? LONG_TIMEOUTS * electionMs : busyMs;
    this.#strand(sidesOf(outside, this.#ids), lastMs);
    const canBounce = this.#random.chance(500);
    for (const node of canBounce ? outside : []) {
      this.#after(this.#random.below(BLOW_MS), { type: "bounce", node });
    }
    const stepMs = Math.ceil(electionMs / JOINT_STEPS);
    for (let delay = stepMs; delay < busyMs; delay += stepMs) {
      const node = this.#random.pick(outside);
      this.#after(delay, { type: "campaign", node });
      const readMs = delay + this.#random.below(stepMs);
      this.#after(readMs, { type: "read", node: leader });
    }
  }

  /** A read is asked of a leader that was stranded. */
  ask(id: NodeId): void {
    const core = this.#world.memberOf(id)?.core;
    const isReplaced = core?.role === "leader" &&
      core.term < this.#world.oracle.newestTerm;
    if (isReplaced) {
      this.#world.marks.hit(
        core.conf.votersOutgoing.length > 0
          ? "replacedInJointAsked"
          : "replacedInRoundAsked",
      );
    }
    this.#world.read(id);
  }

  get #ids(): NodeId[] {
    return this.#world.members.map(({ id }) => id);
  }

  #strand({ inside, outside }: Sides, lastMs: number): void {
    const links = linksBetween(inside, outside);
    this.#world.network.cut(links);
    this.#after(lastMs, { type: "heal", links });
  }
}
