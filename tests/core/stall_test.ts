import { describe, it } from "node:test";
import { assert, assertEquals } from "@std/assert";
import type { CoreConfig, NodeId } from "../../src/core/mod.ts";
import { bytes, Cluster } from "./cluster.ts";
import { leaders, Timeline } from "./timeline.ts";

/** Member 1 leads; its disk hangs from its next write on. */
function hanging(
  size: number,
  config: Partial<CoreConfig> = {},
): [Cluster, Timeline] {
  const cluster = new Cluster(size, { config });
  cluster.elect(1);
  const time = new Timeline(cluster);
  time.pass(3);
  cluster.member(1).slowDisk = true;
  return [cluster, time];
}

function isStalled(cluster: Cluster, id: NodeId): boolean {
  return cluster.node(id).status().stalled;
}

describe("a member whose disk hangs (H20)", () => {
  it("as leader hands over after stallTicks, and serves until then", () => {
    const [cluster, time] = hanging(3);
    cluster.node(1).propose([bytes("a")]);
    cluster.settle();
    time.pass(19);
    assertEquals(leaders(cluster), [1]);
    assertEquals(cluster.node(2).commitIndex, 2);
    time.pass(1);
    assertEquals(leaders(cluster).length, 1);
    assert(leaders(cluster)[0] !== 1, "it still leads");
  });

  it("picks the voter that has most of the log, of those that live", () => {
    for (const silent of [0, 4]) {
      const [cluster, time] = hanging(5, { adaptiveFlow: false });
      for (const holders of [[2, 3, 4], [3, 4], [4]]) {
        cluster.drop = (m) =>
          m.type === "appendEntries" && !holders.includes(m.to);
        cluster.node(1).propose([bytes("a")]);
        cluster.settle();
      }
      cluster.drop = (m) =>
        m.from === silent || m.type === "timeoutNow" ||
        m.type === "appendEntries";
      time.pass(20);
      const { transferTarget } = cluster.node(1).status();
      assertEquals(transferTarget, silent === 4 ? 3 : 4);
    }
  });

  it("steps down if the hand-over fails, and asks for no votes", () => {
    const [cluster, time] = hanging(3);
    cluster.node(1).propose([bytes("a")]);
    cluster.settle();
    cluster.drop = (m) => m.type === "timeoutNow";
    time.pass(20);
    assertEquals(cluster.node(1).role, "leader");
    time.pass(10);
    assertEquals(cluster.node(1).role, "follower");
    assertEquals(leaders(cluster), []);
    cluster.drop = (m) => m.from !== 1 && m.to !== 1;
    time.pass(60);
    assertEquals(cluster.node(1).role, "follower");
    cluster.node(1).campaign();
    assertEquals(cluster.node(1).role, "follower");
    assert(isStalled(cluster, 1), "its disk works again");
    // As soon as it works, it may lead again.
    cluster.drop = () => false;
    cluster.member(1).slowDisk = false;
    cluster.flush(1);
    assert(!isStalled(cluster, 1), "its disk still hangs");
    time.until(() => leaders(cluster).length === 1, 60);
  });

  it("steps down at once if nobody is fit to be handed over to", () => {
    const [cluster, time] = hanging(3);
    cluster.drop = (m) => m.type === "appendEntriesResponse";
    cluster.node(1).propose([bytes("a")]);
    cluster.settle();
    cluster.node(1).reportUnreachable(2);
    cluster.node(1).reportUnreachable(3);
    time.pass(20);
    assertEquals(leaders(cluster), []);
  });

  it("does not take over from others (H113)", () => {
    const cluster = new Cluster(3);
    cluster.elect(1);
    const time = new Timeline(cluster);
    cluster.member(3).slowDisk = true;
    cluster.node(1).propose([bytes("a")]);
    cluster.settle();
    time.pass(20);
    assert(isStalled(cluster, 3), "its disk works");
    cluster.node(3).step({ type: "timeoutNow", from: 1, to: 3, term: 1 });
    assertEquals(cluster.node(3).role, "follower");
  });

  it("a disk that gets on, if slowly, is no reason", () => {
    const [cluster, time] = hanging(3);
    for (let i = 0; i < 10; i++) {
      cluster.node(1).propose([bytes("a")]);
      time.pass(15);
      cluster.flush(1);
      cluster.settle();
    }
    assertEquals(leaders(cluster), [1]);
    assertEquals(cluster.node(1).term, 1);
  });

  it("an idle disk is no reason either", () => {
    const [cluster, time] = hanging(3);
    time.pass(100);
    assertEquals(leaders(cluster), [1]);
  });

  it("a lone voter leads on: nobody else could", () => {
    const [cluster, time] = hanging(1);
    cluster.node(1).propose([bytes("a")]);
    time.pass(100);
    assertEquals(leaders(cluster), [1]);
  });

  it("is not looked for with stallTicks 0", () => {
    const cluster = new Cluster(3, { config: { stallTicks: 0 } });
    cluster.elect(1);
    cluster.member(1).slowDisk = true;
    cluster.node(1).propose([bytes("a")]);
    new Timeline(cluster).pass(100);
    assertEquals(leaders(cluster), [1]);
  });
});
