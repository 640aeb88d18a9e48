import { describe, it } from "node:test";
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  type Entry,
  InvariantError,
  type Message,
  type NodeId,
} from "../../src/core/mod.ts";
import { withoutPayload } from "../../src/core/witness.ts";
import {
  bytes,
  Cluster,
  type ClusterOptions,
  commands,
  log,
} from "./cluster.ts";
import { leaders, Timeline } from "./timeline.ts";

const WITNESS = 3;

/** Two data members and a witness, led by 1. */
function led(options: ClusterOptions = {}): {
  cluster: Cluster;
  time: Timeline;
} {
  const cluster = new Cluster(3, {
    ...options,
    conf: { witnesses: [WITNESS], ...options.conf },
  });
  const time = new Timeline(cluster);
  cluster.elect(1);
  time.pass(2);
  return { cluster, time };
}

function write(cluster: Cluster, text: string, at: NodeId = 1): void {
  cluster.node(at).propose([bytes(text)]);
  cluster.settle();
}

function typesOn(cluster: Cluster, id: NodeId): string[] {
  return cluster.member(id).disk.entries.map(({ type }) => type);
}

function sever(...ids: readonly NodeId[]): (message: Message) => boolean {
  return ({ from, to }) => ids.includes(from) || ids.includes(to);
}

describe("a witness (§11.7.2)", () => {
  it("stores no payload, and every term, opening entry and change", () => {
    const { cluster } = led();
    write(cluster, "a");
    cluster.node(1).proposeConfChange({
      transition: "auto",
      steps: [{ type: "addLearner", node: 4 }],
    });
    cluster.settle();
    write(cluster, "b");
    const kept = ["noop", "omitted", "confChange", "omitted"];
    assertEquals(typesOn(cluster, WITNESS), kept);
    assertEquals(commands(cluster.member(2).applied), ["a", "b"]);
    assertEquals(cluster.node(WITNESS).conf.learners, [4]);
    assertEquals(cluster.node(WITNESS).commitIndex, 4);
  });

  it("stores none either if it is sent some", () => {
    const { cluster } = led();
    cluster.node(WITNESS).step({
      type: "appendEntries",
      from: 1,
      to: WITNESS,
      term: 1,
      prevLogIndex: 1,
      prevLogTerm: 1,
      commitIndex: 1,
      entries: log(1, 1).slice(1),
    });
    cluster.process(WITNESS);
    assertEquals(typesOn(cluster, WITNESS), ["noop", "omitted"]);
  });

  it("gets entries read back from disk without payload too", () => {
    const { cluster, time } = led({
      config: { maxTailBytes: 0 },
      tailEntries: 0,
    });
    cluster.drop = sever(WITNESS);
    for (const text of ["a", "b", "c"]) write(cluster, text);
    time.pass(3);
    const sent: Entry[] = [];
    cluster.drop = (message) => {
      if (message.to === WITNESS && message.type === "appendEntries") {
        sent.push(...message.entries);
      }
      return false;
    };
    time.pass(4);
    assertEquals(cluster.node(WITNESS).lastIndex, 4);
    assert(sent.length >= 3);
    assertEquals(sent.filter(({ type }) => type === "command"), []);
  });

  it("never campaigns, is never handed over to, never reads (H89)", () => {
    const { cluster, time } = led();
    assertEquals(cluster.node(1).transferLeadership(WITNESS), "refused");
    assertEquals(cluster.node(WITNESS).readIndex(7), "dropped");
    cluster.node(WITNESS).step({
      type: "timeoutNow",
      from: 1,
      to: WITNESS,
      term: 1,
    });
    cluster.node(WITNESS).campaign();
    assertEquals(cluster.node(WITNESS).role, "follower");
    cluster.drop = sever(1, 2);
    time.pass(100);
    assertEquals(cluster.node(WITNESS).role, "follower");
    assertEquals(cluster.node(WITNESS).term, 1);
  });

  it("gets no answer to a read, even if it does not know what it is", () => {
    const { cluster } = led();
    cluster.node(1).step({
      type: "readIndex",
      from: WITNESS,
      to: 1,
      term: 0,
      context: 1,
    });
    cluster.settle();
    assertEquals(cluster.member(WITNESS).readStates, []);
  });

  it("votes, and so two data members and it survive one loss (C15)", () => {
    for (const dead of [1, 2]) {
      const { cluster, time } = led();
      write(cluster, "a");
      cluster.drop = sever(dead);
      const other = 3 - dead;
      time.until(() => cluster.node(other).role === "leader", 90);
      // The dead one is not waited for for ever.
      cluster.node(other).propose([bytes("b")]);
      time.pass(12);
      assertEquals(commands(cluster.member(other).applied), ["a", "b"]);
    }
  });
});

