/**
 * One process per data directory, on every runtime.
 *
 * The lock is the file `lock-N` with the highest N whose content names a
 * living process; an empty one is free. To take it, a process links a file
 * with its own name in it as `lock-N+1`, which only one can, and then looks
 * whether that is still the highest. Numbers only rise and the highest file
 * is never removed, so that no race between starters ends with two owners.
 * A process that was killed leaves a lock that names the dead, which the next
 * one passes over; so does a lock of before the last boot, or one in a copy
 * of the directory.
 *
 * What it cannot see: a holder on another machine, or in another container
 * with processes of its own. Give each member a directory of its own.
 *
 * @module
 */
import fs from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { RaftError } from "../../src/errors.ts";
import { errorCode, type WalFileSystem, writeFully } from "./file_system.ts";

const LOCK_NAME = /^lock-(\d{1,15})$/;
const MAX_LOCK_BYTES = 4096;
const MAX_ATTEMPTS = 16;

/** Tokens of the locks that this process holds. */
const heldHere: Set<string> = new Set();

/** Who holds a lock, as its file says. */
interface Holder {
  readonly pid: number;
  /** When the process started, where that can be found out. */
  readonly started: string | undefined;
  readonly token: string;
  /** The folder it was made in. */
  readonly folder: string;
  readonly path: string;
}

/** A lock that is held. */
export interface DirectoryLock {
  /** Gives it back. Idempotent. */
  release(): void;
}

/**
 * Takes the lock of a folder.
 *
 * @throws {RaftError} `locked` if another process, or this one, holds it;
 * nothing in the folder is changed then.
 */
export async function lockDirectory(
  fileSystem: WalFileSystem,
  path: string,
): Promise<DirectoryLock> {
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    const newest = newestLock(fileSystem, path);
    const holder = await readHolder(fileSystem, path, newest);
    if (holder !== undefined && isAlive(fileSystem, path, holder)) {
      throw new RaftError(
        "locked",
        `Cannot open "${path}": process ${holder.pid} is using it`,
        { file: lockPath(path, newest) },
      );
    }
    const taken = takeLock(fileSystem, path, newest + 1);
    if (taken !== undefined) return taken;
  }
  throw new RaftError(
    "locked",
    `Cannot open "${path}": other processes are opening it at the same time`,
    { file: path },
  );
}

/**
 * The process that holds the lock of a folder, if a living one does. Changes
 * nothing; what it says may be over a moment later.
 */
export async function lockHolder(
  fileSystem: WalFileSystem,
  path: string,
): Promise<number | undefined> {
  const newest = newestLock(fileSystem, path);
  const holder = await readHolder(fileSystem, path, newest);
  if (holder === undefined) return undefined;
  return isAlive(fileSystem, path, holder) ? holder.pid : undefined;
}

function lockPath(path: string, number: number): string {
  return join(path, `lock-${number}`);
}

/** 0 if there is none. */
function newestLock(fileSystem: WalFileSystem, path: string): number {
  let newest = 0;
  for (const name of fileSystem.list(path)) {
    const match = LOCK_NAME.exec(name);
    if (match !== null) newest = Math.max(newest, Number(match[1]));
  }
  return newest;
}

/** `undefined` if it is free, gone or unreadable: a power loss cut it. */
async function readHolder(
  fileSystem: WalFileSystem,
  path: string,
  number: number,
): Promise<Holder | undefined> {
  const bytes = new Uint8Array(MAX_LOCK_BYTES);
  let length = 0;
  try {
    const file = fileSystem.open(lockPath(path, number), "read");
    try {
      length = await fileSystem.read(file, bytes, 0);
    } finally {
      fileSystem.close(file);
    }
  } catch (error) {
    if (errorCode(error) === "ENOENT") return undefined;
    throw error;
  }
  return parseHolder(new TextDecoder().decode(bytes.subarray(0, length)));
}

/** Lines: pid, start of the process or "?", token, identity, path. */
function parseHolder(text: string): Holder | undefined {
  const [pid, started, token, folder, path, ...rest] = text.split("\n");
  if (
    pid === undefined || started === undefined || token === undefined ||
    folder === undefined || path === undefined || rest[0] !== "end"
  ) return undefined;
  const parsed = Number(pid);
  if (!Number.isSafeInteger(parsed) || parsed < 1) return undefined;
  return {
    pid: parsed,
    started: started === "?" ? undefined : started,
    token,
    folder,
    path,
  };
}

