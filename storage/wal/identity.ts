/**
 * The file that says whose log a directory holds. It is written last when a
 * log is made and never changed, so a directory that has it has had segments.
 *
 * @module
 */
import { join } from "node:path";
import { RaftError } from "../../src/errors.ts";
import { corruption, unsupported } from "./errors.ts";
import {
  decodeHeader,
  encodeHeader,
  FORMAT_VERSION,
  type HeaderReading,
  type LogIdentity,
  MAX_HEADER_BYTES,
} from "./format.ts";
import {
  errorCode,
  readFully,
  type WalFileSystem,
  writeFully,
} from "./file_system.ts";
import { removeIfThere } from "./segment.ts";

/** Path of the identity file of a directory. */
export function identityPath(directory: string): string {
  return join(directory, "identity");
}

/**
 * The identity of a directory, or `undefined` if it has none yet. Changes
 * nothing, so that it may be asked without the lock.
 *
 * @throws {RaftError} `corrupt`, `unsupportedFormat`, or `identityMismatch`
 * if it belongs to another deployment.
 */
export async function readIdentity(
  fileSystem: WalFileSystem,
  directory: string,
  deployment: string,
): Promise<LogIdentity | undefined> {
  const path = identityPath(directory);
  const bytes = await readStart(fileSystem, path);
  if (bytes === undefined) return undefined;
  const identity = requireValid(decodeHeader(bytes), path);
  if (encodeHeader(identity, 0).length !== bytes.length) {
    throw corruption({ file: path, offset: 0 }, "it is longer than it says");
  }
  requireDeployment(identity, deployment, path);
  return identity;
}

function requireValid(reading: HeaderReading, file: string): LogIdentity {
  const at = { file, offset: 0 };
  if (reading.type === "foreign") throw foreignVersion(at, reading.version);
  if (reading.type === "damaged" || reading.sequence !== 0) {
    throw corruption(at, "its header is damaged");
  }
  return reading.identity;
}

/** The error for a header of another format version. */
export function foreignVersion(
  at: { readonly file: string; readonly offset: number },
  version: number,
): RaftError {
  return unsupported(
    at,
    `its format version is ${version}, wanted ${FORMAT_VERSION}`,
  );
}

/**
 * Refuses data of another deployment.
 *
 * @throws {RaftError} `identityMismatch`.
 */
export function requireDeployment(
  identity: LogIdentity,
  deployment: string,
  file: string,
): void {
  if (identity.deployment === deployment) return;
  throw new RaftError(
    "identityMismatch",
    `Cannot open "${file}": it belongs to deployment "${identity.deployment}", wanted "${deployment}"`,
    { file },
  );
}

/** Writes the identity file; durable when this resolves. */
export async function writeIdentity(
  fileSystem: WalFileSystem,
  directory: string,
  identity: LogIdentity,
): Promise<void> {
  const path = identityPath(directory);
  const draft = `${path}.tmp`;
  removeIfThere(fileSystem, draft);
  const file = fileSystem.open(draft, "create");
  try {
    writeFully(fileSystem, file, encodeHeader(identity, 0), 0);
    await fileSystem.sync(file);
  } finally {
    fileSystem.close(file);
  }
  fileSystem.rename(draft, path);
  await fileSystem.syncDirectory(directory);
}

/** The start of a file, as long as a header may be; `undefined`: no file. */
async function readStart(
  fileSystem: WalFileSystem,
  path: string,
): Promise<Uint8Array | undefined> {
  let file: number;
  try {
    file = fileSystem.open(path, "read");
  } catch (error) {
    if (errorCode(error) === "ENOENT") return undefined;
    throw error;
  }
  try {
    const bytes = new Uint8Array(MAX_HEADER_BYTES + 1);
    const length = await readFully(fileSystem, file, bytes, 0);
    return bytes.subarray(0, length);
  } finally {
    fileSystem.close(file);
  }
}
