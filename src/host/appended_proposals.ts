/**
 * Proposals that are in a leader's log, by the index they wait at.
 *
 * @module
 */
import type { LogIndex } from "../core/types.ts";
import type { Proposal } from "./proposal.ts";

/**
 * Usually one proposal waits at an index; several do when leaders of different
 * terms put theirs there, and then they are chained (H105).
 */
export class AppendedProposals<R> {
  /** The first of each chain. */
  readonly #chains = new Map<LogIndex, Proposal<R>>();

  /** Adds a proposal at its index. */
  add(proposal: Proposal<R>): void {
    proposal.sibling = this.#chains.get(proposal.index) ?? null;
    this.#chains.set(proposal.index, proposal);
  }

  /** Takes out all who wait at an index; gives the first of their chain. */
  take(index: LogIndex): Proposal<R> | undefined {
    const first = this.#chains.get(index);
    if (first !== undefined) this.#chains.delete(index);
    return first;
  }

  /** Takes a proposal out, if it is in. */
  remove(proposal: Proposal<R>): void {
    const first = this.#chains.get(proposal.index);
    if (first === undefined) return;
    if (first === proposal) {
      if (proposal.sibling === null) this.#chains.delete(proposal.index);
      else this.#chains.set(proposal.index, proposal.sibling);
    } else {
      let before: Proposal<R> | null = first;
      while (before !== null && before.sibling !== proposal) {
        before = before.sibling;
      }
      if (before !== null) before.sibling = proposal.sibling;
    }
    proposal.sibling = null;
  }

  /** Visits all; those visited may be taken out meanwhile. */
  forEach(visit: (proposal: Proposal<R>) => void): void {
    for (const first of this.#chains.values()) {
      let proposal: Proposal<R> | null = first;
      while (proposal !== null) {
        const next: Proposal<R> | null = proposal.sibling;
        visit(proposal);
        proposal = next;
      }
    }
  }
}
