import { describe, it } from "node:test";
import { assert, assertEquals } from "@std/assert";
import type {
  ChangeGuard,
  ConfChange,
  ConfChangeStep,
  Message,
  NodeId,
  ProposeOutcome,
} from "../../src/core/mod.ts";
import { bytes, Cluster, type ClusterOptions } from "./cluster.ts";
import { leaders, Timeline } from "./timeline.ts";

function change(
  steps: readonly ConfChangeStep[],
  transition: ConfChange["transition"] = "auto",
): ConfChange {
  return { transition, steps };
}

function propose(
  cluster: Cluster,
  at: NodeId,
  steps: readonly ConfChangeStep[],
  guard?: ChangeGuard,
): ProposeOutcome {
  return cluster.node(at).proposeConfChange(change(steps), guard);
}

function reasonOf(outcome: ProposeOutcome): string {
  return outcome.type === "dropped" ? outcome.reason : outcome.type;
}

/** A led cluster in which every voter was heard of. */
function led(size: number, options: ClusterOptions = {}): {
  cluster: Cluster;
  time: Timeline;
} {
  const cluster = new Cluster(size, options);
  const time = new Timeline(cluster);
  cluster.elect(1);
  time.pass(2);
  return { cluster, time };
}

describe("a membership change", () => {
  it("is refused until the leader has committed in its term (H76)", () => {
    const cluster = new Cluster(3);
    cluster.drop = (message) => message.type === "appendEntriesResponse";
    cluster.elect(1);
    assertEquals(cluster.node(1).role, "leader");
    const add: ConfChangeStep[] = [{ type: "addLearner", node: 4 }];
    assertEquals(reasonOf(propose(cluster, 1, add)), "changePending");
    cluster.drop = () => false;
    new Timeline(cluster).pass(2);
    assertEquals(reasonOf(propose(cluster, 1, add)), "appended");
  });

  it("waits until the one before it is applied, not only committed (H83)", () => {
    const { cluster } = led(3);
    cluster.member(1).slowMachine = true;
    const add = (node: NodeId): ConfChangeStep[] => [
      { type: "addLearner", node },
    ];
    assertEquals(reasonOf(propose(cluster, 1, add(4))), "appended");
    assertEquals(reasonOf(propose(cluster, 1, add(5))), "changePending");
    cluster.settle();
    assertEquals(cluster.node(1).commitIndex, 2);
    assertEquals(reasonOf(propose(cluster, 1, add(5))), "changePending");
    cluster.member(1).applyAll();
    assertEquals(reasonOf(propose(cluster, 1, add(5))), "appended");
  });

  it("that one leader left uncommitted holds up the next one (H83)", () => {
    const { cluster, time } = led(3);
    cluster.drop = (message) => message.type === "appendEntriesResponse";
    propose(cluster, 1, [{ type: "addLearner", node: 4 }]);
    cluster.settle();
    cluster.node(2).campaign();
    cluster.drop = (message) =>
      message.from === 1 || message.type === "appendEntriesResponse";
    cluster.settle();
    time.until(() => cluster.node(2).role === "leader", 60);
    const add: ConfChangeStep[] = [{ type: "addLearner", node: 5 }];
    assertEquals(reasonOf(propose(cluster, 2, add)), "changePending");
    cluster.member(2).slowMachine = true;
    cluster.drop = () => false;
    time.pass(3);
    // An entry of its own term is committed by now.
    assertEquals(cluster.node(2).commitIndex, 3);
    assertEquals(reasonOf(propose(cluster, 2, add)), "changePending");
    cluster.member(2).applyAll();
    assertEquals(cluster.node(2).conf.learners, [4]);
    assertEquals(reasonOf(propose(cluster, 2, add)), "appended");
  });

  it("meant for another configuration is a conflict, not a surprise (H90)", () => {
    const { cluster } = led(3);
    const guard = { expect: cluster.node(1).conf.version };
    assertEquals(
      reasonOf(propose(cluster, 1, [{ type: "addLearner", node: 4 }], guard)),
      "appended",
    );
    cluster.settle();
    assertEquals(
      reasonOf(propose(cluster, 1, [{ type: "remove", node: 2 }], guard)),
      "conflict",
    );
  });

  it("may be proposed to a follower, whose caller gets the leader's answer (C22)", () => {
    const { cluster } = led(3);
    const add = change([{ type: "addLearner", node: 4 }]);
    const outcome = cluster.node(3).proposeConfChange(add, { expect: 0 }, 7);
    assertEquals(outcome, { type: "forwarded", to: 1 });
    cluster.settle();
    assertEquals(cluster.node(3).takeAnswers(), [{
      ticket: 7,
      outcome: { type: "appended", term: 1, index: 2 },
    }]);
    assertEquals(cluster.node(3).conf.learners, [4]);
    cluster.node(3).proposeConfChange(add, { expect: 0 }, 8);
    cluster.settle();
    assertEquals(cluster.node(3).takeAnswers(), [{
      ticket: 8,
      outcome: { type: "dropped", reason: "conflict" },
    }]);
  });

  it("that needs voters who fell silent is refused, unless forced", () => {
    const { cluster, time } = led(3);
    cluster.drop = (message) => message.from === 3 || message.to === 3;
    time.pass(12);
    const remove: ConfChangeStep[] = [{ type: "remove", node: 2 }];
    assertEquals(reasonOf(propose(cluster, 1, remove)), "quorumAtRisk");
    // The silent one itself may go.
    assertEquals(
      reasonOf(propose(cluster, 1, [{ type: "remove", node: 3 }])),
      "appended",
    );
    cluster.settle();
    assertEquals(cluster.node(1).conf.voters, [1, 2]);
    const grow: ConfChangeStep[] = [{ type: "addVoter", node: 4 }];
    const shrunk = propose(cluster, 1, [{ type: "remove", node: 2 }]);
    assertEquals(reasonOf(shrunk), "appended");
    cluster.settle();
    // Nothing would commit until the empty newcomer has caught up (H81).
    assertEquals(reasonOf(propose(cluster, 1, grow)), "quorumAtRisk");
    assertEquals(
      reasonOf(propose(cluster, 1, grow, { force: true })),
      "appended",
    );
  });

  it("right after a check of the quorum finds everybody as live as before", () => {
    const { cluster } = led(3);
    const others = () =>
      cluster.node(1).status().progress.filter(({ id }) => id !== 1);
    for (let i = 0; i < 12 && others().some((m) => m.recentActive); i++) {
      cluster.settle();
      cluster.tick(1, 1);
    }
    assert(others().every(({ recentActive }) => !recentActive));
    assertEquals(
      reasonOf(propose(cluster, 1, [{ type: "remove", node: 2 }])),
      "appended",
    );
  });
});

