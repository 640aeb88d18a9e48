import { describe, it } from "node:test";
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  EMPTY_CONF,
  INITIAL_HARD_STATE,
  InvariantError,
  type Message,
  type NodeId,
  RawNode,
  type SnapshotMeta,
} from "../../src/core/mod.ts";
import { bytes, Cluster, type ClusterOptions, log } from "./cluster.ts";
import { leaders, Timeline } from "./timeline.ts";

/** A led cluster that has committed a few commands, all but 2 of them on 2. */
function behind(options: ClusterOptions = {}): {
  cluster: Cluster;
  time: Timeline;
} {
  const cluster = new Cluster(3, options);
  const time = new Timeline(cluster);
  cluster.elect(1);
  time.pass(2);
  cluster.drop = ({ from, to }) => from === 2 || to === 2;
  for (const text of ["a", "b"]) cluster.node(1).propose([bytes(text)]);
  cluster.settle();
  assertEquals(cluster.node(1).commitIndex, 3);
  return { cluster, time };
}

function statusOf(cluster: Cluster, id: NodeId) {
  const found = cluster.node(1).status().progress.find((m) => m.id === id);
  if (found === undefined) throw new Error(`Cannot find member ${id}`);
  return found;
}

describe("a founder whose disk was replaced by an empty one (H80)", () => {
  it("does not help to elect a member that lacks what it acknowledged", () => {
    const { cluster, time } = behind();
    // 3 loses its disk, 1 is down: what was committed is on 1 alone.
    cluster.member(3).wipe();
    cluster.drop = ({ from, to }) => from === 1 || to === 1;
    time.pass(80, [2, 3]);
    assertEquals(leaders(cluster), [1]);
    assertEquals(cluster.node(2).commitIndex, 1);
    // 1 comes back: nothing is lost.
    cluster.drop = () => false;
    time.until(() => cluster.node(2).commitIndex >= 3, 60);
  });

  it("helps whom something else vouches for, with the guard turned off", () => {
    const { cluster, time } = behind({ config: { guardEmptyLog: false } });
    cluster.member(3).wipe();
    cluster.drop = ({ from, to }) => from === 1 || to === 1;
    time.pass(80, [2, 3]);
    assertEquals(leaders(cluster).includes(2), true);
  });

  it("votes again once a leader has brought it all that is committed", () => {
    const { cluster } = behind();
    cluster.member(3).wipe();
    const ask = (lastLogIndex: number): boolean => {
      cluster.node(3).step({
        type: "requestPreVote",
        from: 2,
        to: 3,
        term: 99,
        lastLogIndex,
        lastLogTerm: 50,
      });
      cluster.process(3);
      const answer = cluster.network.findLast(({ type }) =>
        type === "requestPreVoteResponse"
      );
      return answer?.type === "requestPreVoteResponse" && !answer.reject;
    };
    cluster.drop = () => false;
    const append = (first: number, last: number): void => {
      cluster.node(3).step({
        type: "appendEntries",
        from: 1,
        to: 3,
        term: 1,
        prevLogIndex: first - 1,
        prevLogTerm: first > 1 ? 1 : 0,
        commitIndex: 3,
        entries: log(1, 1, 1).slice(first - 1, last),
      });
      cluster.process(3);
      cluster.node(3).forgetLeader();
    };
    assert(!ask(3));
    append(1, 1);
    assert(!ask(3));
    append(2, 3);
    assert(ask(3));
  });

  it("does not vote by a snapshot alone: it may have held more", () => {
    const conf = { ...EMPTY_CONF, voters: [1, 2, 3] };
    const node = new RawNode({
      id: 3,
      random: () => 0.5,
      restored: {
        hardState: INITIAL_HARD_STATE,
        snapshot: { index: 0, term: 0, conf },
        firstIndex: 1,
        lastIndex: 0,
        prevTerm: 0,
        termRuns: [],
        tail: [],
        appliedIndex: 0,
      },
    });
    const step = (message: Message): Message[] => {
      node.step(message);
      const ready = node.ready();
      node.persisted(ready.number);
      node.check();
      return [...ready.messages, ...ready.messagesAfterPersist];
    };
    /** Whether it votes for 2, which has what the snapshot holds. */
    const votes = (): boolean => {
      node.forgetLeader();
      const last = { lastLogIndex: 3, lastLogTerm: 1 };
      const asked = {
        type: "requestPreVote",
        from: 2,
        to: 3,
        term: 3,
      } as const;
      return step({ ...asked, ...last })
        .some((one) => one.type === "requestPreVoteResponse" && !one.reject);
    };
    const header = { from: 1, to: 3, term: 2 } as const;
    const snapshot = { index: 3, term: 1, conf };
    step({ type: "installSnapshot", ...header, snapshot });
    assertEquals(node.lastIndex, 3);
    assert(!votes());
    assert(node.status().fresh);
    step({
      type: "appendEntries",
      ...header,
      prevLogIndex: 3,
      prevLogTerm: 1,
      commitIndex: 3,
      entries: [{ type: "noop", term: 2, index: 4 }],
    });
    assert(!node.status().fresh);
  });

  it("with all others empty as well founds the group", () => {
    const cluster = new Cluster(3);
    cluster.elect(2);
    assertEquals(leaders(cluster), [2]);
  });

  it("that has voted counts, for the group was founded by its vote", () => {
    const cluster = new Cluster(3);
    // 3 elects 1, is sent nothing of it, and starts again in a later term.
    cluster.drop = ({ to, type }) => to === 3 && type === "appendEntries";
    cluster.elect(1);
    cluster.node(3).step({
      type: "requestVote",
      from: 2,
      to: 3,
      term: 7,
      lastLogIndex: 0,
      lastLogTerm: 0,
      transfer: true,
    });
    cluster.process(3);
    for (const restarts of [false, true]) {
      if (restarts) cluster.member(3).restart();
      cluster.node(3).step({
        type: "requestVote",
        from: 1,
        to: 3,
        term: restarts ? 9 : 8,
        lastLogIndex: 1,
        lastLogTerm: 1,
        transfer: true,
      });
      cluster.process(3);
      const vote = cluster.network.findLast(({ to }) => to === 1);
      assert(vote?.type === "requestVoteResponse" && !vote.reject);
    }
  });

  it("is no newcomer, which votes from the beginning (H11)", () => {
    const cluster = new Cluster(1);
    cluster.elect(1);
    cluster.join(2);
    cluster.node(1).proposeConfChange(
      { transition: "auto", steps: [{ type: "addVoter", node: 2 }] },
      { force: true },
    );
    cluster.drop = ({ to }) => to === 2;
    cluster.settle();
    cluster.drop = () => false;
    cluster.member(1).restart();
    cluster.process(1);
    assertEquals(cluster.node(1).conf.voters, [1, 2]);
    cluster.elect(1);
    assertEquals(cluster.node(1).role, "leader");
  });
});

