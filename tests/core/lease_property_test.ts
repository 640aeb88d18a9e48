import { describe, it } from "node:test";
import { assert } from "@std/assert";
import type { NodeId } from "../../src/core/mod.ts";
import { bytes, Cluster } from "./cluster.ts";
import { TICK_MS } from "./timeline.ts";

/** Clocks run apart by less than the tenth that the lease leaves. */
const MAX_DRIFT = 0.04;
const LEASE_MS = 8 * TICK_MS * 0.9;
const RUNS = 150;
const STEPS = 2_500;

/** One member's clock, and what keeps it from ticking. */
interface Clock {
  rate: number;
  offset: number;
  /** On the own clock. */
  nextTick: number;
  /** Real time until which the member is frozen. */
  frozenUntil: number;
}

/** Members with clocks that drift, pauses, losses, restarts, transfers. */
class Run {
  readonly cluster: Cluster;
  leases = 0;
  successions = 0;
  readonly #next: (below: number) => number;
  readonly #clocks: Map<NodeId, Clock> = new Map();
  readonly #ids: readonly NodeId[];
  /** A link that is down. */
  #cut: readonly [NodeId, NodeId] = [0, 0];
  #time = 0;
  #lastTerm = 0;

  constructor(seed: number) {
    this.#next = generator(seed);
    const size = [3, 3, 5][this.#next(3)] ?? 3;
    this.cluster = new Cluster(size, {
      config: { leaseMs: Math.floor(LEASE_MS), electionTicks: 10 },
    });
    this.#ids = [...this.cluster.members.keys()];
    for (const id of this.#ids) this.#clocks.set(id, this.#newClock());
    this.cluster.drop = ({ from, to }) =>
      this.#cut.includes(from) && this.#cut.includes(to);
  }

  step(): void {
    this.#time += 1 + this.#next(8);
    for (const id of this.#ids) this.#tick(id);
    this.#deliver();
    const id = this.#ids[this.#next(this.#ids.length)] ?? 1;
    this.#disturb(id);
    for (const each of this.#ids) this.cluster.process(each);
    this.#check();
  }

  #newClock(): Clock {
    const offset = 1_000 + this.#next(1_000_000);
    return {
      rate: 1 - MAX_DRIFT + 2 * MAX_DRIFT * this.#next(101) / 100,
      offset,
      nextTick: 0,
      frozenUntil: 0,
    };
  }

  #clock(id: NodeId): Clock {
    const clock = this.#clocks.get(id);
    if (clock === undefined) throw new Error(`Cannot find clock ${id}`);
    return clock;
  }

  #read(id: NodeId): number {
    const { offset, rate } = this.#clock(id);
    return offset + rate * this.#time;
  }

  /** Ticks come at their period or later, never sooner. */
  #tick(id: NodeId): void {
    const clock = this.#clock(id);
    const now = this.#read(id);
    if (this.#time < clock.frozenUntil || now < clock.nextTick) return;
    clock.nextTick = now + TICK_MS;
    this.cluster.node(id).tick(now);
  }

  #deliver(): void {
    const { network } = this.cluster;
    for (let count = this.#next(6); count > 0 && network.length > 0; count--) {
      const at = this.#next(Math.min(network.length, 8));
      const message = network[at];
      if (message === undefined) continue;
      const isFrozen = this.#time < this.#clock(message.to).frozenUntil;
      if (isFrozen && this.#next(20) > 0) continue;
      if (this.#next(30) > 0) network.splice(at, 1);
      if (this.#next(12) === 0 || isFrozen) continue;
      this.cluster.node(message.to).step(message);
      this.cluster.process(message.to);
    }
    if (network.length > 200) network.splice(0, 100);
  }

  #disturb(id: NodeId): void {
    const node = this.cluster.node(id);
    switch (this.#next(240)) {
      case 0:
        this.#clock(id).frozenUntil = this.#time + this.#next(1_500);
        return;
      case 1:
        this.cluster.member(id).restart();
        this.#clocks.set(id, this.#newClock());
        return;
      case 2:
        node.transferLeadership(this.#ids[this.#next(5)] ?? 1);
        return;
      case 3:
        if (node.leader !== null) node.suspectLeader(node.leader);
        return;
      case 4:
        node.campaign();
        return;
      case 5:
        node.forgetLeader();
        return;
      case 6:
        this.#cut = [id, node.leader ?? id];
        return;
      case 7:
        // Voters come back while others are about to stand for election.
        for (const voter of this.#ids) {
          if (voter !== node.leader && this.#next(2) === 0) {
            this.cluster.member(voter).restart();
            this.#clocks.set(voter, this.#newClock());
          }
        }
        return;
      default:
        if (this.#next(10) === 0) node.propose([bytes("x")]);
    }
  }

  /** While a lease holds, nobody leads a later term. */
  #check(): void {
    for (const id of this.#ids) {
      const { leaseUntil, role, term } = this.cluster.node(id);
      if (role === "leader" && term > this.#lastTerm) {
        this.#lastTerm = term;
        this.successions++;
      }
      if (this.#read(id) >= leaseUntil) continue;
      this.leases++;
      for (const other of this.#ids) {
        const rival = this.cluster.node(other);
        assert(
          rival.role !== "leader" || rival.term <= term,
          `member ${other} leads term ${rival.term} in the lease of ${id}`,
        );
      }
    }
  }
}

/** A small generator, the same on every run. */
function generator(seed: number): (below: number) => number {
  let state = seed * 7_919 + 1;
  return (below) => {
    state = (state * 48_271) % 2_147_483_647;
    return Math.floor(state / 65_536) % below;
  };
}

describe("a lease (§6.4.1)", () => {
  it("holds against drift, pauses, losses, restarts, transfers and false alarms (H95)", () => {
    let leases = 0;
    let successions = 0;
    for (let seed = 1; seed <= RUNS; seed++) {
      const run = new Run(seed);
      for (let i = 0; i < STEPS; i++) run.step();
      leases += run.leases;
      successions += run.successions;
    }
    assert(leases > 50 * RUNS, `leases were held ${leases} times`);
    assert(successions > 3 * RUNS, `there were ${successions} leaders`);
  });
});
