import { describe, it } from "node:test";
import { assert, assertEquals } from "@std/assert";
import type { ConfChangeStep, NodeId } from "../../src/core/mod.ts";
import { Pace } from "../../src/core/pace.ts";
import { bytes, Cluster, type ClusterOptions } from "./cluster.ts";
import { Timeline } from "./timeline.ts";

function led(options: ClusterOptions = {}): {
  cluster: Cluster;
  time: Timeline;
} {
  const cluster = new Cluster(3, options);
  const time = new Timeline(cluster);
  cluster.elect(1);
  time.pass(2);
  return { cluster, time };
}

function change(cluster: Cluster, step: ConfChangeStep): void {
  cluster.node(1).proposeConfChange({ transition: "auto", steps: [step] });
  cluster.settle();
}

function stage(cluster: Cluster, node: NodeId): void {
  cluster.join(node);
  change(cluster, { type: "addStaging", node });
}

describe("a staging member (§4.2.1)", () => {
  it("is promoted by the leader once it has caught up (C14)", () => {
    const { cluster, time } = led();
    stage(cluster, 4);
    assertEquals(cluster.node(1).conf.staging, [4]);
    time.until(() => cluster.node(4).conf.voters.includes(4), 5);
    assertEquals(cluster.node(4).conf.staging, []);
    assertEquals(cluster.node(4).conf.learners, []);
  });

  it("is not promoted before it has", () => {
    const { cluster, time } = led();
    cluster.drop = (message) =>
      message.to === 4 && message.type === "appendEntries";
    stage(cluster, 4);
    time.pass(50);
    assertEquals(cluster.node(1).conf.staging, [4]);
    assert(!cluster.node(1).isCaughtUp(4));
    cluster.drop = () => false;
    time.until(() => cluster.node(1).conf.voters.includes(4), 20);
  });

  it("is promoted under a load that never ends (H81)", () => {
    const { cluster, time } = led();
    stage(cluster, 4);
    for (let i = 0; i < 5; i++) {
      // Never is its log as long as the leader's when the leader looks.
      cluster.node(1).propose([bytes(`a${i}`)]);
      cluster.process(1);
      cluster.node(1).tick();
      cluster.node(1).propose([bytes(`b${i}`)]);
      cluster.settle();
    }
    time.until(() => cluster.node(1).conf.voters.includes(4), 2);
  });

  it("waits while another change is under way", () => {
    const { cluster, time } = led();
    cluster.join(4);
    cluster.node(1).proposeConfChange({
      transition: "explicit",
      steps: [
        { type: "addStaging", node: 4 },
        { type: "addLearner", node: 3 },
      ],
    });
    cluster.settle();
    time.pass(30);
    assert(cluster.node(1).isCaughtUp(4));
    assertEquals(cluster.node(1).conf.staging, [4]);
    cluster.node(1).proposeConfChange({ transition: "auto", steps: [] });
    time.until(() => cluster.node(1).conf.voters.includes(4), 3);
    assertEquals(cluster.node(1).conf.voters, [1, 2, 4]);
  });

  it("is promoted by the next leader if the first one dies before", () => {
    const { cluster, time } = led();
    cluster.drop = (message) => message.from === 4;
    stage(cluster, 4);
    cluster.drop = (message) => message.from === 1 || message.to === 1;
    time.until(() => cluster.node(4).conf.voters.includes(4), 60);
  });

  it("stays one while its vote would put the quorum at risk", () => {
    const { cluster, time } = led({ conf: { voters: [1, 2] } });
    stage(cluster, 4);
    time.until(() => cluster.node(1).conf.voters.includes(4), 5);
    stage(cluster, 5);
    // Of {1, 2, 4} two are gone right now: a fourth vote asks for three.
    cluster.drop = (message) =>
      [2, 4].includes(message.from) || [2, 4].includes(message.to);
    cluster.tick(1, 1);
    assert(!cluster.node(1).conf.voters.includes(5));
  });
});

describe("RawNode.isCaughtUp()", () => {
  it("tells of learners and voters, on the leader only", () => {
    const { cluster, time } = led();
    cluster.join(4);
    change(cluster, { type: "addLearner", node: 4 });
    assert(!cluster.node(1).isCaughtUp(4));
    time.pass(3);
    assert(cluster.node(1).isCaughtUp(4));
    assert(cluster.node(1).isCaughtUp(2));
    assert(!cluster.node(1).isCaughtUp(9));
    assert(!cluster.node(2).isCaughtUp(4));
    // A learner is promoted by nobody.
    time.pass(20);
    assertEquals(cluster.node(1).conf.learners, [4]);
    cluster.drop = (message) => message.from === 4;
    time.pass(12);
    assert(!cluster.node(1).isCaughtUp(4));
  });
});

describe("Pace", () => {
  it("calls a member caught up after a round shorter than a timeout", () => {
    const pace = new Pace();
    pace.tick(0, 1_000, 10);
    for (let i = 0; i < 20; i++) pace.tick(50 * i, 1_000 + i, 10);
    // The first round ends at 1 000 after 21 ticks: too long.
    pace.tick(1_000, 1_050, 10);
    assert(!pace.isCaughtUp);
    // The second one, up to 1 050, is short.
    pace.tick(1_040, 1_060, 10);
    assert(!pace.isCaughtUp);
    pace.tick(1_050, 1_070, 10);
    assert(pace.isCaughtUp);
    // A round that drags on takes it back.
    for (let i = 0; i < 10; i++) pace.tick(1_050, 1_070, 10);
    assert(!pace.isCaughtUp);
  });

  it("counts silence and lag apart", () => {
    const pace = new Pace();
    assertEquals(pace.silentTicks, Infinity);
    pace.heard();
    for (let i = 0; i < 3; i++) pace.tick(5, 9, 10);
    // The first tick saw it move.
    assertEquals([pace.silentTicks, pace.lagTicks], [3, 2]);
    pace.tick(6, 9, 10);
    assertEquals(pace.lagTicks, 0);
    pace.tick(6, 9, 10);
    pace.tick(9, 9, 10);
    assertEquals(pace.lagTicks, 0);
  });
});
