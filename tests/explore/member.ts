/**
 * One member of an exploration: a real core, its disk, what it has sent, and
 * what the checks have to remember of it.
 *
 * @module
 */
import {
  type ConfState,
  type Entry,
  type HardState,
  INITIAL_HARD_STATE,
  type Message,
  type NodeId,
  RawNode,
  type RawNodeOptions,
  type Ready,
  type RestoredState,
  type Term,
  type TermRun,
} from "../../src/core/mod.ts";
import { Raft } from "../../src/core/raft.ts";
import { describeEntry, type Input } from "./actions.ts";
import type { Scenario } from "./bounds.ts";
import { messageKey } from "./stable.ts";
import { Violation } from "./violation.ts";

/** All commands are alike: an entry is told apart by term and index. */
const COMMAND = Uint8Array.of(0);

/** Places where a deliberate bug may be put between the core and its world. */
export interface Hooks {
  /** Makes the core; `new RawNode` if absent. */
  readonly createCore?: ((options: RawNodeOptions) => RawNode) | undefined;
  /** Changes a Ready before it is carried out. */
  readonly onReady?: ((ready: Ready) => Ready) | undefined;
}

/** A write that is not durable yet. */
export interface Write {
  /** Number of the last Ready in it. */
  number: number;
  readonly hardState: HardState | undefined;
  readonly entries: readonly Entry[];
  /** May leave once the write is durable. */
  readonly messages: Map<string, Message>;
  /** Those of the core to itself, which the core keeps back by itself. */
  readonly own: ReadonlyMap<string, Message>;
}

/** A commit that a leader decided on. */
export interface Decision {
  readonly index: number;
  readonly entry: string;
  /** The configuration in force, as the leader saw it. */
  readonly conf: ConfState;
}

/** A member; `perform` is all that ever happens to it. */
export class Member {
  readonly id: NodeId;
  readonly #scenario: Scenario;
  readonly #hooks: Hooks;
  node: RawNode;
  /** The inside of `node`, to be looked at only. */
  raft: Raft;
  /** What is durable. */
  hardState: HardState = INITIAL_HARD_STATE;
  entries: Entry[] = [];
  /** Oldest first; each has contents or an own vote. */
  writes: Write[] = [];
  /** Sent and not taken yet. */
  #sent: Message[] = [];
  /** Entries ever seen committed here, from index 1 on; outlives crashes. */
  readonly decided: string[] = [];
  /** Terms led, ascending; outlives crashes. */
  readonly led: Term[] = [];
  /** The newest commit this member decided on as the leader it is. */
  decision: Decision | undefined;

  constructor(id: NodeId, scenario: Scenario, hooks: Hooks) {
    this.id = id;
    this.#scenario = scenario;
    this.#hooks = hooks;
    ({ node: this.node, raft: this.raft } = this.#start());
  }

  /**
   * Lets something happen, and carries out what follows from it. Writes are
   * durable at once, unless the disk is behind already or stalls now; then
   * they wait for inputs of type `persist`.
   *
   * @throws {InvariantError} If the core finds itself broken.
   */
  perform(input: Input, disk: "works" | "stalls"): void {
    const wasBehind = this.writes.length > 0;
    const ledBefore = this.node.role === "leader";
    this.#take(input);
    this.#carryOut();
    if (!wasBehind && disk === "works") {
      while (this.writes.length > 0) {
        this.#persist();
        this.#carryOut();
      }
    }
    this.#remember(ledBefore);
    this.node.check();
  }

  /** Takes what was sent since the last time. */
  takeSent(): Message[] {
    const sent = this.#sent;
    this.#sent = [];
    return sent;
  }

  #take(input: Input): void {
    const { node } = this;
    switch (input.type) {
      case "campaign":
        node.campaign();
        return;
      case "heartbeat":
        node.tick();
        return;
      case "propose":
        node.propose([COMMAND]);
        return;
      case "change": {
        const { change } = this.#scenario;
        // Who was heard of lately does not matter to safety.
        if (change !== undefined) {
          node.proposeConfChange(change, { force: true });
        }
        return;
      }
      case "persist":
        this.#persist();
        return;
      case "crash":
        this.writes = [];
        ({ node: this.node, raft: this.raft } = this.#start());
        return;
      case "deliver":
        node.step(input.message);
        return;
    }
  }

  #persist(): void {
    const write = this.writes.shift();
    if (write === undefined) return;
    const first = write.entries[0]?.index;
    if (first !== undefined) {
      this.entries = [...this.entries.slice(0, first - 1), ...write.entries];
    }
    this.hardState = write.hardState ?? this.hardState;
    this.node.persisted(write.number);
    this.#sent.push(...write.messages.values());
  }

