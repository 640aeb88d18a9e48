/**
 * Finds out whose a data directory is, and opens it to be looked at.
 *
 * @module
 */
import { join, resolve } from "node:path";
import { isRaftError, RaftError } from "../../src/errors.ts";
import type { OpenedStorage } from "../../src/storage.ts";
import { nodeFileSystem, WalStorage } from "../wal/mod.ts";
import { failed } from "../wal/errors.ts";
import {
  errorCode,
  readFully,
  type WalFileSystem,
} from "../wal/file_system.ts";
import { decodeHeader, MAX_HEADER_BYTES } from "../wal/format.ts";
import { identityPath } from "../wal/identity.ts";
import { lockHolder } from "../wal/lock.ts";
import { listSegments, segmentPath } from "../wal/segment.ts";
import { FrozenFileSystem } from "./frozen_file_system.ts";
import { Refusal } from "./refusal.ts";
import { realPathOf, unfinishedSwap } from "./swap.ts";

/** How often a directory in use is looked at again if it moved meanwhile. */
const MAX_LOOKS = 5;
/** Segments at the end of a log that its writer may be writing to. */
const LIVE_SEGMENTS = 3;
/** Opening prepares a segment, in memory here: a small one will do. */
const SEGMENT_BYTES = 1 << 20;

/** Whose a data directory is. */
export interface DirectoryOwner {
  /** The deployment it belongs to. */
  readonly deployment: string;
  /** Its own name, 32 hexadecimal digits. */
  readonly incarnation: string;
  /** What its records are bound to. */
  readonly recordSeed: number;
}

/** A directory that can be read and is not changed. */
export interface ReadOnlyLog {
  readonly directory: string;
  readonly owner: DirectoryOwner;
  /** The process that uses it; then this is how it was for a moment. */
  readonly heldBy: number | null;
  readonly storage: WalStorage;
  readonly opened: OpenedStorage;
}

/**
 * Whose a directory is, by its identity file, else by its first segment.
 *
 * @throws {RangeError} If it is no data directory.
 * @throws {RaftError} `corrupt` or `unsupportedFormat`.
 */
export async function readOwner(
  fileSystem: WalFileSystem,
  directory: string,
): Promise<DirectoryOwner> {
  requireDataDirectory(fileSystem, directory);
  const file = identityPath(directory);
  const bytes = await startOf(fileSystem, file);
  if (bytes === undefined) throw corrupt(file, "the file is missing");
  const reading = decodeHeader(bytes);
  if (reading.type === "foreign") {
    throw new RaftError(
      "unsupportedFormat",
      `Cannot read "${file}": its format version is ${reading.version}`,
      { file, offset: 0 },
    );
  }
  if (reading.type === "damaged") throw corrupt(file, "its header is damaged");
  return { ...reading.identity, recordSeed: reading.seed };
}

/**
 * @throws {RangeError} If neither an identity nor a segment is there.
 * @throws {Refusal} If it is missing because its replacement was cut short.
 */
export function requireDataDirectory(
  fileSystem: WalFileSystem,
  directory: string,
): void {
  let names: readonly string[] = [];
  try {
    names = fileSystem.list(directory);
  } catch (cause) {
    refuseUnfinished(directory);
    throw new RangeError(
      `Cannot use "${directory}": it cannot be listed, wanted a data directory`,
      { cause },
    );
  }
  if (names.includes("identity") || names.some((it) => it.endsWith(".wal"))) {
    return;
  }
  throw new RangeError(
    `Cannot use "${directory}": it has neither an identity nor segments, wanted a data directory`,
  );
}

function refuseUnfinished(directory: string): void {
  const swap = unfinishedSwap(realPathOf(directory));
  if (swap === undefined) return;
  throw new Refusal(
    `Cannot use "${directory}": its replacement was cut short: "${swap.kept}" is the old one and "${swap.made}" the new one, both whole; wanted one of them renamed, or the command again with --yes, which begins with the old one`,
  );
}

