/**
 * Takes possession of a data directory, and makes the log in an empty one.
 *
 * @module
 */
import { dirname } from "node:path";
import { corruption } from "./errors.ts";
import { errorCode, readFully, type WalFileSystem } from "./file_system.ts";
import {
  decodeHeader,
  type LogIdentity,
  MAX_HEADER_BYTES,
  mintIncarnation,
} from "./format.ts";
import {
  identityPath,
  readIdentity,
  requireDeployment,
  type StoredIdentity,
  writeIdentity,
} from "./identity.ts";
import { type DirectoryLock, lockDirectory } from "./lock.ts";
import {
  createSegment,
  isZero,
  listSegments,
  nextCapacity,
  segmentPath,
} from "./segment.ts";

/** What is wanted of a directory. */
export interface DirectoryOptions {
  readonly fileSystem: WalFileSystem;
  readonly directory: string;
  readonly deployment: string;
  /** For a new log; minted if absent. */
  readonly incarnation: string | undefined;
  readonly segmentBytes: number;
}

/** A directory that is ours and holds a log. */
export interface OpenDirectory extends StoredIdentity {
  readonly lock: DirectoryLock;
}

/**
 * Locks a directory and reads, or makes, the identity of its log. Refusing,
 * it leaves everything as it was.
 *
 * @throws {RaftError} `locked`, `identityMismatch`, `corrupt`,
 * `unsupportedFormat`. Errors of the file system pass through.
 */
export async function openDirectory(
  options: DirectoryOptions,
): Promise<OpenDirectory> {
  const { fileSystem, directory, deployment } = options;
  const made = fileSystem.makeDirectory(directory);
  // Before the lock as well: a foreign directory is not even locked.
  await readIdentity(fileSystem, directory, deployment);
  const lock = await lockDirectory(fileSystem, directory);
  try {
    const stored = await readIdentity(fileSystem, directory, deployment) ??
      await makeLog(options, made);
    return { ...stored, lock };
  } catch (error) {
    lock.release();
    throw error;
  }
}

/**
 * A folder is an entry of the one above it, which has to be synced (H51): also
 * those that are there already, for who made them may have been killed then.
 */
async function syncAbove(
  { fileSystem, directory }: DirectoryOptions,
  made: readonly string[],
): Promise<void> {
  for (let at = directory; at !== dirname(at); at = dirname(at)) {
    try {
      await fileSystem.syncDirectory(dirname(at));
    } catch (error) {
      // Far above there may be folders of others.
      if (made.includes(at) || !isDenied(error)) throw error;
    }
  }
}

function isDenied(error: unknown): boolean {
  return ["EACCES", "EPERM", "EROFS", "EINVAL"].includes(
    errorCode(error) ?? "",
  );
}

/**
 * The segment comes before the identity, which promises that there was one.
 * `made` are the folders that are new.
 */
async function makeLog(
  options: DirectoryOptions,
  made: readonly string[],
): Promise<StoredIdentity> {
  const { fileSystem, directory, deployment, segmentBytes } = options;
  await syncAbove(options, made);
  const sequences = listSegments(fileSystem, directory);
  let identity: LogIdentity;
  if (sequences.length === 0) {
    const incarnation = options.incarnation ?? mintIncarnation();
    identity = { deployment, incarnation };
    const place = { fileSystem, directory, identity };
    const capacity = nextCapacity(0, segmentBytes);
    const plan = { capacity, layout: "zeros" } as const;
    fileSystem.close((await createSegment(place, 1, plan)).file);
  } else {
    identity = await adoptIdentity(options, sequences);
  }
  return await writeIdentity(fileSystem, directory, identity);
}

/**
 * The making of a log was cut short between its first segment and its
 * identity. If there is more than that, the identity was lost.
 */
async function adoptIdentity(
  options: DirectoryOptions,
  sequences: readonly number[],
): Promise<LogIdentity> {
  const { fileSystem, directory, deployment } = options;
  const lost = corruption(
    { file: identityPath(directory), offset: 0 },
    "the file is missing, though there are segments",
  );
  if (sequences.length > 1 || sequences[0] !== 1) throw lost;
  const path = segmentPath(directory, 1);
  const file = fileSystem.open(path, "read");
  try {
    const start = new Uint8Array(MAX_HEADER_BYTES);
    const length = await readFully(fileSystem, file, start, 0);
    const reading = decodeHeader(start.subarray(0, length));
    if (reading.type !== "valid" || reading.sequence !== 1) throw lost;
    requireDeployment(reading.identity, deployment, path);
    const from = reading.bytes;
    const rest = new Uint8Array(fileSystem.size(file) - from);
    await readFully(fileSystem, file, rest, from);
    if (!isZero(rest)) throw lost;
    return reading.identity;
  } finally {
    fileSystem.close(file);
  }
}
