/**
 * Opens a data directory: its lock, its log, its snapshots.
 *
 * @module
 */
import type { OpenedStorage, StorageRepair } from "../../src/storage.ts";
import type { GroupId, SnapshotMeta } from "../../src/core/types.ts";
import { BoundsTable } from "./bounds.ts";
import { Compactor } from "./compaction.ts";
import { openDirectory } from "./directory.ts";
import type { GroupTable } from "./groups.ts";
import { SegmentLedger } from "./ledger.ts";
import type { DirectoryLock } from "./lock.ts";
import { LogWriter } from "./log_writer.ts";
import type { WalSettings } from "./options.ts";
import type { ReadSource } from "./reader.ts";
import { type RecoveredLog, recoverLog } from "./recovery.ts";
import { SnapshotShelf } from "./shelf.ts";
import { SegmentIndexer } from "./segment_indexer.ts";
import { chooseSnapshot, type SnapshotChoice } from "./snapshot_choice.ts";
import { SnapshotStore, type StoredSnapshotFile } from "./snapshots/store.ts";
import { readTails } from "./tail_reader.ts";

/** A log that is open. */
export interface OpenLog {
  readonly lock: DirectoryLock;
  readonly writer: LogWriter;
  /** Groups as far as they are in the files. */
  readonly groups: GroupTable;
  /** Groups as they will be. */
  readonly bounds: BoundsTable;
  readonly source: ReadSource;
  readonly store: SnapshotStore;
  readonly shelf: SnapshotShelf;
  readonly compactor: Compactor;
  readonly indexer: SegmentIndexer;
}

/** A directory that was opened, and what was found in it. */
export interface OpenResult {
  readonly log: OpenLog;
  readonly opened: OpenedStorage;
}

/**
 * Opens a directory for a deployment.
 *
 * @throws {RaftError} `locked`, `identityMismatch`, `corrupt`,
 * `unsupportedFormat`; nothing was changed then. Errors of the file system
 * pass through.
 */
export async function openLog(
  settings: WalSettings,
  deployment: string,
): Promise<OpenResult> {
  const { lock, ...owner } = await openDirectory({ ...settings, deployment });
  try {
    return await openLocked(settings, owner, lock);
  } catch (error) {
    lock.release();
    throw error;
  }
}

/** Gives everything back, in order. Never rejects. */
export async function closeLog(log: OpenLog): Promise<void> {
  await log.compactor.close();
  await log.store.close();
  await log.writer.close();
  await log.shelf.close();
  await log.indexer.close();
  try {
    log.lock.release();
  } catch {
    // The lock names this process and ends with it.
  }
}

async function openLocked(
  settings: WalSettings,
  owner: Pick<ReadSource, "identity" | "recordSeed">,
  lock: DirectoryLock,
): Promise<OpenResult> {
  const { directory, fileSystem, flush, retainSnapshots } = settings;
  const place = {
    fileSystem,
    directory,
    identity: owner.identity,
    isWriteThrough: flush === "dsync",
  };
  const store = new SnapshotStore({ ...place, retain: retainSnapshots });
  const choices = new SnapshotChoices(store, directory);
  const recovered = await recoverLog(
    place,
    (groups) => choices.choose(groups),
  );
  const log = assemble(settings, {
    ...owner,
    ...place,
    lock,
    store,
    recovered,
  });
  try {
    const repairs = [...recovered.repairs, ...await choices.carryOut()];
    const opened = await describe(settings, log, { choices, repairs });
    // What a killed process left to be freed.
    log.compactor.nudge();
    return { log, opened };
  } catch (error) {
    await log.writer.abandon();
    await log.indexer.close();
    throw error;
  }
}

