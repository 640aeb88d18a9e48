import { describe, it } from "node:test";
import { assert, assertEquals } from "@std/assert";
import type { Message, NodeId } from "../../src/core/mod.ts";
import { bytes, Cluster, type ClusterOptions } from "./cluster.ts";
import { leaders, Timeline } from "./timeline.ts";

/** A leader that has just died, and the ranks of those it leaves. */
interface Orphans {
  readonly cluster: Cluster;
  readonly time: Timeline;
  /** The other voters, first in turn first. */
  readonly heirs: readonly NodeId[];
}

/** Member 1 led; nothing leaves it or reaches it any more. */
function orphans(size: number, options: ClusterOptions = {}): Orphans {
  const cluster = new Cluster(size, options);
  cluster.elect(1);
  const time = new Timeline(cluster);
  time.pass(3);
  cluster.drop = isOfDead;
  const others = [...cluster.members.keys()].slice(1);
  // In term 1 the turn is the place plus one.
  const last = others.pop();
  const heirs = last === undefined ? others : [last, ...others];
  return { cluster, time, heirs };
}

function isOfDead(message: Message): boolean {
  return message.from === 1 || message.to === 1;
}

function at(ids: readonly NodeId[], place: number): NodeId {
  const id = ids[place];
  if (id === undefined) throw new Error(`Cannot find heir ${place}`);
  return id;
}

