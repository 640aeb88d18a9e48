import { describe, it } from "node:test";
import { assertEquals } from "@std/assert";
import type { Message, NodeId } from "../../src/core/mod.ts";
import { Cluster, type ClusterOptions } from "./cluster.ts";
import { TICK_MS, Timeline } from "./timeline.ts";

const LEASE_MS = 360;

/** Member 1 leads and has committed; nobody has promised anything yet. */
function led(
  size: number,
  options: ClusterOptions = {},
): [Cluster, Timeline] {
  const config = { leaseMs: LEASE_MS, ...options.config };
  const cluster = new Cluster(size, { ...options, config });
  cluster.elect(1);
  return [cluster, new Timeline(cluster)];
}

function isAnswerOf(...ids: NodeId[]): (message: Message) => boolean {
  return (m) => m.type === "heartbeatResponse" && ids.includes(m.from);
}

function requestVote(from: NodeId, to: NodeId, term: number): Message {
  return {
    type: "requestVote",
    from,
    to,
    term,
    lastLogIndex: 9,
    lastLogTerm: 9,
    transfer: false,
  };
}

/** What a member answers to a message. */
function answers(cluster: Cluster, message: Message): Message[] {
  cluster.network = [];
  cluster.node(message.to).step(message);
  cluster.process(message.to);
  return cluster.network.splice(0);
}

describe("a lease (§6.4.1)", () => {
  it("counts from the sending of the heartbeats that a quorum answered (H95)", () => {
    const [cluster, time] = led(5);
    assertEquals(cluster.node(1).leaseUntil, -Infinity);
    time.pass(1);
    const sentAt = time.now;
    assertEquals(cluster.node(1).leaseUntil, sentAt + LEASE_MS);
    // One answer more is no quorum.
    cluster.drop = isAnswerOf(3, 4, 5);
    time.pass(1);
    assertEquals(cluster.node(1).leaseUntil, sentAt + LEASE_MS);
    // Answers that come late prolong it by no more than what they answer.
    cluster.drop = () => false;
    cluster.node(1).tick(time.now + TICK_MS);
    cluster.process(1);
    cluster.deliver((m) => m.type === "heartbeat");
    cluster.node(1).tick(time.now + 7 * TICK_MS);
    cluster.deliver((m) => m.type === "heartbeatResponse");
    assertEquals(cluster.node(1).leaseUntil, time.now + TICK_MS + LEASE_MS);
  });

  it("is the shortest of what the leader and its voters promise", () => {
    const [cluster, time] = led(3, { configs: { 2: { leaseMs: 100 } } });
    cluster.drop = isAnswerOf(3);
    time.pass(1);
    assertEquals(cluster.node(1).leaseUntil, time.now + 100);
    const [other, timeOfOther] = led(3, { configs: { 1: { leaseMs: 70 } } });
    timeOfOther.pass(1);
    assertEquals(other.node(1).leaseUntil, timeOfOther.now + 70);
  });

  it("does not hold before the first commit of the term (H93)", () => {
    const cluster = new Cluster(3, { config: { leaseMs: LEASE_MS } });
    const time = new Timeline(cluster);
    cluster.drop = (m) => m.type === "appendEntriesResponse";
    cluster.elect(1);
    time.pass(2);
    assertEquals(cluster.node(1).role, "leader");
    assertEquals(cluster.node(1).leaseUntil, -Infinity);
    cluster.drop = () => false;
    time.pass(1);
    assertEquals(cluster.node(1).leaseUntil, time.now + LEASE_MS);
  });

  it("needs a majority of both halves of a joint configuration (§4.3)", () => {
    const [cluster, time] = led(5);
    cluster.node(1).proposeConfChange({
      transition: "explicit",
      steps: [{ type: "remove", node: 4 }, { type: "remove", node: 5 }],
    });
    cluster.settle();
    assertEquals(cluster.node(1).conf.votersOutgoing, [1, 2, 3, 4, 5]);
    cluster.drop = isAnswerOf(3, 4, 5);
    time.pass(1);
    assertEquals(cluster.node(1).leaseUntil, -Infinity);
    const promisedBy2 = time.now + LEASE_MS;
    cluster.drop = isAnswerOf(2, 3);
    time.pass(1);
    assertEquals(cluster.node(1).leaseUntil, promisedBy2);
    cluster.drop = isAnswerOf(3, 5);
    time.pass(1);
    assertEquals(cluster.node(1).leaseUntil, time.now + LEASE_MS);
  });

  it("a voter without check-quorum promises nothing (H06)", () => {
    const [cluster, time] = led(3, {
      configs: { 2: { checkQuorum: false }, 3: { checkQuorum: false } },
    });
    time.pass(3);
    assertEquals(cluster.node(1).leaseUntil, -Infinity);
  });

  it("a voter with nothing on its disk promises nothing: it would forget (H95)", () => {
    const cluster = new Cluster(3, { config: { leaseMs: LEASE_MS } });
    const time = new Timeline(cluster);
    const promises: number[] = [];
    cluster.drop = (m) => {
      if (m.type === "heartbeatResponse") promises.push(m.leaseMs);
      return m.type === "appendEntries" && m.to === 2;
    };
    cluster.member(2).slowDisk = true;
    cluster.elect(1);
    time.pass(1);
    assertEquals(promises, [0, LEASE_MS]);
    // A snapshot is no more on the disk than entries are.
    cluster.node(2).step({
      type: "installSnapshot",
      from: 1,
      to: 2,
      term: 1,
      snapshot: { index: 1, term: 1, conf: cluster.node(1).conf },
    });
    time.pass(1);
    assertEquals(promises.slice(2), [0, LEASE_MS]);
    cluster.flush(2);
    time.pass(1);
    assertEquals(promises.slice(4), [LEASE_MS, LEASE_MS]);
  });

  it("is none without a clock, and without end for a lone voter", () => {
    const [cluster] = led(3);
    cluster.tick(1, 3);
    cluster.settle();
    assertEquals(cluster.node(1).leaseUntil, -Infinity);
    assertEquals(led(1)[0].node(1).leaseUntil, Infinity);
    const [off, time] = led(1, { config: { leaseMs: 0 } });
    time.pass(1);
    assertEquals(off.node(1).leaseUntil, -Infinity);
  });

  it("ends with a transfer, for the whole term if TimeoutNow left (H99, H115)", () => {
    const [cluster, time] = led(3);
    time.pass(1);
    cluster.drop = (m) => m.type === "timeoutNow";
    assertEquals(cluster.node(1).transferLeadership(3), "pending");
    assertEquals(cluster.node(1).leaseUntil, -Infinity);
    time.pass(12);
    assertEquals(cluster.node(1).status().transferTarget, null);
    assertEquals(cluster.node(1).leaseUntil, -Infinity);
  });

  it("comes back if the target never became fit to be told (H113)", () => {
    const [cluster, time] = led(3);
    time.pass(1);
    cluster.drop = (m) => m.type === "appendEntries" && m.to === 3;
    cluster.node(1).propose([new Uint8Array(1)]);
    cluster.settle();
    cluster.node(1).transferLeadership(3);
    assertEquals(cluster.node(1).leaseUntil, -Infinity);
    time.pass(12);
    assertEquals(cluster.node(1).leaseUntil, time.now + LEASE_MS);
  });

  it("dropped after a clock jump, needs heartbeats sent afterwards (H117)", () => {
    const [cluster, time] = led(3);
    time.pass(1);
    cluster.node(1).tick(time.now += TICK_MS);
    cluster.process(1);
    cluster.deliver((m) => m.type === "heartbeat");
    // The machine slept while the answers were on their way.
    cluster.node(1).dropLease();
    cluster.settle();
    assertEquals(cluster.node(1).leaseUntil, -Infinity);
    time.pass(1);
    assertEquals(cluster.node(1).leaseUntil, time.now + LEASE_MS);
  });

  it("is given up by a leader that steps down", () => {
    const [cluster, time] = led(3);
    time.pass(1);
    cluster.node(1).step({
      type: "appendEntriesResponse",
      from: 2,
      to: 1,
      term: 7,
      reject: false,
      index: 0,
      hintIndex: 0,
      hintTerm: 0,
    });
    assertEquals(cluster.node(1).leaseUntil, -Infinity);
  });
});

