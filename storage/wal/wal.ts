/**
 * The write-ahead log as a storage: checks what comes in, opens and closes.
 * The bytes are in `format.ts`, the writing in `log_writer.ts`.
 *
 * @module
 */
import { RaftError } from "../../src/errors.ts";
import type {
  GroupWrite,
  OpenedStorage,
  ReadRange,
  SnapshotReader,
  SnapshotWriter,
  SnapshotWriterOptions,
  Storage,
  StorageIdentity,
  WriteOptions,
} from "../../src/storage.ts";
import type {
  Entry,
  GroupId,
  LogIndex,
  SnapshotMeta,
} from "../../src/core/types.ts";
import { failed } from "./errors.ts";
import { requireChecksum } from "./format.ts";
import type { GroupState } from "./groups.ts";
import { closeLog, type OpenLog, openLog } from "./open_log.ts";
import {
  readOptions,
  type WalSettings,
  type WalStorageOptions,
} from "./options.ts";
import { readEntries } from "./reader.ts";

/**
 * A storage in files: one write-ahead log for all groups of a host, and the
 * snapshots of each group, on every runtime that has `node:fs`.
 *
 * A write is on stable storage when it resolves. Writes that overlap share
 * flushes. What a cut or interrupted write left behind the last whole batch
 * is removed by opening and reported as a repair; any damage before that is
 * an error that names file and offset. Damage to the very last batch cannot
 * be told from an interrupted write, except after `close`, which notes where
 * the log ends.
 *
 * Segments of the log whose entries are all dropped or replaced are removed.
 * A group that drops nothing has its entries moved, so that the frames of the
 * log stay below four times what lives in it, or two segments (a segment in
 * use, and what is written meanwhile, may come on top). A snapshot counts once
 * it is complete and the log holds its last entry or a write has installed
 * it; opening goes on from the newest that counts, and sets damaged ones
 * aside as long as an older one and the log have everything.
 */
export class WalStorage implements Storage {
  readonly #settings: WalSettings;
  #state: "new" | "opening" | "open" | "closed" = "new";
  /** Set exactly in state `open`. */
  #log: OpenLog | undefined;
  /** Set in state `opening`; never rejects. */
  #opening: Promise<void> | undefined;
  /** Set by the first `close` of an open log. */
  #closing: Promise<void> | undefined;

  /**
   * Makes a storage that is not open yet; touches no file.
   *
   * @throws {RangeError} If an option is out of range.
   * @throws {RaftError} `unsupported` if the runtime is too old.
   */
  constructor(options: WalStorageOptions) {
    requireChecksum();
    this.#settings = readOptions(options);
  }

