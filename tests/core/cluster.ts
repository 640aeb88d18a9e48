/**
 * A cluster of cores in one thread, for directed tests: messages wait until
 * they are delivered, disks are durable at once unless held back.
 *
 * @module
 */
import {
  type ConfState,
  type CoreConfig,
  EMPTY_CONF,
  type Entry,
  type HardState,
  INITIAL_HARD_STATE,
  type Load,
  type Message,
  type NodeId,
  RawNode,
  type Ready,
  type RestoredState,
  type TermRun,
} from "../../src/core/mod.ts";

/** What a disk holds. */
export interface Disk {
  hardState: HardState;
  entries: Entry[];
}

/** Options of a {@linkcode Cluster}. */
export interface ClusterOptions {
  readonly config?: Partial<CoreConfig>;
  /** What deviates from that at single members. */
  readonly configs?: Readonly<Record<number, Partial<CoreConfig>>>;
  /** Entries every member starts with. */
  readonly logs?: Readonly<Record<number, readonly Entry[]>>;
  readonly terms?: Readonly<Record<number, number>>;
  /** What the configuration they start with holds besides the voters. */
  readonly conf?: Partial<ConfState>;
  /** How many of the newest entries a restart finds in memory; all if absent. */
  readonly tailEntries?: number;
}

/** One member and its surroundings. */
export class Member {
  readonly id: NodeId;
  readonly conf: ConfState;
  readonly config: Partial<CoreConfig>;
  node: RawNode;
  readonly disk: Disk;
  /** Readys handed out whose write is held back. */
  readonly unflushed: Ready[] = [];
  readonly tailEntries: number;
  /** Whether writes are held back until `flush`. */
  slowDisk = false;
  /** Whether committed entries are held back until `applyAll`. */
  slowMachine = false;
  readonly unapplied: Entry[] = [];
  applied: Entry[] = [];
  readStates: { context: number; index: number }[] = [];

  constructor(
    id: NodeId,
    conf: ConfState,
    options: ClusterOptions,
    disk: Disk,
  ) {
    this.id = id;
    this.conf = conf;
    this.config = { ...options.config, ...options.configs?.[id] };
    this.tailEntries = options.tailEntries ?? Infinity;
    this.disk = disk;
    this.node = this.#start();
  }

  /** Loses what was not flushed, and starts again. */
  restart(): void {
    this.unflushed.length = 0;
    this.unapplied.length = 0;
    this.applied = [];
    this.node = this.#start();
  }

  /** Loses its disk, and starts again as when the group was founded. */
  wipe(): void {
    this.disk.hardState = INITIAL_HARD_STATE;
    this.disk.entries = [];
    this.restart();
  }

  /** Applies what was handed out to be applied. */
  applyAll(): void {
    for (const entry of this.unapplied.splice(0)) {
      this.applied.push(entry);
      if (entry.type === "confChange") {
        this.node.applyConfChange(entry.change, entry.index);
      }
      this.node.applied(entry.index);
    }
  }

  /** Writes a Ready to the disk. */
  write(ready: Ready): void {
    if (ready.hardState !== undefined) this.disk.hardState = ready.hardState;
    const first = ready.entries[0];
    if (first === undefined) return;
    this.disk.entries.splice(first.index - 1, Infinity, ...ready.entries);
  }

  /** Answers a load from the disk. */
  load(load: Load): void {
    this.node.entriesLoaded(
      load,
      this.disk.entries.slice(load.from - 1, load.through),
    );
  }

  #start(): RawNode {
    let seed = this.id;
    return new RawNode({
      id: this.id,
      config: this.config,
      // Spread over the range, and different for each member.
      random: () => {
        seed = (seed * 48_271) % 2_147_483_647;
        return seed / 2_147_483_647;
      },
      restored: restored(this.disk, this.conf, this.tailEntries),
    });
  }
}

/** The state a disk restores. */
export function restored(
  disk: Disk,
  conf: ConfState,
  tailEntries: number = Infinity,
): RestoredState {
  const runs: TermRun[] = [];
  for (const { term, index } of disk.entries) {
    if (runs.at(-1)?.term !== term) runs.push({ term, firstIndex: index });
  }
  return {
    hardState: disk.hardState,
    snapshot: { index: 0, term: 0, conf },
    firstIndex: 1,
    lastIndex: disk.entries.length,
    prevTerm: 0,
    termRuns: runs,
    tail: disk.entries.slice(Math.max(0, disk.entries.length - tailEntries)),
    appliedIndex: 0,
  };
}

