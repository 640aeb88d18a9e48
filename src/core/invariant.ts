/**
 * What must never be false.
 *
 * @module
 */

/**
 * An invariant of the protocol is broken: the member's state cannot be
 * trusted any more and the member has to stop. The host process lives.
 */
export class InvariantError extends Error {
  /** Makes the error from a description of what was found. */
  constructor(message: string) {
    super(message);
    this.name = "InvariantError";
  }
}

/** Throws {@linkcode InvariantError} unless `condition` holds. */
export function assertInvariant(
  condition: boolean,
  message: string,
): asserts condition {
  if (!condition) throw new InvariantError(message);
}
