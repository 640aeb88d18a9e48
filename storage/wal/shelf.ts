/**
 * The snapshots of all groups, as the log sees them: which one a group builds
 * upon, which one waits to be installed, and which ones may go.
 *
 * @module
 */
import type { GroupId, SnapshotMeta } from "../../src/core/types.ts";
import type {
  SnapshotReader,
  SnapshotWriter,
  SnapshotWriterOptions,
} from "../../src/storage.ts";
import type { SnapshotStore, WholeSnapshotFile } from "./snapshots/store.ts";

/** What the shelf asks of the log. */
export interface ShelfOptions {
  readonly store: SnapshotStore;
  /** How many snapshots stay, the one a group builds upon included. */
  readonly retain: number;
  /** Whether the log of a group holds the last entry of a snapshot. */
  readonly isHeld: (group: GroupId, meta: SnapshotMeta) => boolean;
  /** Resolves once everything that was written so far is durable. */
  readonly settled: () => Promise<void>;
}

/** A life of a group, from its creation to its end. */
interface Life {
  /** What its log builds upon: the newest that counts. */
  meta: SnapshotMeta;
}

/** Keeps what the groups build upon. */
export class SnapshotShelf {
  readonly #options: ShelfOptions;
  readonly #lives = new Map<GroupId, Life>();
  /** Groups whose files are being removed, or could not be. */
  readonly #leaving = new Map<GroupId, Promise<void>>();

  /** Empty. */
  constructor(options: ShelfOptions) {
    this.#options = options;
  }

  /** Whether the files of any group are being removed. */
  get isLeaving(): boolean {
    return this.#leaving.size > 0;
  }

  /**
   * A group exists, and builds upon this. Again if it joins, and learns late
   * where it starts from: its life goes on.
   */
  begin(group: GroupId, meta: SnapshotMeta): void {
    const life = this.#lives.get(group);
    if (life === undefined) this.#lives.set(group, { meta });
    else life.meta = meta;
  }

  /** What a group builds upon; `undefined` without the group. */
  current(group: GroupId): SnapshotMeta | undefined {
    return this.#lives.get(group)?.meta;
  }