/** Members and the messages between them. */
export class Cluster {
  readonly members: Map<NodeId, Member> = new Map();
  /** Messages on their way, oldest first. */
  network: Message[] = [];
  /** Messages for which this holds are lost. */
  drop: (message: Message) => boolean = () => false;
  readonly #options: ClusterOptions;
  readonly #conf: ConfState;

  constructor(size: number, options: ClusterOptions = {}) {
    this.#options = options;
    const ids = Array.from({ length: size }, (_, i) => i + 1);
    this.#conf = { ...EMPTY_CONF, voters: ids, ...options.conf };
    for (const id of ids) {
      const entries = [...(options.logs?.[id] ?? [])];
      const term = options.terms?.[id] ?? entries.at(-1)?.term ?? 0;
      const disk = {
        hardState: { ...INITIAL_HARD_STATE, term },
        entries,
      };
      this.members.set(
        id,
        new Member(id, this.#conf, options, disk),
      );
    }
  }

  /** Starts a member that knows only who founded the group, to be added. */
  join(id: NodeId): Member {
    const disk = { hardState: INITIAL_HARD_STATE, entries: [] };
    const member = new Member(id, this.#conf, this.#options, disk);
    this.members.set(id, member);
    return member;
  }

  /** A member that exists. */
  member(id: NodeId): Member {
    const member = this.members.get(id);
    if (member === undefined) throw new Error(`Cannot find member ${id}`);
    return member;
  }

  /** The core of a member that exists. */
  node(id: NodeId): RawNode {
    return this.member(id).node;
  }

  /** Carries out everything a member has ready. */
  process(id: NodeId): void {
    const member = this.member(id);
    while (member.node.hasReady()) {
      const ready = member.node.ready();
      this.#send(ready.messages);
      member.readStates.push(...ready.readStates);
      member.unapplied.push(...ready.committedEntries);
      if (!member.slowMachine) member.applyAll();
      for (const load of ready.loads) member.load(load);
      member.unflushed.push(ready);
      if (!member.slowDisk) this.flush(id);
      member.node.check();
    }
  }

  /** Makes everything a member wrote durable. */
  flush(id: NodeId): void {
    const member = this.member(id);
    for (const ready of member.unflushed.splice(0)) {
      member.write(ready);
      member.node.persisted(ready.number);
      this.#send(ready.messagesAfterPersist);
    }
  }

  /** Delivers the messages on their way, once, as far as `only` wants. */
  deliver(only: (message: Message) => boolean = () => true): Message[] {
    const batch = this.network.filter(only);
    this.network = this.network.filter((message) => !only(message));
    for (const message of batch) {
      const receiver = this.members.get(message.to);
      if (receiver === undefined) continue;
      receiver.node.step(message);
      this.process(receiver.id);
    }
    return batch;
  }

  /** Processes and delivers until nothing moves; bounded. */
  settle(): void {
    for (let round = 0; round < 1_000; round++) {
      for (const id of this.members.keys()) this.process(id);
      if (this.network.length === 0) return;
      this.deliver();
    }
    throw new Error("Cannot settle the cluster: messages go round for ever");
  }

  /** Lets a member tick. */
  tick(id: NodeId, ticks: number): void {
    for (let i = 0; i < ticks; i++) this.node(id).tick();
    this.process(id);
  }

  /** Makes a member campaign and settles. */
  elect(id: NodeId): void {
    this.node(id).campaign();
    this.settle();
  }

  #send(messages: readonly Message[]): void {
    for (const message of messages) {
      if (!this.drop(message)) this.network.push(message);
    }
  }
}

/** Entries of the given terms, from index 1 on. */
export function log(...terms: number[]): Entry[] {
  return terms.map((term, i): Entry => ({
    type: "command",
    term,
    index: i + 1,
    data: bytes(`${term}.${i + 1}`),
  }));
}

/** UTF-8. */
export function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** The commands among entries, as text. */
export function commands(entries: readonly Entry[]): string[] {
  const decoder = new TextDecoder();
  return entries.flatMap((entry) =>
    entry.type === "command" ? [decoder.decode(entry.data)] : []
  );
}
