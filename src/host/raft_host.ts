/**
 * A process's part in a deployment.
 *
 * @module
 */
import { RawNode } from "../core/raw_node.ts";
import type { ConfState, GroupId, LogIndex } from "../core/types.ts";
import { RaftError } from "../errors.ts";
import { MachineRunner } from "../rsm/machine_runner.ts";
import type { OpenedStorage, Storage, StoredGroup } from "../storage.ts";
import { INITIAL_HARD_STATE } from "../core/types.ts";
import { systemClock } from "./clock.ts";
import { HostEngine } from "./host_engine.ts";
import { Member } from "./member.ts";
import {
  checkHostOptions,
  type GroupOptions,
  type GroupSettings,
  groupSettings,
  type RaftHostOptions,
} from "./options.ts";
import { LocalGroup, type RaftGroup } from "./raft_group.ts";
import { entropicRandom } from "./random.ts";

const DEFAULT_TICK_MS = 50;

/** Counters of a host, all since it was started. */
export interface HostStatus {
  /** Turns run: how often something happened. */
  readonly turnCount: number;
  /** Batches handed to storage, for all groups together. */
  readonly writeCount: number;
  /** Frames handed to the transport, for all groups together. */
  readonly frameCount: number;
  /** Messages left out because no member here may believe them. */
  readonly ignoredCount: number;
}

/**
 * One storage, one transport and one timer, shared by all groups of a
 * process.
 */
export class RaftHost implements AsyncDisposable {
  /** Where other hosts reach this one. */
  readonly address: string;
  readonly #options: RaftHostOptions;
  readonly #engine: HostEngine;
  /** Groups found in storage that were not started yet. */
  readonly #stored: Map<GroupId, StoredGroup>;
  /** Groups that were started, and what stops them. */
  readonly #groups = new Map<GroupId, () => Promise<void>>();
  #stopping: Promise<void> | null = null;