  /** The newest that is stored, whether it counts yet or not. */
  newest(group: GroupId): WholeSnapshotFile | undefined {
    // What is left of a life that is over does not count.
    if (this.#leaving.has(group)) return undefined;
    for (const file of this.#options.store.files(group)) {
      if (file.state === "whole") return file;
    }
    return undefined;
  }

  /** Reads the newest that is stored. */
  reader(group: GroupId): SnapshotReader | undefined {
    const file = this.newest(group);
    return file && this.#options.store.reader(file);
  }

  /** The group builds upon a snapshot that waited. */
  install(group: GroupId, meta: SnapshotMeta): void {
    const life = this.#lives.get(group);
    if (life !== undefined) life.meta = meta;
  }

  /**
   * Starts a snapshot of a group that exists.
   *
   * @throws {RangeError} If another one is being written.
   */
  async writer(
    group: GroupId,
    meta: SnapshotMeta,
    options?: SnapshotWriterOptions,
  ): Promise<SnapshotWriter> {
    const life = this.#lives.get(group);
    if (life === undefined) throw missingGroup(group);
    await this.#leaving.get(group);
    if (this.#lives.get(group) !== life) throw missingGroup(group);
    const { store } = this.#options;
    const own = structuredClone(meta);
    const writer = await store.writer(group, own, options);
    return new ShelvingWriter(writer, {
      isWanted: () => {
        if (this.#lives.get(group) !== life) throw missingGroup(group);
        return own.index >= life.meta.index;
      },
      add: () => this.#add(group, life, own),
    });
  }

  /**
   * Ends the life of a group, and its files once `isGone` resolves. If they
   * cannot be removed, the group cannot be made again before opening did it.
   */
  async end(group: GroupId, isGone: Promise<void>): Promise<void> {
    this.#lives.delete(group);
    const leaving = this.#remove(group, isGone);
    this.#leaving.set(group, leaving);
    await leaving;
    if (this.#leaving.get(group) === leaving) this.#leaving.delete(group);
  }

  /**
   * Settles once the files of the last life of a group are gone, if they are
   * not. They must be before the group can be found to exist again: its log
   * may come to hold what they end with.
   */
  leaving(group: GroupId): Promise<void> | undefined {
    return this.#leaving.get(group);
  }

  /** Drops what is older than the retained ones, once none can be needed. */
  async prune(group: GroupId): Promise<void> {
    const { retain, settled, store } = this.#options;
    const life = this.#lives.get(group);
    // The log must not be found without what makes the newest count.
    await settled();
    if (life === undefined || this.#lives.get(group) !== life) return;
    const counting = store.files(group)
      .flatMap((file) => file.state === "whole" ? [file.meta.index] : [])
      .filter((index) => index <= life.meta.index);
    store.prune(group, counting.slice(0, retain));
  }

  /**
   * Waits for what is being removed, once nothing is written any more: whoever
   * takes the lock next is not to lose files of his own. Never rejects.
   */
  async close(): Promise<void> {
    await Promise.allSettled(this.#leaving.values());
    await this.#options.store.close();
  }

  async #remove(group: GroupId, isGone: Promise<void>): Promise<void> {
    await Promise.all([this.#leaving.get(group), isGone]);
    await this.#options.store.removeGroup(group);
  }

  /** A snapshot is durable. It counts at once if the log holds its end. */
  async #add(group: GroupId, life: Life, meta: SnapshotMeta): Promise<void> {
    if (this.#lives.get(group) !== life) throw missingGroup(group);
    const { isHeld, store } = this.#options;
    const isNewer = meta.index > life.meta.index;
    if (isNewer && isHeld(group, meta)) life.meta = meta;
    // Of those that wait, only the last one that came can be wanted yet; and
    // one of the index that counts now, but of another term, never.
    for (const file of store.files(group)) {
      const isOther = file.state === "whole" &&
        file.meta.index >= life.meta.index &&
        !isSame(file.meta, meta) && !isSame(file.meta, life.meta);
      if (isOther) await store.remove(file);
    }
    await this.prune(group);
  }
}

/** What becomes of a snapshot that is complete. */
interface ShelvingTarget {
  /**
   * Whether it is not older than what its group builds upon, if that exists.
   * One of the same index takes the place of a damaged one (H60).
   */
  readonly isWanted: () => boolean;
  /** Takes note of it, now that it is durable. */
  readonly add: () => Promise<void>;
}

/** Takes a snapshot, unless it is out of date when it is complete (H63). */
class ShelvingWriter implements SnapshotWriter {
  readonly #writer: SnapshotWriter;
  readonly #target: ShelvingTarget;

  constructor(writer: SnapshotWriter, target: ShelvingTarget) {
    this.#writer = writer;
    this.#target = target;
  }

  get offset(): number {
    return this.#writer.offset;
  }

  write(chunk: Uint8Array, at?: number): Promise<boolean> {
    return this.#writer.write(chunk, at);
  }

  async commit(): Promise<void> {
    let isWanted = false;
    try {
      isWanted = this.#target.isWanted();
    } finally {
      if (!isWanted) await this.#writer.abort();
    }
    if (!isWanted) return;
    await this.#writer.commit();
    await this.#target.add();
  }

  abort(): Promise<void> {
    return this.#writer.abort();
  }

  suspend(): Promise<void> {
    return this.#writer.suspend();
  }
}

function isSame(a: SnapshotMeta, b: SnapshotMeta): boolean {
  return a.index === b.index && a.term === b.term;
}

function missingGroup(group: GroupId): RangeError {
  return new RangeError(`Cannot find group ${group}: it does not exist`);
}
