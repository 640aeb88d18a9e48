/**
 * Three cores in memory that are driven as etcd's own core benchmark drives
 * its three: take each Ready, count it persisted at once, deliver its
 * messages, apply, until nothing is left to do.
 *
 * @module
 */
import {
  type ConfState,
  type CoreConfig,
  EMPTY_CONF,
  INITIAL_HARD_STATE,
  type Message,
  RawNode,
} from "@balsa/raft/core";

/** Members of a group. */
export const CORES = 3;

const CONF: ConfState = {
  ...EMPTY_CONF,
  voters: [1, 2, 3],
  addresses: [1, 2, 3].map((id) => ({ id, address: `node-${id}:1` })),
};

/** A group of three, led by the first. */
export class ThreeCores {
  readonly #nodes: readonly RawNode[];
  readonly #leader: RawNode;
  #index = 0;
  #delivered = 0;

  constructor(config: Partial<CoreConfig> = {}) {
    this.#nodes = CONF.voters.map((id) => makeNode(id, config));
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

  /** One tick passes for all three. @returns Messages that it cost. */
  tick(now: number): number {
    for (const node of this.#nodes) node.tick(now);
    const before = this.#delivered;
    this.#settle();
    return this.#delivered - before;
  }

  /** Whether all three sleep. */
  get isAsleep(): boolean {
    return this.#nodes.every((node) => node.quiesced);
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
    this.#delivered += messages.length;
    for (const message of messages) this.#nodes[message.to - 1]?.step(message);
  }
}

/** A seed of its own for each node, and the same ones in every run. */
function makeNode(id: number, config: Partial<CoreConfig>): RawNode {
  let seed = id;
  return new RawNode({
    id,
    config,
    random: () => (seed = (seed * 16_807) % 2_147_483_647) / 2_147_483_647,
    restored: {
      hardState: INITIAL_HARD_STATE,
      snapshot: { index: 0, term: 0, conf: CONF },
      firstIndex: 1,
      lastIndex: 0,
      prevTerm: 0,
      termRuns: [],
      tail: [],
      appliedIndex: 0,
    },
  });
}
