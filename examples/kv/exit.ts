/**
 * How the program ends: one code per kind of failure.
 *
 * @module
 */

/** Exit codes of the program; part of its contract. */
export const EXIT = {
  /** Stopped as asked. */
  ok: 0,
  /** Something failed while running; standard error says what. */
  failed: 1,
  /** A flag, a variable or the configuration file is wrong. */
  usage: 2,
  /** The data directory is locked, damaged, or belongs to another member. */
  data: 3,
  /** An address cannot be listened on. */
  address: 4,
} as const;

/** One of {@linkcode EXIT}. */
export type ExitCode = typeof EXIT[keyof typeof EXIT];

/** Ends the program with a message for people and a code for scripts. */
export class ExitError extends Error {
  /** The code to end with. */
  readonly exitCode: ExitCode;

  /** Makes an error that ends the program with `exitCode`. */
  constructor(exitCode: ExitCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = "ExitError";
    this.exitCode = exitCode;
  }
}

/** The text of whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
