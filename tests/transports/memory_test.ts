/** The network in memory: its contract and its faults. */
import { describe, it } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { transportCases } from "../../src/testing/mod.ts";
import { MemoryNetwork } from "../../transports/memory.ts";
import type { MemoryNetworkOptions } from "../../transports/memory.ts";
import type {
  Envelope,
  PeerState,
  Transport,
  TransportHandler,
} from "../../src/transport.ts";

for (const wire of [false, true]) {
  describe(`MemoryNetwork ${wire ? "through the wire format" : "by copies"}`, () => {
    const network = new MemoryNetwork({ wire });
    let last = 0;
    const cases = transportCases({
      create: (setup) => network.transport(setup),
      freeAddress: () => Promise.resolve(`host:${++last}`),
      actRaw: ({ from, target, bytes }) => {
        network.inject(from, target, bytes);
        return Promise.resolve();
      },
    });
    for (const { name, run } of cases) it(name, run);
  });
}

class Listener implements TransportHandler {
  readonly rounds: number[] = [];
  readonly states: PeerState[] = [];
  receive(_address: string, envelopes: readonly Envelope[]): void {
    for (const { message } of envelopes) {
      if (message.type === "heartbeat") this.rounds.push(message.round);
    }
  }
  peerState(_address: string, state: PeerState): void {
    this.states.push(state);
  }
  refused(): void {}
}

function beat(round: number): Envelope[] {
  const head = { from: 1, to: 2, term: 1, commitIndex: 0 };
  return [{
    group: 1,
    message: { type: "heartbeat", ...head, round, sentAt: 0 },
  }];
}

/** A network whose deliveries happen when the test says so. */
async function manual(options: MemoryNetworkOptions = {}): Promise<{
  network: MemoryNetwork;
  a: Transport;
  b: Listener;
  heardByA: Listener;
  deliver: () => void;
}> {
  const due: (() => void)[] = [];
  const schedule = (deliver: () => void) => void due.push(deliver);
  const network = new MemoryNetwork({ ...options, schedule });
  const a = network.transport();
  const b = new Listener();
  const heardByA = new Listener();
  await a.start({ deployment: "d", address: "a" }, heardByA);
  await network.transport().start({ deployment: "d", address: "b" }, b);
  const deliver = () => {
    for (const run of due.splice(0)) run();
  };
  return { network, a, b, heardByA, deliver };
}

describe("MemoryNetwork", () => {
  it("delivers nothing within send, and in order when scheduled", async () => {
    const { a, b, deliver } = await manual();
    for (const round of [1, 2, 3]) assert(a.send("b", beat(round)));
    assertEquals(b.rounds, []);
    deliver();
    assertEquals(b.rounds, [1, 2, 3]);
  });

  it("carries nothing across a partition until it heals", async () => {
    const { network, a, b, heardByA, deliver } = await manual();
    network.partition(["a"], ["b"]);
    assertEquals(a.send("b", beat(1)), false);
    network.heal();
    a.send("b", beat(2));
    deliver();
    assertEquals(b.rounds, [2]);
    assertEquals(heardByA.states.map(({ type }) => type), [
      "unreachable",
      "connected",
    ]);
  });

  it("blocks one direction only when told so", async () => {
    const { network, a, b, deliver } = await manual();
    network.block("b", "a");
    a.send("b", beat(1));
    deliver();
    assertEquals(b.rounds, [1]);
  });

  it("loses and duplicates by the given generator", async () => {
    const draws = [0.1, 0.9, 0.9, 0.9, 0.1];
    const random = () => draws.shift() ?? 1;
    const { network, a, b, deliver } = await manual({ random });
    network.setFaults({ loss: 0.5, duplication: 0.5 });
    for (const round of [1, 2, 3]) a.send("b", beat(round));
    deliver();
    assertEquals(b.rounds, [2, 3, 3]);
  });

  it("drops what is beyond the bound of a receiver (H126)", async () => {
    const { a, b, deliver } = await manual({ maxQueueBytes: 64 });
    const taken = [1, 2, 3].map((round) => a.send("b", beat(round)));
    assertEquals(taken, [true, true, false]);
    deliver();
    assertEquals(b.rounds, [1, 2]);
    assert(a.send("b", beat(4)));
  });
});
