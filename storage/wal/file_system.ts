/**
 * The file operations of the log, and nothing else it does to a disk: the
 * seam at which tests make disks fail, fill up or forget.
 *
 * @module
 */
import fs from "node:fs";
import { dirname } from "node:path";
import { RaftError } from "../../src/errors.ts";

/** An open file. */
export type FileHandle = number;

/**
 * How to open a file. `create` refuses to find one. `durable` is as `update`,
 * but a write has reached stable storage when it returns (`O_DSYNC`).
 */
export type OpenMode = "read" | "update" | "create" | "durable";

/**
 * What the log asks of a file system. Errors are those of `node:fs`, with
 * their `code`. Where an operation is synchronous, the log relies on it: the
 * page cache takes a write faster than a promise resolves.
 */
export interface WalFileSystem {
  /** Makes a folder and those above it; returns the ones that are new. */
  makeDirectory(path: string): readonly string[];
  /** Removes an empty folder. */
  removeDirectory(path: string): void;
  /** Names in a folder, in any order. */
  list(path: string): readonly string[];
  /** Opens a file. */
  open(path: string, mode: OpenMode): FileHandle;
  /** Closes a file. */
  close(file: FileHandle): void;
  /** Length of a file in bytes. */
  size(file: FileHandle): number;
  /** Writes `bytes` at `position`; returns how many were written. */
  write(file: FileHandle, bytes: Uint8Array, position: number): number;
  /** As `write`, off the caller's thread: for what may take long. */
  writeLater(
    file: FileHandle,
    bytes: Uint8Array,
    position: number,
  ): Promise<number>;
  /** Fills `bytes` from `position`; returns how many were read, 0 at the end. */
  read(file: FileHandle, bytes: Uint8Array, position: number): Promise<number>;
  /** Cuts a file to a length that it has at least. */
  truncate(file: FileHandle, bytes: number): void;
  /** Resolves once data and length are on stable storage (`fdatasync`). */
  sync(file: FileHandle): Promise<void>;
  /** Resolves once the names in a folder are on stable storage. */
  syncDirectory(path: string): Promise<void>;
  /** Renames a file, over one of that name if there is one. */
  rename(from: string, to: string): void;
  /** Gives a file a second name; fails with `EEXIST` if that is taken. */
  link(from: string, to: string): void;
  /** Removes a name. */
  unlink(path: string): void;
  /** As `unlink`, off the caller's thread: a large file takes long. */
  unlinkLater(path: string): Promise<void>;
  /** Tells one folder from another, however it is reached. */
  identify(path: string): string;
}

const FLAGS: Readonly<Record<Exclude<OpenMode, "durable">, string>> = {
  read: "r",
  update: "r+",
  create: "wx+",
};

function flagsOf(mode: OpenMode): string | number {
  if (mode !== "durable") return FLAGS[mode];
  const { O_RDWR, O_DSYNC } = fs.constants;
  if (O_DSYNC !== undefined) return O_RDWR | O_DSYNC;
  throw new RaftError(
    "unsupported",
    'Cannot open a log with flush "dsync": this system has no O_DSYNC, wanted "fdatasync"',
  );
}

/** The file system of the machine, through `node:fs`. */
export function nodeFileSystem(): WalFileSystem {
  return {
    makeDirectory,
    removeDirectory: (path) => fs.rmdirSync(path),
    list: (path) => fs.readdirSync(path),
    open: (path, mode) => fs.openSync(path, flagsOf(mode), 0o600),
    close: (file) => fs.closeSync(file),
    size: (file) => fs.fstatSync(file).size,
    write: (file, bytes, position) =>
      fs.writeSync(file, bytes, 0, bytes.length, position),
    writeLater: (file, bytes, position) =>
      new Promise((resolve, reject) =>
        fs.write(file, bytes, 0, bytes.length, position, (error, count) => {
          if (error) reject(error);
          else resolve(count);
        })
      ),
    read: (file, bytes, position) =>
      new Promise((resolve, reject) =>
        fs.read(file, bytes, 0, bytes.length, position, (error, count) => {
          if (error) reject(error);
          else resolve(count);
        })
      ),
    truncate: (file, bytes) => fs.ftruncateSync(file, bytes),
    sync: (file) =>
      new Promise((resolve, reject) =>
        fs.fdatasync(file, (error) => error ? reject(error) : resolve())
      ),
    syncDirectory,
    rename: (from, to) => fs.renameSync(from, to),
    link: (from, to) => fs.linkSync(from, to),
    unlink: (path) => fs.unlinkSync(path),
    unlinkLater: (path) =>
      new Promise((resolve, reject) =>
        fs.unlink(path, (error) => error ? reject(error) : resolve())
      ),
    identify: (path) => {
      const { dev, ino } = fs.statSync(path);
      return `${dev}:${ino}`;
    },
  };
}

function makeDirectory(path: string): readonly string[] {
  const missing: string[] = [];
  for (let at = path; !fs.existsSync(at); at = dirname(at)) missing.push(at);
  if (missing.length > 0) fs.mkdirSync(path, { recursive: true, mode: 0o700 });
  return missing;
}

function syncDirectory(path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const file = fs.openSync(path, "r");
    fs.fsync(file, (error) => {
      fs.closeSync(file);
      if (error) reject(error);
      else resolve();
    });
  });
}

/** The `code` of a file system error, or `undefined` for any other. */
export function errorCode(error: unknown): string | undefined {
  if (typeof error !== "object" || error === null) return undefined;
  if (!("code" in error) || typeof error.code !== "string") return undefined;
  return error.code;
}

/** What runs short without the disk being broken: room, and open files. */
const SHORTAGES: readonly (string | undefined)[] = [
  "ENOSPC",
  "EDQUOT",
  "EMFILE",
  "ENFILE",
];

/** Whether an error says that something has run short, and nothing is broken. */
export function isShortage(error: unknown): boolean {
  return SHORTAGES.includes(errorCode(error));
}

/** Writes all of `bytes`, however little goes at a time. */
export function writeFully(
  fileSystem: WalFileSystem,
  file: FileHandle,
  bytes: Uint8Array,
  position: number,
): void {
  let done = fileSystem.write(file, bytes, position);
  while (done < bytes.length) {
    const more = fileSystem.write(
      file,
      bytes.subarray(done),
      position + done,
    );
    if (more <= 0) {
      throw new Error(
        `Cannot write to the log: ${done} of ${bytes.length} bytes were taken`,
      );
    }
    done += more;
  }
}

/** As {@linkcode writeFully}, off the caller's thread. */
export async function writeFullyLater(
  fileSystem: WalFileSystem,
  file: FileHandle,
  bytes: Uint8Array,
  position: number,
): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    const rest = done === 0 ? bytes : bytes.subarray(done);
    const more = await fileSystem.writeLater(file, rest, position + done);
    if (more <= 0) {
      throw new Error(
        `Cannot write to a file: ${done} of ${bytes.length} bytes were taken`,
      );
    }
    done += more;
  }
}

/** Fills `bytes` as far as the file goes; returns the count. */
export async function readFully(
  fileSystem: WalFileSystem,
  file: FileHandle,
  bytes: Uint8Array,
  position: number,
): Promise<number> {
  let done = 0;
  while (done < bytes.length) {
    const rest = done === 0 ? bytes : bytes.subarray(done);
    const count = await fileSystem.read(file, rest, position + done);
    if (count === 0) break;
    done += count;
  }
  return done;
}