  #carryOut(): void {
    while (this.node.hasReady()) {
      this.#noteCommits();
      const own = this.raft.messagesAfterPersist
        .filter(({ to }) => to === this.id);
      const taken = this.node.ready();
      const ready = this.#hooks.onReady?.(taken) ?? taken;
      if (ready.snapshot !== undefined || ready.loads.length > 0) {
        throw new Error(
          "Cannot explore snapshots or loads: nothing is evicted",
        );
      }
      this.#sent.push(...ready.messages);
      for (const entry of ready.committedEntries) {
        if (entry.type === "confChange") {
          this.node.applyConfChange(entry.change, entry.index);
        }
        this.node.applied(entry.index);
      }
      this.#enqueue(ready, own);
    }
  }

  /**
   * Puts a write behind the others. One without contents is durable as soon
   * as the one before it, and its messages leave then: what happens if they
   * leave later is what happens if they stay on their way. Only an own vote
   * may make a difference, and waits its turn.
   */
  #enqueue(ready: Ready, own: readonly Message[]): void {
    const { number, hardState, entries, messagesAfterPersist } = ready;
    const last = this.writes.at(-1);
    const isEmpty = hardState === undefined && entries.length === 0;
    const messages = byKey(messagesAfterPersist);
    const ownMessages = byKey(own);
    const isNew = !isEmpty ||
      [...ownMessages.keys()].some((key) => last?.own.has(key) !== true);
    if (isNew) {
      this.writes.push({
        number,
        hardState,
        entries,
        messages,
        own: ownMessages,
      });
    } else if (last !== undefined) {
      last.number = number;
      for (const [key, message] of messages) last.messages.set(key, message);
    } else {
      this.#sent.push(...messages.values());
      this.node.persisted(number);
    }
  }

  /** Notes a leader's decision with the configuration it was made in. */
  #noteCommits(): void {
    const { node, raft } = this;
    const index = node.commitIndex;
    if (node.role !== "leader" || index <= (this.decision?.index ?? 0)) return;
    const entry = raft.log.tail.at(index);
    if (entry === undefined || entry.term !== node.term) return;
    this.decision = { index, entry: describeEntry(entry), conf: node.conf };
  }

  #remember(ledBefore: boolean): void {
    const { node, raft, decided, led } = this;
    for (let i = decided.length + 1; i <= node.commitIndex; i++) {
      const entry = raft.log.tail.at(i);
      if (entry === undefined) break;
      decided.push(describeEntry(entry));
    }
    if (node.role !== "leader") {
      this.decision = undefined;
      return;
    }
    if (ledBefore) return;
    if (led.includes(node.term)) {
      throw new Violation(
        `Election safety: member ${this.id} was elected twice in term ${node.term}`,
      );
    }
    led.push(node.term);
  }

  #start(): { node: RawNode; raft: Raft } {
    let raft: Raft | undefined;
    // The core calls the generator as its own, which lets us look inside.
    const random = function (this: unknown): number {
      if (this instanceof Raft) raft = this;
      return 0;
    };
    const node = (this.#hooks.createCore ?? newCore)({
      id: this.id,
      config: this.#scenario.config,
      restored: restoredOf(this.hardState, this.entries, this.#scenario.conf),
      random,
    });
    if (raft === undefined) {
      throw new Error("Cannot look into the core: it did not draw its timeout");
    }
    return { node, raft };
  }
}

function byKey(messages: readonly Message[]): Map<string, Message> {
  return new Map(messages.map((message) => [messageKey(message), message]));
}

function newCore(options: RawNodeOptions): RawNode {
  return new RawNode(options);
}

function restoredOf(
  hardState: HardState,
  entries: readonly Entry[],
  conf: ConfState,
): RestoredState {
  const termRuns: TermRun[] = [];
  for (const { term, index } of entries) {
    if (termRuns.at(-1)?.term !== term) {
      termRuns.push({ term, firstIndex: index });
    }
  }
  return {
    hardState,
    snapshot: { index: 0, term: 0, conf },
    firstIndex: 1,
    lastIndex: entries.length,
    prevTerm: 0,
    termRuns,
    tail: entries,
    appliedIndex: 0,
  };
}
