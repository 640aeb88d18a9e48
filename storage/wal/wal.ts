/**
 * The write-ahead log as a storage: checks what comes in, opens and closes.
 * The bytes are in `format.ts`, the writing in `log_writer.ts`.
 *
 * @module
 */
import { resolve } from "node:path";
import { RaftError } from "../../src/errors.ts";
import { checkGroupWrite, type LogBounds } from "../../src/storage_checks.ts";
import type {
  GroupWrite,
  OpenedStorage,
  ReadRange,
  SnapshotReader,
  SnapshotWriter,
  Storage,
  StorageIdentity,
  StoredGroup,
  WriteOptions,
} from "../../src/storage.ts";
import type {
  Entry,
  GroupId,
  LogIndex,
  SnapshotMeta,
} from "../../src/core/types.ts";
import { openDirectory } from "./directory.ts";
import { failed } from "./errors.ts";
import { nodeFileSystem, type WalFileSystem } from "./file_system.ts";
import { requireChecksum } from "./format.ts";
import type { FrameBuilder } from "./frame_builder.ts";
import type { GroupState, GroupTable } from "./groups.ts";
import type { DirectoryLock } from "./lock.ts";
import type { FlushMode } from "./log_tail.ts";
import { LogWriter } from "./log_writer.ts";
import { readEntries, type ReadSource, readTail } from "./reader.ts";
import { recoverLog } from "./recovery.ts";

/** Options of {@linkcode WalStorage}. */
export interface WalStorageOptions {
  /** Where the files are; made if it does not exist. For one process only. */
  readonly directory: string;
  /**
   * Size of a full segment in bytes, laid out in advance; at least 256. The
   * first segments of a log are smaller.
   *
   * @default 64 MiB
   */
  readonly segmentBytes?: number | undefined;
  /**
   * What a resolved write has survived. `"fdatasync"`: everything, power loss
   * included; the frame is written, then flushed. `"dsync"`: the same, but
   * segments are opened with `O_DSYNC`, so that the write itself returns only
   * once the frame is on stable storage and no flush follows: one call to the
   * system instead of two, at the price of larger writes being slower on some
   * disks. As durable as `fdatasync` where the system keeps its word on
   * `O_DSYNC`, as Linux does; macOS leaves the disk's own cache out, so do not
   * use it there. Opening rejects with `unsupported` where it does not exist.
   * `"none"`: the end of the process, but not that of the machine;
   * after a power loss acknowledged writes may be gone, or opening may find
   * the log corrupt. Not for data that matters (H45).
   *
   * @default "fdatasync"
   */
  readonly flush?: FlushMode | undefined;
  /**
   * Bytes of the newest entries that opening returns per group; with many
   * groups less, so that they are at most 64 MiB together.
   *
   * @default 4 MiB
   */
  readonly tailBytes?: number | undefined;
  /**
   * The incarnation of a log that is made, 32 lower case hexadecimal digits.
   * Minted if absent; ignored when a log is there.
   */
  readonly incarnation?: string | undefined;
  /** The file operations; those of the machine if absent. */
  readonly fileSystem?: WalFileSystem | undefined;
}

const DEFAULT_SEGMENT_BYTES = 64 << 20;
const MIN_SEGMENT_BYTES = 256;
const MAX_SEGMENT_BYTES = 1 << 30;
const DEFAULT_TAIL_BYTES = 4 << 20;
const MAX_TOTAL_TAIL_BYTES = 64 << 20;

/** A log that is open. */
interface OpenLog {
  readonly lock: DirectoryLock;
  readonly writer: LogWriter;
  /** Groups as far as they are in the files. */
  readonly groups: GroupTable;
  readonly source: ReadSource;
}

/**
 * A storage in files: one write-ahead log for all groups of a host, on every
 * runtime that has `node:fs`.
 *
 * A write is on stable storage when it resolves. Writes that overlap share
 * flushes. What a cut or interrupted write left behind the last whole batch
 * is removed by opening and reported as a repair; any damage before that is
 * an error that names file and offset. Damage to the very last batch cannot
 * be told from an interrupted write, except after `close`, which marks an
 * orderly end.
 *
 * Snapshots and compaction are not supported yet: `compact` and
 * `snapshotWriter` reject with `unsupported`.
 */