  private constructor(
    options: RaftHostOptions,
    engine: HostEngine,
    opened: OpenedStorage,
  ) {
    this.address = options.address;
    this.#options = options;
    this.#engine = engine;
    this.#stored = new Map(
      opened.groups.map((stored) => [stored.group, stored]),
    );
  }

  /**
   * Opens the storage and starts the transport.
   *
   * @throws {TypeError | RangeError} If an option is wrong.
   * @throws {RaftError} What opening the storage or listening came to:
   * `locked`, `identityMismatch`, `corrupt`, `unsupportedFormat`,
   * `storageFailed`, `unreachable`.
   */
  static async start(options: RaftHostOptions): Promise<RaftHost> {
    checkHostOptions(options);
    const { deployment, address, clientAddress, storage, transport } = options;
    const engine = new HostEngine({
      clock: options.clock ?? systemClock(),
      storage,
      transport,
      tickMs: options.tickMs ?? DEFAULT_TICK_MS,
      random: entropicRandom(),
      address,
      clientAddress: clientAddress ?? null,
      onEvent: options.onEvent,
    });
    const opened = await storage.open({ deployment });
    engine.incarnation = opened.incarnation;
    for (const repair of opened.repairs) {
      engine.report({ type: "repaired", repair });
    }
    const host = new RaftHost(options, engine, opened);
    try {
      const { incarnation } = opened;
      const identity = { deployment, address, clientAddress, incarnation };
      await transport.start(identity, engine);
    } catch (error) {
      await host.stop();
      throw error;
    }
    return host;
  }

  /** Counters of this host. */
  status(): HostStatus {
    const { turnCount, ignoredCount, outbox, pipeline } = this.#engine;
    return {
      turnCount,
      writeCount: pipeline.writeCount,
      frameCount: outbox.frameCount,
      ignoredCount,
    };
  }

  /**
   * Starts this host's member of a group: from what is stored, else as a
   * founding member of a new group. Resolves once it takes part; it catches
   * up on its own.
   *
   * @throws {TypeError | RangeError} If an option is wrong.
   * @throws {RaftError} `identityMismatch` if the data is another member's or
   * the configuration has this one elsewhere, `unsupported` if the group was
   * started on this host before, `stopped`, `storageFailed`, `machineFailed`.
   */
  async startGroup<C, R, Q, A>(
    options: GroupOptions<C, R, Q, A>,
  ): Promise<RaftGroup<C, R, Q, A>> {
    const settings = groupSettings(options, this.#engine.tickMs);
    this.#reserve(settings);
    try {
      const stored = this.#stored.get(settings.group) ??
        await this.#create(settings);
      this.#checkIdentity(settings, stored);
      const runner = new MachineRunner(options.machine);
      await restoreMachine(runner, this.#engine.storage, stored);
      return this.#run(options, settings, stored, runner);
    } catch (error) {
      this.#groups.delete(settings.group);
      throw error;
    }
  }

  /**
   * Stops all groups, then the transport, then the storage. Idempotent.
   */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  /** Stops; for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #stop(): Promise<void> {
    await Promise.all([...this.#groups.values()].map((stop) => stop()));
    this.#engine.close();
    await this.#options.transport.close();
    await this.#engine.tasks.idle();
    await this.#options.storage.close();
  }

  /** Takes the group's place before anything is awaited. */
  #reserve({ group }: GroupSettings): void {
    const { storageFailure } = this.#engine;
    if (storageFailure !== null) throw storageFailure;
    if (this.#stopping !== null) {
      throw new RaftError("stopped", "Cannot start a group: the host stopped");
    }
    if (this.#groups.has(group)) {
      throw new RaftError(
        "unsupported",
        `Cannot start group ${group}: it was started on this host before`,
      );
    }
    this.#groups.set(group, () => Promise.resolve());
  }

  #checkIdentity(settings: GroupSettings, stored: StoredGroup): void {
    const { group, moved, node } = settings;
    if (stored.node !== node) {
      throw new RaftError(
        "identityMismatch",
        `Cannot start group ${group} as member ${node}: the data is member ${stored.node}'s`,
      );
    }
    const conf = newestConf(stored);
    const own = conf.addresses.find(({ id }) => id === node)?.address;
    if (own !== undefined && own !== this.address && !moved) {
      throw new RaftError(
        "identityMismatch",
        `Cannot start group ${group} as member ${node}: the group knows it at "${own}", this host is at "${this.address}"`,
      );
    }
  }

  /** Writes the first record of a new group. */
  async #create(settings: GroupSettings): Promise<StoredGroup> {
    const { conf, group, node } = settings;
    const snapshot = { index: 0, term: 0, conf };
    const fresh: StoredGroup = {
      group,
      node,
      hardState: INITIAL_HARD_STATE,
      snapshot,
      firstIndex: 1,
      lastIndex: 0,
      prevTerm: 0,
      termRuns: [],
      tail: [],
    };
    this.#checkIdentity(settings, fresh);
    const { pipeline } = this.#engine;
    const ignored = { written: () => {} };
    const write = { group, create: { node, snapshot }, entries: [] };
    pipeline.add(ignored, 0, write, { sync: true });
    pipeline.flush();
    await pipeline.barrier();
    const { storageFailure } = this.#engine;
    if (storageFailure !== null) throw storageFailure;
    // A start that fails from here on may be tried again, this may not.
    this.#stored.set(group, fresh);
    return fresh;
  }

  #run<C, R, Q, A>(
    options: GroupOptions<C, R, Q, A>,
    settings: GroupSettings,
    stored: StoredGroup,
    runner: MachineRunner<C, R, Q, A>,
  ): RaftGroup<C, R, Q, A> {
    if (this.#stopping !== null) {
      throw new RaftError("stopped", "Cannot start a group: the host stopped");
    }
    const core = new RawNode({
      id: settings.node,
      config: settings.core,
      restored: { ...stored, appliedIndex: runner.appliedIndex },
      random: options.random ?? entropicRandom(),
    });
    const services = this.#engine;
    // Never the caller's generator: one that repeats itself in the next life
    // would name its requests as in this one (H96).
    const random = entropicRandom();
    const member = new Member({
      services,
      settings,
      core,
      runner,
      snapshot: stored.snapshot,
      random,
    });
    this.#engine.add(member);
    // Its entries would be kept alive for as long as the host.
    this.#stored.delete(settings.group);
    const { timeoutMs } = settings;
    this.#groups.set(settings.group, () => member.stop());
    return new LocalGroup({
      member,
      clock: services.clock,
      timeoutMs,
      deployment: this.#options.deployment,
      afterStop: options.stopsHost === true ? () => this.stop() : undefined,
    });
  }
}

/** The one an entry made may be older than the snapshot that came in (H69). */
function newestConf({ conf, snapshot }: StoredGroup): ConfState {
  return conf !== undefined && conf.index > snapshot.index
    ? conf.conf
    : snapshot.conf;
}

/** Gives the machine what lies below the log. */
async function restoreMachine<C, R, Q, A>(
  runner: MachineRunner<C, R, Q, A>,
  storage: Storage,
  stored: StoredGroup,
): Promise<void> {
  const wanted: LogIndex = stored.snapshot.index;
  if (wanted === 0) return;
  const reader = await storage.snapshotReader(stored.group);
  if (reader === undefined || reader.meta.index !== wanted) {
    reader?.release?.();
    throw new RaftError(
      "corrupt",
      `Cannot start group ${stored.group}: its log begins after the snapshot at ${wanted}, the storage has ${
        reader?.meta.index ?? "none"
      }`,
    );
  }
  try {
    // Only a witness gets an empty one: it keeps no state.
    if (reader.bytes === 0) runner.skipTo(wanted);
    else await runner.restore(reader.meta, reader.chunks());
  } finally {
    reader.release?.();
  }
}
