import { describe, it } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { BatchSize } from "../../src/core/batch_size.ts";
import { resolveConfig } from "../../src/core/config.ts";
import {
  entryBytes,
  type Message,
  type NodeId,
  type ProgressStatus,
} from "../../src/core/mod.ts";
import { bytes, Cluster, log } from "./cluster.ts";
import { leaders, Timeline } from "./timeline.ts";

const KIB = 1_024;

function progressOf(cluster: Cluster, id: NodeId): ProgressStatus {
  const leader = leaders(cluster)[0] ?? 1;
  const found = cluster.node(leader).status().progress.find((p) => p.id === id);
  if (found === undefined) throw new Error(`Cannot find progress of ${id}`);
  return found;
}

/** Bytes of the entries in each append that carries some, in order. */
function appendSizes(messages: readonly Message[], to: NodeId): number[] {
  return messages.flatMap((m) =>
    m.type === "appendEntries" && m.to === to && m.entries.length > 0
      ? [m.entries.reduce((sum, entry) => sum + entryBytes(entry), 0)]
      : []
  );
}

/** Member 3 lacks many entries of 4 KiB that the others have. */
function lagging(count: number): [Cluster, Timeline] {
  // Two appends per round trip, so that there are some.
  const cluster = new Cluster(3, { config: { maxInflightCount: 2 } });
  cluster.elect(1);
  cluster.drop = (m) => m.to === 3 && m.type === "appendEntries";
  const command = new Uint8Array(4 * KIB - 32);
  cluster.node(1).propose(Array.from({ length: count }, () => command));
  cluster.settle();
  // Whatever was on its way to it is lost.
  cluster.node(1).reportUnreachable(3);
  return [cluster, new Timeline(cluster)];
}

describe("BatchSize", () => {
  it("doubles once per round trip while appends are cut at it (C07)", () => {
    const batch = new BatchSize(resolveConfig({}));
    assertEquals(batch.bytes, 64 * KIB);
    batch.acknowledged(5);
    assertEquals(batch.bytes, 64 * KIB);
    for (let i = 1; i <= 9; i++) batch.cut(i * 10);
    batch.acknowledged(9);
    assertEquals(batch.bytes, 64 * KIB);
    batch.acknowledged(10);
    assertEquals(batch.bytes, 128 * KIB);
    batch.acknowledged(90);
    assertEquals(batch.bytes, 128 * KIB);
    for (let i = 10; i < 20; i++) {
      batch.cut(i * 10);
      batch.acknowledged(i * 10);
    }
    assertEquals(batch.bytes, 1_024 * KIB);
  });

  it("halves on failure, within its bounds, and forgets what was cut", () => {
    const batch = new BatchSize(resolveConfig({}));
    batch.cut(10);
    batch.shrink();
    assertEquals(batch.bytes, 32 * KIB);
    batch.acknowledged(10);
    assertEquals(batch.bytes, 32 * KIB);
    for (let i = 0; i < 9; i++) batch.shrink();
    assertEquals(batch.bytes, 4 * KIB);
    const small = new BatchSize(resolveConfig({ maxAppendBytes: 100 }));
    small.shrink();
    assertEquals(small.bytes, 100);
  });

  it("is fixed without adaptiveFlow", () => {
    const batch = new BatchSize(resolveConfig({ adaptiveFlow: false }));
    batch.shrink();
    batch.cut(1);
    batch.acknowledged(1);
    assertEquals(batch.bytes, 1_024 * KIB);
  });
});

