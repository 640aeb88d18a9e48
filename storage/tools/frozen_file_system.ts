/**
 * A data directory as it is, to be looked at by the very code that opens it:
 * what that writes stays in memory, and no byte on the disk changes.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import fs from "node:fs";
import { basename, dirname, join } from "node:path";
import { errorCode } from "../wal/file_system.ts";
import type { FileHandle, OpenMode, WalFileSystem } from "../wal/mod.ts";

const PAGE_BYTES = 64 << 10;
const LOCK_NAME = /^lock-(\d{1,15}|.*\.tmp)$/;
const ZERO_PAGE: Uint8Array = new Uint8Array(PAGE_BYTES);

/** A file as this view has it. */
interface View {
  /** What it was made from; `undefined` if it was made here. */
  readonly base: string | undefined;
  /** Bytes of the base that still count. */
  baseBytes: number;
  size: number;
  /** Pages that differ from the base, by their number. */
  readonly pages: Map<number, Uint8Array>;
}

/** An open file. */
interface Opened {
  readonly view: View;
  /** The base, opened to be read. */
  readonly base: number | undefined;
}

/** An error as the file system has them. */
function systemError(code: string, path: string): Error {
  const error = new Error(`Cannot use "${path}": ${code}`);
  return Object.assign(error, { code });
}

/**
 * A file system that reads from the disk and writes to memory. Locks are not
 * seen: to look needs none, and none is taken.
 */
export class FrozenFileSystem implements WalFileSystem {
  /** `null`: removed here. */
  readonly #views = new Map<string, View | null>();
  /** Folders made here. */
  readonly #folders = new Set<string>();
  readonly #opened = new Map<FileHandle, Opened>();
  #lastHandle = 0;

  /**
   * Reads a file now, from its end to its start, so that what its writer adds
   * meanwhile is seen up to some place and not beyond it: a log is written
   * forwards.
   */
  async hold(path: string): Promise<void> {
    const file = this.open(path, "read");
    const { view } = this.#require(file);
    const pages = Math.ceil(view.size / PAGE_BYTES);
    for (let number = pages - 1; number >= 0; number--) {
      const page = new Uint8Array(PAGE_BYTES);
      await this.read(file, page, number * PAGE_BYTES);
      view.pages.set(number, isZero(page) ? ZERO_PAGE : page);
    }
    this.close(file);
    this.#views.set(path, view);
  }

