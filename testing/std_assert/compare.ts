import nodeAssert from "node:assert";
import { inspect, isDeepStrictEqual } from "node:util";
import { AssertionError, withNote } from "./assertion_error.ts";

/** Whether two values are deeply equal; `0` and `-0` are, `NaN` is itself. */
export function equal(a: unknown, b: unknown): boolean {
  if (typeof a === "number" && a === b) return true;
  return isDeepStrictEqual(a, b);
}

/** Fails unless both values are deeply equal. */
export function assertEquals<T>(actual: T, expected: T, msg?: string): void {
  if (equal(actual, expected)) return;
  throw new AssertionError(
    withNote(
      `Values are not equal${noteBehind(msg)}\n${difference(actual, expected)}`,
      undefined,
    ),
  );
}

/** Fails if both values are deeply equal. */
export function assertNotEquals<T>(actual: T, expected: T, msg?: string): void {
  if (!equal(actual, expected)) return;
  throw new AssertionError(
    withNote(
      `Expected actual: ${show(actual)} not to be: ${show(expected)}`,
      msg,
    ),
  );
}

/** Fails unless both are the same value by `Object.is`. */
export function assertStrictEquals<T>(
  actual: unknown,
  expected: T,
  msg?: string,
): asserts actual is T {
  if (Object.is(actual, expected)) return;
  const same = isDeepStrictEqual(actual, expected);
  throw new AssertionError(
    same
      ? withNote("Values have the same structure but are not the same", msg)
      : `Values are not strictly equal${noteBehind(msg)}\n` +
        difference(actual, expected),
  );
}

/** Fails if both are the same value by `Object.is`. */
export function assertNotStrictEquals<T>(
  actual: T,
  expected: T,
  msg?: string,
): void {
  if (!Object.is(actual, expected)) return;
  throw new AssertionError(
    withNote(`Expected "actual" to not be strictly: ${show(actual)}`, msg),
  );
}

/** Fails unless the numbers differ by at most `tolerance`. */
export function assertAlmostEquals(
  actual: number,
  expected: number,
  tolerance?: number,
  msg?: string,
): void {
  if (Object.is(actual, expected)) return;
  const limit = tolerance ??
    (Number.isFinite(expected) ? Math.abs(expected * 1e-7) : 1e-7);
  if (Math.abs(expected - actual) <= limit) return;
  throw new AssertionError(
    withNote(`Expected actual: ${actual} to be close to ${expected}`, msg),
  );
}

/** Fails unless `actual` holds every element of `expected`. */
export function assertArrayIncludes<T>(
  actual: ArrayLike<T>,
  expected: ArrayLike<T>,
  msg?: string,
): void {
  const have = Array.from(actual);
  const missing = Array.from(expected).filter((wanted) =>
    !have.some((value) => equal(value, wanted))
  );
  if (missing.length === 0) return;
  throw new AssertionError(
    withNote(
      `Expected actual: ${show(have)} to include: ${show(missing)}`,
      msg,
    ),
  );
}

/** Fails unless every property of `expected` is equal in `actual`. */
export function assertObjectMatch(
  actual: Record<PropertyKey, unknown>,
  expected: Record<PropertyKey, unknown>,
  msg?: string,
): void {
  assertEquals<unknown>(project(actual, expected), expected, msg);
}

/** Fails unless the text holds the part. */
export function assertStringIncludes(
  actual: string,
  expected: string,
  msg?: string,
): void {
  if (actual.includes(expected)) return;
  throw new AssertionError(
    withNote(`Expected actual: "${actual}" to contain: "${expected}"`, msg),
  );
}

/** Fails unless the text matches. */
export function assertMatch(
  actual: string,
  expected: RegExp,
  msg?: string,
): void {
  if (expected.test(actual)) return;
  throw new AssertionError(
    withNote(`Expected actual: "${actual}" to match: "${expected}"`, msg),
  );
}

/** Fails if the text matches. */
export function assertNotMatch(
  actual: string,
  expected: RegExp,
  msg?: string,
): void {
  if (!expected.test(actual)) return;
  throw new AssertionError(
    withNote(`Expected actual: "${actual}" to not match: "${expected}"`, msg),
  );
}

/** Fails unless `actual > expected`. */
export function assertGreater<T>(actual: T, expected: T, msg?: string): void {
  if (actual > expected) return;
  throw new AssertionError(
    withNote(`Expect ${show(actual)} > ${show(expected)}`, msg),
  );
}

/** Fails unless `actual >= expected`. */
export function assertGreaterOrEqual<T>(
  actual: T,
  expected: T,
  msg?: string,
): void {
  if (actual >= expected) return;
  throw new AssertionError(
    withNote(`Expect ${show(actual)} >= ${show(expected)}`, msg),
  );
}

/** Fails unless `actual < expected`. */
export function assertLess<T>(actual: T, expected: T, msg?: string): void {
  if (actual < expected) return;
  throw new AssertionError(
    withNote(`Expect ${show(actual)} < ${show(expected)}`, msg),
  );
}

/** Fails unless `actual <= expected`. */
export function assertLessOrEqual<T>(
  actual: T,
  expected: T,
  msg?: string,
): void {
  if (actual <= expected) return;
  throw new AssertionError(
    withNote(`Expect ${show(actual)} <= ${show(expected)}`, msg),
  );
}

function show(value: unknown): string {
  return inspect(value, { depth: 8, breakLength: 100 });
}

function noteBehind(note: string | undefined): string {
  return note === undefined ? "." : `: ${note}`;
}

function difference(actual: unknown, expected: unknown): string {
  try {
    nodeAssert.deepStrictEqual(actual, expected);
  } catch (error) {
    if (error instanceof Error) return error.message;
  }
  return `${show(actual)} !== ${show(expected)}`;
}

/** The part of `actual` that `expected` speaks about. */
function project(actual: unknown, expected: unknown): unknown {
  if (!isPlain(actual) || !isPlain(expected)) return actual;
  const part: Record<PropertyKey, unknown> = {};
  for (const key of Reflect.ownKeys(expected)) {
    if (key in actual) part[key] = project(actual[key], expected[key]);
  }
  return part;
}

function isPlain(value: unknown): value is Record<PropertyKey, unknown> {
  if (typeof value !== "object" || value === null) return false;
  return Object.getPrototypeOf(value) === Object.prototype;
}
