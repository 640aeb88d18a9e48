/**
 * What becomes of the entries of a batch: steps first, then, with the
 * machine's results, outcomes.
 *
 * @module
 */
import { copyBytes, decodeCbor, encodeCborBriefly } from "../codec.ts";
import { RaftError } from "../errors.ts";
import type { ResultSlot } from "./sessions.ts";

/**
 * What became of a committed entry: the machine's result, the reason for
 * which a command of a session was not applied (again), or nothing, for
 * entries that hold no command or that a durable machine had applied before.
 */
export type ApplyOutcome<R> =
  | { readonly type: "result"; readonly result: R }
  | { readonly type: "refused"; readonly error: RaftError }
  | { readonly type: "none" };

/**
 * Longest encoded result that is kept for repeats, in bytes. The repeat of a
 * command with a longer one is refused; it is still not applied twice.
 */
export const MAX_RESULT_BYTES: number = 1024 * 1024;

const RESULT_NOT_KEPT = "it was applied before, its result was not kept";

/** What is to be done about one entry of a batch. */
export type Step =
  | { readonly type: "none" }
  | { readonly type: "apply"; readonly slot: ResultSlot | undefined }
  | { readonly type: "repeat"; readonly slot: ResultSlot }
  | { readonly type: "refused"; readonly error: RaftError };

/**
 * The outcomes of the steps, in order; fills the slots of what was applied.
 *
 * @throws {Error} If there is not one result for each command.
 */
export function outcomesOf<R>(
  steps: readonly Step[],
  results: readonly R[],
): ApplyOutcome<R>[] {
  const outcomes: ApplyOutcome<R>[] = [];
  let used = 0;
  for (const step of steps) {
    if (step.type === "apply") {
      if (used === results.length) {
        throw wrongCount(used, commandCount(steps));
      }
      const result = results[used] as R; // In range, may be undefined.
      used += 1;
      if (step.slot !== undefined) {
        step.slot.bytes = encodeResult(result);
      }
      outcomes.push({ type: "result", result });
    } else {
      outcomes.push(answerFromTable(step));
    }
  }
  if (used !== results.length) {
    throw wrongCount(results.length, used);
  }
  return outcomes;
}

/** The command may have been applied when it came first. */
export function sessionExpired(what: string): RaftError {
  return new RaftError(
    "sessionExpired",
    `Cannot apply a command of a session: ${what}`,
    { outcome: "unknown" },
  );
}

/** The outcome of an entry that the machine did not see. */
function answerFromTable<R>(
  step: Exclude<Step, { readonly type: "apply" }>,
): ApplyOutcome<R> {
  if (step.type !== "repeat") {
    return step;
  }
  const { bytes } = step.slot;
  if (bytes === null || bytes === undefined) {
    return { type: "refused", error: sessionExpired(RESULT_NOT_KEPT) };
  }
  // The copy keeps the answer's byte fields apart from the table (H121).
  return { type: "result", result: decodeCbor(copyBytes(bytes)) as R };
}

/** The result as kept in the table; with its own memory, or not at all. */
function encodeResult(result: unknown): Uint8Array | null {
  const encoded = encodeCborBriefly(result);
  return encoded.length > MAX_RESULT_BYTES ? null : copyBytes(encoded);
}

function commandCount(steps: readonly Step[]): number {
  return steps.filter(({ type }) => type === "apply").length;
}

function wrongCount(results: number, commands: number): Error {
  return new Error(
    `The machine returned ${results} results for ${commands} commands`,
  );
}
