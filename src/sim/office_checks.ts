/**
 * A leader that minds its quorum does not stay in office long without hearing
 * from one, whatever else it hears (H10, H30).
 *
 * @module
 */
import type { Message } from "../core/message.ts";
import type { RawNode } from "../core/raw_node.ts";
import type { ConfState, NodeId, Term } from "../core/types.ts";
import { isQuorum } from "./conf_model.ts";
import { fail } from "./violation.ts";

/** Election timeouts in office without a quorum; transfers put it off. */
const MAX_TIMEOUTS = 8;

/** A leader since it was elected, or since its configuration changed. */
interface Office {
  readonly term: Term;
  readonly conf: ConfState;
  /** Ticks since then. */
  ticks: number;
  /** When each member answered last; nothing means at the beginning. */
  readonly heardAt: Map<NodeId, number>;
}

/** Checks one group. */
export class OfficeChecks {
  readonly #offices = new Map<NodeId, Office>();
  readonly #maxTicks: number;

  /** Checks leaders whose check of the quorum takes so many ticks. */
  constructor(electionTicks: number) {
    this.#maxTicks = MAX_TIMEOUTS * electionTicks;
  }

  /** A member takes a message. */
  heard({ from, to, term, type }: Message): void {
    const office = this.#offices.get(to);
    if (office?.term !== term) return;
    if (type !== "appendEntriesResponse" && type !== "heartbeatResponse") {
      return;
    }
    office.heardAt.set(from, office.ticks);
  }

  /** A tick has passed at a member that minds its quorum. */
  ticked({ id, role, term, conf, quiesced }: RawNode): void {
    const known = this.#offices.get(id);
    if (role !== "leader" || quiesced) {
      if (known !== undefined) this.#offices.delete(id);
      return;
    }
    if (known?.term !== term || known.conf !== conf) {
      this.#offices.set(id, { term, conf, ticks: 0, heardAt: new Map() });
      return;
    }
    known.ticks++;
    if (known.ticks <= this.#maxTicks) return;
    const oldest = known.ticks - this.#maxTicks;
    const isHeard = (voter: NodeId) =>
      voter === id || (known.heardAt.get(voter) ?? 0) >= oldest;
    if (isQuorum(conf, isHeard)) return;
    fail(
      "leaderEligible",
      `Leader ${id} of term ${term} has heard of no quorum for ${this.#maxTicks} ticks`,
    );
  }
}
