import { describe, it } from "node:test";
import { assert, assertEquals } from "@std/assert";
import type { Entry, Message } from "../../src/core/mod.ts";
import { MarkCounter } from "../../src/sim/marks.ts";
import {
  linksBetween,
  type Packet,
  SimNetwork,
} from "../../src/sim/network.ts";
import {
  type NetworkOptions,
  type PartitionShape,
  SimRandom,
} from "../../src/sim/mod.ts";
import { allLinks, drawPartition } from "../../src/sim/topology.ts";

const KIND: NetworkOptions = {
  minDelayMs: 2,
  spreadMs: 0,
  slowPermille: 0,
  slowSpreadMs: 0,
  lossPermille: 0,
  duplicatePermille: 0,
  replayMs: 0,
  duplicateProposals: false,
};

interface Sent {
  readonly delayMs: number;
  readonly packet: Packet;
}

function newNetwork(options: Partial<NetworkOptions>) {
  const sent: Sent[] = [];
  const marks = new MarkCounter();
  const network = new SimNetwork({
    options: { ...KIND, ...options },
    random: new SimRandom(1),
    marks,
    deliver: (delayMs, packet) => sent.push({ delayMs, packet }),
  });
  return { network, sent, marks };
}

function beat(from: number, to: number): Message {
  return {
    type: "heartbeat",
    from,
    to,
    term: 1,
    commitIndex: 0,
    round: 0,
    sentAt: 0,
  };
}

describe("SimNetwork", () => {
  it("loses and duplicates about as often as asked (H142)", () => {
    const { network, sent } = newNetwork({
      lossPermille: 300,
      duplicatePermille: 500,
      replayMs: 180_000,
    });
    for (let i = 0; i < 2_000; i++) network.send(1, beat(1, 2), 1, 0);
    const copies = sent.filter(({ packet }) => packet.copy);
    assert(copies.length > 900 && copies.length < 1_100);
    const first = sent.length - copies.length;
    assert(first > 1_300 && first < 1_500);
    assert(copies.some(({ delayMs }) => delayMs > 120_000));
  });

  it("repeats a forwarded proposal only when told to (H102)", () => {
    const message: Message = {
      type: "propose",
      from: 1,
      to: 2,
      term: 0,
      ticket: 1,
      commands: [],
      change: null,
    };
    for (const duplicateProposals of [false, true]) {
      const { network, sent } = newNetwork({
        duplicatePermille: 1_000,
        duplicateProposals,
      });
      network.send(1, message, 1, 0);
      assertEquals(sent.length, duplicateProposals ? 2 : 1);
    }
  });

  it("cuts one direction and not the other, as often as it is cut", () => {
    const { network, sent } = newNetwork({});
    const link = [{ from: 1, to: 2 }];
    network.cut(link);
    network.cut(link);
    network.send(1, beat(1, 2), 1, 0);
    network.send(1, beat(2, 1), 1, 0);
    const arrivals = () => sent.map(({ packet }) => network.arrive(packet, 2));
    assertEquals(arrivals(), ["cut", "delivered"]);
    network.heal(link);
    assertEquals(arrivals(), ["cut", "delivered"]);
    network.heal(link);
    assertEquals(arrivals(), ["delivered", "delivered"]);
  });

  it("a clogged link holds packets back and loses none", () => {
    const { network, sent } = newNetwork({});
    network.send(1, beat(1, 2), 1, 0);
    network.clog({ from: 1, to: 2 }, 50);
    const packet = sent[0]?.packet;
    assert(packet !== undefined);
    assertEquals(network.arrive(packet, 20), 30);
    assertEquals(network.arrive(packet, 50), "delivered");
  });

  it("calming it ends every fault", () => {
    const { network, sent, marks } = newNetwork({ lossPermille: 1_000 });
    network.cut(allLinks([1, 2, 3]));
    network.clog({ from: 1, to: 2 }, 1_000);
    network.burstPermille = 500;
    network.calm(KIND);
    for (let i = 0; i < 100; i++) network.send(1, beat(1, 2), 1, 0);
    assertEquals(sent.length, 100);
    assert(
      sent.every(({ packet }) => network.arrive(packet, 2) === "delivered"),
    );
    assertEquals(marks.count("packetLost"), 0);
  });
});

