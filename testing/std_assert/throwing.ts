import { AssertionError, withNote } from "./assertion_error.ts";

/** A class of errors, abstract ones too. */
// deno-lint-ignore no-explicit-any -- a class is named by whatever it takes
export type ErrorConstructorLike<E> = abstract new (...args: any[]) => E;

interface Wanted<E> {
  readonly type: ErrorConstructorLike<E> | undefined;
  readonly includes: string | undefined;
  readonly note: string | undefined;
}

/** Fails unless the value is an error of that class with that text. */
export function assertIsError<E extends Error = Error>(
  error: unknown,
  // deno-lint-ignore no-explicit-any -- as in the original signature
  ErrorClass?: abstract new (...args: any[]) => E,
  msgMatches?: string | RegExp,
  msg?: string,
): asserts error is E {
  checkError(error, {
    type: ErrorClass,
    includes: typeof msgMatches === "string" ? msgMatches : undefined,
    note: msg,
  });
  if (msgMatches instanceof RegExp && !msgMatches.test(messageOf(error))) {
    throw new AssertionError(
      withNote(
        `Expected error message to match ${msgMatches}, but got ` +
          `"${messageOf(error)}"`,
        msg,
      ),
    );
  }
}

/** Fails unless the function throws; returns what it threw. */
export function assertThrows(fn: () => unknown, msg?: string): unknown;
/** Fails unless the function throws such an error; returns it. */
export function assertThrows<E extends Error = Error>(
  fn: () => unknown,
  ErrorClass: ErrorConstructorLike<E>,
  msgIncludes?: string,
  msg?: string,
): E;
export function assertThrows<E extends Error = Error>(
  fn: () => unknown,
  errorClassOrMsg?: ErrorConstructorLike<E> | string,
  msgIncludes?: string,
  msg?: string,
): unknown {
  const wanted = readWanted(errorClassOrMsg, msgIncludes, msg);
  try {
    fn();
  } catch (error) {
    checkThrown(error, wanted);
    return error;
  }
  throw new AssertionError(
    withNote("Expected function to throw", wanted.note),
  );
}

/** Fails unless the promise rejects; resolves with the reason. */
export function assertRejects(
  fn: () => PromiseLike<unknown>,
  msg?: string,
): Promise<unknown>;
/** Fails unless the promise rejects with such an error; resolves with it. */
export function assertRejects<E extends Error = Error>(
  fn: () => PromiseLike<unknown>,
  ErrorClass: ErrorConstructorLike<E>,
  msgIncludes?: string,
  msg?: string,
): Promise<E>;
export async function assertRejects<E extends Error = Error>(
  fn: () => PromiseLike<unknown>,
  errorClassOrMsg?: ErrorConstructorLike<E> | string,
  msgIncludes?: string,
  msg?: string,
): Promise<unknown> {
  const wanted = readWanted(errorClassOrMsg, msgIncludes, msg);
  let promise: PromiseLike<unknown>;
  try {
    promise = fn();
  } catch (error) {
    throw new AssertionError(
      withNote("Function throws when expected to reject", wanted.note),
      { cause: error },
    );
  }
  try {
    await promise;
  } catch (error) {
    checkThrown(error, wanted);
    return error;
  }
  throw new AssertionError(
    withNote("Expected function to reject", wanted.note),
  );
}

function readWanted<E>(
  errorClassOrMsg: ErrorConstructorLike<E> | string | undefined,
  includes: string | undefined,
  note: string | undefined,
): Wanted<E> {
  return typeof errorClassOrMsg === "string"
    ? { type: undefined, includes: undefined, note: errorClassOrMsg }
    : { type: errorClassOrMsg, includes, note };
}

/** Without a class anything may be thrown, as in the original. */
function checkThrown<E>(error: unknown, wanted: Wanted<E>): void {
  if (wanted.type !== undefined) checkError(error, wanted);
}

function checkError<E>(error: unknown, wanted: Wanted<E>): void {
  if (!(error instanceof Error)) {
    throw new AssertionError(
      withNote("A non-Error object was thrown or rejected", wanted.note),
      { cause: error },
    );
  }
  if (wanted.type !== undefined && !(error instanceof wanted.type)) {
    throw new AssertionError(
      withNote(
        `Expected error to be instance of "${wanted.type.name}", but was ` +
          `"${error.constructor.name}" with message "${error.message}"`,
        wanted.note,
      ),
      { cause: error },
    );
  }
  if (
    wanted.includes !== undefined && !error.message.includes(wanted.includes)
  ) {
    throw new AssertionError(
      withNote(
        `Expected error message to include "${wanted.includes}", but got ` +
          `"${error.message}"`,
        wanted.note,
      ),
      { cause: error },
    );
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