describe("a joint configuration (§4.3)", () => {
  it("replaces a whole cluster in one change (C12)", () => {
    const { cluster, time } = led(3);
    for (const id of [4, 5, 6]) cluster.join(id);
    propose(
      cluster,
      1,
      [4, 5, 6].map((node) => ({
        type: "addStaging",
        node,
      })),
    );
    cluster.settle();
    // Promoted one by one as soon as they have caught up.
    time.until(() => cluster.node(1).conf.voters.length === 6, 60);
    propose(cluster, 1, [1, 2, 3].map((node) => ({ type: "remove", node })));
    cluster.settle();
    time.until(() => leaders(cluster).some((id) => id > 3), 40);
    const [leader = 0] = leaders(cluster).filter((id) => id > 3);
    assertEquals(cluster.node(leader).conf.voters, [4, 5, 6]);
    time.until(() => cluster.node(leader).conf.removed.length === 3, 10);
    const outcome = cluster.node(leader).propose([bytes("after")]);
    assertEquals(outcome.type, "appended");
    cluster.settle();
    const { commitIndex, lastIndex } = cluster.node(leader);
    assertEquals(commitIndex, lastIndex);
  });

  it("is left by whoever leads after it was entered (H82)", () => {
    const { cluster, time } = led(5);
    cluster.node(1).proposeConfChange(
      change([{ type: "addLearner", node: 5 }], "implicit"),
    );
    // Its leader dies as soon as everybody has entered.
    cluster.drop = (message) =>
      message.type === "appendEntries" &&
      message.entries.some((entry) =>
        entry.type === "confChange" && entry.change.steps.length === 0
      );
    cluster.settle();
    time.pass(1);
    assertEquals(cluster.node(2).conf.votersOutgoing, [1, 2, 3, 4, 5]);
    cluster.drop = (message) => message.from === 1 || message.to === 1;
    time.until(() => cluster.node(2).conf.votersOutgoing.length === 0, 60);
    assertEquals(cluster.node(2).conf.voters, [1, 2, 3, 4]);
    assertEquals(cluster.node(2).conf.learners, [5]);
  });

  it("that was explicit is left when asked, and only then", () => {
    const { cluster, time } = led(3);
    cluster.node(1).proposeConfChange(
      change([{ type: "addLearner", node: 3 }], "explicit"),
    );
    cluster.settle();
    time.pass(30);
    assertEquals(cluster.node(1).conf.votersOutgoing, [1, 2, 3]);
    assertEquals(reasonOf(propose(cluster, 1, [])), "appended");
    cluster.settle();
    assertEquals(cluster.node(2).conf.votersOutgoing, []);
    assertEquals(reasonOf(propose(cluster, 1, [])), "invalidChange");
  });

  it("is left though a transfer was under way when it was entered (H82)", () => {
    const { cluster, time } = led(3);
    cluster.member(1).slowMachine = true;
    cluster.node(1).proposeConfChange(
      change([{ type: "addLearner", node: 3 }], "implicit"),
    );
    cluster.settle();
    cluster.drop = (message) => message.type === "timeoutNow";
    cluster.node(1).transferLeadership(2);
    cluster.member(1).applyAll();
    cluster.settle();
    assertEquals(cluster.node(1).conf.votersOutgoing, [1, 2, 3]);
    cluster.member(1).slowMachine = false;
    time.until(() => cluster.node(1).conf.votersOutgoing.length === 0, 30);
  });
});