describe("flow to a follower", () => {
  it("starts small and grows with what it takes (C07)", () => {
    const [cluster, time] = lagging(1_500);
    const sent: Message[] = [];
    cluster.drop = (m) => {
      sent.push(m);
      return false;
    };
    time.pass(2);
    const sizes = appendSizes(sent, 3).map((size) => size / KIB);
    assert((sizes[0] ?? 0) <= 64, `it began with ${sizes[0]} KiB`);
    assert(sizes.some((size) => size > 500), `it sent ${sizes} KiB`);
    sizes.reduce((largest, size) => {
      assert(size <= 2 * largest, `${size} KiB followed on ${largest}`);
      return Math.max(largest, size);
    }, 64);
    assertEquals(progressOf(cluster, 3).matchIndex, 1_501);
  });

  it("shrinks when messages are lost or refused", () => {
    const [cluster, time] = lagging(1_500);
    cluster.drop = () => false;
    time.pass(2);
    const grown = progressOf(cluster, 3).batchBytes;
    assertEquals(grown, 1_024 * KIB);
    cluster.node(1).reportUnreachable(3);
    assertEquals(progressOf(cluster, 3).batchBytes, grown / 2);
    cluster.node(1).reportUnreachable(3);
    assertEquals(progressOf(cluster, 3).batchBytes, grown / 2);
    const divergent = new Cluster(3, {
      logs: { 1: log(1, 1, 1, 2, 2), 3: log(1, 1) },
    });
    divergent.elect(1);
    assertEquals(progressOf(divergent, 3).batchBytes, 32 * KIB);
    assertEquals(progressOf(divergent, 2).batchBytes, 32 * KIB);
  });

  it("that fell silent is no more than heartbeats and one probe (C06, H36)", () => {
    const cluster = new Cluster(3);
    cluster.elect(1);
    const time = new Timeline(cluster);
    const before = progressOf(cluster, 3).batchBytes;
    const sent: Message[] = [];
    cluster.drop = (m) => {
      if (m.to === 3) sent.push(m);
      return m.to === 3 || m.from === 3;
    };
    // A whole period of silence has to pass.
    time.pass(20);
    assertEquals(progressOf(cluster, 3).state, "probe");
    assertEquals(progressOf(cluster, 3).batchBytes, before / 2);
    sent.length = 0;
    for (let i = 0; i < 30; i++) {
      cluster.node(1).propose([bytes("a")]);
      time.pass(1);
    }
    assertEquals(appendSizes(sent, 3).length, 1);
    assertEquals(progressOf(cluster, 3).inflightCount, 0);
    cluster.drop = () => false;
    time.pass(3);
    assertEquals(progressOf(cluster, 3).matchIndex, 31);
  });
});

describe("a follower that lost its log (H80)", () => {
  /** Member 3 acknowledged two entries, and then lost its disk. */
  function wiped(): [Cluster, Timeline] {
    const cluster = new Cluster(3);
    cluster.elect(1);
    cluster.node(1).propose([bytes("a")]);
    cluster.settle();
    cluster.member(3).disk.entries = [];
    cluster.member(3).disk.hardState = { term: 0, vote: null, commit: 0 };
    cluster.member(3).restart();
    return [cluster, new Timeline(cluster)];
  }

  it("is reported, and sent no more than one append per heartbeat", () => {
    const [cluster, time] = wiped();
    const appends: Message[] = [];
    cluster.drop = (m) => {
      if (m.type === "appendEntries" && m.to === 3) appends.push(m);
      return false;
    };
    cluster.node(1).propose([bytes("b")]);
    cluster.settle();
    time.pass(20);
    assertEquals(progressOf(cluster, 3).lostLog, true);
    assertEquals(progressOf(cluster, 2).lostLog, false);
    assert(appends.length < 25, `${appends.length} appends went to it`);
    assertEquals(cluster.node(3).lastIndex, 0);
  });

  it("counts in no commit, not even of what it once acknowledged (H27)", () => {
    const cluster = new Cluster(3);
    cluster.elect(1);
    cluster.member(1).slowDisk = true;
    cluster.drop = (m) => m.to === 2 || m.from === 3;
    cluster.node(1).propose([bytes("a")]);
    cluster.settle();
    // Its acknowledgement is on the way while it loses its disk.
    cluster.drop = (m) => m.to === 2;
    cluster.node(3).step({
      type: "appendEntries",
      from: 1,
      to: 3,
      term: 1,
      prevLogIndex: 2,
      prevLogTerm: 1,
      commitIndex: 1,
      entries: [],
    });
    cluster.settle();
    assertEquals(progressOf(cluster, 3).matchIndex, 2);
    assertEquals(cluster.node(1).commitIndex, 1);
    cluster.member(3).disk.entries = [];
    cluster.member(3).disk.hardState = { term: 0, vote: null, commit: 0 };
    cluster.member(3).restart();
    cluster.node(1).propose([bytes("b")]);
    new Timeline(cluster).pass(5);
    assertEquals(progressOf(cluster, 3).lostLog, true);
    // Now the leader has it durably, alone.
    cluster.member(1).slowDisk = false;
    cluster.flush(1);
    cluster.settle();
    assertEquals(cluster.node(1).commitIndex, 1);
    cluster.drop = () => false;
    new Timeline(cluster).pass(2);
    assertEquals(cluster.node(1).commitIndex, 3);
  });

  it("is not what a stale refusal makes of a sound one (H26)", () => {
    const cluster = new Cluster(3, {
      logs: { 1: log(1, 1, 1), 2: log(1, 1, 1) },
    });
    cluster.elect(1);
    const refusal: Message = {
      type: "appendEntriesResponse",
      from: 3,
      to: 1,
      term: 2,
      reject: true,
      index: 4,
      hintIndex: 0,
      hintTerm: 0,
    };
    cluster.node(1).reportUnreachable(3);
    cluster.node(1).step(refusal);
    cluster.node(1).propose([bytes("a")]);
    cluster.settle();
    new Timeline(cluster).pass(1);
    assertEquals(progressOf(cluster, 3).lostLog, false);
    assertEquals(cluster.node(3).lastIndex, 5);
  });
});
