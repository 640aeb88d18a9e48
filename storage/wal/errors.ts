/**
 * The errors of the log, with the file and the place they are about.
 *
 * @module
 */
import { isRaftError, RaftError } from "../../src/errors.ts";
import { errorCode } from "./file_system.ts";

/** Where in which file. */
export interface FileOffset {
  readonly file: string;
  readonly offset: number;
}

/** What was durable is damaged. */
export function corruption(
  at: FileOffset,
  what: string,
  cause?: unknown,
): RaftError {
  return new RaftError(
    "corrupt",
    `Cannot trust "${at.file}" at offset ${at.offset}: ${what}`,
    { ...at, cause },
  );
}

/** Another version of the software wrote this. */
export function unsupported(at: FileOffset, what: string): RaftError {
  return new RaftError(
    "unsupportedFormat",
    `Cannot read "${at.file}" at offset ${at.offset}: ${what}`,
    at,
  );
}

/** A snapshot could not be stored; what was stored before is not touched. */
export function snapshotFailed(path: string, cause: unknown): RaftError {
  return new RaftError(
    "snapshotFailed",
    `Cannot store the snapshot "${path}": ${reasonOf(cause)}`,
    { file: path, cause },
  );
}

/** The file system failed; `RaftError`s pass through. */
export function failed(action: string, error: unknown): RaftError {
  if (isRaftError(error)) return error;
  return new RaftError(
    "storageFailed",
    `Cannot ${action}: ${reasonOf(error)}`,
    { cause: error },
  );
}

/** What an operator has to look after; every runtime has words of its own. */
const REASONS: Readonly<Record<string, string>> = {
  EACCES: "it is not permitted",
  EDQUOT: "the quota is used up",
  EIO: "the disk fails",
  EMFILE: "too many files are open",
  ENFILE: "too many files are open",
  ENOSPC: "the disk is full",
  EROFS: "the file system is read only",
};

/** Why the file system failed, in one way on all runtimes. */
export function reasonOf(error: unknown): string {
  const code = errorCode(error);
  const reason = code === undefined ? undefined : REASONS[code];
  if (reason !== undefined) return `${reason} (${code})`;
  return error instanceof Error ? error.message : String(error);
}
