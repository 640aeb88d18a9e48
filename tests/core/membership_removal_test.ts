import { describe, it } from "node:test";
import { assert, assertEquals } from "@std/assert";
import type { Message, NodeId } from "../../src/core/mod.ts";
import { bytes, Cluster, type ClusterOptions } from "./cluster.ts";
import { leaders, Timeline } from "./timeline.ts";

/** Three members, of whom `gone` is removed by leader 1. */
function without(gone: NodeId, options: ClusterOptions = {}): {
  cluster: Cluster;
  time: Timeline;
} {
  const cluster = new Cluster(3, options);
  const time = new Timeline(cluster);
  cluster.elect(1);
  time.pass(2);
  cluster.node(1).proposeConfChange({
    transition: "auto",
    steps: [{ type: "remove", node: gone }],
  });
  return { cluster, time };
}

function isFor(id: NodeId): (message: Message) => boolean {
  return (message) => message.to === id;
}

/** Loses all that tells member 3 of the group. */
function cutOff(cluster: Cluster, id: NodeId): void {
  cluster.drop = (message) => message.from === id || message.to === id;
}

describe("a removed member (§4.2.3)", () => {
  it("is told by the leader without waiting for any write", () => {
    const { cluster } = without(3);
    cluster.settle();
    assertEquals(cluster.node(3).removal, { reason: "removed", version: 1 });
  });

  it("is told only after the commit of its removal is on disks (H79)", () => {
    const late = new Cluster(3);
    late.elect(1);
    new Timeline(late).pass(2);
    late.node(1).proposeConfChange({
      transition: "auto",
      steps: [{ type: "remove", node: 3 }],
    });
    // The leader commits by what the others hold, before its own flush.
    late.member(1).slowDisk = true;
    const told = () => late.network.some(({ type }) => type === "removed");
    for (let i = 0; i < 6; i++) {
      late.process(1);
      late.deliver((message) => message.type !== "removed");
    }
    assert(!told());
    // The entry is on its disk now, that it is committed is not.
    late.flush(1);
    late.process(1);
    assertEquals(late.node(1).conf.voters, [1, 2]);
    assert(!told());
    // Now it is; but the other voter does not know yet.
    late.flush(1);
    assert(!told());
    late.settle();
    assertEquals(late.node(3).removal, null);
    // The leader has yet to store that this one has stored it.
    late.flush(1);
    assert(told());
  });

  it("that starts again votes for those that never heard of its removal (H79)", () => {
    const cluster = new Cluster(4);
    const time = new Timeline(cluster);
    cluster.elect(1);
    time.pass(2);
    // Member 3 misses the change, member 2 that it is committed.
    cluster.drop = ({ type, to }) => type === "appendEntries" && to === 3;
    cluster.node(1).proposeConfChange({
      transition: "auto",
      steps: [{ type: "remove", node: 4 }],
    });
    cluster.process(1);
    cluster.deliver();
    cluster.deliver(isFor(1));
    assertEquals(cluster.node(1).conf.voters, [1, 2, 3]);
    // No leader tells it so early; somebody else might who is lost as well.
    const header = { type: "removed", from: 1, to: 4, term: 0 } as const;
    cluster.node(4).step({ ...header, reason: "removed", version: 1 });
    assertEquals(cluster.node(4).removal, { reason: "removed", version: 1 });
    // The leader is lost, and the leaver has stopped.
    cluster.network = [];
    cutOff(cluster, 1);
    time.pass(100, [2, 3]);
    assertEquals(cluster.node(2).conf.voters, [1, 2, 3, 4]);
    cluster.member(4).restart();
    time.pass(100, [2, 3, 4]);
    assertEquals(cluster.node(2).conf.voters, [1, 2, 3]);
    assertEquals(cluster.node(3).conf.voters, [1, 2, 3]);
    assertEquals(cluster.node(4).removal, { reason: "removed", version: 1 });
  });

  it("that heard nothing of it is told when it campaigns, and disturbs nobody (H09)", () => {
    for (const preVote of [true, false]) {
      const { cluster, time } = without(3, {
        config: { preVote, checkQuorum: preVote },
      });
      cutOff(cluster, 3);
      cluster.settle();
      time.pass(30);
      cluster.drop = () => false;
      const term = cluster.node(1).term;
      time.until(() => cluster.node(3).removal !== null, 40);
      time.pass(60);
      assertEquals(leaders(cluster), [1]);
      assertEquals(cluster.node(1).term, term);
      assertEquals(cluster.node(3).role, "follower");
      cluster.node(3).campaign();
      assertEquals(cluster.node(3).role, "follower");
    }
  });

  it("asks, once it has applied its removal itself, until it is told (H79)", () => {
    const { cluster, time } = without(3);
    cluster.drop = ({ type }) => type === "removed";
    cluster.settle();
    time.pass(2);
    assertEquals(cluster.node(3).conf.removed, [3]);
    assertEquals(cluster.node(3).removal, null);
    time.pass(30);
    cluster.drop = () => false;
    time.until(() => cluster.node(3).removal !== null, 11);
    assertEquals(cluster.node(1).term, 1);
  });

  it("that never campaigns asks too, when it hears of no leader", () => {
    for (
      const conf of [{ voters: [1, 2], learners: [3] }, { witnesses: [3] }]
    ) {
      const { cluster, time } = without(3, { conf });
      cutOff(cluster, 3);
      cluster.settle();
      time.pass(25);
      assertEquals(cluster.node(3).removal, null);
      cluster.drop = () => false;
      time.until(() => cluster.node(3).removal !== null, 11);
      assertEquals(cluster.node(1).term, 1);
    }
  });

  it("goes on to vote for those that know of no removal (H11, H79)", () => {
    const { cluster } = without(3);
    cluster.settle();
    assert(cluster.node(3).removal !== null);
    cluster.node(3).step({
      type: "requestVote",
      from: 2,
      to: 3,
      term: 5,
      lastLogIndex: 9,
      lastLogTerm: 1,
      transfer: true,
    });
    cluster.process(3);
    const [answer] = cluster.network.filter(isFor(2));
    assert(answer?.type === "requestVoteResponse" && !answer.reject);
  });

  it("is not elected by its own vote, nor counted by others (H12)", () => {
    const { cluster, time } = without(3);
    cluster.settle();
    cluster.drop = (message) => message.from === 1 || message.to === 1;
    // Of {1, 2} one is gone: the vote of 3 must not make up for it.
    time.pass(60);
    assertEquals(
      leaders(cluster),
      [1].filter((id) => cluster.node(id).role === "leader"),
    );
    assert(cluster.node(2).role !== "leader");
  });

  it("gets no answer to reads and proposals but that it is removed", () => {
    const { cluster } = without(3);
    cutOff(cluster, 3);
    cluster.settle();
    cluster.drop = () => false;
    cluster.node(3).readIndex(1);
    cluster.node(3).propose([bytes("late")], 4);
    cluster.process(3);
    cluster.deliver(isFor(1));
    const answers = cluster.network.filter(isFor(3)).map(({ type }) => type);
    assertEquals(answers.toSorted(), [
      "proposeResponse",
      "removed",
      "removed",
    ]);
    cluster.settle();
    assertEquals(cluster.node(3).takeAnswers(), [{
      ticket: 4,
      outcome: { type: "dropped", reason: "notMember" },
    }]);
  });

  it("that led an older term is told so by its followers of then", () => {
    const cluster = new Cluster(4);
    const time = new Timeline(cluster);
    cluster.elect(1);
    time.pass(2);
    cutOff(cluster, 1);
    // It is frozen, and so does not notice that nobody answers.
    time.pass(60, [2, 3, 4]);
    const [leader = 0] = leaders(cluster).filter((id) => id !== 1);
    cluster.node(leader).proposeConfChange({
      transition: "auto",
      steps: [{ type: "remove", node: 1 }],
    });
    cluster.settle();
    assertEquals(cluster.node(1).role, "leader");
    cluster.drop = () => false;
    time.pass(1);
    assertEquals(cluster.node(1).role, "follower");
    assertEquals(cluster.node(1).removal, { reason: "removed", version: 1 });
  });
});

