/**
 * The snapshots of all groups of a data directory, in files. See `format.ts`
 * for their bytes.
 *
 * A snapshot has its name only when it is whole and durable, so a file of
 * that name that is not is damage. Which one counts is not decided here: the
 * log knows what it can go on from.
 *
 * @module
 */
import { basename, dirname, join } from "node:path";
import type {
  GroupId,
  LogIndex,
  SnapshotMeta,
} from "../../../src/core/types.ts";
import { RaftError } from "../../../src/errors.ts";
import type {
  SnapshotReader,
  SnapshotWriter,
  SnapshotWriterOptions,
} from "../../../src/storage.ts";
import { failed, snapshotFailed } from "../errors.ts";
import type { WalFileSystem } from "../file_system.ts";
import type { LogIdentity } from "../format.ts";
import { Draft } from "./draft.ts";
import { encodeSnapshotHeader } from "./format.ts";
import {
  draftName,
  GroupFolder,
  indexOf,
  listFolder,
  listIfThere,
} from "./group_folder.ts";
import { SnapshotFileReader } from "./reader.ts";
import {
  inspectSnapshot,
  snapshotStem,
  type StoredSnapshotFile,
  wholeFile,
  type WholeSnapshotFile,
} from "./snapshot_file.ts";
import { SnapshotFileWriter } from "./writer.ts";

export type {
  DamagedSnapshotFile,
  StoredSnapshotFile,
  WholeSnapshotFile,
} from "./snapshot_file.ts";

/** Options of {@linkcode SnapshotStore}. */
export interface SnapshotStoreOptions {
  readonly fileSystem: WalFileSystem;
  /** The data directory. */
  readonly directory: string;
  /** Whose it is. */
  readonly identity: LogIdentity;
  /**
   * How many of a group's newest snapshots `prune` leaves; at least 1.
   *
   * @default 2
   */
  readonly retain?: number | undefined;
}

const DEFAULT_RETAIN = 2;
/** Folders flushed at once; each takes a file handle. */
const MAX_FLUSHES = 32;
const GROUP_NAME = /^[1-9]\d{0,15}$/;

/**
 * Stores, finds and drops snapshots. What it does to the disk is off the
 * caller's thread but for the opening, renaming and removing of files.
 *
 * A snapshot that cannot be stored is `snapshotFailed` and harms nothing else.
 * When a folder cannot be flushed, it is unknown which names the disk has:
 * from then on the store takes nothing and rejects with `storageFailed` (H44).
 */
export class SnapshotStore {
  readonly #fileSystem: WalFileSystem;
  readonly #root: string;
  readonly #incarnation: string;
  readonly #retain: number;
  readonly #folders = new Map<GroupId, GroupFolder>();
  /** Writers that are not over, also those that are about to begin. */
  readonly #writers = new Map<GroupId, Promise<SnapshotFileWriter>>();
  /** Names that are being changed. None of them ever rejects. */
  readonly #changes = new Set<Promise<void>>();
  /** Settles when the folders made so far are durable. Never rejects. */
  #foldersMade: Promise<void> = Promise.resolve();
  /** Set when a folder could not be flushed. */
  #failure: RaftError | undefined;
  #isClosed = false;

  /** Touches no file. */
  constructor(options: SnapshotStoreOptions) {
    this.#fileSystem = options.fileSystem;
    this.#root = join(options.directory, "snapshots");
    this.#incarnation = options.identity.incarnation;
    this.#retain = options.retain ?? DEFAULT_RETAIN;
  }

