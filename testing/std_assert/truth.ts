import { AssertionError, withNote } from "./assertion_error.ts";

/** Any class, abstract ones too. */
// deno-lint-ignore no-explicit-any -- a class is named by whatever it takes
type AnyConstructor<T> = abstract new (...args: any[]) => T;

/** Fails unless the value is truthy. */
export function assert(expr: unknown, msg: string = ""): asserts expr {
  if (!expr) throw new AssertionError(msg);
}

/** Fails unless the value is falsy. */
export function assertFalse(expr: unknown, msg: string = ""): void {
  if (expr) throw new AssertionError(msg);
}

/** Fails if the value is `null` or `undefined`. */
export function assertExists<T>(
  actual: T,
  msg?: string,
): asserts actual is NonNullable<T> {
  if (actual !== undefined && actual !== null) return;
  throw new AssertionError(
    withNote(`Expected actual: "${actual}" to not be null or undefined`, msg),
  );
}

/** Fails unless the value is an instance of the class. */
export function assertInstanceOf<T>(
  actual: unknown,
  expectedType: AnyConstructor<T>,
  msg?: string,
): asserts actual is T {
  if (actual instanceof expectedType) return;
  throw new AssertionError(
    withNote(
      `Expected object to be an instance of "${expectedType.name}" but was ` +
        `"${describeType(actual)}"`,
      msg,
    ),
  );
}

/** Fails if the value is an instance of the class. */
export function assertNotInstanceOf<T, U>(
  actual: T,
  unexpectedType: AnyConstructor<U>,
  msg?: string,
): asserts actual is Exclude<T, U> {
  if (!(actual instanceof unexpectedType)) return;
  throw new AssertionError(
    withNote(
      `Expected object to not be an instance of "${unexpectedType.name}"`,
      msg,
    ),
  );
}

/** Fails always. */
export function fail(msg?: string): never {
  throw new AssertionError(withNote("Failed assertion", msg));
}

/** Fails: the place is not written yet. */
export function unimplemented(msg?: string): never {
  throw new AssertionError(withNote("Unimplemented", msg));
}

/** Fails: the place is not meant to be reached. */
export function unreachable(msg?: string): never {
  throw new AssertionError(withNote("Unreachable", msg));
}

function describeType(value: unknown): string {
  if (value === null) return "null";
  if (typeof value !== "object") return typeof value;
  return value.constructor?.name ?? "Object";
}
