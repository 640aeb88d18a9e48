/**
 * The way in: run a seed, or many.
 *
 * @module
 */
import { InvariantError } from "../core/invariant.ts";
import type { MarkCounts } from "./marks.ts";
import { drawOptions } from "./draw_options.ts";
import type { SimOptions } from "./options.ts";
import { overridden, type SimOverrides } from "./overrides.ts";
import { SimRandom } from "./prng.ts";
import { drawRegisterWorkload, registerSubject } from "./register_subject.ts";
import { Simulation, type TraceLine } from "./simulation.ts";
import type { Subject } from "./subject.ts";
import { type CheckName, type FailureKind, Violation } from "./violation.ts";
import type { AnySubject, SimHooks } from "./world.ts";

/** What to simulate. */
export interface SimulateOptions<Command, Result, Query, Answer> {
  /** Decides everything that is not given here; a safe integer from 0 on. */
  readonly seed: number;
  /** The machine under test and its clients. Default: register lists. */
  readonly subject?: Subject<Command, Result, Query, Answer> | undefined;
  /** Replaces what the seed drew. */
  readonly overrides?: SimOverrides | undefined;
  /** Hands between the parts, for tests of the simulator itself. */
  readonly hooks?: SimHooks | undefined;
  /** Called with every event, as it happens. */
  readonly onEvent?: ((line: TraceLine) => void) | undefined;
}

/** Why a run failed. */
export interface SimFailure {
  /** What broke: safety, progress, or the program itself. */
  readonly kind: FailureKind;
  /** The property that does not hold; `null` if something crashed. */
  readonly check: CheckName | null;
  /** What was seen. */
  readonly message: string;
  /** Virtual time in milliseconds. */
  readonly atMs: number;
  /** How many events had happened. */
  readonly step: number;
  /** What was thrown. */
  readonly cause: unknown;
}

/** How a run ended. */
export interface SimResult {
  /** The seed that was run. */
  readonly seed: number;
  /** What it drew, with the overrides. */
  readonly options: SimOptions;
  /** `undefined` if every check held. */
  readonly failure: SimFailure | undefined;
  /** Equal for equal runs, on every runtime. */
  readonly hash: string;
  /** Events that happened. */
  readonly steps: number;
  /** Virtual time in milliseconds. */
  readonly elapsedMs: number;
  /** Entries that all groups committed. */
  readonly committedCount: number;
  /** Operations that ended well. */
  readonly okCount: number;
  /** Operations whose outcome their clients never knew. */
  readonly unknownCount: number;
  /** What was reached. */
  readonly marks: MarkCounts;
}

const LIVENESS_CHECKS: ReadonlySet<CheckName> = new Set<CheckName>([
  "convergence",
  "progress",
  "preference",
]);

/**
 * Runs one seed: a cluster under faults, then its recovery. Never throws for
 * what happens in the run; that is in the result.
 *
 * @throws {RangeError} If the seed is none.
 *
 * @example A seed decides everything
 * ```ts
 * import { simulate } from "@balsa/raft/sim";
 * import { assertEquals } from "@std/assert";
 *
 * const first = simulate({ seed: 7, overrides: { ticks: 500 } });
 * const again = simulate({ seed: 7, overrides: { ticks: 500 } });
 * assertEquals(first.failure, undefined);
 * assertEquals(again.hash, first.hash);
 * ```
 */
export function simulate<Command, Result, Query, Answer>(
  options: SimulateOptions<Command, Result, Query, Answer>,
): SimResult {
  const { seed, overrides = {}, hooks = {}, onEvent } = options;
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new RangeError(
      `Cannot simulate: the seed is ${seed}, wanted a safe integer from 0 on`,
    );
  }
  const drawn = overridden(drawOptions(seed), overrides);
  const subject: AnySubject = options.subject ?? defaultSubject(drawn);
  const simulation = new Simulation({
    options: fitSubject(drawn, subject),
    subject,
    hooks,
    onEvent,
  });
  let failure: SimFailure | undefined;
  try {
    simulation.run();
  } catch (error) {
    failure = failureOf(error, simulation);
  }
  const { groups } = simulation;
  return {
    seed,
    options: simulation.options,
    failure,
    hash: simulation.hash,
    steps: simulation.steps,
    elapsedMs: simulation.now(),
    committedCount: sum(groups, ({ oracle }) => oracle.committed.lastIndex),
    okCount: sum(groups, ({ clients }) => clients.count("ok")),
    unknownCount: sum(groups, ({ clients }) => clients.count("unknown")),
    marks: simulation.marks.counts(),
  };
}

function sum<T>(items: readonly T[], count: (item: T) => number): number {
  return items.reduce((total, item) => total + count(item), 0);
}

function defaultSubject(options: SimOptions): AnySubject {
  const random = new SimRandom(options.seed).fork("workload");
  const { duplicateProposals } = options.network;
  const deduplicate = duplicateProposals && !isAllNumbered(options);
  return registerSubject(drawRegisterWorkload(random, deduplicate));
}

/** Whether no command is without a number. */
function isAllNumbered({ sessions }: SimOptions): boolean {
  return sessions.clientPermille >= 1000;
}

/** Who bears no repeated commands meets none, save numbered ones (H102). */
function fitSubject(options: SimOptions, subject: AnySubject): SimOptions {
  const { network } = options;
  if (subject.idempotent || !network.duplicateProposals) return options;
  if (isAllNumbered(options)) return options;
  return { ...options, network: { ...network, duplicateProposals: false } };
}

function failureOf(error: unknown, simulation: Simulation): SimFailure {
  const message = error instanceof Error ? error.message : String(error);
  const at = {
    message,
    atMs: simulation.now(),
    step: simulation.steps,
    cause: error,
  };
  if (error instanceof Violation) {
    const { check } = error;
    const kind = LIVENESS_CHECKS.has(check) ? "liveness" : "safety";
    return { ...at, kind, check };
  }
  if (error instanceof InvariantError) {
    return { ...at, kind: "safety", check: "coreInvariant" };
  }
  return { ...at, kind: "crash", check: null };
}
