/**
 * Three cores in memory, in the shape of etcd's own core benchmark: propose,
 * take each Ready, count it persisted at once, deliver its messages, apply,
 * until nothing is left to do. Beside it the same exchange without a protocol.
 *
 * @module
 */
import {
  type ConfState,
  EMPTY_CONF,
  INITIAL_HARD_STATE,
  type Message,
  RawNode,
} from "@balsa/raft/core";
import { NullCores } from "./null_cores.ts";
import { spread } from "./stats.ts";

/** What three cores do, and what the bare exchange would. */
export interface CoreFigures {
  readonly batch: number;
  readonly proposalsPerSecond: number;
  readonly nullProposalsPerSecond: number;
}

const NODES = [1, 2, 3];
const BATCHES = [1, 64];
const PAYLOAD_BYTES = 256;
/** Proposals between two looks at the clock. */
const SLICE = 1_024;
const ROUNDS = 5;

/** Measures batches of 1 and of 64 for some seconds each, in turns. */
export function measureCore(seconds: number): CoreFigures[] {
  return BATCHES.map((batch) => {
    const cluster = new Cluster();
    const bare = new NullCores(NODES.length);
    const commands = Array.from(
      { length: batch },
      () => new Uint8Array(PAYLOAD_BYTES).fill(120),
    );
    const real = () => cluster.propose(commands);
    const none = () => bare.propose(commands);
    const slice = seconds / ROUNDS / 2;
    rate(real, batch, slice);
    rate(none, batch, slice);
    const figures: number[] = [];
    const nullFigures: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      figures.push(rate(real, batch, slice));
      nullFigures.push(rate(none, batch, slice));
    }
    return {
      batch,
      proposalsPerSecond: spread(figures).median,
      nullProposalsPerSecond: spread(nullFigures).median,
    };
  });
}

function rate(propose: () => void, batch: number, seconds: number): number {
  const start = performance.now();
  const end = start + seconds * 1_000;
  let count = 0;
  let now = start;
  while (now < end) {
    for (let done = 0; done < SLICE; done += batch) {
      propose();
      count += batch;
    }
    now = performance.now();
  }
  return count / ((now - start) / 1_000);
}

class Cluster {
  readonly #nodes: readonly RawNode[];
  readonly #leader: RawNode;
  #index = 0;

  constructor() {
    const conf: ConfState = {
      ...EMPTY_CONF,
      voters: NODES,
      addresses: NODES.map((id) => ({ id, address: `node-${id}:1` })),
    };
    this.#nodes = NODES.map((id) => makeNode(id, conf));
    const [leader] = this.#nodes;
    if (leader === undefined) throw new Error("Cannot measure: no nodes");
    this.#leader = leader;
    leader.campaign();
    this.#settle();
    this.#index = leader.commitIndex;
  }

  /** Proposes, and carries everything out until all three have applied it. */
  propose(commands: readonly Uint8Array[]): void {
    const outcome = this.#leader.propose(commands);
    if (outcome.type !== "appended") {
      throw new Error(`Cannot measure: a proposal was ${outcome.type}`);
    }
    this.#settle();
    this.#index += commands.length;
    for (const node of this.#nodes) {
      if (node.appliedIndex !== this.#index) {
        throw new Error(
          `Cannot measure: node ${node.id} applied ${node.appliedIndex}, wanted ${this.#index}`,
        );
      }
    }
  }

  #settle(): void {
    for (let busy = true; busy;) {
      busy = false;
      for (const node of this.#nodes) {
        if (!node.hasReady()) continue;
        busy = true;
        this.#carryOut(node);
      }
    }
  }

  #carryOut(node: RawNode): void {
    const ready = node.ready();
    node.persisted(ready.number);
    this.#deliver(ready.messages);
    this.#deliver(ready.messagesAfterPersist);
    const last = ready.committedEntries.at(-1);
    if (last !== undefined) node.applied(last.index);
  }

  #deliver(messages: readonly Message[]): void {
    for (const message of messages) this.#nodes[message.to - 1]?.step(message);
  }
}

/** A seed of its own for each node, and the same ones in every run. */
function makeNode(id: number, conf: ConfState): RawNode {
  let seed = id;
  return new RawNode({
    id,
    random: () => (seed = (seed * 16_807) % 2_147_483_647) / 2_147_483_647,
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
}