describe("a leader that loses its vote (§4.2.2)", () => {
  it("leads until the change is applied, then a voter leads without a gap (H78)", () => {
    const { cluster, time } = led(3);
    propose(cluster, 1, [{ type: "remove", node: 1 }]);
    cluster.process(1);
    assertEquals(cluster.node(1).role, "leader");
    cluster.settle();
    // Far less than an election timeout.
    time.until(() => leaders(cluster).some((id) => id !== 1), 3);
    time.pass(2);
    const [leader = 0] = leaders(cluster);
    assertEquals(leaders(cluster).length, 1);
    assertEquals(cluster.node(leader).conf.voters, [2, 3]);
    assertEquals(cluster.node(leader).term, 2);
    assertEquals(cluster.node(1).removal, { reason: "removed", version: 1 });
  });

  it("hands over when it is demoted, and goes on to listen", () => {
    const { cluster, time } = led(3);
    propose(cluster, 1, [{ type: "addLearner", node: 1 }]);
    cluster.settle();
    time.until(() => leaders(cluster).some((id) => id !== 1), 3);
    time.pass(2);
    assertEquals(cluster.node(1).role, "follower");
    assertEquals(cluster.node(1).removal, null);
    const [leader = 0] = leaders(cluster);
    cluster.node(leader).propose([bytes("x")]);
    cluster.settle();
    assertEquals(cluster.node(1).appliedIndex, cluster.node(leader).lastIndex);
  });

  it("takes no proposals any more, and says that it is passing on", () => {
    const { cluster } = led(3);
    cluster.drop = (message) => message.type === "timeoutNow";
    propose(cluster, 1, [{ type: "addLearner", node: 1 }]);
    cluster.settle();
    assertEquals(cluster.node(1).role, "leader");
    assertEquals(
      reasonOf(cluster.node(1).propose([bytes("late")])),
      "transferring",
    );
  });

  it("takes none either while nobody is fit to succeed it", () => {
    const { cluster, time } = led(3);
    propose(cluster, 1, [{ type: "addLearner", node: 1 }]);
    const isApplied = () => cluster.node(1).conf.learners.length === 1;
    for (let i = 0; i < 9 && !isApplied(); i++) {
      cluster.process(1);
      cluster.deliver(({ type }) => type !== "timeoutNow");
    }
    assert(isApplied());
    // Only answers to heartbeats come back: what is sent may be lost.
    cluster.drop = ({ from, type }) =>
      type === "timeoutNow" || from !== 1 && type !== "heartbeatResponse";
    cluster.network = [];
    for (let i = 0; i < 12; i++) {
      for (const id of [2, 3]) cluster.node(1).reportUnreachable(id);
      time.pass(1, [1]);
    }
    assertEquals(cluster.node(1).role, "leader");
    assertEquals(cluster.node(1).status().transferTarget, null);
    assertEquals(
      reasonOf(cluster.node(1).propose([bytes("late")])),
      "transferring",
    );
  });

  it("asks its successor again, which has to apply the change first (H77)", () => {
    const { cluster, time } = led(3);
    for (const id of [2, 3]) cluster.member(id).slowMachine = true;
    propose(cluster, 1, [{ type: "remove", node: 1 }]);
    cluster.settle();
    time.pass(3);
    assertEquals(leaders(cluster), [1]);
    for (const id of [2, 3]) {
      cluster.member(id).slowMachine = false;
      cluster.member(id).applyAll();
    }
    time.until(() => leaders(cluster).some((id) => id !== 1), 2);
  });

  it("does not count itself for what it commits", () => {
    const { cluster } = led(3);
    cluster.drop = (message) => message.type === "timeoutNow";
    // Nobody answers any more from here on but member 2.
    propose(cluster, 1, [{ type: "remove", node: 1 }]);
    cluster.drop = (message) =>
      message.type === "timeoutNow" || message.from === 3;
    cluster.settle();
    const before = cluster.node(1).commitIndex;
    assertEquals(cluster.node(1).conf.voters, [2, 3]);
    // An entry of its term that 2 holds, but 3 does not.
    assertEquals(cluster.node(1).status().progress.map(({ id }) => id), [2, 3]);
    assertEquals(before, 2);
  });

  it("of two members leaves the other one able to go on, whatever is lost (H78)", () => {
    const { cluster, time } = led(2);
    // All that tells member 2 of the commit is lost for a while.
    cluster.drop = (message: Message) =>
      message.from === 1 && !message.type.endsWith("Response") &&
      (message.type !== "appendEntries" || message.entries.length === 0);
    propose(cluster, 1, [{ type: "remove", node: 1 }]);
    cluster.settle();
    assertEquals(cluster.node(1).conf.voters, [2]);
    assertEquals(cluster.node(2).conf.voters, [1, 2]);
    time.until(() => cluster.node(2).conf.voters.length === 1, 120);
    cluster.drop = () => false;
    time.until(() => cluster.node(2).role === "leader", 60);
    time.until(() => cluster.node(1).removal !== null, 60);
  });

  it("with `true` steps down at once, with `false` leads on", () => {
    for (const stepDownOnRemoval of [true, false]) {
      const { cluster } = led(3, { config: { stepDownOnRemoval } });
      cluster.drop = (message) => message.type === "timeoutNow";
      propose(cluster, 1, [{ type: "remove", node: 1 }]);
      cluster.settle();
      assertEquals(cluster.node(1).role === "follower", stepDownOnRemoval);
    }
  });

  it("stops leading after a while though nobody takes over", () => {
    const { cluster, time } = led(3);
    cluster.drop = (message) => message.type === "timeoutNow";
    propose(cluster, 1, [{ type: "remove", node: 1 }]);
    cluster.settle();
    const ticks = time.until(() => cluster.node(1).role === "follower", 60);
    assert(ticks >= 30, `gave up after ${ticks} ticks`);
    time.until(() => leaders(cluster).length === 1, 60);
  });
});
