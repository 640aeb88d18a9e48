import { describe, it } from "node:test";
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { bytes, Cluster, commands, log } from "./cluster.ts";

describe("replication", () => {
  it("commits a proposal once a majority holds it durably (§3.5)", () => {
    const cluster = new Cluster(3);
    cluster.elect(1);
    assertEquals(cluster.node(1).role, "leader");
    const outcome = cluster.node(1).propose([bytes("a"), bytes("b")]);
    assertEquals(outcome, { type: "appended", term: 1, index: 2 });
    cluster.settle();
    for (const id of [1, 2, 3]) {
      assertEquals(commands(cluster.member(id).applied), ["a", "b"]);
      assertEquals(cluster.node(id).commitIndex, 3);
    }
  });

  it("never counts the leader before its own flush (H41)", () => {
    const cluster = new Cluster(3);
    cluster.elect(1);
    cluster.member(1).slowDisk = true;
    cluster.drop = (message) => message.to === 3;
    cluster.node(1).propose([bytes("a")]);
    cluster.settle();
    assertEquals(cluster.node(1).commitIndex, 1);
    assertEquals(cluster.member(2).disk.entries.length, 2);
    cluster.flush(1);
    cluster.settle();
    assertEquals(cluster.node(1).commitIndex, 2);
  });

  it("an acknowledgement leaves only after the follower's flush (H01, H45)", () => {
    const cluster = new Cluster(3);
    cluster.elect(1);
    cluster.member(2).slowDisk = true;
    cluster.drop = (message) => message.to === 3;
    cluster.node(1).propose([bytes("a")]);
    cluster.settle();
    assertEquals(cluster.node(1).commitIndex, 1);
    cluster.flush(2);
    cluster.settle();
    assertEquals(cluster.node(1).commitIndex, 2);
  });

  it("overwrites a divergent suffix in a few round trips (C04)", () => {
    const stale = log(1, ...new Array(40).fill(2));
    const good = log(1, ...new Array(60).fill(3));
    const cluster = new Cluster(3, {
      logs: { 1: good, 2: stale, 3: good },
      terms: { 1: 3, 2: 3, 3: 3 },
    });
    let rejections = 0;
    cluster.drop = (message) => {
      if (message.type === "appendEntriesResponse" && message.reject) {
        rejections++;
      }
      return false;
    };
    cluster.elect(1);
    assertEquals(
      cluster.member(2).disk.entries,
      cluster.member(1).disk.entries,
    );
    assert(rejections <= 2, `${rejections} rejections`);
  });

  it("a shorter, older append truncates nothing (H23)", () => {
    const cluster = new Cluster(3);
    cluster.elect(1);
    cluster.node(1).propose([bytes("a")]);
    cluster.process(1);
    const early = cluster.network.filter((m) =>
      m.to === 2 && m.type === "appendEntries"
    );
    cluster.settle();
    cluster.node(1).propose([bytes("b"), bytes("c")]);
    cluster.settle();
    const before = [...cluster.member(2).disk.entries];
    for (const message of early) cluster.node(2).step(message);
    cluster.settle();
    assertEquals(cluster.member(2).disk.entries, before);
    assertEquals(cluster.node(2).lastIndex, 4);
  });

  it("acknowledges no more than the message proved (H24)", () => {
    const cluster = new Cluster(3, { logs: { 2: log(1, 1, 1) } });
    const follower = cluster.node(2);
    follower.step({
      type: "appendEntries",
      from: 1,
      to: 2,
      term: 2,
      prevLogIndex: 1,
      prevLogTerm: 1,
      commitIndex: 3,
      entries: [],
    });
    cluster.process(2);
    const answer = cluster.network.at(-1);
    assertEquals(answer?.type, "appendEntriesResponse");
    assertEquals(
      answer?.type === "appendEntriesResponse" && answer.index,
      1,
    );
    assertEquals(follower.commitIndex, 1);
  });

  it("figure 8: an entry of an earlier term is not committed by counting (H21, §3.6.2)", () => {
    const cluster = new Cluster(5, {
      logs: {
        1: log(1, 2),
        2: log(1, 2),
        3: log(1),
        4: log(1),
        5: log(1, 3),
      },
      terms: { 1: 3, 2: 3, 3: 3, 4: 3, 5: 3 },
      config: { preVote: false },
    });
    // The no-op of term 4 reaches nobody; entry 2 of term 2 reaches 3.
    cluster.drop = (message) =>
      message.type === "appendEntries" &&
      (message.to !== 3 || message.entries.some((e) => e.term === 4));
    cluster.elect(1);
    assertEquals(cluster.node(1).role, "leader");
    cluster.node(3).step({
      type: "appendEntries",
      from: 1,
      to: 3,
      term: 4,
      prevLogIndex: 1,
      prevLogTerm: 1,
      commitIndex: 0,
      entries: log(1, 2).slice(1),
    });
    cluster.drop = () => false;
    cluster.process(3);
    cluster.deliver((message) => message.type === "appendEntriesResponse");
    assertEquals(cluster.node(1).commitIndex, 0);
    cluster.settle();
    cluster.tick(1, 1);
    cluster.settle();
    assertEquals(cluster.node(1).commitIndex, 3);
  });

  it("the completion of an old write says nothing of a new entry at its index (H38)", () => {
    const cluster = new Cluster(3);
    const follower = cluster.member(2);
    follower.slowDisk = true;
    const append = (term: number, entryTerm: number, count: number) => {
      follower.node.step({
        type: "appendEntries",
        from: entryTerm,
        to: 2,
        term,
        prevLogIndex: 0,
        prevLogTerm: 0,
        commitIndex: 0,
        entries: log(...new Array(count).fill(entryTerm)),
      });
      const ready = follower.node.ready();
      follower.node.check();
      return ready;
    };
    const first = append(1, 1, 3);
    const second = append(3, 3, 2);
    // The entries of term 1 return, before the first write is durable.
    const third = append(4, 1, 3);
    follower.node.persisted(first.number);
    assertEquals(follower.node.stableIndex, 0);
    follower.node.persisted(second.number);
    assertEquals(follower.node.stableIndex, 0);
    follower.node.persisted(third.number);
    assertEquals(follower.node.stableIndex, 3);
  });

  it("the window stops a leader, and an answer to a heartbeat re-opens it (H32)", () => {
    const cluster = new Cluster(3, { config: { maxInflightCount: 2 } });
    cluster.elect(1);
    cluster.drop = (message) => message.to === 2;
    for (const name of ["a", "b", "c", "d"]) {
      cluster.node(1).propose([bytes(name)]);
      cluster.settle();
    }
    const stuck = cluster.node(1).status().progress.find((p) => p.id === 2);
    assertEquals(stuck?.inflightCount, 2);
    assertEquals(stuck?.paused, true);
    cluster.drop = () => false;
    for (let i = 0; i < 3; i++) {
      cluster.tick(1, 1);
      cluster.settle();
    }
    assertEquals(commands(cluster.member(2).applied), ["a", "b", "c", "d"]);
  });

  it("refuses proposals beyond the uncommitted limit, and counts back to 0 (C23, H35)", () => {
    const cluster = new Cluster(3, { config: { maxUncommittedBytes: 10 } });
    cluster.elect(1);
    cluster.drop = (message) => message.from === 1;
    assertEquals(cluster.node(1).propose([bytes("12345678")]).type, "appended");
    assertEquals(cluster.node(1).propose([bytes("abc")]), {
      type: "dropped",
      reason: "uncommittedLimit",
    });
    cluster.process(1);
    cluster.drop = () => false;
    for (let i = 0; i < 3; i++) {
      cluster.tick(1, 1);
      cluster.settle();
    }
    assertEquals(cluster.node(1).status().uncommittedBytes, 0);
    assertEquals(cluster.node(1).propose([bytes("abc")]).type, "appended");
  });

  it("serves a follower from storage below the tail, others from memory", () => {
    const cluster = new Cluster(3, {
      config: { maxTailBytes: 0, maxAppendBytes: 100 },
    });
    cluster.elect(1);
    cluster.drop = (message) => message.to === 3;
    for (let i = 0; i < 20; i++) {
      cluster.node(1).propose([bytes(`${i}`)]);
      cluster.settle();
    }
    assertEquals(cluster.node(1).commitIndex, 21);
    cluster.drop = () => false;
    for (let i = 0; i < 3; i++) {
      cluster.tick(1, 1);
      cluster.settle();
    }
    assertEquals(cluster.member(3).disk.entries.length, 21);
    assertEquals(
      cluster.member(3).disk.entries,
      cluster.member(1).disk.entries,
    );
  });

  it("a restarted member replays its committed log, also below the tail", () => {
    const cluster = new Cluster(3, { tailEntries: 1 });
    cluster.elect(1);
    for (const name of ["a", "b", "c"]) cluster.node(1).propose([bytes(name)]);
    cluster.settle();
    cluster.member(2).restart();
    cluster.settle();
    assertEquals(commands(cluster.member(2).applied), ["a", "b", "c"]);
  });

  it("a forwarded proposal is answered with its place in the log", () => {
    const cluster = new Cluster(3);
    cluster.elect(1);
    assertEquals(cluster.node(2).propose([bytes("a")], 7), {
      type: "forwarded",
      to: 1,
    });
    cluster.settle();
    assertEquals(cluster.node(2).takeAnswers(), [
      { ticket: 7, outcome: { type: "appended", term: 1, index: 2 } },
    ]);
    assertEquals(cluster.node(2).takeAnswers(), []);
    assertEquals(commands(cluster.member(2).applied), ["a"]);
  });

  it("a proposal without a leader is dropped, for certain", () => {
    const cluster = new Cluster(3);
    assertEquals(cluster.node(1).propose([bytes("a")]), {
      type: "dropped",
      reason: "noLeader",
    });
    assertNotEquals(cluster.node(1).lastIndex, 1);
  });

  it("commit reaches every follower without further writes (H31)", () => {
    const cluster = new Cluster(3);
    cluster.elect(1);
    cluster.node(1).propose([bytes("a")]);
    cluster.process(1);
    cluster.deliver();
    cluster.drop = (message) =>
      message.from === 1 && message.type === "appendEntries";
    cluster.settle();
    cluster.drop = () => false;
    assertEquals(cluster.node(3).commitIndex, 1);
    cluster.tick(1, 1);
    cluster.settle();
    assertEquals(cluster.node(3).commitIndex, 2);
  });
});
