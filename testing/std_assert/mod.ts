/**
 * A stand-in for `@std/assert` where JSR cannot be reached: the same names
 * and verdicts, written over `node:assert`. `deno.offline.json` links it; with
 * `deno.json` the real package is used.
 *
 * @module
 */
export { AssertionError } from "./assertion_error.ts";
export {
  assertAlmostEquals,
  assertArrayIncludes,
  assertEquals,
  assertGreater,
  assertGreaterOrEqual,
  assertLess,
  assertLessOrEqual,
  assertMatch,
  assertNotEquals,
  assertNotMatch,
  assertNotStrictEquals,
  assertObjectMatch,
  assertStrictEquals,
  assertStringIncludes,
  equal,
} from "./compare.ts";
export {
  assert,
  assertExists,
  assertFalse,
  assertInstanceOf,
  assertNotInstanceOf,
  fail,
  unimplemented,
  unreachable,
} from "./truth.ts";
export {
  assertIsError,
  assertRejects,
  assertThrows,
  type ErrorConstructorLike,
} from "./throwing.ts";