describe("news of a removal", () => {
  function hear(version: number, reason: "removed" | "replacedDisk") {
    const cluster = new Cluster(3, { conf: { version: 5 } });
    cluster.elect(1);
    const before = cluster.node(1).term;
    cluster.node(1).step({
      type: "removed",
      from: 2,
      to: 1,
      term: 0,
      reason,
      version,
    });
    cluster.process(1);
    assertEquals(cluster.node(1).term, before);
    return cluster.node(1);
  }

  it("of a later configuration is believed, for good", () => {
    const node = hear(6, "removed");
    assertEquals(node.removal, { reason: "removed", version: 6 });
    assertEquals(node.role, "follower");
    node.campaign();
    assertEquals(node.role, "follower");
  });

  it("of a configuration in which this member still is one is not believed", () => {
    for (const version of [0, 4, 5]) {
      const node = hear(version, "removed");
      assertEquals([node.removal, node.role], [null, "leader"]);
    }
    assertEquals(hear(4, "replacedDisk").removal, null);
    // The binding may be part of the very configuration this member has.
    assertEquals(hear(5, "replacedDisk").removal?.reason, "replacedDisk");
  });

  it("means nothing where removed ids may return", () => {
    const cluster = new Cluster(3, {
      config: { validateConfChanges: "pending" },
    });
    const time = new Timeline(cluster);
    cluster.elect(1);
    cluster.drop = ({ type }) => {
      assert(type !== "removed");
      return false;
    };
    const change = (type: "remove" | "addVoter") => {
      cluster.node(1).proposeConfChange({
        transition: "auto",
        steps: [{ type, node: 3 }],
      });
      cluster.settle();
    };
    change("remove");
    assertEquals(cluster.node(3).removal, null);
    change("addVoter");
    time.pass(3);
    assertEquals(cluster.node(3).conf.voters, [1, 2, 3]);
    assertEquals(cluster.node(1).conf.removed, []);
  });
});