describe("a follower that lost what it acknowledged in this term (H80, H27)", () => {
  /** Member 3 acknowledged entry 3 and lost its disk since. */
  function lost(): { cluster: Cluster; time: Timeline } {
    const { cluster, time } = behind();
    cluster.member(3).wipe();
    return { cluster, time };
  }

  it("is noticed, reported, and counted in no commit again", () => {
    const { cluster, time } = lost();
    cluster.node(1).propose([bytes("c")]);
    time.pass(8);
    assert(statusOf(cluster, 3).lostLog);
    assertEquals(cluster.node(1).transferLeadership(3), "refused");
    assertEquals(cluster.node(1).commitIndex, 3);
    // Not even by what it says it holds: that may have been said before.
    cluster.node(1).step({
      type: "appendEntriesResponse",
      from: 3,
      to: 1,
      term: 1,
      reject: false,
      index: 4,
      hintIndex: 0,
      hintTerm: 0,
    });
    assertEquals(cluster.node(1).commitIndex, 3);
    assert(statusOf(cluster, 3).lostLog);
  });

  it("is not sent the same again and again, and told of no commit", () => {
    const { cluster, time } = lost();
    cluster.node(1).propose([bytes("c")]);
    time.pass(8);
    const sent: Message[] = [];
    const { drop } = cluster;
    cluster.drop = (message) => {
      if (message.to === 3) sent.push(message);
      return drop(message);
    };
    cluster.node(1).propose([bytes("d")]);
    time.pass(1);
    assertEquals(sent.map(({ type }) => type), ["heartbeat"]);
    assert(sent.every((m) => m.type !== "heartbeat" || m.commitIndex === 0));
  });

  it("does not keep a leader in office that can commit nothing without it", () => {
    const { cluster, time } = lost();
    cluster.node(1).propose([bytes("c")]);
    time.pass(8);
    assertEquals(cluster.node(1).role, "leader");
    time.until(() => cluster.node(1).role === "follower", 25);
  });

  it("is not taken for one that only answers late (H26)", () => {
    const { cluster, time } = behind();
    cluster.drop = () => false;
    cluster.node(1).reportUnreachable(3);
    const denial: Message = {
      type: "appendEntriesResponse",
      from: 3,
      to: 1,
      term: 1,
      reject: true,
      index: 3,
      hintIndex: 1,
      hintTerm: 1,
    };
    // A rejection from before, in the very state in which one would count.
    cluster.node(1).step(denial);
    time.pass(2);
    assert(!statusOf(cluster, 3).lostLog);
    cluster.drop = ({ from, to }) => from === 2 || to === 2;
    cluster.node(1).propose([bytes("c")]);
    time.pass(1);
    assertEquals(cluster.node(1).commitIndex, 4);
  });

  it("is not taken for one by old answers that come in a bunch (H26, H27)", () => {
    const { cluster, time } = behind();
    cluster.drop = () => false;
    time.pass(4);
    cluster.node(1).reportUnreachable(3);
    const header = { from: 3, to: 1, term: 1 };
    for (let i = 0; i < 5; i++) {
      // Copies of what member 3 said when it lacked the entry, and of its
      // answer to a heartbeat of that time, which lets it be asked again.
      cluster.node(1).step({
        type: "appendEntriesResponse",
        ...header,
        reject: true,
        index: statusOf(cluster, 3).matchIndex,
        hintIndex: 1,
        hintTerm: 1,
      });
      cluster.node(1).step({
        type: "heartbeatResponse",
        ...header,
        round: 0,
        sentAt: 1_000,
        leaseMs: 0,
        priority: 0,
      });
      cluster.process(1);
    }
    assert(!statusOf(cluster, 3).lostLog);
    time.pass(4);
    assertEquals(statusOf(cluster, 3).state, "replicate");
  });

  it("counts in no commit from the first doubt on", () => {
    const { cluster } = behind();
    cluster.node(1).reportUnreachable(3);
    cluster.node(1).propose([bytes("c")]);
    cluster.process(1);
    // The flush of the leader comes last: entry 4 is on 1 and, so it once
    // said, on 3.
    cluster.node(1).step({
      type: "appendEntriesResponse",
      from: 3,
      to: 1,
      term: 1,
      reject: true,
      index: 3,
      hintIndex: 0,
      hintTerm: 0,
    });
    cluster.process(1);
    assertEquals(cluster.node(1).commitIndex, 3);
    assert(statusOf(cluster, 3).paused);
  });
});

