/**
 * Sending snapshots to followers whose entries are gone from the log (thesis
 * §5.1), and keeping the log they will need next.
 *
 * @module
 */
import type { InstallSnapshot } from "../core/message.ts";
import type { RawNode } from "../core/raw_node.ts";
import type { ProgressStatus } from "../core/status.ts";
import type {
  ConfState,
  GroupId,
  LogIndex,
  NodeId,
  SnapshotMeta,
  Term,
} from "../core/types.ts";
import { isRaftError, RaftError } from "../errors.ts";
import type { SnapshotReader, Storage } from "../storage.ts";
import type { BulkLane } from "./bulk_lane.ts";
import type { Clock } from "./clock.ts";
import { paced } from "./paced.ts";
import type { Tasks } from "./tasks.ts";

/**
 * How many own snapshots the log behind one that is on its way is kept for:
 * long enough for a slow transfer, and a bound for the disk (H66).
 */
const MAX_AGE = 4;
/** Election timeouts to wait after the first failure; doubled with each. */
const FIRST_DELAY = 1;
const MAX_DELAY = 16;

/** What the sender needs of the core. */
export interface SnapshotSenderCore
  extends Pick<RawNode, "role" | "term" | "reportSnapshot"> {
  /** Who is a witness. */
  readonly conf: Pick<ConfState, "witnesses">;
  /** How the leader replicates to each member. */
  status(): {
    readonly progress: readonly Pick<
      ProgressStatus,
      "id" | "state" | "matchIndex"
    >[];
  };
}

/** What sending needs. */
export interface SnapshotSenderOptions {
  readonly group: GroupId;
  readonly core: SnapshotSenderCore;
  readonly storage: Pick<Storage, "snapshotReader">;
  readonly lane: BulkLane;
  readonly clock: Clock;
  readonly tasks: Tasks;
  readonly electionMs: number;
  /** Where a member is reached. */
  readonly addressOf: (id: NodeId) => string | undefined;
  /** A stored snapshot cannot be read; called within a turn. */
  readonly onUnreadable: (meta: SnapshotMeta, error: RaftError) => void;
  /** Runs `work` within a turn. */
  readonly inTurn: (work: () => void) => void;
}

/** One snapshot for one member. */
interface Transfer {
  readonly message: InstallSnapshot;
  readonly controller: AbortController;
  /** `sent`: taken; the log behind it is kept until the member follows. */
  state: "waiting" | "sending" | "sent";
  /** Where the snapshot ends; known exactly once it is being sent. */
  index: LogIndex;
  /** Own snapshots taken since. */
  age: number;
  /** When it may begin. */
  readonly notBefore: number;
  /** What the own storage came to when it read the snapshot. */
  problem: RaftError | undefined;
}

/** A snapshot that a member has got a part of, perhaps. */
interface Begun {
  readonly reader: SnapshotReader;
  /** Own snapshots taken since. */
  age: number;
  /** How much of it the member had when it asked last. */
  offset: number;
}

/** How often sending to a member failed in a row. */
interface Failures {
  readonly count: number;
  readonly retryAt: number;
}

/** The transfers of one leader; at most one per member. */
export class SnapshotSender {
  readonly #options: SnapshotSenderOptions;
  readonly #transfers = new Map<NodeId, Transfer>();
  readonly #failures = new Map<NodeId, Failures>();
  /**
   * What each member is getting, kept when a transfer fails: it goes on with
   * the same bytes, however many newer ones there are by then (H66).
   */
  readonly #begun = new Map<NodeId, Begun>();
  /** The term in which the transfers began. */
  #term: Term = 0;

  constructor(options: SnapshotSenderOptions) {
    this.#options = options;
  }

  /** How many transfers wait or are under way. */
  get activeCount(): number {
    let count = 0;
    for (const { state } of this.#transfers.values()) {
      if (state !== "sent") count++;
    }
    return count;
  }

  /** What lies behind this index is still needed; `Infinity` if nothing is. */
  get pinnedIndex(): LogIndex {
    let index = Infinity;
    for (const transfer of this.#transfers.values()) {
      if (transfer.age <= MAX_AGE) index = Math.min(index, transfer.index);
    }
    for (const { age, reader } of this.#begun.values()) {
      if (age <= MAX_AGE) index = Math.min(index, reader.meta.index);
    }
    return index;
  }

