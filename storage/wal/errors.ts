/**
 * The errors of the log, with the file and the place they are about.
 *
 * @module
 */
import { isRaftError, RaftError } from "../../src/errors.ts";

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

/** The file system failed; `RaftError`s pass through. */
export function failed(action: string, error: unknown): RaftError {
  if (isRaftError(error)) return error;
  const reason = error instanceof Error ? error.message : String(error);
  return new RaftError(
    "storageFailed",
    `Cannot ${action}: ${reason}`,
    { cause: error },
  );
}