function describeHolder(holder: Holder): string {
  const { pid, started, token, folder, path } = holder;
  return [pid, started ?? "?", token, folder, path, "end"].join("\n");
}

/** `undefined` if another process was faster. */
function takeLock(
  fileSystem: WalFileSystem,
  path: string,
  number: number,
): DirectoryLock | undefined {
  const token = crypto.randomUUID();
  const own = lockPath(path, number);
  const draft = join(path, `lock-${token}.tmp`);
  const started = startOf(process.pid);
  const holder: Holder = {
    pid: process.pid,
    started: started === "gone" ? undefined : started,
    token,
    folder: fileSystem.identify(path),
    path,
  };
  writeText(fileSystem, draft, describeHolder(holder));
  // Registered before anybody can read the file and ask for its owner.
  heldHere.add(token);
  try {
    fileSystem.link(draft, own);
  } catch (error) {
    heldHere.delete(token);
    if (errorCode(error) === "EEXIST") return undefined;
    throw error;
  } finally {
    fileSystem.unlink(draft);
  }
  if (newestLock(fileSystem, path) !== number) {
    heldHere.delete(token);
    unlinkIfThere(fileSystem, own);
    return undefined;
  }
  removeOlder(fileSystem, path, number);
  return { release: () => releaseLock(fileSystem, path, { number, token }) };
}

/**
 * Passes the number on as a free one: were the file removed, a slow starter
 * that saw an older state could take a number that is already history.
 */
function releaseLock(
  fileSystem: WalFileSystem,
  path: string,
  lock: { readonly number: number; readonly token: string },
): void {
  if (!heldHere.delete(lock.token)) return;
  const draft = join(path, `lock-${lock.token}.tmp`);
  writeText(fileSystem, draft, "");
  fileSystem.rename(draft, lockPath(path, lock.number));
}

function writeText(
  fileSystem: WalFileSystem,
  path: string,
  text: string,
): void {
  const file = fileSystem.open(path, "create");
  try {
    const bytes = new TextEncoder().encode(text);
    if (bytes.length > 0) writeFully(fileSystem, file, bytes, 0);
  } finally {
    fileSystem.close(file);
  }
}

function removeOlder(
  fileSystem: WalFileSystem,
  path: string,
  number: number,
): void {
  for (const name of fileSystem.list(path)) {
    const match = LOCK_NAME.exec(name);
    if (match === null || Number(match[1]) >= number) continue;
    unlinkIfThere(fileSystem, join(path, name));
  }
}

function unlinkIfThere(fileSystem: WalFileSystem, path: string): void {
  try {
    fileSystem.unlink(path);
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw error;
  }
}

function isAlive(
  fileSystem: WalFileSystem,
  path: string,
  holder: Holder,
): boolean {
  // A copy of the directory: other place, other file. Either alone may
  // change under a living holder (a bind mount, a network file system).
  if (holder.path !== path && holder.folder !== fileSystem.identify(path)) {
    return false;
  }
  if (heldHere.has(holder.token)) return true;
  if (!answers(holder.pid)) return false;
  const started = startOf(holder.pid);
  if (started === "gone") return false;
  if (started === undefined || holder.started === undefined) {
    // Nobody can tell; but this process knows what it holds.
    return holder.pid !== process.pid;
  }
  return started === holder.started;
}

function answers(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // Anything else, "not permitted" above all, means that it exists.
    return errorCode(error) !== "ESRCH";
  }
}

/**
 * When a process started, so that a number used again is not taken for it:
 * the boot and the tick of it. `gone` for a zombie; `undefined` where the
 * system does not tell.
 */
function startOf(pid: number): string | "gone" | undefined {
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, "utf8");
    // The name in parentheses may hold anything; the state follows it.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const [state] = fields;
    if (state === "Z" || state === "X") return "gone";
    const boot = fs.readFileSync("/proc/sys/kernel/random/boot_id", "utf8");
    return `${boot.trim()}/${fields[19]}`;
  } catch {
    return undefined;
  }
}