describe("drawPartition()", () => {
  const ids = [1, 2, 3, 4, 5];
  const key = ({ from, to }: { from: number; to: number }) => `${from}>${to}`;

  /** Members that each one still reaches both ways. */
  function neighbours(shape: PartitionShape, seed: number): number[] {
    const random = new SimRandom(seed);
    const cut = new Set(drawPartition(shape, ids, random).map(key));
    return ids.map((from) =>
      ids.filter((to) =>
        from !== to && !cut.has(key({ from, to })) &&
        !cut.has(key({ from: to, to: from }))
      ).length
    ).sort((a, b) => a - b);
  }

  it("a bridge, a chain and a star have their shape, whatever the seed", () => {
    for (let seed = 0; seed < 20; seed++) {
      assertEquals(neighbours("bridge", seed), [2, 2, 2, 2, 4]);
      assertEquals(neighbours("chain", seed), [1, 1, 2, 2, 2]);
      assertEquals(neighbours("star", seed), [1, 1, 1, 1, 4]);
    }
  });

  it("a split leaves two parts, each of them whole", () => {
    for (let seed = 0; seed < 20; seed++) {
      const counts = neighbours("split", seed);
      const [smallest = 0] = counts;
      const size = smallest + 1;
      const rest = ids.length - size;
      assertEquals(
        counts,
        [
          ...new Array<number>(size).fill(size - 1),
          ...new Array<number>(rest).fill(rest - 1),
        ].sort((a, b) => a - b),
      );
    }
  });

  it("a one-way partition leaves a direction open (H10)", () => {
    for (let seed = 0; seed < 20; seed++) {
      const cut = drawPartition("oneWay", ids, new SimRandom(seed));
      assert(cut.length > 0);
      const keys = new Set(cut.map(key));
      assert(
        cut.every(({ from, to }) => !keys.has(key({ from: to, to: from }))),
      );
    }
  });

  it("links between groups go both ways, and never to oneself", () => {
    assertEquals(linksBetween([1], [1, 2]), [
      { from: 1, to: 2 },
      { from: 2, to: 1 },
    ]);
  });

  it("knows which entries and membership changes are on their way", () => {
    const { network, sent } = newNetwork({});
    const change = { transition: "auto", steps: [] } as const;
    const changes = [
      { type: "confChange", term: 1, index: 6, change } as const,
    ];
    const entries: Entry[] = [{ type: "noop", term: 1, index: 5 }, ...changes];
    const message: Message = {
      type: "appendEntries",
      from: 1,
      to: 2,
      term: 1,
      prevLogIndex: 4,
      prevLogTerm: 1,
      commitIndex: 4,
      entries,
    };
    network.send(7, beat(1, 2), 1, 0);
    network.send(7, message, 1, 0);
    const packet = sent[1]?.packet;
    assert(packet !== undefined);
    assertEquals(network.changesOnTheirWay(7), changes);
    assertEquals(network.entriesOnTheirWay(7, 2), entries);
    assertEquals(network.changesOnTheirWay(8), []);
    assertEquals(network.entriesOnTheirWay(8, 2), []);
    assertEquals(network.entriesOnTheirWay(7, 1), []);
    // Held back is not lost.
    network.clog({ from: 1, to: 2 }, 50);
    assertEquals(network.arrive(packet, 2), 48);
    assertEquals(network.changesOnTheirWay(7), changes);
    assertEquals(network.entriesOnTheirWay(7, 2), entries);
    assertEquals(network.arrive(packet, 50), "delivered");
    assertEquals(network.changesOnTheirWay(7), []);
    assertEquals(network.entriesOnTheirWay(7, 2), []);
  });
});
