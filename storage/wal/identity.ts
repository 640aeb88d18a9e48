/**
 * The file that says whose log a directory holds. It is written last when a
 * log is made and never changed, so a directory that has it has had segments.
 *
 * @module
 */
import { join } from "node:path";
import { RaftError } from "../../src/errors.ts";
import { corruption, unsupported } from "./errors.ts";
import { readStart, writeDurably } from "./durable_file.ts";
import type { WalFileSystem } from "./file_system.ts";
import {
  decodeHeader,
  encodeHeader,
  FORMAT_VERSION,
  type Header,
  type HeaderReading,
  headerSeed,
  IDENTITY_PLACE,
  type LogIdentity,
  MAX_HEADER_BYTES,
  OLDEST_FORMAT_VERSION,
} from "./format.ts";

/** What the identity file says. */
export interface StoredIdentity {
  readonly identity: LogIdentity;
  /** Checksum of the file; what the records of the log are bound to. */
  readonly recordSeed: number;
}

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
): Promise<StoredIdentity | undefined> {
  const path = identityPath(directory);
  const bytes = await readStart(fileSystem, path, MAX_HEADER_BYTES + 1);
  if (bytes === undefined) return undefined;
  const header = requireValid(decodeHeader(bytes), path);
  if (header.bytes !== bytes.length) {
    throw corruption({ file: path, offset: 0 }, "it is longer than it says");
  }
  requireDeployment(header.identity, deployment, path);
  return { identity: header.identity, recordSeed: header.seed };
}

function requireValid(reading: HeaderReading, file: string): Header {
  const at = { file, offset: 0 };
  if (reading.type === "foreign") throw foreignVersion(at, reading.version);
  if (reading.type === "damaged" || reading.sequence !== 0) {
    throw corruption(at, "its header is damaged");
  }
  return reading;
}

/** The error for a header of another format version. */
export function foreignVersion(
  at: { readonly file: string; readonly offset: number },
  version: number,
): RaftError {
  return unsupported(
    at,
    `its format version is ${version}, wanted ${OLDEST_FORMAT_VERSION} to ${FORMAT_VERSION}`,
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
): Promise<StoredIdentity> {
  const bytes = encodeHeader(identity, IDENTITY_PLACE);
  await writeDurably(fileSystem, identityPath(directory), bytes);
  return { identity, recordSeed: headerSeed(bytes) };
}