describe("fast failover", () => {
  it("elects without a tick once a majority knows that the leader is gone (C25)", () => {
    for (const size of [3, 5]) {
      const { cluster, heirs } = orphans(size);
      for (const id of heirs) cluster.node(id).suspectLeader(1);
      cluster.settle();
      assertEquals(leaders(cluster), [1, at(heirs, 0)]);
      assertEquals(cluster.node(at(heirs, 0)).term, 2);
    }
  });

  it("does so whoever knows first", () => {
    const { cluster, heirs } = orphans(5);
    for (const id of heirs) {
      cluster.node(id).suspectLeader(1);
      cluster.settle();
    }
    assertEquals(leaders(cluster), [1, at(heirs, 0)]);
    const other = orphans(5);
    for (const id of [...other.heirs].reverse()) {
      other.cluster.node(id).suspectLeader(1);
      other.cluster.settle();
    }
    assertEquals(leaders(other.cluster), [1, at(other.heirs, 0)]);
  });

  it("a member with a longer log follows in turn on one that asked in vain", () => {
    const { cluster, heirs } = orphans(3);
    const [first, second] = [at(heirs, 0), at(heirs, 1)];
    cluster.drop = (m) => m.to === first || m.from === first;
    cluster.node(1).propose([bytes("only on the second")]);
    cluster.settle();
    cluster.drop = isOfDead;
    cluster.node(second).suspectLeader(1);
    cluster.node(first).suspectLeader(1);
    cluster.settle();
    assertEquals(leaders(cluster), [1, second]);
  });

  it("also if it learns last that the leader is gone", () => {
    const { cluster, heirs } = orphans(3);
    const [first, second] = [at(heirs, 0), at(heirs, 1)];
    cluster.drop = (m) => m.to === first || m.from === first;
    cluster.node(1).propose([bytes("only on the second")]);
    cluster.settle();
    cluster.drop = isOfDead;
    cluster.node(first).suspectLeader(1);
    cluster.settle();
    assertEquals(leaders(cluster), [1]);
    cluster.node(second).suspectLeader(1);
    cluster.settle();
    assertEquals(leaders(cluster), [1, second]);
  });

  it("the next in turn tries after two heartbeats if the first is silent", () => {
    const { cluster, time, heirs } = orphans(5);
    const [first, second] = [at(heirs, 0), at(heirs, 1)];
    cluster.drop = (m) => isOfDead(m) || m.from === first || m.to === first;
    for (const id of heirs.slice(1)) cluster.node(id).suspectLeader(1);
    cluster.settle();
    assertEquals(leaders(cluster), [1]);
    time.pass(1, heirs);
    assertEquals(leaders(cluster), [1]);
    time.pass(1, heirs);
    assertEquals(leaders(cluster), [1, second]);
  });

  it("a false alarm of one member changes neither term nor leader (§9.6)", () => {
    for (const id of [2, 3]) {
      const cluster = new Cluster(3);
      cluster.elect(1);
      const time = new Timeline(cluster);
      time.pass(1);
      cluster.node(id).suspectLeader(1);
      cluster.settle();
      time.pass(3);
      assertEquals(leaders(cluster), [1]);
      assertEquals(cluster.node(id).leader, 1);
      assertEquals(cluster.node(id).role, "follower");
      assertEquals([1, 2, 3].map((id) => cluster.node(id).term), [1, 1, 1]);
    }
  });

  it("hearing the leader ends the suspicion, and what was held back (H05)", () => {
    const cluster = new Cluster(5);
    cluster.elect(1);
    const time = new Timeline(cluster);
    time.pass(1);
    for (const id of [2, 3]) cluster.node(id).suspectLeader(1);
    cluster.settle();
    time.pass(1);
    // They suspected it at different times: never a majority at once.
    for (const id of [4, 5]) cluster.node(id).suspectLeader(1);
    cluster.settle();
    time.pass(3);
    assertEquals(leaders(cluster), [1]);
    assertEquals(cluster.node(1).term, 1);
  });

  it("only the word about the present leader counts", () => {
    const { cluster, time } = orphans(3);
    cluster.node(2).suspectLeader(3);
    cluster.node(3).suspectLeader(2);
    cluster.settle();
    time.pass(3, [2, 3]);
    assertEquals(cluster.node(2).leader, 1);
    assertEquals(cluster.node(3).leader, 1);
  });

  it("waits until every promise of a lease is over (H95)", () => {
    const { cluster, time, heirs } = orphans(3, { config: { leaseMs: 360 } });
    const lease = cluster.node(1).leaseUntil;
    assert(lease > time.now, "there is no lease to keep");
    for (const id of heirs) cluster.node(id).suspectLeader(1);
    cluster.settle();
    time.pass(9, heirs);
    assert(lease < time.now, "the lease outlived the promises");
    assertEquals(leaders(cluster), [1]);
    time.pass(1, heirs);
    assertEquals(leaders(cluster), [1, at(heirs, 0)]);
  });

  it("grants no pre-vote either before the own promise is over", () => {
    const { cluster, time, heirs } = orphans(3, { config: { leaseMs: 360 } });
    const [first, second] = [at(heirs, 0), at(heirs, 1)];
    cluster.node(first).suspectLeader(1);
    time.pass(10, [first]);
    assertEquals(cluster.node(first).role, "preCandidate");
    cluster.node(second).suspectLeader(1);
    cluster.process(second);
    assertEquals(cluster.network, []);
    time.pass(9, [second]);
    assertEquals(cluster.node(first).role, "preCandidate");
    time.pass(1, [second]);
    assertEquals(leaders(cluster), [1, first]);
  });

  it("a learner does not campaign (H12)", () => {
    const cluster = new Cluster(3);
    cluster.elect(1);
    cluster.node(1).proposeConfChange({
      transition: "auto",
      steps: [{ type: "addLearner", node: 3 }],
    });
    cluster.settle();
    cluster.node(3).suspectLeader(1);
    new Timeline(cluster).pass(9, [3]);
    assertEquals(cluster.node(3).role, "follower");
  });

  it("does nothing if switched off, or without check-quorum", () => {
    for (const config of [{ fastFailover: false }, { checkQuorum: false }]) {
      const { cluster, heirs } = orphans(3, { config });
      for (const id of heirs) cluster.node(id).suspectLeader(1);
      cluster.settle();
      assertEquals(cluster.node(2).leader, 1);
      assertEquals(cluster.node(3).leader, 1);
    }
  });
});