  makeDirectory(path: string): readonly string[] {
    const missing: string[] = [];
    for (let at = path; !this.#isFolder(at); at = dirname(at)) missing.push(at);
    for (const folder of missing) this.#folders.add(folder);
    return missing;
  }

  removeDirectory(path: string): void {
    this.#folders.delete(path);
  }

  list(path: string): readonly string[] {
    const names = new Set<string>();
    if (this.#folders.has(path) && !fs.existsSync(path)) {
      for (const name of this.#madeIn(path)) names.add(name);
      return [...names];
    }
    for (const name of fs.readdirSync(path)) {
      if (!LOCK_NAME.test(name)) names.add(name);
    }
    for (const name of this.#madeIn(path)) names.add(name);
    return [...names].filter((name) =>
      this.#views.get(join(path, name)) !== null
    );
  }

  open(path: string, mode: OpenMode): FileHandle {
    const known = this.#views.get(path);
    const isThere = known !== undefined ? known !== null : isOnDisk(path);
    if (mode === "create" && isThere) throw systemError("EEXIST", path);
    if (mode !== "create" && !isThere) throw systemError("ENOENT", path);
    const view = isThere && known ? known : this.#viewOf(path, isThere);
    if (mode !== "read") this.#views.set(path, view);
    const base = view.base === undefined
      ? undefined
      : fs.openSync(view.base, "r");
    const handle = ++this.#lastHandle;
    this.#opened.set(handle, { view, base });
    return handle;
  }

  close(file: FileHandle): void {
    const { base } = this.#require(file);
    if (base !== undefined) fs.closeSync(base);
    this.#opened.delete(file);
  }

  size(file: FileHandle): number {
    return this.#require(file).view.size;
  }

  write(file: FileHandle, bytes: Uint8Array, position: number): number {
    const opened = this.#require(file);
    const { view } = opened;
    for (let done = 0; done < bytes.length;) {
      const at = position + done;
      const number = Math.floor(at / PAGE_BYTES);
      const from = at % PAGE_BYTES;
      const part = bytes.subarray(done, done + PAGE_BYTES - from);
      this.#page(opened, number, part)?.set(part, from);
      done += part.length;
    }
    if (bytes.length > 0) {
      view.size = Math.max(view.size, position + bytes.length);
    }
    return bytes.length;
  }

  writeLater(
    file: FileHandle,
    bytes: Uint8Array,
    position: number,
  ): Promise<number> {
    return Promise.resolve(this.write(file, bytes, position));
  }

  read(file: FileHandle, bytes: Uint8Array, position: number): Promise<number> {
    const opened = this.#require(file);
    const { size, pages } = opened.view;
    const length = Math.max(0, Math.min(bytes.length, size - position));
    const wanted = bytes.subarray(0, length);
    readBase(opened, wanted, position);
    for (let done = 0; done < length;) {
      const at = position + done;
      const from = at % PAGE_BYTES;
      const count = Math.min(PAGE_BYTES - from, length - done);
      const page = pages.get(Math.floor(at / PAGE_BYTES));
      if (page !== undefined) {
        wanted.set(page.subarray(from, from + count), done);
      }
      done += count;
    }
    return Promise.resolve(length);
  }

  truncate(file: FileHandle, bytes: number): void {
    const { view } = this.#require(file);
    for (const number of [...view.pages.keys()]) {
      if (number * PAGE_BYTES >= bytes) view.pages.delete(number);
    }
    view.pages.get(Math.floor(bytes / PAGE_BYTES))?.fill(0, bytes % PAGE_BYTES);
    view.size = bytes;
    view.baseBytes = Math.min(view.baseBytes, bytes);
  }

  sync(_file: FileHandle): Promise<void> {
    return Promise.resolve();
  }

  syncDirectory(_path: string): Promise<void> {
    return Promise.resolve();
  }

  rename(from: string, to: string): void {
    const view = this.#take(from);
    this.#views.set(from, null);
    this.#views.set(to, view);
  }

  link(from: string, to: string): void {
    const there = this.#views.get(to);
    if (there !== undefined ? there !== null : isOnDisk(to)) {
      throw systemError("EEXIST", to);
    }
    this.#views.set(to, this.#take(from));
  }

  unlink(path: string): void {
    this.#take(path);
    this.#views.set(path, null);
  }

  // deno-lint-ignore require-await -- a rejection, never a throw
  async unlinkLater(path: string): Promise<void> {
    this.unlink(path);
  }

  identify(path: string): string {
    return path;
  }

  #take(path: string): View {
    const known = this.#views.get(path);
    if (known === null || (known === undefined && !isOnDisk(path))) {
      throw systemError("ENOENT", path);
    }
    const isThere = true;
    return known ?? this.#viewOf(path, isThere);
  }

  #viewOf(path: string, isThere: boolean): View {
    const size = isThere ? fs.statSync(path).size : 0;
    const base = isThere ? path : undefined;
    return { base, baseBytes: size, size, pages: new Map() };
  }

  /** The page to write to; none if zeros are to be written over nothing. */
  #page(
    opened: Opened,
    number: number,
    part: Uint8Array,
  ): Uint8Array | undefined {
    const { pages, baseBytes } = opened.view;
    const known = pages.get(number);
    if (known !== undefined && known !== ZERO_PAGE) return known;
    const start = number * PAGE_BYTES;
    const isBlank = known === ZERO_PAGE || start >= baseBytes;
    if (isBlank && isZero(part)) return undefined;
    const page = new Uint8Array(PAGE_BYTES);
    if (!isBlank) readBase(opened, page, start);
    pages.set(number, page);
    return page;
  }

  #isFolder(path: string): boolean {
    return this.#folders.has(path) || fs.existsSync(path);
  }

  #madeIn(folder: string): string[] {
    const made = [...this.#folders].filter((path) =>
      dirname(path) === folder && path !== folder
    );
    for (const [path, view] of this.#views) {
      if (view !== null && dirname(path) === folder) made.push(path);
    }
    return made.map((path) => basename(path));
  }

  #require(file: FileHandle): Opened {
    const opened = this.#opened.get(file);
    if (opened === undefined) throw systemError("EBADF", `handle ${file}`);
    return opened;
  }
}

/**
 * Whether the disk has a file; locks are not seen. One that cannot be reached
 * is there: what it is, opening it says.
 */
function isOnDisk(path: string): boolean {
  if (LOCK_NAME.test(basename(path))) return false;
  try {
    fs.lstatSync(path);
    return true;
  } catch (error) {
    return errorCode(error) !== "ENOENT";
  }
}

/** Fills `bytes` from the base; zeros where it has nothing that counts. */
function readBase(
  { view, base }: Opened,
  bytes: Uint8Array,
  position: number,
): void {
  const wanted = Math.max(
    0,
    Math.min(bytes.length, view.baseBytes - position),
  );
  let done = 0;
  while (base !== undefined && done < wanted) {
    const count = fs.readSync(
      base,
      bytes,
      done,
      wanted - done,
      position + done,
    );
    if (count === 0) break;
    done += count;
  }
  bytes.fill(0, done);
}

function isZero(bytes: Uint8Array): boolean {
  return Buffer.compare(bytes, ZERO_PAGE.subarray(0, bytes.length)) === 0;
}
