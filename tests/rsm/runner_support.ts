/**
 * Runners for tests, and what to ask of them.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import {
  type ApplyOutcome,
  MachineRunner,
  type MachineRunnerOptions,
} from "../../src/rsm/machine_runner.ts";
import { Journal, type Line } from "./journal.ts";
import { commandEntry, readAll } from "./support.ts";
import type { CommandEntry } from "../../src/core/types.ts";
import type { RaftError } from "../../src/errors.ts";

/** A runner of a journal. */
export type Runner = MachineRunner<Line, unknown, "lines", readonly string[]>;

/** One entry to be: text, and the session as `client/sequence` if any. */
export type Spec = readonly [text: string, session?: string];

/** A runner of a new journal. */
export function start(
  journal: Journal = new Journal(),
  options: MachineRunnerOptions = {},
): Runner {
  return new MachineRunner(journal, options);
}

/** Entries that follow what is applied, or `after`. */
export function entriesFor(
  runner: Runner,
  specs: readonly Spec[],
  after?: number,
): CommandEntry[] {
  const base = after ?? runner.appliedIndex;
  return specs.map(([text, session], at) => {
    const [client = "", sequence] = session?.split("/") ?? [];
    return commandEntry(
      base + at + 1,
      runner.encode(
        { text },
        session === undefined ? undefined : {
          client,
          sequence: Number(sequence),
        },
      ),
    );
  });
}

/** Applies what follows, by a machine that is synchronous. */
export function applyNow(
  runner: Runner,
  ...specs: readonly Spec[]
): ApplyOutcome<unknown>[] {
  const outcomes = runner.apply(entriesFor(runner, specs));
  assert(!(outcomes instanceof Promise));
  return outcomes;
}

/** Outcomes in short: the result, or the code of the refusal. */
export function brief(outcomes: readonly ApplyOutcome<unknown>[]): unknown[] {
  return outcomes.map((outcome) => {
    switch (outcome.type) {
      case "result":
        return outcome.result;
      case "refused":
        return outcome.error.code;
      case "none":
        return null;
    }
  });
}

/** Checks an error's code. */
export function assertCode(error: RaftError, code: string): RaftError {
  assertEquals(error.code, code);
  return error;
}

/** The bytes of a snapshot as of now. */
export async function snapshotOf(runner: Runner): Promise<Uint8Array> {
  return await readAll(runner.snapshot());
}