/**
 * Opens a directory without changing it, also while a member uses it: then as
 * it was at some moment of the call.
 *
 * @throws {RangeError} If it is no data directory.
 * @throws {RaftError} What opening it would come to.
 */
export async function openReadOnly(directory: string): Promise<ReadOnlyLog> {
  const path = resolve(directory);
  for (let look = 1;; look++) {
    const heldBy = await holderOf(path);
    try {
      return await openOnce(path, heldBy);
    } catch (error) {
      // A log that moves on under our eyes can look like anything.
      const mayPass = heldBy !== null && isRaftError(error);
      if (!mayPass || look === MAX_LOOKS) throw error;
    }
  }
}

/** The process that uses a directory, or `null`. */
export async function holderOf(directory: string): Promise<number | null> {
  requireDataDirectory(nodeFileSystem(), directory);
  return await lockHolder(nodeFileSystem(), directory) ?? null;
}

/** A directory as it is now; see {@linkcode FrozenFileSystem}. */
export async function freeze(
  directory: string,
  heldBy: number | null,
): Promise<FrozenFileSystem> {
  const frozen = new FrozenFileSystem();
  if (heldBy === null) return frozen;
  const newest = listSegments(frozen, directory).slice(-LIVE_SEGMENTS);
  for (const sequence of newest.reverse()) {
    await frozen.hold(segmentPath(directory, sequence));
  }
  return frozen;
}

async function openOnce(
  directory: string,
  heldBy: number | null,
): Promise<ReadOnlyLog> {
  const view = await freeze(directory, heldBy);
  return await openFrozen(directory, view, { heldBy });
}

/** How to open a view. */
export interface ViewOptions {
  /** The process that uses the directory. @default {null} */
  readonly heldBy?: number | null | undefined;
  /**
   * Whether to read the newest entries at once, as a member does, and so to
   * find damage in them. @default {false}
   */
  readonly readsTail?: boolean | undefined;
}

/** Opens a directory through a view of it. */
export async function openFrozen(
  directory: string,
  fileSystem: FrozenFileSystem,
  { heldBy = null, readsTail = false }: ViewOptions = {},
): Promise<ReadOnlyLog> {
  const owner = await readOwner(fileSystem, directory);
  const storage = new WalStorage({
    directory,
    fileSystem,
    segmentBytes: SEGMENT_BYTES,
    tailBytes: readsTail ? undefined : 0,
  });
  const { deployment } = owner;
  const opened = await storage.open({ deployment });
  return { directory, owner, heldBy, storage, opened };
}

async function startOf(
  fileSystem: WalFileSystem,
  path: string,
): Promise<Uint8Array | undefined> {
  let file: number;
  try {
    file = fileSystem.open(path, "read");
  } catch (error) {
    // What cannot be read is not missing.
    if (errorCode(error) === "ENOENT") return undefined;
    throw failed(`read "${path}"`, error);
  }
  try {
    const bytes = new Uint8Array(MAX_HEADER_BYTES);
    const length = await readFully(fileSystem, file, bytes, 0);
    return bytes.slice(0, length);
  } catch (error) {
    throw failed(`read "${path}"`, error);
  } finally {
    fileSystem.close(file);
  }
}

/** Sizes of the files of a directory, folders below it included. */
export function listFiles(
  fileSystem: WalFileSystem,
  directory: string,
): { readonly path: string; readonly bytes: number }[] {
  const found: { path: string; bytes: number }[] = [];
  for (const name of [...fileSystem.list(directory)].sort()) {
    const path = join(directory, name);
    try {
      const file = fileSystem.open(path, "read");
      try {
        found.push({ path, bytes: fileSystem.size(file) });
      } finally {
        fileSystem.close(file);
      }
    } catch {
      // Removed meanwhile, or no file.
    }
  }
  return found;
}

function corrupt(file: string, what: string): RaftError {
  return new RaftError("corrupt", `Cannot trust "${file}": ${what}`, {
    file,
    offset: 0,
  });
}
