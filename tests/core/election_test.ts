import { describe, it } from "node:test";
import { assert, assertEquals } from "@std/assert";
import type { Message } from "../../src/core/mod.ts";
import { bytes, Cluster, log } from "./cluster.ts";

describe("elections", () => {
  it("a follower times out within [electionTicks, 2 electionTicks) (H16)", () => {
    for (const id of [1, 2, 3]) {
      const cluster = new Cluster(3);
      cluster.tick(id, 9);
      assertEquals(cluster.network, []);
      cluster.tick(id, 10);
      assert(cluster.network.some((m) => m.type === "requestPreVote"));
    }
  });

  it("a pre-vote raises nobody's term, not even the asker's (§9.6)", () => {
    const cluster = new Cluster(3);
    cluster.drop = (message) => message.type !== "requestPreVote";
    cluster.node(1).campaign();
    cluster.settle();
    assertEquals([1, 2, 3].map((id) => cluster.node(id).term), [0, 0, 0]);
    assertEquals(cluster.node(1).role, "preCandidate");
  });

  it("a member cut off for long does not disturb when it returns (C02, H09)", () => {
    const cluster = new Cluster(3);
    cluster.elect(1);
    cluster.drop = (m) => m.from === 3 || m.to === 3;
    for (let i = 0; i < 200; i++) {
      cluster.tick(3, 1);
      cluster.tick(1, 1);
      cluster.settle();
    }
    cluster.drop = () => false;
    for (let i = 0; i < 40; i++) {
      cluster.tick(3, 1);
      cluster.tick(1, 1);
      cluster.settle();
    }
    assertEquals(cluster.node(1).role, "leader");
    assertEquals(cluster.node(3).term, 1);
    assertEquals(cluster.node(3).leader, 1);
  });

  it("a vote leaves only after it is durable, and one per term (H01, H02)", () => {
    const cluster = new Cluster(3, { config: { preVote: false } });
    cluster.member(3).slowDisk = true;
    cluster.node(1).campaign();
    cluster.process(1);
    cluster.deliver((m) => m.to === 3);
    assertEquals(cluster.network.filter((m) => m.from === 3), []);
    // It crashes before the flush and is asked by another candidate.
    cluster.member(3).restart();
    cluster.member(3).slowDisk = false;
    cluster.node(2).campaign();
    cluster.process(2);
    cluster.deliver((m) => m.to === 3);
    const answers = cluster.network.filter((m) => m.from === 3);
    assertEquals(answers.map((m) => [m.to, m.type]), [
      [2, "requestVoteResponse"],
    ]);
    // A restart does not forget the vote that was given.
    cluster.member(3).restart();
    cluster.node(1).campaign();
    cluster.network = [];
    cluster.node(3).step({
      type: "requestVote",
      from: 1,
      to: 3,
      term: 1,
      lastLogIndex: 0,
      lastLogTerm: 0,
      transfer: false,
    });
    cluster.process(3);
    assertEquals(
      cluster.network.filter((m) => m.from === 3).map(refused),
      [true],
    );
  });

  it("grants again to the same candidate in the same term (H14)", () => {
    const cluster = new Cluster(3, { config: { preVote: false } });
    const ask: Message = {
      type: "requestVote",
      from: 1,
      to: 2,
      term: 1,
      lastLogIndex: 0,
      lastLogTerm: 0,
      transfer: false,
    };
    cluster.node(2).step(ask);
    cluster.node(2).step(ask);
    cluster.node(2).step({ ...ask, from: 3 });
    cluster.process(2);
    assertEquals(cluster.network.map(refused), [false, false, true]);
  });

  it("no vote for a log that holds less (§3.6.1)", () => {
    const own = log(1, 2, 2);
    for (
      const [lastLogTerm, lastLogIndex, grant] of [
        [2, 3, true],
        [2, 2, false],
        [1, 9, false],
        [3, 1, true],
      ] as const
    ) {
      const cluster = new Cluster(3, { logs: { 2: own } });
      cluster.node(2).step({
        type: "requestVote",
        from: 1,
        to: 2,
        term: 5,
        lastLogIndex,
        lastLogTerm,
        transfer: false,
      });
      cluster.process(2);
      assertEquals(cluster.network.map(refused), [!grant]);
    }
  });

  it("late pre-vote grants are no votes (H03)", () => {
    const cluster = new Cluster(5);
    cluster.node(1).campaign();
    cluster.settle();
    const node = cluster.node(1);
    assertEquals(node.role, "leader");
    const fresh = new Cluster(5, { config: { preVote: false } });
    fresh.node(1).campaign();
    fresh.process(1);
    for (const from of [2, 3, 4, 5]) {
      fresh.node(1).step({
        type: "requestPreVoteResponse",
        from,
        to: 1,
        term: 1,
        reject: false,
      });
    }
    assertEquals(fresh.node(1).role, "candidate");
  });

  it("a rejected pre-vote teaches the higher term: no deadlock (H04)", () => {
    const cluster = new Cluster(3, {
      logs: { 1: log(1, 1, 1), 2: log(1), 3: log(1) },
      terms: { 1: 1, 2: 4, 3: 4 },
    });
    cluster.drop = (message) => message.from === 3 || message.to === 3;
    for (let i = 0; i < 100; i++) {
      cluster.tick(1, 1);
      cluster.tick(2, 1);
      cluster.settle();
    }
    assertEquals(cluster.node(1).role, "leader");
  });

  it("a leader cut off from its quorum steps down (C03)", () => {
    const cluster = new Cluster(3);
    cluster.elect(1);
    cluster.drop = (message) => message.to === 1;
    for (let i = 0; i < 20; i++) {
      cluster.tick(1, 1);
      cluster.process(1);
      cluster.network = [];
    }
    assertEquals(cluster.node(1).role, "follower");
    assertEquals(cluster.node(1).leader, null);
  });

  it("a higher term in any answer ends a campaign at once (H18)", () => {
    const cluster = new Cluster(5, { config: { preVote: false } });
    cluster.node(1).campaign();
    cluster.process(1);
    const answer = (from: number, term: number, reject: boolean): void => {
      cluster.node(1).step({
        type: "requestVoteResponse",
        from,
        to: 1,
        term,
        reject,
      });
    };
    answer(2, 1, false);
    answer(3, 2, true);
    answer(4, 1, false);
    answer(5, 1, false);
    assertEquals(cluster.node(1).role, "follower");
    assertEquals(cluster.node(1).term, 2);
  });

  it("duplicated and foreign votes count once or not at all (H12, H13)", () => {
    const cluster = new Cluster(5, { config: { preVote: false } });
    cluster.node(1).campaign();
    cluster.process(1);
    const vote = (from: number): string =>
      cluster.node(1).step({
        type: "requestVoteResponse",
        from,
        to: 1,
        term: 1,
        reject: false,
      });
    vote(2);
    vote(2);
    vote(2);
    assertEquals(vote(9), "unknownPeer");
    assertEquals(cluster.node(1).role, "candidate");
    vote(3);
    assertEquals(cluster.node(1).role, "leader");
  });

  it("one and two members elect and commit by the same path (H19)", () => {
    for (const size of [1, 2]) {
      const cluster = new Cluster(size);
      cluster.elect(1);
      cluster.node(1).propose([bytes("a")]);
      cluster.settle();
      assertEquals(cluster.node(1).commitIndex, 2);
      cluster.member(1).restart();
      cluster.elect(1);
      assertEquals(cluster.node(1).role, "leader");
      assertEquals(cluster.node(1).commitIndex, 3);
    }
  });

  it("two overlapping pre-vote rounds dethrone nobody (H08)", () => {
    const cluster = new Cluster(3);
    cluster.node(1).campaign();
    cluster.process(1);
    cluster.deliver((m) => m.type === "requestPreVote");
    const grants = cluster.network.filter((m) =>
      m.type === "requestPreVoteResponse"
    );
    cluster.settle();
    assertEquals(cluster.node(1).role, "leader");
    for (const grant of grants) cluster.node(1).step(grant);
    cluster.settle();
    assertEquals(cluster.node(1).role, "leader");
    assertEquals(cluster.node(1).term, 1);
  });
});

