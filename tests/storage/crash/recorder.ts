/**
 * A file system in memory that writes down every operation that changes what
 * a disk holds, so that each moment of a run can be gone back to.
 *
 * @module
 */
import { dirname } from "node:path";
import type { OpenMode, WalFileSystem } from "../../../storage/wal/mod.ts";
import { SystemError } from "../fake_file_system.ts";
import type { Random } from "./random.ts";

/** Number of a file; its names come and go. */
export type FileId = number;

/** Stands for a folder among the names. */
export const FOLDER: FileId = 0;

/** What a name stands for from now on; `undefined`: nothing. */
export type NameChange = readonly [path: string, to: FileId | undefined];

/** Something that changes what the disk holds, or may hold. */
export type DiskEvent =
  | {
    readonly type: "names";
    readonly folder: string;
    /** Happen together or not at all. */
    readonly changes: readonly NameChange[];
  }
  | {
    readonly type: "write";
    readonly file: FileId;
    readonly position: number;
    readonly bytes: Uint8Array;
  }
  | { readonly type: "truncate"; readonly file: FileId; readonly size: number }
  /** The write at that place in the list has gone through to the disk. */
  | { readonly type: "settled"; readonly write: number }
  /** Of the file, what stands before `from` in the list is durable. */
  | { readonly type: "sync"; readonly file: FileId; readonly from: number }
  /** Of the folder's names, what stands before `from` is durable. */
  | {
    readonly type: "syncDirectory";
    readonly folder: string;
    readonly from: number;
  }
  | ({ readonly type: "mark" } & Marks);

/** How far a run has come. */
export interface Marks {
  /** How many steps were begun. */
  readonly submitted: number;
  /** The first so many are acknowledged. */
  readonly acked: number;
  /** The one, counted from 0, that is under way beside those after it. */
  readonly aside: number | undefined;
}

/** What a disk holds. */
export interface Image {
  readonly files: ReadonlyMap<string, Uint8Array>;
  readonly folders: ReadonlySet<string>;
}

/** A disk that goes on under another process, unflushed or not. */
export interface LiveDisk extends Image {
  readonly ids: ReadonlyMap<string, FileId>;
  /** No file has a higher number. */
  readonly lastFile: FileId;
  /** How many events there were before. */
  readonly eventCount: number;
}

interface Node {
  readonly id: FileId;
  content: Uint8Array;
}

const FOLDER_NODE: Node = { id: FOLDER, content: new Uint8Array(0) };

/** Locks are not durable: the boot after a crash knows their owners dead. */
function isLock(path: string): boolean {
  return /\/lock-[^/]*$/.test(path);
}

/** See the module. */
export class Recorder implements WalFileSystem {
  readonly events: DiskEvent[] = [];
  readonly #random: Random;
  readonly #names = new Map<string, Node>();
  readonly #open = new Map<number, { node: Node; mode: OpenMode }>();
  readonly #unrecorded = new Set<FileId>();
  /** How many events there were before the recorded ones. */
  readonly #offset: number;
  #lastFile = FOLDER;
  #lastHandle = 0;
  #submitted = 0;
  #acked = 0;
  #aside: number | undefined;

  /** A disk that holds an image; `random` decides how long flushes take. */
  constructor(image: Image, random: Random, live?: LiveDisk) {
    this.#random = random;
    this.#offset = live?.eventCount ?? 0;
    for (const path of image.folders) this.#names.set(path, FOLDER_NODE);
    for (const [path, content] of image.files) {
      const id = live?.ids.get(path) ?? ++this.#lastFile;
      this.#names.set(path, { id, content: content.slice() });
    }
    this.#lastFile = live?.lastFile ?? this.#lastFile;
  }

  /** Notes that another step begins. */
  submit(): void {
    this.#submitted++;
    this.#mark();
  }

  /** Notes that the first so many steps are acknowledged. */
  acknowledge(count: number): void {
    this.#acked = Math.max(this.#acked, count);
    this.#mark();
  }

  /** Notes that a step goes on beside those after it, or has ended. */
  setAside(step: number | undefined): void {
    this.#aside = step;
    this.#mark();
  }

