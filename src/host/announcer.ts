/**
 * Turns what the core is into events: every change, never twice.
 *
 * @module
 */
import type { RawNode } from "../core/raw_node.ts";
import type {
  ConfState,
  Entry,
  LogIndex,
  NodeId,
  Role,
  Term,
} from "../core/types.ts";
import type { GroupEvent, StopReason } from "../status.ts";
import { GroupEvents } from "./events.ts";

/** What the announcer watches. */
export type AnnouncedCore = Pick<RawNode, "role" | "leader" | "term">;

/** Announces role, leader and membership of one member. */
export class Announcer {
  readonly events: GroupEvents;
  /** What was announced last. */
  #role: Role;
  #leader: NodeId | null;
  #term: Term;
  #conf: ConfState;
  #confIndex: LogIndex;
  /** The last term in which this member was announced as leading. */
  #leadingTerm: Term = 0;
  #stopped: StopReason | null = null;

  constructor(core: AnnouncedCore, conf: ConfState, confIndex: LogIndex) {
    this.#role = core.role;
    this.#leader = core.leader;
    this.#term = core.term;
    this.#conf = conf;
    this.#confIndex = confIndex;
    this.events = new GroupEvents(() => this.#current());
  }

  /** Index of the entry that made the configuration in force. */
  get confIndex(): LogIndex {
    return this.#confIndex;
  }

  /** Why the member stopped; `null` while it runs. */
  get stopped(): StopReason | null {
    return this.#stopped;
  }

  /**
   * Announces what changed. A leadership lost and won again between two looks
   * shows by its term.
   *
   * @returns Whether anything did.
   */
  look(core: AnnouncedCore): boolean {
    const { role, leader, term } = core;
    const newTerm = term !== this.#term;
    const roleChanged = role !== this.#role || (newTerm && role !== "follower");
    const leaderChanged = leader !== this.#leader ||
      (newTerm && leader !== null);
    if (!newTerm && !roleChanged && !leaderChanged) return false;
    this.#role = role;
    this.#leader = leader;
    this.#term = term;
    if (roleChanged) this.events.emit({ type: "role", role, term });
    if (leaderChanged) this.events.emit({ type: "leader", leader, term });
    return roleChanged || leaderChanged;
  }

  /** Entries were applied: the first of the own term opens a leadership. */
  applied(core: AnnouncedCore, last: Entry): void {
    if (core.role !== "leader" || last.term !== core.term) return;
    if (this.#leadingTerm === core.term) return;
    this.#leadingTerm = core.term;
    this.events.emit({ type: "leading", term: core.term });
  }

  /** A configuration took effect. */
  membership(conf: ConfState, index: LogIndex): void {
    this.#conf = conf;
    this.#confIndex = index;
    this.events.emit({ type: "membership", conf, index });
  }

  /** A snapshot's configuration took effect; often it is the old one. */
  restored(conf: ConfState, index: LogIndex): void {
    if (JSON.stringify(conf) === JSON.stringify(this.#conf)) return;
    this.membership(conf, index);
  }

  /** The last word. */
  stop(reason: StopReason): void {
    this.#stopped = reason;
    this.events.end({ type: "stopped", reason });
  }

  #current(): readonly GroupEvent[] {
    const term = this.#term;
    const events: GroupEvent[] = [
      { type: "role", role: this.#role, term },
      { type: "leader", leader: this.#leader, term },
    ];
    if (this.#role === "leader" && this.#leadingTerm === term) {
      events.push({ type: "leading", term });
    }
    events.push({
      type: "membership",
      conf: this.#conf,
      index: this.#confIndex,
    });
    if (this.#stopped !== null) {
      events.push({ type: "stopped", reason: this.#stopped });
    }
    return events;
  }
}
