import { describe, it } from "node:test";
import { assert, assertEquals, assertThrows } from "@std/assert";
import type { Message, NodeId, RawNode } from "../../src/core/mod.ts";
import { bytes, Cluster, type ClusterOptions } from "./cluster.ts";
import { leaders, Timeline } from "./timeline.ts";

const QUIESCE_TICKS = 20;

/** Member 1 led, and everybody sleeps. */
function asleep(
  size = 3,
  options: ClusterOptions = {},
): [Cluster, Timeline] {
  const [cluster, time] = idle(size, options);
  time.pass(QUIESCE_TICKS + 1);
  assertEquals(sleepers(cluster), [...cluster.members.keys()]);
  return [cluster, time];
}

/** Member 1 leads, and has just become idle. */
function idle(
  size = 3,
  options: ClusterOptions = {},
): [Cluster, Timeline] {
  const config = { quiesceTicks: QUIESCE_TICKS, ...options.config };
  const cluster = new Cluster(size, { ...options, config });
  cluster.elect(1);
  cluster.node(1).propose([bytes("a")]);
  cluster.settle();
  return [cluster, new Timeline(cluster)];
}

function sleepers(cluster: Cluster): NodeId[] {
  return [...cluster.members.keys()].filter((id) => cluster.node(id).quiesced);
}

/** What goes out within so many ticks. */
function traffic(cluster: Cluster, time: Timeline, ticks: number): Message[] {
  const seen: Message[] = [];
  cluster.drop = (m) => {
    seen.push(m);
    return false;
  };
  time.pass(ticks);
  cluster.drop = () => false;
  return seen;
}

describe("an idle group (C21)", () => {
  it("goes to sleep after quiesceTicks, and then ticks do nothing", () => {
    const [cluster, time] = idle();
    time.pass(QUIESCE_TICKS);
    assertEquals(sleepers(cluster), []);
    time.pass(1);
    assertEquals(sleepers(cluster), [1, 2, 3]);
    assertEquals(traffic(cluster, time, 1_000), []);
    assertEquals(leaders(cluster), [1]);
    assertEquals(cluster.node(1).status().quiesced, true);
  });

  it("learns with it what is committed, if that was lost (H31)", () => {
    const [cluster] = idle();
    cluster.drop = (m) => m.type === "appendEntries" && m.commitIndex === 3;
    cluster.node(1).propose([bytes("b")]);
    cluster.settle();
    assertEquals(cluster.node(3).commitIndex, 2);
    cluster.node(3).step({
      type: "quiesce",
      from: 1,
      to: 3,
      term: 1,
      commitIndex: 3,
    });
    assertEquals(cluster.node(3).commitIndex, 3);
    assertEquals(cluster.node(3).quiesced, true);
  });

  it("stays awake while anything is left to do", () => {
    const busy: Record<string, (cluster: Cluster) => void> = {
      "a member lacks entries": (cluster) => {
        cluster.drop = (m) => m.type === "appendEntries" && m.to === 3;
        cluster.node(1).propose([bytes("b")]);
      },
      "entries are not committed": (cluster) => {
        cluster.drop = (m) => m.type === "appendEntriesResponse";
        cluster.node(1).propose([bytes("b")]);
      },
      "a member is out of reach": (cluster) => {
        cluster.drop = (m) => m.from === 3;
        cluster.node(1).reportUnreachable(3);
      },
      "a joint configuration is to be left": (cluster) => {
        cluster.node(1).proposeConfChange({
          transition: "explicit",
          steps: [{ type: "addLearner", node: 3 }],
        });
      },
    };
    for (const [what, begin] of Object.entries(busy)) {
      const [cluster, time] = idle();
      begin(cluster);
      cluster.settle();
      const isLost = cluster.drop;
      const orders: Message[] = [];
      cluster.drop = (m) => {
        if (m.type === "quiesce") orders.push(m);
        return isLost(m);
      };
      time.pass(3 * QUIESCE_TICKS);
      assertEquals(orders, [], what);
      assertEquals(leaders(cluster), [1], what);
    }
  });

  it("stays awake while a read waits", () => {
    const [cluster, time] = idle(3, { config: { quiesceTicks: 10 } });
    time.pass(1);
    cluster.drop = (m) => m.type === "heartbeatResponse" && m.round > 0;
    cluster.node(1).readIndex(1);
    time.pass(10);
    assertEquals(leaders(cluster), [1]);
    assertEquals(sleepers(cluster), []);
  });

  it("stays awake while it is handed over, by request or by preference", () => {
    const [cluster, time] = idle();
    time.pass(QUIESCE_TICKS - 5);
    cluster.drop = (m) => m.type === "timeoutNow";
    cluster.node(1).transferLeadership(3);
    time.pass(8);
    assertEquals(cluster.node(1).status().transferTarget, 3);
    assertEquals(sleepers(cluster), []);
    const [other, timeOfOther] = idle(3, { configs: { 3: { priority: 1 } } });
    timeOfOther.pass(100);
    assertEquals(leaders(other), [3]);
    assertEquals(sleepers(other), [1, 2, 3]);
  });

  it("begins to count anew with every write and read", () => {
    const doings: ((node: RawNode) => void)[] = [
      (node) => node.propose([bytes("b")]),
      (node) => node.readIndex(7),
    ];
    for (const act of doings) {
      const [cluster, time] = idle();
      time.pass(QUIESCE_TICKS - 1);
      act(cluster.node(1));
      cluster.settle();
      time.pass(QUIESCE_TICKS - 1);
      assertEquals(sleepers(cluster), []);
    }
  });

  it("does not sleep without check-quorum, nor where one does not want to", () => {
    const [cluster, time] = idle(3, { config: { checkQuorum: false } });
    time.pass(3 * QUIESCE_TICKS);
    assertEquals(sleepers(cluster), []);
    const [mixed, timeOfMixed] = idle(3, {
      configs: { 3: { quiesceTicks: 0 } },
    });
    timeOfMixed.pass(10 * QUIESCE_TICKS);
    assertEquals(leaders(mixed), [1]);
    assertEquals(mixed.node(1).term, 1);
    assertEquals(mixed.node(3).leader, 1);
    assertEquals(mixed.node(3).quiesced, false);
    const [off, timeOfOff] = idle(3, { config: { quiesceTicks: 0 } });
    const sent = traffic(off, timeOfOff, 5 * QUIESCE_TICKS);
    assert(sent.every((m) => m.type !== "quiesce"), "it tried to sleep");
  });

  it("sleeps no sooner than a quorum was looked for", () => {
    assertThrows(
      () => new Cluster(1, { config: { quiesceTicks: 9 } }),
      RangeError,
      "quiesceTicks is 9, wanted 0 or at least electionTicks 10",
    );
  });

  it("of one member sleeps too", () => {
    const [cluster, time] = asleep(1);
    cluster.node(1).propose([bytes("b")]);
    cluster.settle();
    assertEquals(cluster.node(1).commitIndex, 3);
    assertEquals(cluster.node(1).quiesced, false);
    time.pass(QUIESCE_TICKS + 1);
    assertEquals(sleepers(cluster), [1]);
  });
});

