import { describe, it } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { bytes, Cluster, type ClusterOptions } from "./cluster.ts";
import { leaders, Timeline } from "./timeline.ts";

/** Member 1 leads although others may be preferred. */
function led(size: number, options: ClusterOptions): [Cluster, Timeline] {
  const cluster = new Cluster(size, options);
  cluster.elect(1);
  return [cluster, new Timeline(cluster)];
}

const PREFERS_3: ClusterOptions = { configs: { 3: { priority: 1 } } };

describe("a preferred leader (C24)", () => {
  it("takes over once it has been fit for priorityTicks, and then stays", () => {
    const [cluster, time] = led(3, PREFERS_3);
    const waited = time.until(() => leaders(cluster)[0] === 3, 60);
    assert(waited >= 40 && waited <= 42, `it took over after ${waited} ticks`);
    assertEquals(cluster.node(3).term, 2);
    time.pass(200);
    assertEquals(leaders(cluster), [3]);
    assertEquals(cluster.node(1).term, 2);
  });

  it("is the most preferred of all, the first of equals", () => {
    const [cluster, time] = led(5, {
      configs: {
        2: { priority: 1 },
        3: { priority: 7 },
        4: { priority: 7 },
        5: { priority: 6 },
      },
    });
    time.pass(60);
    assertEquals(leaders(cluster), [3]);
    time.pass(200);
    assertEquals(leaders(cluster), [3]);
  });

  it("nobody hands over to an equal or to a lesser", () => {
    const [cluster, time] = led(3, {
      configs: { 1: { priority: 2 }, 2: { priority: 2 }, 3: { priority: 1 } },
    });
    time.pass(200);
    assertEquals(leaders(cluster), [1]);
    assertEquals(cluster.node(1).term, 1);
    // Nor because somebody better is not fit.
    const [other, timeOfOther] = led(3, {
      configs: { 1: { priority: 2 }, 2: { priority: 3 }, 3: { priority: 1 } },
    });
    other.drop = (m) => m.type === "appendEntries" && m.to === 2;
    other.node(1).propose([bytes("a")]);
    timeOfOther.pass(200);
    assertEquals(leaders(other), [1]);
    assertEquals(other.node(1).term, 1);
  });

  it("takes over while writes go on, and none is lost", () => {
    const [cluster, time] = led(3, PREFERS_3);
    let taken = 0;
    for (let i = 0; i < 60; i++) {
      const leader = leaders(cluster)[0] ?? 1;
      // They are still on their way when the next tick comes.
      const outcome = cluster.node(leader).propose([bytes(`${i}`)]);
      if (outcome.type === "appended") taken++;
      time.now += 50;
      for (const id of [1, 2, 3]) cluster.node(id).tick(time.now);
      for (let hop = 0; hop < 3; hop++) {
        for (const id of [1, 2, 3]) cluster.process(id);
        cluster.deliver();
      }
    }
    cluster.settle();
    assertEquals(leaders(cluster), [3]);
    for (const id of [1, 2, 3]) {
      const applied = cluster.member(id).applied;
      assertEquals(applied.filter((e) => e.type === "command").length, taken);
    }
  });

  it("must hold the log: one that lags is waited for", () => {
    const [cluster, time] = led(3, PREFERS_3);
    cluster.drop = (m) => m.type === "appendEntries" && m.to === 3;
    cluster.node(1).propose([bytes("a")]);
    time.pass(100);
    assertEquals(leaders(cluster), [1]);
    assertEquals(cluster.node(1).status().transferTarget, null);
    cluster.drop = () => false;
    const waited = time.until(() => leaders(cluster)[0] === 3, 60);
    assert(waited >= 40, `it took over after ${waited} ticks`);
  });

  it("must be heard of all the time", () => {
    for (const adaptiveFlow of [true, false]) {
      const [cluster, time] = led(3, {
        ...PREFERS_3,
        config: { adaptiveFlow },
      });
      time.pass(15);
      cluster.drop = (m) => m.from === 3;
      time.pass(20);
      cluster.drop = () => false;
      const waited = time.until(() => leaders(cluster)[0] === 3, 60);
      assert(waited >= 39, `it took over after ${waited} ticks`);
    }
  });

  it("that fails is asked less and less often (H113, H120)", () => {
    const [cluster, time] = led(3, {
      ...PREFERS_3,
      config: { priorityTicks: 10 },
    });
    const asked: number[] = [];
    let tick = 0;
    cluster.drop = (m) => {
      if (m.type === "timeoutNow") asked.push(tick);
      return m.type === "timeoutNow";
    };
    for (tick = 1; tick <= 2_400; tick++) time.pass(1);
    assertEquals(leaders(cluster), [1]);
    const waits = asked.slice(1).map((at, i) => at - (asked[i] ?? 0));
    // Nine ticks of each are the attempt itself.
    assertEquals(waits.slice(0, 7), [29, 49, 89, 169, 329, 649, 649]);
  });

  it("cannot be one without a vote, nor keep others from it (H12)", () => {
    const [cluster, time] = led(3, {
      configs: { 2: { priority: 1 }, 3: { priority: 2 } },
    });
    cluster.node(1).proposeConfChange({
      transition: "auto",
      steps: [{ type: "addLearner", node: 3 }],
    });
    time.pass(60);
    assertEquals(leaders(cluster), [2]);
  });
});
