import { describe, it } from "node:test";
import { assertEquals } from "@std/assert";
import { bytes, Cluster } from "./cluster.ts";

describe("read index (§6.4)", () => {
  it("is confirmed by a round of heartbeats, on the leader and on followers", () => {
    const cluster = new Cluster(3);
    cluster.elect(1);
    cluster.node(1).propose([bytes("a")]);
    cluster.settle();
    assertEquals(cluster.node(1).readIndex(5), "pending");
    assertEquals(cluster.node(2).readIndex(6), "pending");
    assertEquals(cluster.member(1).readStates, []);
    cluster.settle();
    assertEquals(cluster.member(1).readStates, [{ context: 5, index: 2 }]);
    assertEquals(cluster.member(2).readStates, [{ context: 6, index: 2 }]);
  });

  it("waits until an entry of the term is committed (H93)", () => {
    const cluster = new Cluster(3);
    cluster.drop = (m) => m.type === "appendEntriesResponse";
    cluster.elect(1);
    assertEquals(cluster.node(1).role, "leader");
    cluster.node(1).readIndex(1);
    cluster.tick(1, 1);
    cluster.settle();
    assertEquals(cluster.member(1).readStates, []);
    cluster.drop = () => false;
    cluster.tick(1, 1);
    cluster.settle();
    assertEquals(cluster.member(1).readStates, [{ context: 1, index: 1 }]);
  });

  it("is not served by a leader that lost its quorum (H94)", () => {
    const cluster = new Cluster(3);
    cluster.elect(1);
    cluster.drop = (m) => m.from === 1 || m.to === 1;
    cluster.node(1).readIndex(1);
    cluster.settle();
    cluster.tick(3, 10);
    cluster.tick(2, 20);
    cluster.settle();
    cluster.node(2).propose([bytes("b")]);
    cluster.settle();
    assertEquals(cluster.node(2).role, "leader");
    cluster.drop = () => false;
    cluster.settle();
    cluster.tick(1, 1);
    cluster.settle();
    assertEquals(cluster.member(1).readStates, []);
  });

  it("a late answer to an old round confirms no newer read (H96)", () => {
    const cluster = new Cluster(3);
    cluster.elect(1);
    cluster.node(1).readIndex(1);
    cluster.process(1);
    cluster.deliver((m) => m.type === "heartbeat");
    const old = cluster.network.filter((m) => m.type === "heartbeatResponse");
    cluster.settle();
    assertEquals(cluster.member(1).readStates.length, 1);
    cluster.drop = () => true;
    cluster.node(1).readIndex(2);
    cluster.process(1);
    for (const answer of old) cluster.node(1).step(answer);
    cluster.process(1);
    assertEquals(cluster.member(1).readStates.length, 1);
  });

  it("reads of one turn share one round (C18)", () => {
    const cluster = new Cluster(3);
    cluster.elect(1);
    for (let i = 1; i <= 3; i++) cluster.node(1).readIndex(i);
    cluster.process(1);
    assertEquals(
      cluster.network.map((m) => m.type === "heartbeat" && [m.to, m.round]),
      [[2, 1], [3, 1]],
    );
    cluster.settle();
    assertEquals(
      cluster.member(1).readStates.map(({ context }) => context),
      [1, 2, 3],
    );
  });

  it("one round confirms all reads before it, and none after (H96)", () => {
    const cluster = new Cluster(3);
    cluster.elect(1);
    for (let i = 1; i <= 3; i++) {
      cluster.node(1).readIndex(i);
      cluster.process(1);
    }
    cluster.network = cluster.network.filter((m) =>
      m.type === "heartbeat" && m.round === 2 && m.to === 2
    );
    cluster.settle();
    assertEquals(
      cluster.member(1).readStates.map(({ context }) => context),
      [1, 2],
    );
  });

  it("without a leader it is dropped, not forgotten (H98)", () => {
    const cluster = new Cluster(3);
    assertEquals(cluster.node(2).readIndex(1), "dropped");
  });

  it("a lone voter serves only what it has committed in its term (H97)", () => {
    const cluster = new Cluster(1);
    cluster.elect(1);
    cluster.node(1).propose([bytes("a")]);
    cluster.settle();
    cluster.member(1).disk.hardState = {
      ...cluster.member(1).disk.hardState,
      commit: 0,
    };
    cluster.member(1).restart();
    cluster.member(1).slowDisk = true;
    cluster.node(1).campaign();
    // The pre-vote, then the vote.
    for (let i = 0; i < 2; i++) {
      cluster.process(1);
      cluster.flush(1);
    }
    cluster.process(1);
    assertEquals(cluster.node(1).role, "leader");
    cluster.node(1).readIndex(9);
    cluster.process(1);
    assertEquals(cluster.member(1).readStates, []);
    cluster.flush(1);
    cluster.process(1);
    assertEquals(cluster.member(1).readStates, [{ context: 9, index: 3 }]);
  });
});
