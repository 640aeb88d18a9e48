/**
 * A file system in memory that tells what was synced from what was not, so
 * that tests can take the power away at any point, or make any operation
 * fail. Files are the volatile content plus the writes since the last sync;
 * names are the volatile directory plus its changes since the last sync.
 */
import { dirname } from "node:path";
import type { OpenMode, WalFileSystem } from "../../storage/wal/mod.ts";

/** What a disk writes as a whole. */
const SECTOR_BYTES = 512;

/** An operation that is about to be carried out. */
export interface Operation {
  readonly type:
    | "write"
    | "read"
    | "sync"
    | "syncDirectory"
    | "open"
    | "rename"
    | "link"
    | "unlink"
    | "truncate"
    | "makeDirectory"
    | "removeDirectory";
  readonly path: string;
  /** Bytes of a write. */
  readonly bytes?: number;
}

/** How a crash goes. */
export interface CrashChoices {
  /** How many of so many bytes of an unsynced sector reached the disk. */
  readonly keepBytes: (count: number) => number;
  /** How many of so many unsynced changes of names did, oldest first. */
  readonly keepNames: (count: number) => number;
}

interface Write {
  readonly position: number;
  readonly bytes: Uint8Array;
  /** Set once a write through a `durable` handle has returned. */
  isDurable?: boolean;
}

/** A file is as long as it was, or shorter. */
interface Cut {
  readonly size: number;
}

class FakeFile {
  content: Uint8Array = new Uint8Array(0);
  durable: Uint8Array = new Uint8Array(0);
  unsynced: (Write | Cut)[] = [];
}

interface OpenFile {
  readonly file: FakeFile;
  readonly path: string;
  readonly mode: OpenMode;
}

/** Stands for a folder among the names. Those right below the root exist. */
const FOLDER = new FakeFile();

interface NameChange {
  /** The folder that changes. */
  readonly folder: string;
  readonly apply: (names: Map<string, FakeFile>) => void;
}

/** Fails as a system call does. */
export class SystemError extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(`${code}: ${message}`);
    this.code = code;
  }
}

/** See the module. */
export class FakeFileSystem implements WalFileSystem {
  /** Called before each operation; what it throws, the operation throws. */
  onOperation: (operation: Operation) => void | Promise<void> = () => {};
  /** At most so many bytes are taken by one write. */
  maxWriteBytes: number = Infinity;
  /**
   * Whether what a failed sync did not write counts as written from then on,
   * as it does on Linux: to be read, until the power goes (H44).
   */
  forgetsFailedSyncs = false;
  /** Bytes that all files may have together. */
  capacity: number = Infinity;
  readonly #names = new Map<string, FakeFile>();
  readonly #durableNames = new Map<string, FakeFile>();
  #unsyncedNames: NameChange[] = [];
  readonly #open = new Map<number, OpenFile>();
  #lastHandle = 0;

  /** Number of files that are open. */
  get openCount(): number {
    return this.#open.size;
  }