describe("a promise", () => {
  it("is kept in a newer term that has no leader yet (H95)", () => {
    const [cluster, time] = led(3);
    time.pass(1);
    cluster.node(2).step({
      type: "requestVoteResponse",
      from: 3,
      to: 2,
      term: 5,
      reject: true,
    });
    assertEquals(cluster.node(2).term, 5);
    assertEquals(cluster.node(2).leader, null);
    assertEquals(answers(cluster, requestVote(3, 2, 5)), []);
    assertEquals(answers(cluster, requestVote(3, 2, 6)), []);
    time.pass(9, [2]);
    assertEquals(answers(cluster, requestVote(3, 2, 5)), []);
    time.pass(1, [2]);
    const [answer] = answers(cluster, requestVote(3, 2, 5));
    assertEquals(answer?.type, "requestVoteResponse");
  });

  it("holds against the member's own campaign", () => {
    const [cluster, time] = led(3);
    time.pass(1);
    cluster.node(2).forgetLeader();
    cluster.node(2).campaign();
    assertEquals(cluster.node(2).role, "follower");
    assertEquals(cluster.node(2).leader, 1);
  });

  it("outlives a restart (H95)", () => {
    const [cluster, time] = led(3);
    time.pass(1);
    cluster.member(2).restart();
    assertEquals(answers(cluster, requestVote(3, 2, 2)), []);
    // Not even the leader that got the promise is known any more.
    assertEquals(answers(cluster, requestVote(1, 2, 2)), []);
    cluster.node(2).campaign();
    assertEquals(cluster.node(2).role, "follower");
    time.pass(9, [2]);
    assertEquals(answers(cluster, requestVote(3, 2, 2)), []);
    time.pass(1, [2]);
    assertEquals(answers(cluster, requestVote(3, 2, 2)).length, 1);
  });

  it("does not keep a new deployment from its first election", () => {
    const cluster = new Cluster(3, { config: { leaseMs: LEASE_MS } });
    cluster.elect(2);
    assertEquals(cluster.node(2).role, "leader");
  });

  it("does not bind against the leader itself, nor its successor (H07, H114)", () => {
    const [cluster, time] = led(3);
    time.pass(1);
    assertEquals(answers(cluster, requestVote(1, 2, 2)).length, 1);
    const [other, timeOfOther] = led(3);
    timeOfOther.pass(1);
    other.node(1).transferLeadership(3);
    other.settle();
    assertEquals(other.node(3).role, "leader");
  });

  it("is no longer taken from a voter that stopped promising", () => {
    const [cluster, time] = led(3);
    cluster.drop = isAnswerOf(3);
    time.pass(1);
    assertEquals(cluster.node(1).leaseUntil, time.now + LEASE_MS);
    cluster.node(1).step({
      type: "heartbeatResponse",
      from: 2,
      to: 1,
      term: 1,
      round: 0,
      sentAt: time.now,
      leaseMs: 0,
      priority: 0,
    });
    assertEquals(cluster.node(1).leaseUntil, -Infinity);
  });
});