describe("a commit beside witnesses", () => {
  it("waits for a data voter that keeps up, not for the witness", () => {
    const { cluster } = led();
    cluster.drop = ({ from, type }) =>
      from === 2 && type === "appendEntriesResponse";
    write(cluster, "a");
    // 1 and 3 are a quorum, but 2 lives and may have to lead alone.
    assertEquals(cluster.node(1).commitIndex, 1);
    cluster.drop = sever(WITNESS);
    new Timeline(cluster).pass(1);
    assertEquals(cluster.node(1).commitIndex, 2);
  });

  it("does not wait for a data voter that lags for an election timeout", () => {
    for (const checkQuorum of [true, false]) {
      const { cluster, time } = led({ config: { checkQuorum } });
      // It answers heartbeats, but its disk takes nothing.
      cluster.drop = ({ from, type }) =>
        from === 2 && type === "appendEntriesResponse";
      write(cluster, "a");
      const ticks = time.until(() => cluster.node(1).commitIndex === 2, 12);
      assert(ticks >= 8, `waited ${ticks} ticks`);
      // Nor from then on, until it takes entries again.
      write(cluster, "b");
      time.pass(1);
      assertEquals(cluster.node(1).commitIndex, 3);
    }
  });

  it("does not wait for a data voter that is known to be unreachable", () => {
    const { cluster, time } = led();
    cluster.drop = sever(2);
    write(cluster, "a");
    cluster.node(1).reportUnreachable(2);
    time.pass(1);
    assertEquals(cluster.node(1).commitIndex, 2);
  });

  it("waits for one that keeps up again, though the witness was ahead", () => {
    const { cluster, time } = led({
      config: { maxAppendBytes: 1, adaptiveFlow: false },
    });
    cluster.drop = (message) =>
      sever(2)(message) ||
      message.from === WITNESS && message.type === "appendEntriesResponse";
    cluster.node(1).reportUnreachable(2);
    for (const text of ["a", "b"]) write(cluster, text);
    time.pass(2);
    assertEquals(cluster.node(WITNESS).lastIndex, 3);
    assertEquals(cluster.node(1).commitIndex, 1);
    // Member 2 is back; that it takes the second entry remains unknown.
    cluster.drop = (message) =>
      message.type === "appendEntriesResponse" &&
      (message.from === WITNESS || message.index > 2);
    time.pass(1);
    cluster.node(1).step({
      type: "appendEntriesResponse",
      from: WITNESS,
      to: 1,
      term: 1,
      reject: false,
      index: 3,
      hintIndex: 0,
      hintTerm: 0,
    });
    cluster.settle();
    assertEquals(cluster.node(1).commitIndex, 2);
    // It is not waited for for ever, and nobody has to answer for that.
    const ticks = time.until(() => cluster.node(1).commitIndex === 3, 12);
    assert(ticks > 5, `waited ${ticks} ticks`);
  });

  it("counts no witness for what no data member holds durably", () => {
    const { cluster } = led();
    cluster.drop = sever(2);
    cluster.node(1).reportUnreachable(2);
    cluster.member(1).slowDisk = true;
    write(cluster, "a");
    assertEquals(cluster.node(1).commitIndex, 1);
    // Nor does it know of it: it would vote for nobody after a crash of 1.
    assertEquals(cluster.node(WITNESS).lastIndex, 1);
    cluster.flush(1);
    cluster.settle();
    assertEquals(cluster.node(WITNESS).lastIndex, 2);
    assertEquals(cluster.node(1).commitIndex, 2);
  });

  it("leaves no witness ahead of the member that has to lead (C15)", () => {
    const { cluster, time } = led();
    // What 2 is sent is lost; the witness hears everything; then 1 dies.
    cluster.drop = ({ to, type }) => to === 2 && type === "appendEntries";
    write(cluster, "a");
    assertEquals(cluster.node(WITNESS).lastIndex, 1);
    cluster.drop = sever(1);
    time.until(() => leaders(cluster).includes(2), 90);
  });
});

describe("a data member", () => {
  it("takes no entry without its payload", () => {
    const { cluster } = led();
    const omitted = withoutPayload(log(1, 1)).slice(1);
    assertThrows(
      () =>
        cluster.node(2).step({
          type: "appendEntries",
          from: 1,
          to: 2,
          term: 1,
          prevLogIndex: 1,
          prevLogTerm: 1,
          commitIndex: 1,
          entries: omitted,
        }),
      InvariantError,
      "without its payload",
    );
    assertEquals(cluster.node(2).lastIndex, 1);
  });

  it("loses its vote beside witnesses through a joint configuration only", () => {
    const { cluster } = led({ conf: { voters: [1, 2, 3] } });
    cluster.node(1).proposeConfChange({
      transition: "simple",
      steps: [{ type: "remove", node: 2 }],
    }, { force: true });
    cluster.settle();
    assertEquals(cluster.node(1).conf.voters, [1, 2, 3]);
    cluster.drop = ({ type }) => type === "removed";
    cluster.node(1).proposeConfChange({
      transition: "auto",
      steps: [{ type: "remove", node: 2 }],
    });
    cluster.process(1);
    cluster.deliver();
    cluster.deliver();
    assertEquals(cluster.node(1).conf.votersOutgoing, [1, 2, 3]);
    cluster.settle();
    assertEquals(cluster.node(1).conf.voters, [1, 3]);
  });
});

describe("withoutPayload()", () => {
  it("gives the very same array if there is nothing to leave out", () => {
    const entries: Entry[] = [{ type: "noop", term: 1, index: 1 }];
    assert(withoutPayload(entries) === entries);
    assertEquals(withoutPayload(log(3)), [
      { type: "omitted", term: 3, index: 1 },
    ]);
  });
});
