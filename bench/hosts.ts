/**
 * Three hosts in one process, with storage and network in memory: what a
 * commit costs when no disk, no socket and no codec of a transport is in the
 * way. Beside it the same hops as bare turns of the event loop.
 *
 * @module
 */
import { setImmediate } from "node:timers";
import { type RaftGroup, RaftHost, type StateMachine } from "@balsa/raft";
import { MemoryStorage } from "@balsa/raft/storage/memory";
import { MemoryNetwork } from "@balsa/raft/transports/memory";
import { spread } from "./stats.ts";

/** What three hosts do, and what bare turns would. */
export interface HostFigures {
  readonly inFlight: number;
  readonly commitsPerSecond: number;
  readonly nullCommitsPerSecond: number;
}

type Propose = () => Promise<unknown>;

const NODES = [1, 2, 3];
const IN_FLIGHT = [1, 64, 1_024];
const PAYLOAD_BYTES = 256;
const ROUNDS = 3;

/** Measures each number of proposals in flight for some seconds, in turns. */
export async function measureHosts(seconds: number): Promise<HostFigures[]> {
  const hosts = await startHosts();
  const leader = await leaderOf(hosts.groups);
  const command = new Uint8Array(PAYLOAD_BYTES).fill(120);
  const real = () => leader.propose(command);
  const bare = new NullGroup();
  const none = () => bare.propose(command);
  const results: HostFigures[] = [];
  for (const inFlight of IN_FLIGHT) {
    const slice = seconds / ROUNDS / 2;
    await rate(real, inFlight, slice);
    await rate(none, inFlight, slice);
    const figures: number[] = [];
    const nullFigures: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      figures.push(await rate(real, inFlight, slice));
      nullFigures.push(await rate(none, inFlight, slice));
    }
    results.push({
      inFlight,
      commitsPerSecond: spread(figures).median,
      nullCommitsPerSecond: spread(nullFigures).median,
    });
  }
  await hosts.stop();
  return results;
}

async function rate(
  propose: Propose,
  inFlight: number,
  seconds: number,
): Promise<number> {
  const start = performance.now();
  let count = 0;
  let done = false;
  // A reading of the clock per proposal would cost as much as a bare turn.
  setTimeout(() => (done = true), seconds * 1_000);
  const proposer = async () => {
    while (!done) {
      await propose();
      count++;
    }
  };
  await Promise.all(Array.from({ length: inFlight }, proposer));
  return count / ((performance.now() - start) / 1_000);
}

interface Hosts {
  readonly groups: readonly RaftGroup<Uint8Array, number, null, number>[];
  stop(): Promise<void>;
}

async function startHosts(): Promise<Hosts> {
  const network = new MemoryNetwork();
  const members = NODES.map((id) => ({ id, address: `node-${id}:1` }));
  const hosts: RaftHost[] = [];
  const groups: RaftGroup<Uint8Array, number, null, number>[] = [];
  for (const { id, address } of members) {
    const host = await RaftHost.start({
      deployment: "bench",
      address,
      storage: new MemoryStorage(),
      transport: network.transport(),
    });
    hosts.push(host);
    groups.push(
      await host.startGroup({
        group: 1,
        node: id,
        members,
        machine: new CountingMachine(),
      }),
    );
  }
  const stop = async () => {
    for (const host of hosts) await host.stop();
  };
  return { groups, stop };
}

/** Waits for the group to have a leader. */
async function leaderOf<C, R, Q, A>(
  groups: readonly RaftGroup<C, R, Q, A>[],
): Promise<RaftGroup<C, R, Q, A>> {
  for (;;) {
    const leader = groups.find((group) => group.status().role === "leader");
    if (leader !== undefined) return leader;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Counts commands; the cheapest machine there is. */
class CountingMachine
  implements StateMachine<Uint8Array, number, null, number> {
  readonly command = { parse: parseBytes };
  #count = 0;

  apply(entries: readonly unknown[]): number[] {
    return entries.map(() => ++this.#count);
  }

  query(): number {
    return this.#count;
  }

  snapshot(): { chunks: () => AsyncIterable<Uint8Array> } {
    const count = this.#count;
    return {
      async *chunks() {
        yield new TextEncoder().encode(String(count));
      },
    };
  }

  async restore(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    let text = "";
    for await (const chunk of chunks) text += new TextDecoder().decode(chunk);
    this.#count = Number(text);
  }
}

function parseBytes(input: unknown): Uint8Array {
  if (input instanceof Uint8Array) return input;
  throw new TypeError("Cannot parse a command: it is not bytes");
}

interface Waiting {
  readonly command: Uint8Array;
  readonly answer: (index: number) => void;
}

/**
 * What arrives in a turn is joined, takes a turn to the followers, one back,
 * and is answered: three turns of the event loop, and a promise per proposal.
 */
class NullGroup {
  #arrived: Waiting[] = [];
  #scheduled = false;
  #index = 0;

  propose(command: Uint8Array): Promise<number> {
    return new Promise((answer) => {
      this.#arrived.push({ command, answer });
      if (this.#scheduled) return;
      this.#scheduled = true;
      setImmediate(() => this.#send());
    });
  }

  #send(): void {
    const batch = this.#arrived;
    this.#arrived = [];
    this.#scheduled = false;
    setImmediate(() => setImmediate(() => this.#answer(batch)));
  }

  #answer(batch: readonly Waiting[]): void {
    for (const { answer } of batch) answer(++this.#index);
  }
}
