/**
 * Everything about the snapshots of one member: taking and compacting,
 * sending, receiving and restoring (thesis §5).
 *
 * @module
 */
import type { InstallSnapshot } from "../core/message.ts";
import type { RawNode } from "../core/raw_node.ts";
import type {
  Entry,
  GroupId,
  LogIndex,
  NodeId,
  SnapshotMeta,
} from "../core/types.ts";
import type { RaftErrorCode } from "../errors.ts";
import { isRaftError, RaftError } from "../errors.ts";
import type { SnapshotSource } from "../state_machine.ts";
import type { SnapshotTransfer } from "../transport.ts";
import { Captures } from "./captures.ts";
import type { SnapshotSettings } from "./options.ts";
import { paced } from "./paced.ts";
import type { HostServices } from "./participant.ts";
import { type Admission, SnapshotReceiver } from "./snapshot_receiver.ts";
import { SnapshotSender } from "./snapshot_sender.ts";
import { type Capture, SnapshotTaker } from "./snapshot_taker.ts";

/** What snapshots need of the core. */
export type SnapshotCore = Pick<
  RawNode,
  | "appliedIndex"
  | "commitIndex"
  | "compact"
  | "conf"
  | "reportSnapshot"
  | "role"
  | "status"
  | "step"
  | "term"
  | "termAt"
>;

/** The part of the machine's runner that captures and restores. */
export interface SnapshotRunner {
  /** The last entry that is in the state. */
  readonly appliedIndex: LogIndex;
  /** Whether the log is replayed to a machine that holds more. */
  readonly isReplaying: boolean;
  /** Captures the state as of `appliedIndex`. */
  snapshot(): SnapshotSource;
  /** Replaces the state. */
  restore(
    meta: SnapshotMeta,
    chunks: AsyncIterable<Uint8Array>,
  ): Promise<void>;
  /** Counts entries as applied without applying them. */
  skipTo(index: LogIndex): void;
}

/** The part of the applier that makes room for a restore. */
export interface SnapshotApplier {
  /** Whether an apply is under way. */
  readonly isBusy: boolean;
  /** Drops what is queued and applies nothing; resolves when none runs. */
  hold(): Promise<void>;
  /** Applies again. */
  release(): void;
}

/** What snapshots are made of, and whom they tell. All calls in turns. */
export interface SnapshotsOptions {
  readonly group: GroupId;
  readonly node: NodeId;
  readonly core: SnapshotCore;
  readonly runner: SnapshotRunner;
  readonly applier: SnapshotApplier;
  readonly services: HostServices;
  readonly settings: SnapshotSettings;
  readonly electionMs: number;
  /** What lies below the log at the start; the machine has it. */
  readonly meta: SnapshotMeta;
  readonly addressOf: (id: NodeId) => string | undefined;
  /** A snapshot is durable, and restored if it came in (H75). */
  readonly onSnapshot: (meta: SnapshotMeta, kind: SnapshotKind) => void;
  /** One could not be stored, or not be read; the member goes on. */
  readonly onProblem: (meta: SnapshotMeta, error: RaftError) => void;
  /** Storage or machine failed for good. */
  readonly onFailure: (error: unknown) => void;
  /** Runs `work` within a turn. */
  readonly inTurn: (work: () => void) => void;
}

/** Where a snapshot came from. */
export type SnapshotKind = "taken" | "installed";

/** What a witness has of the state. */
const NO_STATE: SnapshotSource = {
  async *chunks(): AsyncGenerator<Uint8Array, void, undefined> {},
};

/** The snapshots of one member. */
export class Snapshots {
  readonly #options: SnapshotsOptions;
  readonly #taker: SnapshotTaker;
  readonly #captures: Captures;
  readonly #sender: SnapshotSender;
  readonly #receiver: SnapshotReceiver;
  /** The newest that is durable and, if it came in, restored. */
  #newest: SnapshotMeta;
  /** The log was cut through here. */
  #compacted: LogIndex = 0;
  /** Whether the log was replaced and the machine has not followed yet. */
  #isInstalling = false;
  /** Ends a restore under way when the member stops. */
  readonly #stopping: AbortController = new AbortController();