describe("a sleeping group wakes (H107)", () => {
  it("on any call to any member but a tick, and the leader heartbeats", () => {
    const calls: Record<string, (node: RawNode) => void> = {
      wake: (node) => node.wake(),
      propose: (node) => node.propose([bytes("b")]),
      readIndex: (node) => node.readIndex(1),
      campaign: (node) => node.campaign(),
      forgetLeader: (node) => node.forgetLeader(),
      transferLeadership: (node) => node.transferLeadership(3),
      suspectLeader: (node) => node.suspectLeader(1),
      reportUnreachable: (node) => node.reportUnreachable(3),
      proposeConfChange: (node) =>
        node.proposeConfChange({ transition: "auto", steps: [] }),
    };
    for (const [what, call] of Object.entries(calls)) {
      for (const id of [1, 2]) {
        const [cluster] = asleep();
        call(cluster.node(id));
        cluster.settle();
        assertEquals(sleepers(cluster), [], `${what} at ${id}`);
      }
    }
  });

  it("serves a write and a read of any member at once", () => {
    for (const id of [1, 2]) {
      const [cluster] = asleep();
      cluster.node(id).readIndex(9);
      cluster.node(id).propose([bytes("b")]);
      cluster.settle();
      assertEquals(cluster.node(1).commitIndex, 3);
      assertEquals(cluster.member(id).readStates, [{ context: 9, index: 2 }]);
    }
  });

  it("when a member comes back that was restarted, without an election", () => {
    for (const id of [2, 3]) {
      const [cluster, time] = asleep();
      cluster.member(id).restart();
      time.until(() => cluster.node(id).leader === 1, 25);
      assertEquals(leaders(cluster), [1]);
      assertEquals(cluster.node(1).term, 1);
      time.pass(2 * QUIESCE_TICKS);
      assertEquals(sleepers(cluster), [1, 2, 3]);
    }
  });

  it("when its leader was restarted: the others elect", () => {
    const [cluster, time] = asleep();
    cluster.member(1).restart();
    time.until(() => leaders(cluster).length === 1, 60);
    cluster.node(2).propose([bytes("b")]);
    cluster.settle();
    assertEquals([1, 2, 3].map((id) => cluster.node(id).commitIndex), [
      4,
      4,
      4,
    ]);
  });

  it("when a peer finds the leader gone, and then elects", () => {
    const [cluster] = asleep();
    cluster.drop = (m) => m.from === 1 || m.to === 1;
    cluster.node(2).suspectLeader(1);
    cluster.node(3).suspectLeader(1);
    cluster.settle();
    assertEquals(leaders(cluster).filter((id) => id !== 1).length, 1);
  });

  it("and a sleeping leader that was left behind steps down", () => {
    const [cluster, time] = asleep();
    cluster.drop = (m) => m.from === 1 || m.to === 1;
    cluster.node(2).wake();
    time.until(() => leaders(cluster).length === 2, 60);
    cluster.drop = () => false;
    time.pass(2);
    assertEquals(leaders(cluster).length, 1);
    assertEquals(cluster.node(1).role, "follower");
  });

  it("without an election if one did not hear that it should sleep", () => {
    for (const lost of [2, 3]) {
      const [cluster, time] = idle();
      cluster.drop = (m) => m.type === "quiesce" && m.to === lost;
      time.pass(QUIESCE_TICKS + 1);
      assertEquals(sleepers(cluster), [1, 2, 3].filter((id) => id !== lost));
      cluster.drop = () => false;
      time.pass(25);
      assertEquals(leaders(cluster), [1]);
      assertEquals(cluster.node(lost).term, 1);
      time.pass(QUIESCE_TICKS);
      assertEquals(sleepers(cluster), [1, 2, 3]);
    }
  });

  it("by a member without a vote that did not hear it, too", () => {
    const [cluster, time] = idle();
    cluster.node(1).proposeConfChange({
      transition: "auto",
      steps: [{ type: "addLearner", node: 3 }],
    });
    cluster.settle();
    cluster.drop = (m) => m.type === "quiesce" && m.to === 3;
    time.pass(QUIESCE_TICKS + 2);
    assertEquals(sleepers(cluster), [1, 2]);
    cluster.drop = () => false;
    time.pass(2 * QUIESCE_TICKS + 5);
    assertEquals(sleepers(cluster), [1, 2, 3]);
  });

  it("a member that holds more or less than the leader says so at once", () => {
    const [cluster] = idle();
    const quiesce: Message = {
      type: "quiesce",
      from: 1,
      to: 2,
      term: 1,
      commitIndex: 1,
    };
    for (const commitIndex of [1, 3]) {
      cluster.node(2).step({ ...quiesce, commitIndex });
      assertEquals(cluster.node(2).quiesced, false);
      cluster.process(2);
      assertEquals(
        cluster.network.splice(0).map((m) => [m.type, m.to]),
        [["heartbeatResponse", 1]],
      );
    }
    cluster.node(2).step({ ...quiesce, commitIndex: 2 });
    assertEquals(cluster.node(2).quiesced, true);
  });

  it("late answers do not wake a leader, a ping does", () => {
    const [cluster, time] = asleep();
    const answer: Message = {
      type: "heartbeatResponse",
      from: 2,
      to: 1,
      term: 1,
      round: 0,
      sentAt: time.now,
      leaseMs: 0,
      priority: 0,
    };
    cluster.node(1).step(answer);
    assert(cluster.node(1).quiesced, "a late answer woke it");
    cluster.node(1).step({ ...answer, sentAt: 0 });
    assert(!cluster.node(1).quiesced, "a ping did not wake it");
  });

  it("a leader that wakes has a whole election timeout to hear a quorum", () => {
    const [cluster, time] = asleep();
    cluster.drop = (m) => m.to === 1;
    cluster.node(1).wake();
    time.pass(9);
    assertEquals(cluster.node(1).role, "leader");
    time.pass(1);
    assertEquals(cluster.node(1).role, "follower");
  });

  it("sleeping members believe in their leader as if they were awake (H05)", () => {
    const [cluster] = asleep();
    cluster.drop = (m) => m.to === 1 || m.from === 1;
    cluster.node(2).step({
      type: "requestPreVote",
      from: 3,
      to: 2,
      term: 2,
      lastLogIndex: 2,
      lastLogTerm: 1,
    });
    cluster.process(2);
    assertEquals(cluster.network, []);
    assertEquals(cluster.node(2).quiesced, false);
  });
});