describe("votes (H11, H12)", () => {
  it("of members that do not know yet that they vote are given and counted", () => {
    const cluster = new Cluster(3);
    const time = new Timeline(cluster);
    cluster.elect(1);
    time.pass(2);
    cluster.join(4);
    cluster.node(1).proposeConfChange({
      transition: "auto",
      steps: [{ type: "addLearner", node: 4 }],
    });
    cluster.settle();
    time.pass(12);
    // The promotion is committed and applied by 1 to 3; 4 holds it, and does
    // not know that it is committed.
    cluster.member(4).slowMachine = true;
    cluster.node(1).proposeConfChange({
      transition: "auto",
      steps: [{ type: "addVoter", node: 4 }],
    });
    cluster.settle();
    assertEquals(cluster.node(4).conf.learners, [4]);
    assertEquals(cluster.node(2).conf.voters, [1, 2, 3, 4]);
    cluster.drop = (message) => message.from === 1 || message.to === 1;
    time.until(
      () =>
        cluster.node(2).role === "leader" || cluster.node(3).role === "leader",
      90,
    );
    // Three of four: the vote of 4 was needed, and 4 itself did not stand.
    assertEquals(cluster.node(4).role, "follower");
  });

  it("who loses its vote gives up its campaign", () => {
    const cluster = new Cluster(3);
    cluster.node(1).campaign();
    assertEquals(cluster.node(1).role, "preCandidate");
    cluster.node(1).applyConfChange({
      transition: "auto",
      steps: [{ type: "addLearner", node: 1 }],
    }, 1);
    assertEquals(cluster.node(1).role, "follower");
  });

  it("a learner leads on no account", () => {
    const cluster = new Cluster(3, { conf: { voters: [1, 2], learners: [3] } });
    cluster.elect(3);
    assertEquals(cluster.node(3).role, "follower");
    cluster.elect(1);
    assertEquals(cluster.node(1).transferLeadership(3), "refused");
    cluster.node(3).step({ type: "timeoutNow", from: 1, to: 3, term: 1 });
    assertEquals(cluster.node(3).role, "follower");
  });
});
