/**
 * The folder with the snapshots of one group, and what is in it.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { errorCode, type WalFileSystem } from "../file_system.ts";
import {
  parseSnapshotName,
  type SnapshotName,
  snapshotStem,
  type StoredSnapshotFile,
  type WholeSnapshotFile,
} from "./snapshot_file.ts";

const DRAFT_NAME = /^(\d{16})-\d+(-[0-9a-f]{32})?\.part$/;
const GONE_NAME = /\.(snap|part)\.gone$/;

/** Index of a stored snapshot, whole or not. */
export function indexOf(file: StoredSnapshotFile): number {
  return file.state === "whole" ? file.meta.index : file.index;
}

/** Name of the draft of a snapshot. */
export function draftName(
  name: SnapshotName,
  token: string | undefined,
): string {
  if (token === undefined) return `${snapshotStem(name)}.part`;
  const digest = createHash("sha256").update(token).digest("hex").slice(0, 32);
  return `${snapshotStem(name)}-${digest}.part`;
}

/** The files of one group, as they are and as they are known. */
export class GroupFolder {
  readonly path: string;
  readonly #fileSystem: WalFileSystem;
  /** Known files, newest first. */
  #files: StoredSnapshotFile[] = [];
  /** How many readers each path has that may still be read. */
  readonly #readers = new Map<string, number>();
  /** Paths that go when their last reader does. */
  readonly #doomed = new Set<string>();
  /** Files whose names are gone, and which are about to go themselves. */
  readonly #removals = new Set<Promise<void>>();
  /** Paths that were thrown away, and are there all the same. */
  readonly #spoilt = new Set<string>();
  #isClosed = false;

  /** Reads nothing yet. */
  constructor(fileSystem: WalFileSystem, path: string) {
    this.#fileSystem = fileSystem;
    this.path = path;
  }

  /** What is known, newest first. */
  get files(): readonly StoredSnapshotFile[] {
    return this.#files;
  }

  /** What the names in the folder say, newest first; none without one. */
  names(): SnapshotName[] {
    return this.#list().map(parseSnapshotName)
      .filter((name) => name !== undefined)
      .sort((a, b) => b.index - a.index || b.term - a.term);
  }

  /** From now on this file is known, instead of any other of that path. */
  add(file: StoredSnapshotFile): void {
    this.#doomed.delete(file.path);
    this.#files = [
      ...this.#files.filter(({ path }) => path !== file.path),
      file,
    ]
      .sort((a, b) => indexOf(b) - indexOf(a));
  }

  /** From now on this path is not known. */
  forget(path: string): void {
    this.#files = this.#files.filter((file) => file.path !== path);
  }

  /** Keeps a file until the function it returns is called. */
  pin({ path }: WholeSnapshotFile): () => void {
    this.#readers.set(path, (this.#readers.get(path) ?? 0) + 1);
    return () => {
      const left = (this.#readers.get(path) ?? 1) - 1;
      if (left > 0) {
        this.#readers.set(path, left);
        return;
      }
      this.#readers.delete(path);
      if (this.#doomed.delete(path)) this.discard(path);
    };
  }

  /** Forgets a file; its data goes with the last who reads it. */
  drop({ path }: StoredSnapshotFile): void {
    this.forget(path);
    if (this.#readers.has(path)) this.#doomed.add(path);
    else this.discard(path);
  }

  /**
   * Takes a file's name away at once, and the file off the caller's thread: a
   * large one takes long. Resolves when it is gone.
   *
   * @throws What the file system says to the taking away of the name.
   */
  remove(path: string): Promise<void> {
    const gone = `${path}.gone`;
    this.#fileSystem.rename(path, gone);
    return this.#removeLater(gone);
  }

  /**
   * As `remove`, but never fails: what stays because of an error is only too
   * much, and a later sweep gets it.
   */
  discard(path: string): Promise<void> {
    if (this.#isClosed) return Promise.resolve();
    this.#spoilt.delete(path);
    try {
      return this.remove(path);
    } catch {
      this.#removeQuietly(path);
      return Promise.resolve();
    }
  }

  /**
   * Whether this draft must not be gone on with: it was to be thrown away, and
   * what a flush has lost may look as if it were there (H44).
   */
  isSpoilt(path: string): boolean {
    return this.#spoilt.has(path);
  }

  /** Removes nothing any more; resolves when nothing is being removed. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all(this.#removals);
  }

  /**
   * Removes the drafts that nobody will go on with: `isKept` tells which may
   * be, of those that have a token. Never fails: what stays is only too much.
   */
  sweep(isKept: (name: string, index: number) => boolean): void {
    for (const name of this.#listQuietly()) {
      const path = join(this.path, name);
      if (GONE_NAME.test(name)) this.#removeLater(path);
      const match = DRAFT_NAME.exec(name);
      if (match === null) continue;
      const isResumable = match[2] !== undefined;
      if (isResumable && isKept(name, Number(match[1]))) continue;
      this.discard(path);
    }
  }

  /** Removes everything, and the folder. Errors pass through. */
  async destroy(): Promise<void> {
    this.#files = [];
    this.#doomed.clear();
    await Promise.all(this.#removals);
    for (const name of this.#list()) {
      await this.#fileSystem.unlinkLater(join(this.path, name));
    }
    try {
      this.#fileSystem.removeDirectory(this.path);
    } catch (error) {
      if (errorCode(error) !== "ENOENT") throw error;
    }
  }

  #list(): readonly string[] {
    return listFolder(this.#fileSystem, this.path);
  }

  #listQuietly(): readonly string[] {
    try {
      return this.#list();
    } catch {
      return [];
    }
  }

  #removeQuietly(path: string): void {
    try {
      this.#fileSystem.unlink(path);
    } catch (error) {
      // It is gone already, or stays for a while.
      if (errorCode(error) !== "ENOENT") this.#spoilt.add(path);
    }
  }

  /** Never rejects. */
  #removeLater(gone: string): Promise<void> {
    const over = () => void this.#removals.delete(removal);
    const removal = this.#fileSystem.unlinkLater(gone).then(over, over);
    this.#removals.add(removal);
    return removal;
  }
}

/** Names in a folder; none if it does not exist. */
export function listFolder(
  fileSystem: WalFileSystem,
  path: string,
): readonly string[] {
  return listIfThere(fileSystem, path) ?? [];
}

/** Names in a folder; `undefined` if it does not exist. */
export function listIfThere(
  fileSystem: WalFileSystem,
  path: string,
): readonly string[] | undefined {
  try {
    return fileSystem.list(path);
  } catch (error) {
    if (errorCode(error) === "ENOENT") return undefined;
    throw error;
  }
}