  /**
   * Takes the lock, checks the identity, reads the log. Once; but if it
   * rejects, it may be called again.
   *
   * @throws {RaftError} `locked`, `identityMismatch`, `corrupt`,
   * `unsupportedFormat` or `storageFailed`; nothing was changed then.
   */
  async open(identity: StorageIdentity): Promise<OpenedStorage> {
    const { directory } = this.#settings;
    if (this.#state === "closed") throw this.#closedError();
    if (this.#state !== "new") {
      throw new RaftError(
        "locked",
        `Cannot open "${directory}": this storage has it open`,
        { file: directory },
      );
    }
    this.#state = "opening";
    const opening = this.#open(identity.deployment);
    this.#opening = opening.then(() => {}, () => {});
    try {
      return await opening;
    } catch (error) {
      this.#state = "new";
      throw error instanceof RangeError
        ? error
        : failed(`open "${directory}"`, error);
    }
  }

  /**
   * Writes a batch; see {@linkcode Storage.write}. With `sync: false` it
   * resolves once the batches before it are durable, and becomes so itself
   * with the next synced batch or at `close`.
   *
   * @throws {RaftError} `storageFailed` for good after any failure, `tooLarge`
   * beyond 1 GiB.
   * @throws {RangeError} If the batch does not fit what is stored, installs a
   * snapshot without data, or replaces entries that the group's snapshot
   * contains; nothing of it is written then.
   */
  write(batch: readonly GroupWrite[], options?: WriteOptions): Promise<void> {
    const log = this.#log;
    if (log === undefined) return Promise.reject(this.#closedError());
    const after = leavingOf(log, batch);
    let isEncoded = false;
    const written = log.writer.append((builder) => {
      const groups = log.bounds.encode(batch, builder, log.shelf);
      isEncoded = true;
      return groups;
    }, after === undefined ? options : { ...options, after });
    if (isEncoded) this.#shelve(log, batch, written);
    return written;
  }

  /**
   * Reads stored entries, checked against their checksums.
   *
   * @throws {RaftError} `compacted`, `corrupt`, or `storageFailed`.
   * @throws {RangeError} If the group does not exist or the range begins
   * beyond its log.
   */
  async read(range: ReadRange): Promise<Entry[]> {
    const { source, writer, groups } = this.#requireLog();
    await writer.settle(range.group);
    if (writer.failure !== undefined) throw writer.failure;
    const state = groups.get(range.group);
    if (state === undefined) {
      throw new RangeError(
        `Cannot read entries: group ${range.group} does not exist`,
      );
    }
    checkRange(range, state);
    return await readEntries(source, state, range);
  }

  /**
   * Drops entries up to and including `through`; durable when it resolves.
   * Nothing happens if they are gone. Files that hold nothing else are removed
   * soon after.
   *
   * @throws {RangeError} Beyond the snapshot the group builds upon (H54).
   */
  async compact(group: GroupId, through: LogIndex): Promise<void> {
    const { bounds, compactor, shelf, writer } = this.#requireLog();
    const { firstIndex } = bounds.require(group);
    const index = shelf.current(group)?.index ?? 0;
    if (!Number.isSafeInteger(through) || through > index) {
      throw new RangeError(
        `Cannot compact group ${group} through ${through}: its snapshot is at ${index}`,
      );
    }
    await writer.append((builder) => {
      if (through < firstIndex) return [];
      bounds.encodeCompact(group, through, builder);
      return [group];
    });
    compactor.nudge();
  }

  /**
   * Starts a snapshot; see {@linkcode Storage.snapshotWriter}. Its data is in
   * a file of its own. When it is complete it counts at once if the log holds
   * its last entry; else it waits for the write that installs it, and is
   * dropped if the storage is opened before. One that is older by then than
   * what the group builds upon is thrown away (H63).
   *
   * @throws {RaftError} `snapshotFailed`, which harms nothing else.
   * @throws {RangeError} If the group does not exist or another one is being
   * written.
   */
  async snapshotWriter(
    group: GroupId,
    meta: SnapshotMeta,
    options?: SnapshotWriterOptions,
  ): Promise<SnapshotWriter> {
    const { bounds, shelf, writer } = this.#requireLog();
    if (writer.failure !== undefined) throw writer.failure;
    bounds.require(group);
    return await shelf.writer(group, meta, options);
  }

  /** The newest complete snapshot, installed or not, or `undefined`. */
  // deno-lint-ignore require-await -- a rejection, never a throw
  async snapshotReader(group: GroupId): Promise<SnapshotReader | undefined> {
    return this.#requireLog().shelf.reader(group);
  }

  /** Forgets a group; durable when it resolves. Harmless without one. */
  destroyGroup(group: GroupId): Promise<void> {
    const log = this.#log;
    if (log === undefined) return Promise.reject(this.#closedError());
    const { bounds, compactor, shelf, writer } = log;
    const isThere = bounds.remove(group);
    const isGone = writer.append((builder) => {
      if (!isThere) return [];
      builder.destroy(group);
      return [group];
    });
    if (!isThere) return isGone;
    return shelf.end(group, isGone).then(() => compactor.nudge());
  }

  /** Makes durable what was written, releases the lock. Never rejects. */
  close(): Promise<void> {
    if (this.#state === "opening" && this.#opening !== undefined) {
      return this.#opening.then(() => this.close());
    }
    const log = this.#log;
    this.#log = undefined;
    if (log !== undefined) this.#closing = closeLog(log);
    if (this.#state === "open" || this.#state === "new") {
      this.#state = "closed";
    }
    return this.#closing ?? Promise.resolve();
  }

  async #open(deployment: string): Promise<OpenedStorage> {
    const { log, opened } = await openLog(this.#settings, deployment);
    this.#log = log;
    this.#state = "open";
    return opened;
  }

  /** Takes note of what a batch that was encoded does to the snapshots. */
  #shelve(
    log: OpenLog,
    batch: readonly GroupWrite[],
    written: Promise<void>,
  ): void {
    for (const { group, create, snapshot } of batch) {
      if (create !== undefined) log.shelf.begin(group, create.snapshot);
      if (snapshot === undefined) continue;
      log.shelf.install(group, snapshot);
      const tidyUp = async () => {
        await written;
        await log.shelf.prune(group);
        log.compactor.nudge();
      };
      // Whoever wrote is told what went wrong.
      tidyUp().catch(() => {});
    }
  }

  #requireLog(): OpenLog {
    if (this.#log === undefined) throw this.#closedError();
    return this.#log;
  }

  #closedError(): RaftError {
    const what = this.#state === "closed" ? "it was closed" : "it is not open";
    return new RaftError(
      "stopped",
      `Cannot use the log in "${this.#settings.directory}": ${what}`,
    );
  }
}

/** What has to be gone before a group of the batch may be made again. */
function leavingOf(
  { shelf }: OpenLog,
  batch: readonly GroupWrite[],
): Promise<void> | undefined {
  if (!shelf.isLeaving) return undefined;
  const leaving = batch.flatMap(({ group, create }) =>
    create === undefined ? [] : shelf.leaving(group) ?? []
  );
  if (leaving.length === 0) return undefined;
  const gone = Promise.all(leaving).then(() => {});
  // The batch may be refused before anybody waits for it.
  gone.catch(() => {});
  return gone;
}

function checkRange(range: ReadRange, state: GroupState): void {
  const { group, from, through } = range;
  if (from < state.firstIndex) {
    throw new RaftError(
      "compacted",
      `Cannot read entry ${from} of group ${group}: its log starts at ${state.firstIndex}`,
    );
  }
  if (from <= state.lastIndex && from <= through) return;
  throw new RangeError(
    `Cannot read entries ${from} to ${through} of group ${group}: its log is ${state.firstIndex} to ${state.lastIndex}`,
  );
}
