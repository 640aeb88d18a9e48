/**
 * The errors of the key-value storage, with the row they are about.
 *
 * @module
 */
import { isRaftError, RaftError } from "../../src/errors.ts";

/** A row as errors name it: the data, then the key in hexadecimal. */
export function nameRow(name: string, key: Uint8Array): string {
  const digits = Array.from(key, (byte) => byte.toString(16).padStart(2, "0"));
  return `${name}#${digits.join("")}`;
}

/** What was durable is damaged. */
export function corruption(
  name: string,
  key: Uint8Array,
  what: string,
  cause?: unknown,
): RaftError {
  const file = nameRow(name, key);
  return new RaftError("corrupt", `Cannot trust row "${file}": ${what}`, {
    file,
    offset: 0,
    cause,
  });
}

/** The engine failed; `RaftError`s pass through. */
export function failed(action: string, error: unknown): RaftError {
  if (isRaftError(error)) return error;
  const reason = error instanceof Error ? error.message : String(error);
  return new RaftError(
    "storageFailed",
    `Cannot ${action}: ${reason}`,
    { cause: error },
  );
}

/** Somebody else opened the data, now or since. */
export function lockedError(name: string, what: string): RaftError {
  return new RaftError("locked", `Cannot use "${name}": ${what}`, {
    file: name,
  });
}

/** The guard of a commit did not hold. */
export function fencedError(name: string): RaftError {
  return lockedError(name, "it was opened again since, by someone else");
}

/** The engine or the storage was closed. */
export function closedError(name: string): RaftError {
  return new RaftError("stopped", `Cannot use "${name}": it was closed`);
}
