/**
 * A preference for a leader costs nothing: whoever leads hands over of its own
 * accord to a voter of higher priority only, who could take over at once, and
 * asks ever less often while that fails (H112, H113, H120).
 *
 * @module
 */
import { type CoreConfig, resolveConfig } from "../core/config.ts";
import type { Message } from "../core/message.ts";
import type { RawNode } from "../core/raw_node.ts";
import type { CoreStatus } from "../core/status.ts";
import type { LogIndex, NodeId, Term } from "../core/types.ts";
import { votesIn } from "./conf_model.ts";
import type { MarkCounter } from "./marks.ts";
import { fail } from "./violation.ts";

/** After so many failures in a row the wait is not doubled any more. */
const MAX_DOUBLINGS = 6;

/** The longest wait, as a multiple of the first one. */
export const MAX_WAIT_FACTOR: number = 2 ** MAX_DOUBLINGS;

/** A leader in its term. */
interface Office {
  readonly term: Term;
  /** Ticks since it was elected, or last began to hand over by itself. */
  waitTicks: number;
  /** Ticks since each member answered. */
  readonly silentTicks: Map<NodeId, number>;
  /** Last index of the log at the last tick. */
  lastIndex: LogIndex;
  /** To whom it hands over, as of its last step. */
  target: NodeId | null;
  /** Whether that was its own idea. */
  isOwnIdea: boolean;
  failures: number;
}

/** Checks one group. */
export class PreferenceChecks {
  readonly #offices = new Map<NodeId, Office>();
  readonly #limits: CoreConfig;
  readonly #marks: MarkCounter;

  /** Checks against the settings that all members share. */
  constructor(core: Partial<CoreConfig>, marks: MarkCounter) {
    this.#limits = resolveConfig(core);
    this.#marks = marks;
  }

  /** A member takes a message. */
  hears({ from, to, term, type }: Message): void {
    const office = this.#offices.get(to);
    if (office?.term !== term) return;
    if (type === "appendEntriesResponse" || type === "heartbeatResponse") {
      office.silentTicks.set(from, 0);
    }
  }

  /** A member has taken a step. */
  stepped(core: RawNode): void {
    const office = this.#officeOf(core);
    if (office === undefined) return;
    const { transferTarget } = core.status();
    if (transferTarget === office.target) return;
    office.target = transferTarget;
    office.isOwnIdea = false;
  }

  /** A tick has passed at a member, and no step since. */
  ticked(core: RawNode, priority: number): void {
    const office = this.#officeOf(core);
    if (office === undefined) return;
    office.waitTicks++;
    for (const [id, ticks] of office.silentTicks) {
      office.silentTicks.set(id, ticks + 1);
    }
    const status = core.status();
    const { transferTarget: target } = status;
    if (target !== office.target) {
      if (office.isOwnIdea) office.failures++;
      // For two other reasons a leader looks for a successor by itself.
      office.isOwnIdea = target !== null && !status.stalled &&
        votesIn(core.conf, core.id);
      if (office.isOwnIdea) this.#began(status, office, priority);
      office.target = target;
    }
    if (office.waitTicks >= this.#limits.priorityTicks) {
      this.#markPassedOver(status, office, priority);
    }
    office.lastIndex = core.lastIndex;
  }

  #officeOf({ id, role, term }: RawNode): Office | undefined {
    const known = this.#offices.get(id);
    if (role !== "leader") {
      if (known !== undefined) this.#offices.delete(id);
      return undefined;
    }
    if (known?.term === term) return known;
    const office: Office = {
      term,
      waitTicks: 0,
      silentTicks: new Map(),
      lastIndex: 0,
      target: null,
      isOwnIdea: false,
      failures: 0,
    };
    this.#offices.set(id, office);
    return office;
  }

  #began(
    { id, progress, transferTarget }: CoreStatus,
    office: Office,
    priority: number,
  ): void {
    const target = progress.find((one) => one.id === transferTarget);
    const deed =
      `Leader ${id} of priority ${priority} hands over to ${transferTarget}`;
    if (target === undefined || target.priority <= priority) {
      return refuse(`${deed} of priority ${target?.priority}`);
    }
    if (target.matchIndex < office.lastIndex) {
      refuse(`${deed}, which has ${target.matchIndex} of ${office.lastIndex}`);
    }
    const silentTicks = office.silentTicks.get(target.id) ?? Infinity;
    if (silentTicks > this.#limits.electionTicks) {
      refuse(`${deed}, which was silent for ${silentTicks} ticks`);
    }
    const doublings = Math.min(office.failures, MAX_DOUBLINGS);
    const least = this.#limits.priorityTicks * 2 ** doublings;
    if (office.waitTicks < least) {
      refuse(`${deed} after ${office.waitTicks} ticks, wanted ${least}`);
    }
    office.waitTicks = 0;
    this.#marks.hit("handedToPreferred");
    if (doublings > 0) this.#marks.hit("handedToPreferredAgain");
  }

  #markPassedOver(
    { conf, progress }: CoreStatus,
    { lastIndex }: Office,
    priority: number,
  ): void {
    const isUnfit = progress.some((one) =>
      one.priority > priority && one.matchIndex < lastIndex &&
      conf.voters.includes(one.id)
    );
    if (isUnfit) this.#marks.hit("preferredPassedOver");
  }
}

function refuse(what: string): never {
  return fail("preference", what);
}
