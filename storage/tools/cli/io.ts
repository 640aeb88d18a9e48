/**
 * What the commands need of the process, and how they end.
 *
 * @module
 */
import { isRaftError } from "../../../src/errors.ts";
import { reasonOf } from "../../wal/errors.ts";
import { Refusal } from "../refusal.ts";

/** Exit codes; part of the contract of the command line. */
export const EXIT = {
  /** Done, and nothing is wrong. */
  ok: 0,
  /** Damage was found, or something failed. */
  damage: 1,
  /** Wrong use. */
  usage: 2,
  /** Refused; nothing was changed. */
  refused: 3,
} as const;

/** One of {@linkcode EXIT}. */
export type ExitCode = typeof EXIT[keyof typeof EXIT];

/** The process, as the commands see it. */
export interface ToolIo {
  /** Writes a line to standard output; resolves when more may come. */
  out(line: string): Promise<void>;
  /** Writes a line to standard error. */
  err(line: string): void;
  /** Rewrites the line at the end of a terminal; `undefined`: there is none. */
  readonly bar?: ((text: string) => void) | undefined;
}

/** The command line is wrong. */
export class UsageError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "UsageError";
  }
}

/** How the program ends after `error`. */
export function exitCodeOf(error: unknown): ExitCode {
  if (error instanceof Refusal) return EXIT.refused;
  if (error instanceof UsageError || error instanceof RangeError) {
    return EXIT.usage;
  }
  const isRefused = isRaftError(error, "locked") ||
    isRaftError(error, "identityMismatch");
  return isRefused ? EXIT.refused : EXIT.damage;
}

/** `error` for people: in the form of the house, also if the system's. */
export function messageOf(command: string, error: unknown): string {
  const isOurs = error instanceof Error && error.message.startsWith("Cannot ");
  return isOurs ? error.message : `Cannot ${command}: ${reasonOf(error)}`;
}

/** `error` for programs; see `--json`. */
export function describeError(
  error: unknown,
  message: string,
): { readonly error: Readonly<Record<string, unknown>> } {
  if (isRaftError(error)) {
    const { code, file, offset } = error;
    return { error: { code, message, file, offset } };
  }
  const exit = exitCodeOf(error);
  const code = exit === EXIT.refused
    ? "refused"
    : exit === EXIT.usage
    ? "usage"
    : "failed";
  return { error: { code, message } };
}

/** Bytes for people. */
export function formatBytes(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  const digits = unit === 0 || value >= 100 ? 0 : 1;
  return `${value.toFixed(digits)} ${units[unit]}`;
}

/** A count with its noun. */
export function count(value: number, one: string, more = `${one}s`): string {
  return `${value} ${value === 1 ? one : more}`;
}
