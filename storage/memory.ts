/**
 * A storage in memory that behaves like one on a disk: writes are durable
 * only after a flush, and a crash loses what was not. For tests of hosts and
 * machines, and for members that may forget everything together.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { MemoryStorage } from "@balsa/raft/storage/memory";
 *
 * const storage = new MemoryStorage();
 * const { groups } = await storage.open({ deployment: "orders" });
 * assertEquals(groups, []);
 * await storage.close();
 * ```
 *
 * @module
 */
import { RaftError } from "../src/errors.ts";
import { checkGroupWrite } from "../src/storage_checks.ts";
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
} from "../src/storage.ts";
import type {
  Entry,
  GroupId,
  LogIndex,
  SnapshotMeta,
} from "../src/core/types.ts";
import { copyWrite, Image } from "./memory/image.ts";
import {
  SnapshotCollector,
  type SuspendedSnapshot,
  toReader,
} from "./memory/snapshots.ts";

/** Options of {@linkcode MemoryStorage}. */
export interface MemoryStorageOptions {
  /**
   * Called before every flush with its number, 1, 2, 3 …. The flush waits
   * for the promise it returns, which makes a slow disk, and fails if that
   * rejects or the function throws, which makes a broken one.
   */
  readonly onFlush?: ((flush: number) => void | Promise<void>) | undefined;
  /**
   * Bytes of entries and snapshots the disk has room for; a write beyond
   * fails as on a full disk. No limit if absent.
   */
  readonly capacityBytes?: number | undefined;
  /**
   * Bytes of the newest entries that opening returns per group.
   *
   * @default 4 MiB
   */
  readonly tailBytes?: number | undefined;
}

/** Options of {@linkcode MemoryStorage.crash}. */
export interface CrashOptions {
  /**
   * How many of the operations that were not flushed, counted from the
   * oldest, reached the disk all the same.
   *
   * @default 0
   */
  readonly keepUnflushed?: number | undefined;
}

const DEFAULT_TAIL_BYTES = 4 << 20;

/** What survives a crash. Shared by all storages over the same data. */
interface Disk {
  durable: Image;
  deployment: string | undefined;
  incarnation: string;
  /** Who has it open. */
  owner: MemoryStorage | undefined;
  /** Snapshots that came half-way; one per group. */
  readonly suspended: Map<GroupId, SuspendedSnapshot>;
}

/** One step that is written, to be repeated on the durable image. */
interface Operation {
  readonly apply: (image: Image) => void;
  /** Whether the disk is too small for it. */
  readonly isTooMuch: boolean;
}

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: RaftError) => void;
}

