import { describe, it } from "node:test";
import { assertEquals } from "@std/assert";
import { bytes, Cluster, commands, type Member } from "./cluster.ts";
import { leaders, Timeline } from "./timeline.ts";

/** Member 1 leads and has committed a command. */
function led(size = 3): [Cluster, Timeline] {
  const cluster = new Cluster(size);
  cluster.elect(1);
  cluster.node(1).propose([bytes("a")]);
  cluster.settle();
  return [cluster, new Timeline(cluster)];
}

/** The target of a transfer that has a committed change left to apply. */
function handingOverToTheSlow(): readonly [Cluster, Member] {
  const [cluster] = led();
  const target = cluster.member(3);
  target.slowMachine = true;
  cluster.node(1).proposeConfChange({
    transition: "simple",
    steps: [{ type: "addLearner", node: 4, address: "d:4" }],
  });
  cluster.settle();
  cluster.node(1).transferLeadership(3);
  cluster.settle();
  return [cluster, target];
}

describe("leadership transfer (§3.10)", () => {
  it("waits for a target that lags, and loses no write (H112)", () => {
    const [cluster, time] = led();
    cluster.drop = (m) => m.type === "appendEntries" && m.to === 3;
    cluster.node(1).propose([bytes("b")]);
    cluster.settle();
    assertEquals(cluster.node(1).transferLeadership(3), "pending");
    cluster.settle();
    assertEquals(leaders(cluster), [1]);
    assertEquals(cluster.node(1).propose([bytes("c")]), {
      type: "dropped",
      reason: "transferring",
    });
    assertEquals(
      cluster.node(1).proposeConfChange({
        transition: "auto",
        steps: [{ type: "addLearner", node: 4 }],
      }),
      { type: "dropped", reason: "transferring" },
    );
    cluster.drop = () => false;
    time.pass(2);
    assertEquals(leaders(cluster), [3]);
    assertEquals(commands(cluster.member(3).applied), ["a", "b"]);
  });

  it("refuses targets that must not lead, and leaves everything as it was (H12)", () => {
    const [cluster] = led();
    cluster.node(1).proposeConfChange({
      transition: "auto",
      steps: [{ type: "addLearner", node: 3 }],
    });
    cluster.settle();
    for (const target of [1, 3, 9]) {
      assertEquals(cluster.node(1).transferLeadership(target), "refused");
      assertEquals(cluster.node(1).status().transferTarget, null);
    }
    assertEquals(cluster.node(1).propose([bytes("b")]).type, "appended");
    // A member without a leader has nobody to ask.
    const fresh = new Cluster(3);
    assertEquals(fresh.node(1).transferLeadership(2), "refused");
    fresh.node(1).campaign();
    assertEquals(fresh.node(1).transferLeadership(2), "refused");
  });

  it("may be asked of a follower, which passes it on (H115)", () => {
    const [cluster] = led();
    assertEquals(cluster.node(2).transferLeadership(3), "pending");
    cluster.settle();
    assertEquals(leaders(cluster), [3]);
  });

  it("goes to whom it was asked for last", () => {
    const [cluster] = led();
    cluster.drop = (m) => m.type === "timeoutNow" && m.to === 3;
    cluster.node(1).transferLeadership(3);
    cluster.settle();
    cluster.node(1).transferLeadership(2);
    cluster.settle();
    assertEquals(leaders(cluster), [2]);
  });

  it("heartbeats of the old leader do not stop the target, nor its pre-vote (H114)", () => {
    const [cluster, time] = led();
    cluster.node(1).transferLeadership(3);
    cluster.process(1);
    cluster.deliver((m) => m.type === "timeoutNow");
    assertEquals(cluster.node(3).role, "candidate");
    assertEquals(cluster.node(3).term, 2);
    // The old leader goes on for as long as it has not heard.
    const votes = cluster.network.splice(0);
    time.pass(2, [1]);
    cluster.network.push(...votes);
    cluster.settle();
    assertEquals(leaders(cluster), [3]);
  });

  it("is given up after one election timeout, and can be tried again (H113)", () => {
    const [cluster, time] = led();
    time.pass(5);
    cluster.drop = (m) => m.type === "timeoutNow";
    cluster.node(1).transferLeadership(3);
    time.pass(9);
    assertEquals(cluster.node(1).status().transferTarget, 3);
    time.pass(1);
    assertEquals(cluster.node(1).status().transferTarget, null);
    assertEquals(cluster.node(1).propose([bytes("b")]).type, "appended");
    cluster.drop = () => false;
    cluster.settle();
    cluster.node(1).transferLeadership(3);
    cluster.settle();
    assertEquals(leaders(cluster), [3]);
  });

  it("an old TimeoutNow deposes nobody in a later term (H115)", () => {
    const [cluster] = led();
    cluster.node(1).transferLeadership(3);
    cluster.settle();
    cluster.node(3).transferLeadership(1);
    cluster.settle();
    assertEquals(leaders(cluster), [1]);
    const { term } = cluster.node(1);
    for (const from of [1, 3]) {
      for (let old = 1; old < term; old++) {
        cluster.node(2).step({ type: "timeoutNow", from, to: 2, term: old });
      }
    }
    cluster.settle();
    assertEquals(leaders(cluster), [1]);
    assertEquals(cluster.node(2).term, term);
  });

  it("reads go on by rounds meanwhile, and none is served stale (H99)", () => {
    const [cluster] = led();
    cluster.drop = (m) => m.type === "timeoutNow";
    cluster.node(1).transferLeadership(3);
    cluster.node(1).readIndex(1);
    cluster.settle();
    assertEquals(cluster.member(1).readStates, [{ context: 1, index: 2 }]);
    // The target leads already; the old leader has not heard of it.
    cluster.drop = (m) => m.to === 1;
    cluster.node(3).step({ type: "timeoutNow", from: 1, to: 3, term: 1 });
    cluster.settle();
    cluster.node(3).propose([bytes("b")]);
    cluster.settle();
    assertEquals(leaders(cluster), [1, 3]);
    cluster.node(1).readIndex(2);
    cluster.settle();
    cluster.drop = () => false;
    cluster.settle();
    assertEquals(cluster.member(1).readStates.length, 1);
  });

  it("waits for the target to apply what changes the members (H77)", () => {
    const [cluster, target] = handingOverToTheSlow();
    assertEquals(leaders(cluster), [1]);
    target.applyAll();
    cluster.settle();
    assertEquals(leaders(cluster), [3]);
  });

  it("does not wait longer than the leader does (H113)", () => {
    const [cluster, target] = handingOverToTheSlow();
    for (let tick = 0; tick < 10; tick++) {
      for (const id of [1, 2, 3]) cluster.tick(id, 1);
      cluster.settle();
    }
    target.applyAll();
    cluster.settle();
    assertEquals(leaders(cluster), [1]);
  });

  it("takes less time than an election (C17)", () => {
    const [cluster] = led(5);
    // Messages alone do it: no member ticks in between.
    for (const target of [2, 3, 4, 5, 1]) {
      const [leader] = leaders(cluster);
      cluster.node(leader ?? 1).transferLeadership(target);
      cluster.settle();
      assertEquals(leaders(cluster), [target]);
    }
  });
});
