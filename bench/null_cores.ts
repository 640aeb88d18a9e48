/**
 * The yardstick of the core: the same entries, objects and hops, and no
 * protocol. The leader makes entries and hands them over, the others keep and
 * acknowledge them, and learn of the commit by a second message.
 *
 * @module
 */

interface NullEntry {
  readonly index: number;
  readonly data: Uint8Array;
}

interface NullMessage {
  readonly type: "append" | "ack";
  readonly to: number;
  readonly entries: readonly NullEntry[];
  /** The last entry sent or kept. */
  readonly index: number;
  readonly commit: number;
}

/** Entries kept per node, about what a core keeps in memory. */
const LOG_ENTRIES = 65_536;

class NullNode {
  #log: NullEntry[] = [];
  applied = 0;

  keep(entries: readonly NullEntry[]): void {
    for (const entry of entries) this.#log.push(entry);
    if (this.#log.length > 2 * LOG_ENTRIES) this.#log.splice(0, LOG_ENTRIES);
  }
}

/** A leader, node 0, and its followers. */
export class NullCores {
  readonly #nodes: readonly NullNode[];
  #queue: NullMessage[] = [];
  #last = 0;

  /** Makes a group of so many nodes. */
  constructor(count: number) {
    this.#nodes = Array.from({ length: count }, () => new NullNode());
  }

  /** Hands commands through all nodes until each has applied them. */
  propose(commands: readonly Uint8Array[]): void {
    const entries = commands.map((data) => ({ index: ++this.#last, data }));
    this.#nodes[0]?.keep(entries);
    this.#broadcast(entries);
    while (this.#queue.length > 0) {
      const messages = this.#queue;
      this.#queue = [];
      for (const message of messages) this.#step(message);
    }
    for (const { applied } of this.#nodes) {
      if (applied !== this.#last) {
        throw new Error(
          `Cannot measure: a null node applied ${applied}, wanted ${this.#last}`,
        );
      }
    }
  }

  #broadcast(entries: readonly NullEntry[]): void {
    const commit = this.#nodes[0]?.applied ?? 0;
    for (let to = 1; to < this.#nodes.length; to++) {
      this.#queue.push({
        type: "append",
        to,
        entries,
        index: this.#last,
        commit,
      });
    }
  }

  #step(message: NullMessage): void {
    const node = this.#nodes[message.to];
    if (node === undefined) return;
    if (message.type === "ack") {
      if (message.index <= node.applied) return;
      node.applied = message.index;
      this.#broadcast([]);
      return;
    }
    node.applied = message.commit;
    if (message.entries.length === 0) return;
    node.keep(message.entries);
    const { index, commit } = message;
    this.#queue.push({ type: "ack", to: 0, entries: [], index, commit });
  }
}
