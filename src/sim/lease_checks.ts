/**
 * While a leader may answer reads by itself, nobody else leads, and it knows
 * of everything that was committed (thesis §6.4.1, H93, H95, H99).
 *
 * @module
 */
import type { RawNode } from "../core/raw_node.ts";
import type { NodeId } from "../core/types.ts";
import type { Oracle } from "./oracle.ts";
import { fail } from "./violation.ts";

/** A member whose lease is watched. */
export interface LeaseView {
  readonly id: NodeId;
  /** `undefined` while the member's process is down. */
  readonly core: RawNode | undefined;
  /** Whether its process would answer a read by lease now. */
  holdsLease(): boolean;
}

/** Checks one group. */
export class LeaseChecks {
  readonly #members: readonly LeaseView[];
  readonly #oracle: Pick<Oracle, "committed" | "newestTerm">;
  #newestTerm = 0;

  /** Watches `members`, which may still be empty. */
  constructor(
    members: readonly LeaseView[],
    oracle: Pick<Oracle, "committed" | "newestTerm">,
  ) {
    this.#members = members;
    this.#oracle = oracle;
  }

  /** Some member has taken a step: it may lead now. */
  stepped(): void {
    if (this.#oracle.newestTerm === this.#newestTerm) return;
    this.#newestTerm = this.#oracle.newestTerm;
    for (const member of this.#members) this.ticked(member);
  }

  /** A tick has passed at a member. */
  ticked(member: LeaseView): void {
    const { core, id } = member;
    if (core?.role !== "leader" || !member.holdsLease()) return;
    const { committed, newestTerm } = this.#oracle;
    if (newestTerm > core.term) {
      fail(
        "leaseSafety",
        `Leader ${id} of term ${core.term} has a lease while term ${newestTerm} is led`,
      );
    }
    if (core.commitIndex >= committed.lastIndex) return;
    fail(
      "leaseSafety",
      `Leader ${id} of term ${core.term} has a lease and knows ${core.commitIndex} for committed, which is ${committed.lastIndex}`,
    );
  }
}