  makeDirectory(path: string): readonly string[] {
    const missing: string[] = [];
    for (let at = path; !this.#isFolder(at); at = dirname(at)) missing.push(at);
    for (const made of missing.toReversed()) {
      this.#names.set(made, FOLDER_NODE);
      this.#note(made, [[made, FOLDER]]);
    }
    return missing;
  }

  removeDirectory(path: string): void {
    if (!this.#isFolder(path)) throw new SystemError("ENOENT", path);
    if (this.list(path).length > 0) throw new SystemError("ENOTEMPTY", path);
    this.#names.delete(path);
    this.#note(path, [[path, undefined]]);
  }

  list(path: string): readonly string[] {
    if (!this.#isFolder(path)) throw new SystemError("ENOENT", path);
    return [...this.#names.keys()].filter((name) => dirname(name) === path)
      .map((name) => name.slice(path.length + 1));
  }

  open(path: string, mode: OpenMode): number {
    let node = this.#names.get(path);
    if (mode === "create") {
      if (node !== undefined) throw new SystemError("EEXIST", path);
      if (!this.#isFolder(dirname(path))) throw new SystemError("ENOENT", path);
      node = { id: ++this.#lastFile, content: new Uint8Array(0) };
      if (isLock(path)) this.#unrecorded.add(node.id);
      this.#names.set(path, node);
      this.#note(path, [[path, node.id]]);
    }
    if (node === undefined) throw new SystemError("ENOENT", path);
    this.#open.set(++this.#lastHandle, { node, mode });
    return this.#lastHandle;
  }

  close(file: number): void {
    if (!this.#open.delete(file)) throw new SystemError("EBADF", "close");
  }

  size(file: number): number {
    return this.#get(file).node.content.length;
  }

  write(file: number, bytes: Uint8Array, position: number): number {
    const write = this.#write(file, bytes, position);
    if (this.#get(file).mode === "durable") this.#settle(write);
    return bytes.length;
  }

  async writeLater(
    file: number,
    bytes: Uint8Array,
    position: number,
  ): Promise<number> {
    await this.#pass();
    const write = this.#write(file, bytes, position);
    await this.#pass();
    if (this.#get(file).mode === "durable") this.#settle(write);
    return bytes.length;
  }

  truncate(file: number, size: number): void {
    const { node } = this.#get(file);
    node.content = node.content.slice(0, size);
    if (this.#unrecorded.has(node.id)) return;
    this.events.push({ type: "truncate", file: node.id, size });
  }

  async read(
    file: number,
    bytes: Uint8Array,
    position: number,
  ): Promise<number> {
    const { content } = this.#get(file).node;
    await Promise.resolve();
    const part = content.subarray(position, position + bytes.length);
    bytes.set(part);
    return part.length;
  }

  async sync(file: number): Promise<void> {
    const { id } = this.#get(file).node;
    const from = this.#now;
    await this.#pass();
    if (this.#unrecorded.has(id)) return;
    this.events.push({ type: "sync", file: id, from });
  }

  async syncDirectory(path: string): Promise<void> {
    if (!this.#isFolder(path)) throw new SystemError("ENOENT", path);
    const from = this.#now;
    await this.#pass();
    this.events.push({ type: "syncDirectory", folder: path, from });
  }

  rename(from: string, to: string): void {
    const node = this.#find(from);
    if (dirname(from) !== dirname(to)) throw new SystemError("EXDEV", to);
    this.#names.delete(from);
    this.#names.set(to, node);
    this.#note(to, [[from, undefined], [to, node.id]]);
  }

  link(from: string, to: string): void {
    const node = this.#find(from);
    if (this.#names.has(to)) throw new SystemError("EEXIST", to);
    this.#names.set(to, node);
    this.#note(to, [[to, node.id]]);
  }

  unlink(path: string): void {
    this.#find(path);
    this.#names.delete(path);
    this.#note(path, [[path, undefined]]);
  }

  async unlinkLater(path: string): Promise<void> {
    await this.#pass();
    this.unlink(path);
    await this.#pass();
  }

  identify(): string {
    return "recorder";
  }

  /** What is on a disk that never failed. */
  image(): Image {
    const files = new Map<string, Uint8Array>();
    const folders = new Set<string>();
    for (const [path, node] of this.#names) {
      if (node === FOLDER_NODE) folders.add(path);
      else if (!isLock(path)) files.set(path, node.content);
    }
    return { files, folders };
  }

  get #now(): number {
    return this.#offset + this.events.length;
  }

  #mark(): void {
    const [submitted, acked] = [this.#submitted, this.#acked];
    this.events.push({ type: "mark", submitted, acked, aside: this.#aside });
  }

  #note(path: string, changes: readonly NameChange[]): void {
    if (isLock(path)) return;
    this.events.push({ type: "names", folder: dirname(path), changes });
  }

  /** Returns where the write stands in the list; -1 if it does not. */
  #write(file: number, bytes: Uint8Array, position: number): number {
    const { node } = this.#get(file);
    const end = position + bytes.length;
    if (end > node.content.length) {
      const grown = new Uint8Array(end);
      grown.set(node.content);
      node.content = grown;
    }
    node.content.set(bytes, position);
    if (this.#unrecorded.has(node.id)) return -1;
    const copy = bytes.slice();
    this.events.push({ type: "write", file: node.id, position, bytes: copy });
    return this.#now - 1;
  }

  #settle(write: number): void {
    if (write >= 0) this.events.push({ type: "settled", write });
  }

  #get(file: number): { node: Node; mode: OpenMode } {
    const open = this.#open.get(file);
    if (open === undefined) throw new SystemError("EBADF", `${file}`);
    return open;
  }

  #find(path: string): Node {
    const node = this.#names.get(path);
    if (node === undefined) throw new SystemError("ENOENT", path);
    return node;
  }

  #isFolder(path: string): boolean {
    return path === "/" || this.#names.get(path) === FOLDER_NODE;
  }

  /** Takes a while, so that other things happen meanwhile. */
  async #pass(): Promise<void> {
    for (let left = this.#random.below(12); left >= 0; left--) {
      await Promise.resolve();
    }
  }
}