  constructor(options: SnapshotsOptions) {
    const { core, electionMs, group, inTurn, node, services, settings } =
      options;
    this.#options = options;
    this.#newest = options.meta;
    const { bulk, clock, storage, tasks } = services;
    const shared = { clock, core, group, inTurn, node, storage, tasks };
    const { onFailure, onProblem } = options;
    this.#taker = new SnapshotTaker({
      ...shared,
      maxEntries: settings.entries,
      maxBytes: settings.bytes,
      index: options.meta.index,
      capture: () => this.#capture(),
      electionMs,
      onTaken: (meta) => this.#taken(meta),
      onProblem,
      onFailure,
    });
    this.#captures = new Captures({ capture: () => this.#capture(), inTurn });
    this.#sender = new SnapshotSender({
      ...shared,
      lane: bulk,
      electionMs,
      addressOf: options.addressOf,
      onUnreadable: (meta, error) => this.#unreadable(meta, error),
    });
    this.#receiver = new SnapshotReceiver({
      ...shared,
      taker: this.#taker,
      onProblem,
      onFailure,
    });
  }

  /** Where the newest durable snapshot is; 0 for none. */
  get index(): LogIndex {
    return this.#newest.index;
  }

  /** How many promises are unsettled. */
  get pendingCount(): number {
    return this.#taker.pendingCount + this.#captures.pendingCount;
  }

  /** Waits for a durable snapshot of everything that is applied now. */
  request(
    deadline: number,
    signal: AbortSignal | undefined,
  ): Promise<LogIndex> {
    const { appliedIndex } = this.#options.runner;
    return this.#taker.request(appliedIndex, deadline, signal);
  }

  /** Captures the state as soon as nothing is half applied. */
  capture(
    deadline: number,
    signal: AbortSignal | undefined,
  ): Promise<Capture> {
    return this.#captures.request(deadline, signal);
  }

  /**
   * These entries were applied. Now or never: a machine that is always busy
   * has begun with the next when the turn is over (H72).
   */
  applied(entries: readonly Entry[]): void {
    this.#taker.applied(entries);
    this.#taker.look();
    this.#captures.look();
  }

  /** The core wants a member to get the state. */
  send(message: InstallSnapshot): void {
    this.#sender.send(message);
  }

  /**
   * A snapshot arrives; resolves once the machine has it. Not in a turn.
   *
   * @throws {RaftError} If it was not taken.
   */
  receive(transfer: SnapshotTransfer, admit: Admission): Promise<void> {
    return this.#receiver.receive(transfer, admit);
  }

  /** The core replaced its log; nothing may be applied to the old state. */
  install(): Promise<void> {
    this.#isInstalling = true;
    return this.#options.applier.hold();
  }

  /** The replaced log is durable: the machine follows. */
  restore(meta: SnapshotMeta, idle: Promise<void>): void {
    const { inTurn, onFailure, services } = this.#options;
    const work = async () => {
      await idle;
      await this.#restore(meta);
      inTurn(() => this.#installed(meta));
    };
    services.tasks.start(
      work(),
      (error) => inTurn(() => onFailure(error)),
    );
  }

  /** A tick passes. */
  tick(now: number): void {
    this.#taker.tick(now);
    this.#captures.tick(now);
    this.#sender.tick();
    this.#receiver.tick();
    this.#compact();
    this.#taker.look();
    this.#captures.look();
  }

  /** Another leader, or none. */
  leaderChanged(): void {
    this.#sender.leaderChanged();
  }

  /** Settles and gives up everything; the member takes part no longer. */
  stop(code: RaftErrorCode, message: string): void {
    const error = new RaftError(code, message);
    this.#stopping.abort(error);
    this.#taker.stop(code, message);
    this.#captures.stop(code, message);
    this.#sender.stop(message);
    this.#receiver.stop(error);
  }

  /** Index, term and configuration of one instant with the state (H68). */
  #capture(): Capture | null {
    const { applier, core, runner } = this.#options;
    const index = core.appliedIndex;
    const term = core.termAt(index);
    // They differ while a snapshot that came in is restored.
    const isSettled = runner.appliedIndex === index && !applier.isBusy &&
      !runner.isReplaying;
    if (!isSettled || term === undefined) return null;
    const { conf } = core;
    const isWitness = conf.witnesses.includes(this.#options.node);
    return {
      meta: { index, term, conf },
      source: isWitness ? NO_STATE : runner.snapshot(),
    };
  }

  #taken(meta: SnapshotMeta): void {
    this.#newest = meta;
    this.#sender.took();
    this.#options.core.compact(meta, 0);
    this.#compact();
    this.#options.onSnapshot(meta, "taken");
  }

  /** What cannot be read cannot be sent: the sound state is stored anew (H60). */
  #unreadable(meta: SnapshotMeta, error: RaftError): void {
    this.#options.onProblem(meta, error);
    this.#taker.retake();
  }

  /**
   * Cuts the log, now that the snapshot is durable (H54), but not what slow
   * followers read, nor what a member that is getting a snapshot needs next
   * (H66).
   */
  #compact(): void {
    const { core, group, onFailure, services, settings } = this.#options;
    const through = Math.min(
      this.#newest.index - settings.trailing,
      this.#sender.pinnedIndex,
    );
    const isNew = this.#newest.index > 0 && !this.#isInstalling;
    if (!isNew || through <= this.#compacted) return;
    this.#compacted = through;
    core.compact(this.#newest, through);
    services.tasks.start(
      services.storage.compact(group, through),
      (error) => {
        if (!isRaftError(error, "unsupported")) onFailure(error);
      },
    );
  }

  async #restore(meta: SnapshotMeta): Promise<void> {
    const { group, runner, services } = this.#options;
    const { clock, storage } = services;
    const { signal } = this.#stopping;
    if (signal.aborted) return;
    const reader = await storage.snapshotReader(group);
    if (reader?.meta.index !== meta.index) {
      reader?.release?.();
      throw new RaftError(
        "corrupt",
        `Cannot restore the snapshot at ${meta.index} of group ${group}: the storage has ${
          reader?.meta.index ?? "none"
        }`,
      );
    }
    try {
      // Only a witness gets an empty one: it keeps no state.
      if (reader.bytes === 0) return runner.skipTo(meta.index);
      await runner.restore(meta, paced(reader.chunks(), { clock, signal }));
    } finally {
      reader.release?.();
    }
  }

  #installed(meta: SnapshotMeta): void {
    this.#isInstalling = false;
    this.#newest = meta;
    this.#compacted = Math.max(this.#compacted, meta.index);
    this.#taker.installed(meta.index);
    this.#options.applier.release();
    this.#options.onSnapshot(meta, "installed");
    this.#receiver.installed();
  }
}