  /**
   * The core wants a member to get the state. It hears by `reportSnapshot`
   * what became of it, once, unless it has lost interest before.
   */
  send(message: InstallSnapshot): void {
    this.leaderChanged();
    const { to } = message;
    const current = this.#transfers.get(to);
    // Asked again while one is under way: any snapshot will do (H66).
    if (current !== undefined && current.state !== "sent") return;
    const transfer: Transfer = {
      message,
      controller: new AbortController(),
      state: "waiting",
      index: message.snapshot.index,
      age: 0,
      notBefore: this.#failures.get(to)?.retryAt ?? 0,
      problem: undefined,
    };
    this.#transfers.set(to, transfer);
    this.#maybeStart(transfer);
  }

  /** The member took a snapshot of its own. */
  took(): void {
    for (const transfer of this.#transfers.values()) transfer.age++;
    for (const [peer, begun] of this.#begun) {
      begun.age++;
      if (!this.#isSending(peer)) this.#forgetOld(peer);
    }
  }

  /** Gives up what is needed no more, begins what has waited. */
  tick(): void {
    this.leaderChanged();
    if (this.#transfers.size + this.#begun.size === 0) return;
    const { progress } = this.#options.core.status();
    for (const [peer, { reader }] of this.#begun) {
      const known = progress.find(({ id }) => id === peer);
      const hasIt = known === undefined ||
        known.matchIndex >= reader.meta.index;
      if (hasIt && !this.#isSending(peer)) this.#forget(peer);
    }
    for (const [peer, transfer] of [...this.#transfers]) {
      const known = progress.find(({ id }) => id === peer);
      const hasIt = known !== undefined && known.matchIndex >= transfer.index;
      if (known === undefined) this.#cancel(peer, "it was removed");
      else if (transfer.state === "sent") {
        if (hasIt) this.#transfers.delete(peer);
      } else if (known.state !== "snapshot" && !hasIt) {
        this.#cancel(peer, "it is not needed any more");
      } else this.#maybeStart(transfer);
    }
  }

  /** Only the leader of a term sends. */
  leaderChanged(): void {
    const { role, term } = this.#options.core;
    if (role === "leader" && term === this.#term) return;
    this.#term = term;
    this.stop("the leadership ended");
  }

  /** Gives everything up. */
  stop(why: string): void {
    for (const peer of [...this.#transfers.keys()]) this.#cancel(peer, why);
    for (const peer of [...this.#begun.keys()]) this.#forget(peer);
    this.#failures.clear();
  }

  #maybeStart(transfer: Transfer): void {
    const { clock, inTurn, tasks } = this.#options;
    if (transfer.state !== "waiting") return;
    if (clock.now() < transfer.notBefore) return;
    transfer.state = "sending";
    const run = async () => {
      await this.#run(transfer);
      inTurn(() => this.#taken(transfer));
    };
    tasks.start(run(), () => inTurn(() => this.#failed(transfer)));
  }

  async #run(transfer: Transfer): Promise<void> {
    const { addressOf, core, group, lane } = this.#options;
    const { controller: { signal }, message } = transfer;
    const { from, snapshot, term, to } = message;
    const address = addressOf(to);
    if (address === undefined) {
      throw new RaftError(
        "unsupported",
        `Cannot send the snapshot at ${snapshot.index} to member ${to}: its address is not known`,
      );
    }
    const reader = await this.#begin(transfer);
    const { meta, token } = reader;
    transfer.index = meta.index;
    // A witness keeps no data: to know where the log begins is enough (H89).
    const isWitness = core.conf.witnesses.includes(to);
    const content = isWitness ? { chunks: nothing } : {
      token,
      chunks: (fromOffset = 0) => this.#read(transfer, reader, fromOffset),
    };
    const data = { group, from, to, term, meta, ...content };
    await lane.send(address, data, signal);
  }

  /** What the member has begun to get, else the newest. */
  async #begin(transfer: Transfer): Promise<SnapshotReader> {
    const { group, storage } = this.#options;
    const { snapshot, to } = transfer.message;
    const begun = this.#begun.get(to);
    if (begun !== undefined) return begun.reader;
    const reader = await storage.snapshotReader(group);
    const isEnough = reader !== undefined &&
      reader.meta.index >= snapshot.index;
    if (isEnough && this.#transfers.get(to) === transfer) {
      this.#begun.set(to, { reader, age: 0, offset: 0 });
      return reader;
    }
    reader?.release?.();
    throw new RaftError(
      "unsupported",
      `Cannot send the snapshot at ${snapshot.index} to member ${to}: the storage has ${reader?.meta.index}`,
    );
  }

  async *#read(
    transfer: Transfer,
    reader: SnapshotReader,
    fromOffset: number,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const { clock } = this.#options;
    this.#reached(transfer.message.to, fromOffset);
    const { signal } = transfer.controller;
    try {
      const pace = { clock, signal, inBackground: true };
      let end = fromOffset;
      for await (const chunk of paced(reader.chunks(fromOffset), pace)) {
        end += chunk.length;
        yield chunk;
      }
      // What its member would take for whole (H65).
      if (end < reader.bytes) throw tooShort(reader, end);
    } catch (error) {
      if (isRaftError(error) && !signal.aborted) transfer.problem = error;
      throw error;
    }
  }

  /** A transfer that gets on is not slowed down, however often it is cut. */
  #reached(peer: NodeId, offset: number): void {
    const begun = this.#begun.get(peer);
    if (begun === undefined || offset <= begun.offset) return;
    begun.offset = offset;
    this.#failures.delete(peer);
  }

  #taken(transfer: Transfer): void {
    const { to } = transfer.message;
    if (this.#transfers.get(to) !== transfer) return;
    transfer.state = "sent";
    this.#failures.delete(to);
    this.#forget(to);
    this.#options.core.reportSnapshot(to, true);
  }

  #failed(transfer: Transfer): void {
    const { clock, core, electionMs } = this.#options;
    const { to } = transfer.message;
    if (this.#transfers.get(to) !== transfer) return;
    this.#transfers.delete(to);
    if (transfer.problem === undefined) this.#forgetOld(to);
    else this.#unreadable(to, transfer.problem);
    const count = this.#failures.get(to)?.count ?? 0;
    const delay = Math.min(FIRST_DELAY * 2 ** count, MAX_DELAY) * electionMs;
    const retryAt = clock.now() + delay;
    this.#failures.set(to, { count: count + 1, retryAt });
    core.reportSnapshot(to, false);
  }

  /** The next attempt is with another one. */
  #unreadable(peer: NodeId, error: RaftError): void {
    const meta = this.#begun.get(peer)?.reader.meta;
    this.#forget(peer);
    const isGone = error.code === "compacted";
    if (meta !== undefined && !isGone) this.#options.onUnreadable(meta, error);
  }

  #isSending(peer: NodeId): boolean {
    return this.#transfers.get(peer)?.state === "sending";
  }

  /** The log behind it is kept no longer. */
  #forgetOld(peer: NodeId): void {
    const begun = this.#begun.get(peer);
    if (begun !== undefined && begun.age > MAX_AGE) this.#forget(peer);
  }

  #forget(peer: NodeId): void {
    this.#begun.get(peer)?.reader.release?.();
    this.#begun.delete(peer);
  }

  #cancel(peer: NodeId, why: string): void {
    const transfer = this.#transfers.get(peer);
    if (transfer === undefined) return;
    this.#transfers.delete(peer);
    this.#forget(peer);
    transfer.controller.abort(
      new RaftError(
        "unreachable",
        `Cannot send a snapshot to member ${peer}: ${why}`,
      ),
    );
  }
}

function tooShort({ bytes, meta }: SnapshotReader, end: number): RaftError {
  return new RaftError(
    "corrupt",
    `Cannot send the snapshot at ${meta.index}: the storage has ${end} bytes of it, wanted ${bytes}`,
  );
}

async function* nothing(): AsyncGenerator<Uint8Array, void, undefined> {}
