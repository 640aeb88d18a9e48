/**
 * The schedule of figure 3.7 of the thesis, played on whoever is there: an
 * entry of an old term reaches a quorum under a later leader, which dies
 * before an entry of its own term does; then a rival without that entry leads
 * and replaces it. Harmless, unless entries of old terms are committed by
 * counting them (H21).
 *
 * @module
 */
import type { Message } from "../core/message.ts";
import type { NodeId, Term } from "../core/types.ts";
import type { MarkCounter } from "./marks.ts";
import type { SimMember } from "./member.ts";
import { type Link, linksBetween, type SimNetwork } from "./network.ts";
import type { Oracle } from "./oracle.ts";
import type { SimRandom } from "./prng.ts";
import { linksOf } from "./topology.ts";

/** What the schedule works with. */
export interface FigureWorld {
  readonly members: readonly SimMember[];
  readonly network: SimNetwork;
  readonly oracle: Oracle;
  readonly marks: MarkCounter;
}

/**
 * `first`: a leader is cut off as soon as it is elected. `rival`: another one
 * is, likewise. `again`: the first one leads once more and hands its old entry
 * to a bare quorum. `revenge`: it is cut off, and the rival leads.
 */
type Act = "idle" | "first" | "rival" | "again" | "revenge";

/** An act that takes more steps than this has failed. */
const MAX_STEPS = 40;

/** Plays the schedule, one play at a time. */
export class FigureEight {
  readonly #world: FigureWorld;
  readonly #random: SimRandom;
  #act: Act = "idle";
  #steps = 0;
  /** Links that this play has cut, each once. */
  #cut: readonly Link[] = [];
  #first: NodeId = 0;
  #rival: NodeId = 0;
  /** Terms below this one had their leaders before the present act. */
  #term: Term = 0;
  /** Who still has to take the old entry. */
  #takers: NodeId[] = [];

  /** Makes a player. */
  constructor(world: FigureWorld, random: SimRandom) {
    this.#world = world;
    this.#random = random;
  }

  /** Begins, unless a play is on. Returns whether it did. */
  begin(): boolean {
    if (this.#act !== "idle" || this.#voters().length < 3) return false;
    this.#enter("first", []);
    // Somebody has to be elected to begin with.
    this.#random.pick(this.#world.members).act((core) => core.campaign());
    return true;
  }

  /** Ends the play; the network is somebody else's again. */
  stop(): void {
    this.#enter("idle", []);
  }

  /** Time passes. Returns whether the play goes on. */
  advance(): boolean {
    if (this.#act === "idle") return false;
    if (++this.#steps > MAX_STEPS) this.stop();
    else if (this.#act === "rival") this.#push(this.#rival);
    else if (this.#act === "again") this.#push(this.#first);
    else if (this.#act === "revenge") this.#push(this.#rival);
    return this.#isOn();
  }

  #isOn(): boolean {
    return this.#act !== "idle";
  }

  /** A message leaves. */
  sees(message: Message): void {
    if (this.#act === "idle") return;
    if (message.type === "appendEntriesResponse") {
      if (this.#act === "again" && !message.reject) this.#taken(message);
      return;
    }
    if (message.type !== "appendEntries" || message.term <= this.#term) return;
    this.#term = message.term;
    this.#elected(message.from);
  }

  #elected(leader: NodeId): void {
    switch (this.#act) {
      case "first": {
        this.#first = leader;
        const others = this.#voters().filter((id) => id !== leader);
        if (others.length < 2) return this.stop();
        this.#rival = this.#random.pick(others);
        return this.#enter("rival", this.#linksOf(leader));
      }
      case "rival":
        if (leader !== this.#rival) return;
        return this.#letFirstIn();
      case "again":
        if (leader !== this.#first) return this.stop();
        return;
      case "revenge":
        if (leader !== this.#rival) return;
        this.#world.marks.hit("figure8Played");
        return this.stop();
      case "idle":
        return;
    }
  }

  /** The rival is cut off; the first one meets as few as it needs. */
  #letFirstIn(): void {
    const voters = this.#voters();
    const others = voters.filter((id) =>
      id !== this.#first && id !== this.#rival
    );
    const needed = voters.length >> 1;
    if (others.length < needed) return this.stop();
    this.#takers = this.#random.shuffle(others).slice(0, needed);
    const away = this.#ids().filter((id) =>
      id !== this.#first && !this.#takers.includes(id)
    );
    this.#enter("again", linksBetween(away, [this.#first, ...this.#takers]));
  }

  /** One has the old entry: nothing newer may reach it. */
  #taken(message: { from: NodeId; to: NodeId; index: number; term: Term }) {
    const { from, to, index, term } = message;
    if (to !== this.#first || !this.#takers.includes(from)) return;
    const log = this.#memberOf(from)?.disk.durable;
    if (log === undefined || log.termAt(index) >= term || index === 0) return;
    if (index <= this.#world.oracle.committed.lastIndex) return;
    this.#takers = this.#takers.filter((id) => id !== from);
    const link = [{ from: to, to: from }];
    this.#world.network.cut(link);
    this.#cut = [...this.#cut, ...link];
    if (this.#takers.length > 0) return;
    this.#world.marks.hit("figure8Quorum");
    this.#enter("revenge", this.#outOf(this.#first));
  }

  #enter(act: Act, links: readonly Link[]): void {
    this.#world.network.heal(this.#cut);
    this.#world.network.cut(links);
    this.#cut = links;
    this.#act = act;
    this.#steps = 0;
    if (act === "idle") this.#takers = [];
    else this.#term = Math.max(this.#term, this.#world.oracle.newestTerm);
  }

  #push(id: NodeId): void {
    const member = this.#memberOf(id);
    if (member?.core?.role !== "leader") member?.act((core) => core.campaign());
  }

  /** Everything that a member sends; what it hears comes through. */
  #outOf(id: NodeId): Link[] {
    return this.#linksOf(id).filter(({ from }) => from === id);
  }

  #linksOf(id: NodeId): Link[] {
    return linksOf(id, this.#ids());
  }

  #ids(): NodeId[] {
    return this.#world.members.map(({ id }) => id);
  }

  #voters(): readonly NodeId[] {
    return this.#world.oracle.committed.lastConf.conf.voters;
  }

  #memberOf(id: NodeId): SimMember | undefined {
    return this.#world.members.find((member) => member.id === id);
  }
}