export class WalStorage implements Storage {
  readonly #directory: string;
  readonly #segmentBytes: number;
  readonly #flush: FlushMode;
  readonly #tailBytes: number;
  readonly #incarnation: string | undefined;
  readonly #fileSystem: WalFileSystem;
  /** What each group holds once everything written so far is in the files. */
  readonly #bounds = new Map<GroupId, LogBounds>();
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
    this.#directory = resolve(options.directory);
    this.#segmentBytes = requireInteger(
      "segmentBytes",
      options.segmentBytes ?? DEFAULT_SEGMENT_BYTES,
      { least: MIN_SEGMENT_BYTES, most: MAX_SEGMENT_BYTES },
    );
    this.#tailBytes = requireInteger(
      "tailBytes",
      options.tailBytes ?? DEFAULT_TAIL_BYTES,
      { least: 0, most: MAX_TOTAL_TAIL_BYTES },
    );
    this.#flush = options.flush ?? "fdatasync";
    this.#incarnation = options.incarnation;
    this.#fileSystem = options.fileSystem ?? nodeFileSystem();
  }

  /**
   * Takes the lock, checks the identity, reads the log. Once; but if it
   * rejects, it may be called again.
   *
   * @throws {RaftError} `locked`, `identityMismatch`, `corrupt`,
   * `unsupportedFormat` or `storageFailed`; nothing was changed then.
   */
  async open(identity: StorageIdentity): Promise<OpenedStorage> {
    if (this.#state === "closed") throw this.#closedError();
    if (this.#state !== "new") {
      throw new RaftError(
        "locked",
        `Cannot open "${this.#directory}": this storage has it open`,
        { file: this.#directory },
      );
    }
    this.#state = "opening";
    const opening = this.#open(identity.deployment);
    this.#opening = opening.then(() => {}, () => {});
    try {
      const opened = await opening;
      this.#state = "open";
      return opened;
    } catch (error) {
      this.#state = "new";
      throw error instanceof RangeError
        ? error
        : failed(`open "${this.#directory}"`, error);
    }
  }

  /**
   * Writes a batch; see {@linkcode Storage.write}. With `sync: false` it
   * resolves once the batches before it are durable, and becomes so itself
   * with the next synced batch or at `close`.
   *
   * @throws {RaftError} `storageFailed` for good after any failure,
   * `unsupported` for a snapshot, `tooLarge` beyond 1 GiB.
   * @throws {RangeError} If the batch does not fit what is stored; nothing of
   * it is written then.
   */
  write(batch: readonly GroupWrite[], options?: WriteOptions): Promise<void> {
    if (this.#log === undefined) return Promise.reject(this.#closedError());
    return this.#log.writer.append(
      (builder) => this.#encode(batch, builder),
      options,
    );
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

  /** Not supported yet. @throws {RaftError} `unsupported`. */
  compact(_group: GroupId, _through: LogIndex): Promise<void> {
    return Promise.reject(unsupportedCall("compact"));
  }

  /** Not supported yet. @throws {RaftError} `unsupported`. */
  snapshotWriter(
    _group: GroupId,
    _meta: SnapshotMeta,
  ): Promise<SnapshotWriter> {
    return Promise.reject(unsupportedCall("store a snapshot"));
  }

  /** There is none yet. */
  snapshotReader(_group: GroupId): Promise<SnapshotReader | undefined> {
    return Promise.resolve(undefined);
  }

  /** Forgets a group; durable when it resolves. Harmless without one. */
  destroyGroup(group: GroupId): Promise<void> {
    if (this.#log === undefined) return Promise.reject(this.#closedError());
    return this.#log.writer.append((builder) => {
      if (!this.#bounds.delete(group)) return [];
      builder.destroy(group);
      return [group];
    });
  }

  /** Makes durable what was written, releases the lock. Never rejects. */
  close(): Promise<void> {
    if (this.#state === "opening" && this.#opening !== undefined) {
      return this.#opening.then(() => this.close());
    }
    if (this.#log !== undefined) this.#closing = this.#close(this.#log);
    else if (this.#state === "new") this.#state = "closed";
    return this.#closing ?? Promise.resolve();
  }

  async #close(log: OpenLog): Promise<void> {
    this.#state = "closed";
    this.#log = undefined;
    await log.writer.close();
    try {
      log.lock.release();
    } catch {
      // The lock names this process and ends with it.
    }
  }

  async #open(deployment: string): Promise<OpenedStorage> {
    const { identity, recordSeed, lock } = await openDirectory({
      fileSystem: this.#fileSystem,
      directory: this.#directory,
      deployment,
      incarnation: this.#incarnation,
      segmentBytes: this.#segmentBytes,
    });
    try {
      const place = {
        fileSystem: this.#fileSystem,
        directory: this.#directory,
        identity,
        isWriteThrough: this.#flush === "dsync",
      };
      const log = await recoverLog(place);
      const source = { ...place, recordSeed };
      const writer = new LogWriter(log, {
        place,
        recordSeed,
        segmentBytes: this.#segmentBytes,
        flush: this.#flush,
      });
      this.#log = { lock, writer, groups: log.groups, source };
      return {
        incarnation: identity.incarnation,
        groups: await this.#describeGroups(log.groups.list(), source),
        repairs: log.repairs,
      };
    } catch (error) {
      await this.#log?.writer.abandon();
      this.#log = undefined;
      lock.release();
      throw error;
    }
  }

  async #describeGroups(
    states: readonly GroupState[],
    source: ReadSource,
  ): Promise<StoredGroup[]> {
    const share = Math.floor(MAX_TOTAL_TAIL_BYTES / Math.max(1, states.length));
    const tailBytes = Math.min(this.#tailBytes, share);
    const stored: StoredGroup[] = [];
    for (const state of states) {
      const bounds = boundsOf(state);
      this.#bounds.set(state.group, bounds);
      stored.push({
        ...bounds,
        group: state.group,
        hardState: state.hardState,
        snapshot: state.snapshot,
        conf: state.conf,
        tail: await readTail(source, state, tailBytes),
      });
    }
    return stored;
  }

  /** Encodes a batch; if it throws, no group was changed. */
  #encode(batch: readonly GroupWrite[], builder: FrameBuilder): GroupId[] {
    const groups: GroupId[] = [];
    const before: (LogBounds | undefined)[] = [];
    try {
      for (const write of batch) {
        if (write.snapshot !== undefined) {
          throw unsupportedCall("write a snapshot");
        }
        const current = this.#bounds.get(write.group);
        const next = checkGroupWrite(write, current);
        builder.append(write);
        groups.push(write.group);
        before.push(current);
        this.#bounds.set(write.group, next);
      }
      return groups;
    } catch (error) {
      for (let i = groups.length - 1; i >= 0; i--) {
        this.#restore(groups[i], before[i]);
      }
      throw error;
    }
  }

  #restore(group: GroupId | undefined, bounds: LogBounds | undefined): void {
    if (group === undefined) return;
    if (bounds === undefined) this.#bounds.delete(group);
    else this.#bounds.set(group, bounds);
  }

  #requireLog(): OpenLog {
    if (this.#log === undefined) throw this.#closedError();
    return this.#log;
  }

  #closedError(): RaftError {
    const what = this.#state === "closed" ? "it was closed" : "it is not open";
    return new RaftError(
      "stopped",
      `Cannot use the log in "${this.#directory}": ${what}`,
    );
  }
}

function boundsOf(state: GroupState): LogBounds {
  const { node, firstIndex, lastIndex, snapshot, termRuns } = state;
  return {
    node,
    firstIndex,
    lastIndex,
    prevTerm: snapshot.term,
    termRuns: [...termRuns],
  };
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

function unsupportedCall(action: string): RaftError {
  return new RaftError(
    "unsupported",
    `Cannot ${action}: the write-ahead log keeps no snapshots yet`,
  );
}

function requireInteger(
  name: string,
  value: number,
  range: { readonly least: number; readonly most: number },
): number {
  const { least, most } = range;
  if (Number.isSafeInteger(value) && value >= least && value <= most) {
    return value;
  }
  throw new RangeError(
    `Cannot make a write-ahead log: ${name} is ${value}, wanted an integer of ${least} to ${most}`,
  );
}