describe("leadership transfer", () => {
  it("hands over without a timeout, and loses no write (§3.10)", () => {
    const cluster = new Cluster(3);
    cluster.elect(1);
    cluster.node(1).propose([bytes("a")]);
    cluster.settle();
    cluster.node(1).transferLeadership(3);
    cluster.settle();
    assertEquals(cluster.node(3).role, "leader");
    assertEquals(cluster.node(1).role, "follower");
    assertEquals(cluster.node(3).commitIndex, 3);
  });

  it("takes no proposals meanwhile, and resumes if the target is dead (H112, H113)", () => {
    const cluster = new Cluster(3);
    cluster.elect(1);
    cluster.drop = (message) => message.to === 3;
    cluster.node(1).transferLeadership(3);
    cluster.settle();
    assertEquals(cluster.node(1).propose([bytes("a")]), {
      type: "dropped",
      reason: "transferring",
    });
    for (let i = 0; i < 11; i++) {
      cluster.tick(1, 1);
      cluster.settle();
    }
    assertEquals(cluster.node(1).role, "leader");
    assertEquals(cluster.node(1).propose([bytes("a")]).type, "appended");
  });

  it("a TimeoutNow of anybody but the present leader is ignored (H115)", () => {
    const cluster = new Cluster(3);
    cluster.elect(1);
    cluster.node(2).step({ type: "timeoutNow", from: 3, to: 2, term: 1 });
    cluster.settle();
    assertEquals(cluster.node(1).role, "leader");
    assertEquals(cluster.node(2).term, 1);
  });
});

function refused(message: Message): boolean | undefined {
  return message.type === "requestVoteResponse" ? message.reject : undefined;
}