  /**
   * Reads every file to its end and tells what there is, newest first. Once,
   * before all else; changes nothing. What it tells of is durable: a process
   * that was killed may have left a name that is in memory only (H51).
   *
   * @returns A group for every folder, also for an empty one.
   * @throws {RaftError} `unsupportedFormat`, or `storageFailed` if a file
   * cannot be read.
   */
  async open(): Promise<Map<GroupId, readonly StoredSnapshotFile[]>> {
    const found = new Map<GroupId, readonly StoredSnapshotFile[]>();
    try {
      const names = listIfThere(this.#fileSystem, this.#root);
      if (names === undefined) return found;
      for (const name of names) {
        if (!GROUP_NAME.test(name)) continue;
        const group = Number(name);
        found.set(group, await this.#inspect(group));
      }
    } catch (error) {
      throw failed(`read "${this.#root}"`, error);
    }
    await this.#syncNames(found.keys());
    return found;
  }

  /**
   * Removes what earlier processes left and nobody goes on with; drafts that
   * have a token stay. Off the caller's thread, and nobody need wait for it.
   */
  sweep(): void {
    for (const folder of this.#folders.values()) folder.sweep(() => true);
  }

  /** What there is of a group, newest first. */
  files(group: GroupId): readonly StoredSnapshotFile[] {
    return this.#folders.get(group)?.files ?? [];
  }

  /**
   * Starts a snapshot; one at a time per group. With a token it goes on with
   * the draft of that token, as far as it is whole; drafts of other tokens are
   * removed. `files` has it as soon as `commit` resolves. A file of the same
   * index and term is replaced.
   *
   * @throws {RaftError} `snapshotFailed` or `storageFailed`.
   * @throws {RangeError} If another one is being written.
   */
  async writer(
    group: GroupId,
    meta: SnapshotMeta,
    options: SnapshotWriterOptions = {},
  ): Promise<SnapshotWriter> {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#isClosed) throw closedError(this.#root);
    if (this.#writers.has(group)) {
      throw new RangeError(
        `Cannot write a snapshot of group ${group}: another one is being written`,
      );
    }
    const beginning = this.#begin(group, structuredClone(meta), options);
    this.#writers.set(group, beginning);
    try {
      const writer = await beginning;
      if (!this.#isClosed) return writer;
      await writer.suspend();
    } catch (error) {
      this.#writers.delete(group);
      throw error;
    }
    throw closedError(this.#root);
  }

  /** Reads a file. It is kept until the reader is released. */
  reader(file: WholeSnapshotFile): SnapshotReader {
    const unpin = this.#folder(file.group).pin(file);
    return new SnapshotFileReader(this.#fileSystem, file, unpin);
  }

  /**
   * Removes what is older than the newest ones, but not what is in `keep`, nor
   * what is being read: that goes with the last reader. Not durable: what
   * comes back after a loss of power goes with the next call.
   */
  prune(group: GroupId, keep: Iterable<LogIndex> = []): void {
    if (this.#isClosed) return;
    const kept = new Set(keep);
    const folder = this.#folder(group);
    const whole = folder.files.filter(({ state }) => state === "whole");
    for (const file of whole.slice(this.#retain)) {
      if (!kept.has(indexOf(file))) folder.drop(file);
    }
  }

  /**
   * Removes a file; durable when it resolves.
   *
   * @throws {RaftError} `storageFailed`.
   */
  async remove(file: StoredSnapshotFile): Promise<void> {
    if (this.#isClosed) throw closedError(this.#root);
    const folder = this.#folder(file.group);
    await this.#change(folder.path, () => {
      folder.forget(file.path);
      return this.#isThere(file.path) ? folder.remove(file.path) : undefined;
    });
  }

  /**
   * Puts a damaged file aside as `….damaged`, for people; durable when it
   * resolves to the path it has then. It is never read again.
   *
   * @throws {RaftError} `storageFailed`.
   */
  async quarantine(file: StoredSnapshotFile): Promise<string> {
    const folder = this.#folder(file.group);
    const path = `${file.path}.damaged`;
    await this.#change(folder.path, () => {
      this.#fileSystem.rename(file.path, path);
      folder.forget(file.path);
    });
    return path;
  }

  /**
   * Removes everything of a group; durable when it resolves. Nothing of the
   * group must be stored before. Also behind `close`, if whoever calls it
   * waits for it before the directory is given away.
   *
   * @throws {RaftError} `storageFailed`.
   */
  async removeGroup(group: GroupId): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    await this.#writers.get(group)?.then((writer) => writer.abort(), noop);
    const folder = this.#folder(group);
    this.#folders.delete(group);
    if (!listFolder(this.#fileSystem, this.#root).includes(String(group))) {
      return;
    }
    await this.#change(this.#root, () => folder.destroy());
  }

  /**
   * Lets go of all files. Drafts that can be gone on with are kept. From then
   * on nothing is pruned, whoever still holds a reader: the directory may
   * belong to another process.
   */
  async close(): Promise<void> {
    this.#isClosed = true;
    const ends = [...this.#writers.values()].map((beginning) =>
      beginning.then((writer) => writer.suspend())
    );
    await Promise.allSettled(ends);
    await Promise.all(this.#changes);
    const folders = [...this.#folders.values()];
    await Promise.all(folders.map((folder) => folder.close()));
  }

  async #inspect(group: GroupId): Promise<readonly StoredSnapshotFile[]> {
    const folder = this.#folder(group);
    const owner = {
      group,
      incarnation: this.#incarnation,
      directory: folder.path,
    };
    for (const name of folder.names()) {
      folder.add(await inspectSnapshot(this.#fileSystem, owner, name));
    }
    return folder.files;
  }

  async #syncNames(
    groups: Iterable<GroupId>,
  ): Promise<void> {
    const folders = [...groups].map((group) => this.#folder(group).path);
    const all = [...folders, this.#root, dirname(this.#root)];
    for (let at = 0; at < all.length; at += MAX_FLUSHES) {
      const some = all.slice(at, at + MAX_FLUSHES);
      await Promise.all(some.map((path) => this.#syncFolder(path)));
    }
  }

  async #begin(
    group: GroupId,
    meta: SnapshotMeta,
    { token }: SnapshotWriterOptions,
  ): Promise<SnapshotFileWriter> {
    const folder = this.#folder(group);
    const path = join(folder.path, `${snapshotStem(meta)}.snap`);
    const header = { incarnation: this.#incarnation, group, meta };
    const name = draftName(meta, token);
    const draftPath = join(folder.path, name);
    await this.#makeFolder(folder.path);
    folder.sweep((other) => token === undefined || other === name);
    const draft = await this.#draft(
      folder,
      draftPath,
      encodeSnapshotHeader(header),
    );
    return new SnapshotFileWriter({
      path,
      draft,
      isResumable: token !== undefined,
      publish: async (footer) => {
        await this.#publish(draftPath, path);
        folder.add(wholeFile(path, header, footer));
        folder.sweep((_, index) => index > meta.index);
      },
      discard: () => folder.discard(draftPath),
      end: () => void this.#writers.delete(group),
    });
  }

  #isThere(path: string): boolean {
    return listFolder(this.#fileSystem, dirname(path)).includes(basename(path));
  }

  async #draft(
    folder: GroupFolder,
    path: string,
    header: Uint8Array,
  ): Promise<Draft> {
    const place = { fileSystem: this.#fileSystem, path, header };
    try {
      if (this.#isThere(path)) {
        const draft = folder.isSpoilt(path)
          ? undefined
          : await Draft.resume(place);
        if (draft !== undefined) return draft;
        await folder.discard(path);
      }
      return await Draft.begin(place);
    } catch (error) {
      await folder.discard(path);
      throw snapshotFailed(path, error);
    }
  }

  /**
   * The parents as well: a folder is an entry of the one above it. One after
   * the other: who finds a parent must know that it is durable (H51).
   */
  #makeFolder(path: string): Promise<void> {
    const made = this.#foldersMade.then(() => this.#makeDurably(path));
    this.#foldersMade = made.then(noop, noop);
    return made;
  }

  async #makeDurably(path: string): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    let made: readonly string[];
    try {
      made = this.#fileSystem.makeDirectory(path);
    } catch (error) {
      throw snapshotFailed(path, error);
    }
    for (const each of made) await this.#syncFolder(dirname(each));
  }

  async #publish(draftPath: string, path: string): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    this.#fileSystem.rename(draftPath, path);
    await this.#syncFolder(dirname(path));
  }

  /** Changes names in a folder; durable when it resolves. */
  #change(path: string, work: () => void | Promise<void>): Promise<void> {
    const changed = this.#changeDurably(path, work);
    const over = () => void this.#changes.delete(change);
    const change = changed.then(over, over);
    this.#changes.add(change);
    return changed;
  }

  async #changeDurably(
    path: string,
    work: () => void | Promise<void>,
  ): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    try {
      await work();
    } catch (error) {
      throw failed(`change "${path}"`, error);
    }
    await this.#syncFolder(path);
  }

  async #syncFolder(path: string): Promise<void> {
    try {
      await this.#fileSystem.syncDirectory(path);
    } catch (error) {
      this.#failure ??= failed(`flush the names in "${path}"`, error);
      throw this.#failure;
    }
  }

  #folder(group: GroupId): GroupFolder {
    const known = this.#folders.get(group);
    if (known !== undefined) return known;
    const path = join(this.#root, String(group));
    const folder = new GroupFolder(this.#fileSystem, path);
    this.#folders.set(group, folder);
    return folder;
  }
}

function closedError(path: string): RaftError {
  return new RaftError(
    "stopped",
    `Cannot change the snapshots in "${path}": the storage was closed`,
  );
}

function noop(): void {}
