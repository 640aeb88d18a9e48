/**
 * Time for a cluster of cores: members tick in step, by one clock, and what
 * they send arrives between two ticks.
 *
 * @module
 */
import type { NodeId } from "../../src/core/mod.ts";
import type { Cluster } from "./cluster.ts";

/** Milliseconds between two ticks. */
export const TICK_MS = 50;

/** Drives the members of a cluster by ticks. */
export class Timeline {
  /** What the clock of every member shows. */
  now = 1_000;
  readonly #cluster: Cluster;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  /** Lets time pass for `ids`, for all by default; the others are frozen. */
  pass(
    ticks: number,
    ids: Iterable<NodeId> = this.#cluster.members.keys(),
  ): void {
    const members = [...ids];
    for (let i = 0; i < ticks; i++) {
      this.now += TICK_MS;
      for (const id of members) this.#cluster.node(id).tick(this.now);
      this.#cluster.settle();
    }
  }

  /**
   * Lets time pass until something holds.
   *
   * @returns After how many ticks.
   */
  until(holds: () => boolean, atMostTicks: number): number {
    for (let i = 0; i <= atMostTicks; i++) {
      if (holds()) return i;
      this.pass(1);
    }
    throw new Error(`Cannot wait longer: not within ${atMostTicks} ticks`);
  }
}

/** The members that lead, in their own eyes. */
export function leaders(cluster: Cluster): NodeId[] {
  return [...cluster.members.keys()].filter((id) =>
    cluster.node(id).role === "leader"
  );
}