function assemble(
  settings: WalSettings,
  parts: Omit<ReadSource, "hold"> & {
    readonly lock: DirectoryLock;
    readonly store: SnapshotStore;
    readonly recovered: RecoveredLog;
  },
): OpenLog {
  const { lock, store, recovered, recordSeed, ...place } = parts;
  const { groups } = recovered;
  const bounds = new BoundsTable();
  const ledger = new SegmentLedger(
    recovered.sealed,
    () => compactor.nudge(),
  );
  const source: ReadSource = {
    ...place,
    recordSeed,
    hold: (segments) => ledger.hold(segments),
  };
  const writer = new LogWriter(recovered, { ...settings, place, recordSeed });
  const compactor = new Compactor({
    ...settings,
    source,
    groups,
    ledger,
    writer,
  });
  writer.observe(compactor);
  const indexer = new SegmentIndexer({
    place,
    pending: recovered.pendingIndexes,
    onFailure: (error) => writer.fail(error),
  });
  writer.observe(indexer);
  const shelf = new SnapshotShelf({
    store,
    retain: settings.retainSnapshots,
    isHeld: (group, meta) => bounds.isHeld(group, meta),
    settled: () => writer.append(() => []),
  });
  return {
    ...{ lock, writer, groups, bounds, source },
    ...{ store, shelf, compactor, indexer },
  };
}

async function describe(
  settings: WalSettings,
  log: OpenLog,
  found: {
    readonly choices: SnapshotChoices;
    readonly repairs: readonly StorageRepair[];
  },
): Promise<OpenedStorage> {
  const { bounds, groups, shelf, source } = log;
  const states = groups.list();
  const share = Math.floor(
    settings.totalTailBytes / Math.max(1, states.length),
  );
  const tailBytes = Math.min(settings.tailBytes, share);
  const tails = await readTails(source, states, tailBytes);
  const stored = [];
  for (const state of states) {
    const { group, hardState, conf } = state;
    const snapshot = found.choices.of(group) ?? state.snapshot;
    shelf.begin(group, snapshot);
    stored.push({
      ...bounds.add(state),
      group,
      hardState,
      snapshot,
      conf,
      tail: tails.get(group) ?? [],
    });
  }
  return {
    incarnation: source.identity.incarnation,
    groups: stored,
    repairs: found.repairs,
  };
}

/** What is to become of all snapshots that were found. */
class SnapshotChoices {
  readonly #store: SnapshotStore;
  readonly #directory: string;
  readonly #choices = new Map<GroupId, SnapshotChoice>();
  /** Groups that have snapshots and do not exist. */
  readonly #strangers: GroupId[] = [];

  constructor(store: SnapshotStore, directory: string) {
    this.#store = store;
    this.#directory = directory;
  }

  /** What a group goes on from. */
  of(group: GroupId): SnapshotMeta | undefined {
    return this.#choices.get(group)?.meta;
  }

  /** Decides, and changes nothing. @throws {RaftError} `corrupt`. */
  async choose(groups: GroupTable): Promise<void> {
    const found = await this.#store.open();
    for (const state of groups.list()) {
      const files: readonly StoredSnapshotFile[] = found.get(state.group) ?? [];
      const choice = chooseSnapshot(state, files, this.#directory);
      this.#choices.set(state.group, choice);
    }
    for (const group of found.keys()) {
      if (!this.#choices.has(group)) this.#strangers.push(group);
    }
  }

  /** Does what was decided; returns what was repaired. */
  async carryOut(): Promise<StorageRepair[]> {
    const repairs: StorageRepair[] = [];
    for (const { damaged, unwanted } of this.#choices.values()) {
      for (const file of unwanted) await this.#store.remove(file);
      for (const file of damaged) {
        await this.#store.quarantine(file);
        const offset = file.state === "damaged" ? file.problem.offset ?? 0 : 0;
        repairs.push({ type: "damagedSnapshot", file: file.path, offset });
      }
    }
    // A crash came between the end of a group and that of its files.
    for (const group of this.#strangers) await this.#store.removeGroup(group);
    this.#store.sweep();
    return repairs;
  }
}