  makeDirectory(path: string): readonly string[] {
    const missing: string[] = [];
    for (let at = path; !this.#isFolder(at); at = dirname(at)) missing.push(at);
    for (const made of [...missing].reverse()) {
      this.#announce({ type: "makeDirectory", path: made });
      this.#change(made, (names) => void names.set(made, FOLDER));
    }
    return missing;
  }

  removeDirectory(path: string): void {
    this.#announce({ type: "removeDirectory", path });
    if (this.list(path).length > 0) throw new SystemError("ENOTEMPTY", path);
    const inside = this.#unsyncedNames.filter(({ folder }) => folder === path);
    // A folder takes with it what was in it, synced or not: one that is made
    // later under the same name is another folder.
    this.#change(path, (names) => {
      for (const name of [...names.keys()]) {
        if (name === path || name.startsWith(`${path}/`)) names.delete(name);
      }
      this.#unsyncedNames = this.#unsyncedNames.filter((change) =>
        names !== this.#durableNames || !inside.includes(change)
      );
    });
  }

  list(path: string): readonly string[] {
    if (!this.#isFolder(path)) throw new SystemError("ENOENT", path);
    const start = `${path}/`;
    return [...this.#names.keys()].filter((name) => dirname(name) === path)
      .map((name) => name.slice(start.length));
  }

  open(path: string, mode: OpenMode): number {
    this.#announce({ type: "open", path });
    let file = this.#names.get(path);
    if (mode === "create") {
      if (file !== undefined) throw new SystemError("EEXIST", path);
      const made = new FakeFile();
      if (!this.#isFolder(dirname(path))) throw new SystemError("ENOENT", path);
      this.#change(path, (names) => void names.set(path, made));
      file = made;
    }
    if (file === undefined) throw new SystemError("ENOENT", path);
    this.#open.set(++this.#lastHandle, { file, path, mode });
    return this.#lastHandle;
  }

  close(handle: number): void {
    if (!this.#open.delete(handle)) throw new SystemError("EBADF", "close");
  }

  size(handle: number): number {
    return this.#get(handle).file.content.length;
  }

  write(handle: number, bytes: Uint8Array, position: number): number {
    const write = this.#write(handle, bytes, position);
    write.isDurable = this.#get(handle).mode === "durable";
    return write.bytes.length;
  }

  async writeLater(
    handle: number,
    bytes: Uint8Array,
    position: number,
  ): Promise<number> {
    await Promise.resolve();
    const write = this.#write(handle, bytes, position);
    // On its way to the disk, it may be torn as any other.
    await Promise.resolve();
    write.isDurable = this.#get(handle).mode === "durable";
    return write.bytes.length;
  }

  #write(handle: number, bytes: Uint8Array, position: number): Write {
    const { file, path } = this.#get(handle);
    const count = Math.min(bytes.length, this.maxWriteBytes);
    this.#announce({ type: "write", path, bytes: count });
    const write: Write = { position, bytes: bytes.slice(0, count) };
    this.#requireSpace(file, position + count);
    file.content = overwrite(file.content, position, write.bytes);
    file.unsynced.push(write);
    return write;
  }

  truncate(handle: number, bytes: number): void {
    const { file, path } = this.#get(handle);
    this.#announce({ type: "truncate", path });
    file.content = file.content.slice(0, bytes);
    file.unsynced.push({ size: bytes });
  }

  async read(
    handle: number,
    bytes: Uint8Array,
    position: number,
  ): Promise<number> {
    const { file, path } = this.#get(handle);
    await this.onOperation({ type: "read", path });
    const part = file.content.subarray(position, position + bytes.length);
    bytes.set(part);
    return part.length;
  }

  async sync(handle: number): Promise<void> {
    const { file, path } = this.#get(handle);
    const count = file.unsynced.length;
    try {
      await this.onOperation({ type: "sync", path });
    } catch (error) {
      if (this.forgetsFailedSyncs) file.unsynced.splice(0, count);
      throw error;
    }
    for (const change of file.unsynced.splice(0, count)) {
      file.durable = changed(file.durable, change);
    }
  }

  async syncDirectory(path: string): Promise<void> {
    const due = this.#unsyncedNames.filter(({ folder }) => folder === path);
    await this.onOperation({ type: "syncDirectory", path });
    for (const { apply } of due) apply(this.#durableNames);
    this.#unsyncedNames = this.#unsyncedNames.filter((it) => !due.includes(it));
  }

  rename(from: string, to: string): void {
    this.#announce({ type: "rename", path: from });
    const file = this.#find(from);
    this.#change(to, (names) => {
      names.delete(from);
      names.set(to, file);
    });
  }

  link(from: string, to: string): void {
    this.#announce({ type: "link", path: to });
    const file = this.#find(from);
    if (this.#names.has(to)) throw new SystemError("EEXIST", to);
    this.#change(to, (names) => void names.set(to, file));
  }

  unlink(path: string): void {
    this.#announce({ type: "unlink", path });
    this.#find(path);
    this.#change(path, (names) => void names.delete(path));
  }

  async unlinkLater(path: string): Promise<void> {
    await Promise.resolve();
    this.unlink(path);
  }

  identify(): string {
    return "fake";
  }

  /** A new file system with what the disk holds after a power loss. */
  crash(choices: CrashChoices): FakeFileSystem {
    const names = new Map(this.#durableNames);
    const kept = choices.keepNames(this.#unsyncedNames.length);
    for (const { apply } of this.#unsyncedNames.slice(0, kept)) apply(names);
    const after = new FakeFileSystem();
    for (const [path, file] of names) {
      // The boot after it is another one: no lock of before it holds.
      if (isLock(path) || !isReachable(path, names)) continue;
      if (file === FOLDER) {
        after.#putFolder(path);
        continue;
      }
      let content: Uint8Array = file.durable.slice();
      for (const write of file.unsynced) {
        if ("size" in write) {
          if (choices.keepBytes(1) > 0) content = changed(content, write);
          continue;
        }
        if (write.isDurable === true) {
          content = changed(content, write);
          continue;
        }
        for (const part of sectors(write)) {
          const bytes = part.bytes.subarray(
            0,
            choices.keepBytes(part.bytes.length),
          );
          if (bytes.length === 0) continue;
          content = overwrite(content, part.position, bytes);
        }
      }
      after.put(path, content);
    }
    return after;
  }

  /**
   * A new file system with what the page cache holds: the process died, the
   * machine lives. Locks are left out, for their owner is this very process.
   */
  kill(): FakeFileSystem {
    const after = new FakeFileSystem();
    for (const [path, file] of this.#names) {
      if (file === FOLDER) after.#putFolder(path);
      else if (!isLock(path)) after.put(path, file.content);
    }
    return after;
  }

  /**
   * The process died, the machine lives, and what was not synced still is
   * not: the disk as it is, without the locks.
   */
  forgetLocks(): void {
    for (const path of [...this.#names.keys()]) {
      if (isLock(path)) this.remove(path);
    }
  }

  /** Puts a durable file in place. */
  put(path: string, content: Uint8Array): void {
    const file = new FakeFile();
    file.content = content.slice();
    file.durable = content.slice();
    this.#putFolder(dirname(path));
    this.#names.set(path, file);
    this.#durableNames.set(path, file);
  }

  /** Removes a file for good. */
  remove(path: string): void {
    this.#names.delete(path);
    this.#durableNames.delete(path);
  }

  /** Content of a file. */
  get(path: string): Uint8Array {
    return this.#find(path).content;
  }

  /** Paths of all files but locks, ascending. */
  paths(): string[] {
    return [...this.#names].filter(([path, file]) =>
      file !== FOLDER && !isLock(path)
    ).map(([path]) => path).sort();
  }

  /** All of it, locks included, in a comparable form. */
  fingerprint(): string {
    return [...this.#names].sort(([a], [b]) => a < b ? -1 : 1)
      .map(([path, { content }]) => `${path}=${content.join(",")}`)
      .join("\n");
  }

  #get(handle: number): OpenFile {
    const open = this.#open.get(handle);
    if (open === undefined) throw new SystemError("EBADF", `${handle}`);
    return open;
  }

  #find(path: string): FakeFile {
    const file = this.#names.get(path);
    if (file === undefined) throw new SystemError("ENOENT", path);
    if (file === FOLDER) throw new SystemError("EISDIR", path);
    return file;
  }

  #isFolder(path: string): boolean {
    return isTop(path) || this.#names.get(path) === FOLDER;
  }

  #putFolder(path: string): void {
    for (let at = path; !this.#isFolder(at); at = dirname(at)) {
      this.#names.set(at, FOLDER);
      this.#durableNames.set(at, FOLDER);
    }
  }

  /** Changes the names in the folder of `path`. */
  #change(path: string, apply: NameChange["apply"]): void {
    apply(this.#names);
    this.#unsyncedNames.push({ folder: dirname(path), apply });
  }

  #announce(operation: Operation): void {
    if (this.onOperation(operation) instanceof Promise) {
      throw new TypeError(`A ${operation.type} cannot wait`);
    }
  }

  #requireSpace(file: FakeFile, end: number): void {
    let used = Math.max(0, end - file.content.length);
    for (const { content } of new Set(this.#names.values())) {
      used += content.length;
    }
    if (used > this.capacity) throw new SystemError("ENOSPC", "write");
  }
}

function isLock(path: string): boolean {
  return /\/lock-[^/]*$/.test(path);
}

/** Whether the folder is the root or right below it. */
function isTop(path: string): boolean {
  return dirname(path) === path || dirname(dirname(path)) === dirname(path);
}

/** Whether all folders above are there. */
function isReachable(
  path: string,
  names: ReadonlyMap<string, FakeFile>,
): boolean {
  for (let at = dirname(path); !isTop(at); at = dirname(at)) {
    if (!names.has(at)) return false;
  }
  return true;
}

function changed(content: Uint8Array, change: Write | Cut): Uint8Array {
  return "size" in change
    ? content.slice(0, change.size)
    : overwrite(content, change.position, change.bytes);
}

function overwrite(
  content: Uint8Array,
  position: number,
  bytes: Uint8Array,
): Uint8Array {
  const end = position + bytes.length;
  let target = content;
  if (end > content.length) {
    target = new Uint8Array(end);
    target.set(content);
  }
  target.set(bytes, position);
  return target;
}

/** A write, cut where sectors end. */
function* sectors(write: Write): Generator<Write> {
  let at = 0;
  while (at < write.bytes.length) {
    const position = write.position + at;
    const room = SECTOR_BYTES - position % SECTOR_BYTES;
    const bytes = write.bytes.subarray(at, at + room);
    yield { position, bytes };
    at += bytes.length;
  }
}