/** A storage in memory; see the module. */
export class MemoryStorage implements Storage {
  readonly #options: MemoryStorageOptions;
  #disk: Disk;
  /** Everything written, flushed or not. */
  #live = new Image();
  /** Written and not flushed, in order. */
  #operations: Operation[] = [];
  /** Those who wait for the next flush, and for the one that runs. */
  #waiters: Waiter[] = [];
  #flushing: { readonly waiters: Waiter[] } | undefined;
  /** Settles when no flush runs. */
  #loop: Promise<void> | undefined;
  #flushCount = 0;
  /** Snapshots on their way in. */
  readonly #collecting = new Map<GroupId, SnapshotCollector>();
  /** Why nothing is taken any more, or not yet. */
  #refusal: RaftError | undefined = new RaftError(
    "stopped",
    "Cannot use the storage: it is not open",
  );

  /** A storage over data of its own, empty and not open. */
  constructor(options: MemoryStorageOptions = {}) {
    this.#options = options;
    this.#disk = {
      durable: new Image(),
      deployment: undefined,
      incarnation: mintName(),
      owner: undefined,
      suspended: new Map(),
    };
  }

  /** Another storage over the same data, not open, as a restart makes it. */
  attach(options: MemoryStorageOptions = this.#options): MemoryStorage {
    const other = new MemoryStorage(options);
    other.#disk = this.#disk;
    return other;
  }

  /**
   * The power fails: what was not flushed is gone, and so is this storage.
   * Returns one that can be opened over what is left. Writes that were
   * waiting reject with `stopped`.
   */
  crash(options: CrashOptions = {}): MemoryStorage {
    const kept = this.#operations.slice(0, options.keepUnflushed ?? 0);
    for (const { apply } of kept) apply(this.#disk.durable);
    this.#stop(new RaftError("stopped", "Cannot use the storage: it crashed"));
    if (this.#disk.owner === this) this.#disk.owner = undefined;
    return this.attach();
  }

  /** Spoils a stored entry: reading it, and opening, find it corrupt. */
  damage(group: GroupId, index: LogIndex): void {
    this.#live.damage(group, index);
    this.#disk.durable.damage(group, index);
  }

  /** See {@linkcode Storage.open}. */
  // deno-lint-ignore require-await -- a rejection, never a throw
  async open(identity: StorageIdentity): Promise<OpenedStorage> {
    const disk = this.#disk;
    if (disk.owner !== undefined) {
      throw new RaftError(
        "locked",
        "Cannot open the storage: another one has the same data open",
      );
    }
    const known = disk.deployment ?? identity.deployment;
    if (known !== identity.deployment) {
      throw new RaftError(
        "identityMismatch",
        `Cannot open the storage: it belongs to deployment "${known}", wanted "${identity.deployment}"`,
      );
    }
    const tailBytes = this.#options.tailBytes ?? DEFAULT_TAIL_BYTES;
    const groups = disk.durable.describe(tailBytes);
    disk.deployment = known;
    disk.owner = this;
    disk.durable.dropUninstalled();
    this.#live = disk.durable.copy();
    this.#refusal = undefined;
    return { incarnation: disk.incarnation, groups, repairs: [] };
  }

  /**
   * Writes a batch; see {@linkcode Storage.write}. With `sync: false` it
   * resolves once those before it are durable.
   *
   * @throws {RangeError} If the batch does not fit what is stored, installs a
   * snapshot without data, or replaces entries that the group's snapshot
   * contains; nothing of it is written then.
   */
  // deno-lint-ignore require-await -- a rejection, never a throw
  async write(
    batch: readonly GroupWrite[],
    options?: WriteOptions,
  ): Promise<void> {
    this.#requireOpen();
    this.#check(batch);
    const copies = batch.map(copyWrite);
    return this.#submit((image) => {
      for (const write of copies) image.write(write);
    }, options);
  }

  /** See {@linkcode Storage.read}. */
  // deno-lint-ignore require-await -- a rejection, never a throw
  async read(range: ReadRange): Promise<Entry[]> {
    this.#requireOpen();
    return this.#live.read(range.group, range);
  }

  /**
   * See {@linkcode Storage.compact}; durable when it resolves.
   *
   * @throws {RangeError} If the snapshot does not reach that far (H54).
   */
  // deno-lint-ignore require-await -- a rejection, never a throw
  async compact(group: GroupId, through: LogIndex): Promise<void> {
    this.#requireOpen();
    const { index } = this.#live.snapshotOf(group);
    if (!(through <= index)) {
      throw new RangeError(
        `Cannot compact group ${group} through ${through}: its snapshot is at ${index}`,
      );
    }
    return this.#submit((image) => image.compact(group, through));
  }

  /** See {@linkcode Storage.snapshotWriter}. */
  // deno-lint-ignore require-await -- a rejection, never a throw
  async snapshotWriter(
    group: GroupId,
    meta: SnapshotMeta,
    { token }: SnapshotWriterOptions = {},
  ): Promise<SnapshotWriter> {
    this.#requireOpen();
    this.#live.snapshotOf(group);
    if (this.#collecting.has(group)) {
      throw new RangeError(
        `Cannot write a snapshot of group ${group}: another one is being written`,
      );
    }
    const own = structuredClone(meta);
    const { suspended } = this.#disk;
    const known = token === undefined ? undefined : suspended.get(group);
    if (token !== undefined) suspended.delete(group);
    const isSame = known !== undefined && known.token === token &&
      isSameMeta(known.meta, own);
    const collector = new SnapshotCollector({
      add: (data) => {
        this.#requireOpen();
        const added = { meta: own, data, token: mintName() };
        return this.#submit((image) => image.addSnapshot(group, added));
      },
      keep: (chunks) => {
        if (token === undefined) return;
        suspended.set(group, { token, meta: own, chunks });
      },
      end: () => void this.#collecting.delete(group),
    }, isSame ? known.chunks : []);
    this.#collecting.set(group, collector);
    return collector;
  }

  /** See {@linkcode Storage.snapshotReader}. */
  // deno-lint-ignore require-await -- a rejection, never a throw
  async snapshotReader(group: GroupId): Promise<SnapshotReader | undefined> {
    this.#requireOpen();
    const stored = this.#live.newestSnapshot(group);
    return stored && toReader(stored);
  }

  /** See {@linkcode Storage.destroyGroup}. Harmless without the group. */
  // deno-lint-ignore require-await -- a rejection, never a throw
  async destroyGroup(group: GroupId): Promise<void> {
    this.#requireOpen();
    this.#disk.suspended.delete(group);
    // It must not get into another group of that name.
    this.#collecting.get(group)?.abort();
    return this.#submit((image) => image.destroy(group));
  }

  /** Makes durable what was written, gives the data free. Never rejects. */
  async close(): Promise<void> {
    if (this.#refusal === undefined) {
      const last = this.#submit(() => {});
      this.#refusal = new RaftError(
        "stopped",
        "Cannot use the storage: it was closed",
      );
      await last.catch(() => {});
    }
    await this.#loop;
    if (this.#disk.owner === this) this.#disk.owner = undefined;
  }

  #requireOpen(): void {
    if (this.#refusal !== undefined) throw this.#refusal;
  }

  /** Refuses a batch before any of it is applied. */
  #check(batch: readonly GroupWrite[]): void {
    const ahead = new Map<GroupId, ReturnType<typeof checkGroupWrite>>();
    for (const write of batch) {
      const { group, snapshot } = write;
      const before = ahead.get(group) ?? this.#live.boundsOf(group);
      ahead.set(group, checkGroupWrite(write, before));
      if (snapshot === undefined) {
        this.#checkContained(write);
        continue;
      }
      const stored = this.#live.newestSnapshot(group)?.meta;
      if (stored?.index !== snapshot.index || stored.term !== snapshot.term) {
        throw new RangeError(
          `Cannot write to group ${group}: no data is stored for its snapshot at ${snapshot.index} of term ${snapshot.term}`,
        );
      }
    }
  }

  /** What a snapshot contains is committed: nothing takes its place (H64). */
  #checkContained({ group, entries }: GroupWrite): void {
    const [first] = entries;
    if (first === undefined || this.#live.boundsOf(group) === undefined) return;
    const { index } = this.#live.snapshotOf(group);
    if (first.index > index) return;
    throw new RangeError(
      `Cannot write to group ${group}: entry ${first.index} is in its snapshot at ${index}`,
    );
  }

  /** Applies a step at once and sees to it that it becomes durable. */
  #submit(
    apply: (image: Image) => void,
    options: WriteOptions = {},
  ): Promise<void> {
    apply(this.#live);
    const capacity = this.#options.capacityBytes ?? Infinity;
    this.#operations.push({
      apply,
      isTooMuch: this.#live.bytes > capacity,
    });
    const isAwaited = options.sync !== false || this.#waiters.length > 0;
    const waiters = isAwaited ? this.#waiters : this.#flushing?.waiters;
    if (waiters === undefined) return Promise.resolve();
    const settled = new Promise<void>((resolve, reject) => {
      waiters.push({ resolve, reject });
    });
    this.#loop ??= this.#run();
    return settled;
  }

  /** Flushes while somebody waits. Never rejects. */
  async #run(): Promise<void> {
    // What is written in the same breath shares the first flush.
    await Promise.resolve();
    while (this.#waiters.length > 0) {
      const operations = this.#operations;
      this.#flushing = { waiters: this.#waiters };
      this.#waiters = [];
      const count = operations.length;
      try {
        await this.#options.onFlush?.(++this.#flushCount);
        // A crash took the operations away and told those who wait.
        if (operations !== this.#operations) break;
        this.#flush(operations.splice(0, count));
        for (const { resolve } of this.#flushing.waiters) resolve();
      } catch (error) {
        this.#fail(error);
      }
      this.#flushing = undefined;
    }
    this.#loop = undefined;
  }

  #flush(operations: readonly Operation[]): void {
    for (const { apply, isTooMuch } of operations) {
      if (isTooMuch) {
        throw new Error(
          `The disk is full: it has room for ${this.#options.capacityBytes} bytes`,
        );
      }
      apply(this.#disk.durable);
    }
  }

  #fail(error: unknown): void {
    const reason = error instanceof Error ? error.message : String(error);
    this.#stop(
      new RaftError(
        "storageFailed",
        `Cannot write to the storage: ${reason}`,
        { cause: error },
      ),
    );
  }

  #stop(refusal: RaftError): void {
    this.#refusal = refusal;
    const waiters = [...this.#flushing?.waiters ?? [], ...this.#waiters];
    this.#waiters = [];
    this.#operations = [];
    for (const { reject } of waiters) reject(refusal);
  }
}

function isSameMeta(a: SnapshotMeta, b: SnapshotMeta): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

function mintName(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(
    "",
  );
}