describe("a snapshot", () => {
  const conf = { ...EMPTY_CONF, voters: [1, 2, 3], version: 4, removed: [7] };

  function follower(voters: readonly NodeId[] = [1, 2, 3]): RawNode {
    const node = new RawNode({
      id: 3,
      random: () => 0.5,
      restored: {
        hardState: { ...INITIAL_HARD_STATE, term: 2, commit: 3 },
        snapshot: { index: 0, term: 0, conf: { ...EMPTY_CONF, voters } },
        firstIndex: 1,
        lastIndex: 4,
        prevTerm: 0,
        termRuns: [{ term: 1, firstIndex: 1 }],
        tail: log(1, 1, 1, 1),
        appliedIndex: 3,
      },
    });
    node.check();
    return node;
  }

  function install(node: RawNode, snapshot: SnapshotMeta): Message | undefined {
    node.step({ type: "installSnapshot", from: 1, to: 3, term: 2, snapshot });
    const ready = node.ready();
    node.persisted(ready.number);
    node.check();
    return ready.messagesAfterPersist[0];
  }

  it("brings the whole configuration, removed ids and all (H69)", () => {
    const node = follower();
    const bound = { ...conf, incarnations: [{ id: 1, incarnation: "aa" }] };
    const answer = install(node, { index: 9, term: 2, conf: bound });
    assert(answer?.type === "appendEntriesResponse" && answer.index === 9);
    assertEquals(node.conf, bound);
  });

  it("overtakes changes that were handed out before it (H69)", () => {
    const node = follower();
    install(node, { index: 9, term: 2, conf });
    const step = { type: "addLearner", node: 5 } as const;
    const change = { transition: "auto", steps: [step] } as const;
    assertEquals(node.applyConfChange(change, 4), conf);
    assertEquals(node.applyConfChange(change, 10).version, 5);
    // Nor does any entry count twice.
    assertEquals(node.applyConfChange(change, 10).version, 5);
  });

  it("that is not newer than what is committed changes nothing (H63)", () => {
    const node = follower();
    for (const index of [2, 3]) {
      const answer = install(node, { index, term: 1, conf });
      assert(answer?.type === "appendEntriesResponse");
      assertEquals([answer.reject, answer.index], [false, 3]);
      assertEquals([node.lastIndex, node.conf.version], [4, 0]);
    }
    // Newer, and in the log already: only the commit index moves.
    install(node, { index: 4, term: 1, conf });
    assertEquals([node.commitIndex, node.conf.version], [4, 0]);
  });

  it("that contradicts what is committed stops the member (H64)", () => {
    const node = follower();
    assertThrows(
      () => install(node, { index: 3, term: 2, conf }),
      InvariantError,
      "committed here is term 1",
    );
    assertEquals(node.lastIndex, 4);
  });

  it("of a configuration without its receiver is for a newcomer only (H69)", () => {
    const others = { ...conf, voters: [1, 2] };
    const member = follower();
    install(member, { index: 9, term: 2, conf: others });
    assertEquals([member.lastIndex, member.conf.version], [4, 0]);
    const newcomer = follower([1, 2]);
    install(newcomer, { index: 9, term: 2, conf: others });
    assertEquals([newcomer.lastIndex, newcomer.conf.version], [9, 4]);
  });
});
