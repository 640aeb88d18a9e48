/** Thrown by every assertion that does not hold. */
export class AssertionError extends Error {
  override name: string = "AssertionError";
}

/** Puts the caller's own note behind the message, as `@std/assert` does. */
export function withNote(message: string, note: string | undefined): string {
  return note === undefined ? message : `${message}: ${note}`;
}
