/**
 * From a run that fails to a shorter one that fails in the same way.
 *
 * @module
 */
import { DEFAULT_CONFIG } from "../core/config.ts";
import type { SimOptions } from "./options.ts";
import { overridden, type SimOverrides } from "./overrides.ts";
import type { SimFailure, SimResult } from "./simulate.ts";

/** What to shrink, and how long to try. */
export interface ShrinkOptions {
  /** Runs the seed with these options replaced. */
  readonly run: (overrides: SimOverrides) => SimResult;
  /** What is replaced already in the run that fails. Default: nothing. */
  readonly overrides?: SimOverrides | undefined;
  /** Runs to try at most. Default 400. */
  readonly maxRuns?: number | undefined;
  /** Called whenever a smaller failing run was found. */
  readonly onProgress?: ((result: SimResult, runs: number) => void) | undefined;
}

/** A smaller run that fails. */
export interface Shrunk {
  /** What to replace in the seed's options to get it. */
  readonly overrides: SimOverrides;
  /** How it ends. */
  readonly result: SimResult;
  /** How many runs it took to find. */
  readonly runs: number;
}

/** Groups of options whose times and shares mean less trouble when they are 0. */
const TROUBLES = ["network", "disk", "host"] as const;

const TIME_OR_SHARE = /(Ms|Permille)$/;

/** Runs tried unless told otherwise. */
const DEFAULT_MAX_RUNS = 400;

/**
 * Drops faults, options, members, groups and ticks, one by one, for as long
 * as the run fails with the same check. Deterministic.
 *
 * @returns `undefined` if the run does not fail.
 */
export function shrink(options: ShrinkOptions): Shrunk | undefined {
  const search = new Search(options);
  return search.run();
}

class Search {
  readonly #options: ShrinkOptions;
  readonly #maxRuns: number;
  #overrides: SimOverrides;
  #best: SimResult;
  #runs = 1;
  /** Changes that were kept. */
  #shrinkings = 0;

  constructor(options: ShrinkOptions) {
    this.#options = options;
    this.#maxRuns = options.maxRuns ?? DEFAULT_MAX_RUNS;
    this.#overrides = options.overrides ?? {};
    this.#best = options.run(this.#overrides);
  }

  run(): Shrunk | undefined {
    if (this.#best.failure === undefined) return undefined;
    let before = -1;
    while (before !== this.#shrinkings) {
      before = this.#shrinkings;
      for (const changes of DIMENSIONS) this.#reduce(changes);
      // Only now: what fails soon here may fail later with less in it.
      this.#cutTime();
    }
    return {
      overrides: this.#overrides,
      result: this.#best,
      runs: this.#runs,
    };
  }

  /** Makes less of one thing for as long as the run fails. */
  #reduce(changes: Dimension): void {
    const tried = new Set<string>();
    const isTaken = (change: SimOverrides) => {
      const name = JSON.stringify(change);
      if (tried.has(name) || !isNew(change, this.#best.options)) return false;
      tried.add(name);
      return this.#try(change);
    };
    while (changes(this.#best.options).some(isTaken));
  }

  /** What happens after the failure is of no interest. */
  #cutTime(): void {
    const { failure, options } = this.#best;
    const { ticks, clock } = options;
    const failedAt = Math.ceil((failure?.atMs ?? Infinity) / clock.tickMs);
    if (failedAt < ticks) this.#try({ ticks: failedAt });
  }

  /** `undefined` for options that contradict each other. */
  #run(overrides: SimOverrides): SimResult | undefined {
    try {
      return this.#options.run(overrides);
    } catch (error) {
      if (error instanceof RangeError) return undefined;
      throw error;
    }
  }

  /** Keeps the change if the run still fails in the same way. */
  #try(change: SimOverrides): boolean {
    if (this.#runs >= this.#maxRuns) return false;
    this.#runs++;
    const overrides = merged(this.#overrides, change);
    const result = this.#run(overrides);
    if (result === undefined) return false;
    if (!isSame(result.failure, this.#best.failure)) return false;
    this.#overrides = overrides;
    this.#best = result;
    this.#shrinkings++;
    this.#options.onProgress?.(result, this.#runs);
    return true;
  }
}

/** Changes to try that make less of one thing, the boldest one first. */
type Dimension = (options: SimOptions) => SimOverrides[];

/** From what saves most to what only simplifies. */
const DIMENSIONS: readonly Dimension[] = [
  ({ groups }) => smaller(groups).map((less) => ({ groups: less })),
  ({ members }) => smaller(members).map((less) => ({ members: less })),
  ({ ticks }) =>
    [0.25, 0.5, 0.75].map((part) => ({
      ticks: Math.max(1, Math.floor(ticks * part)),
    })),
  ({ faults }) => shorter(faults.kinds).map((kinds) => ({ faults: { kinds } })),
  ({ faults }) =>
    shorter(faults.shapes).map((shapes) => ({ faults: { shapes } })),
  () => [{ tail: "all" }],
  () => [{ flags: [] }],
  ({ clients }) =>
    smaller(clients.count).map((count) => ({ clients: { count } })),
  () => [{ clients: { batchCount: 1 } }],
  () => [{ clock: { jitterMs: 0 } }],
  () => [{ clock: { ratePermille: [] } }],
  (options) => TROUBLES.flatMap((group) => lessTrouble(options, group)),
  ({ core }) =>
    Object.entries(DEFAULT_CONFIG).flatMap(([name, value]) =>
      name in core ? [{ core: { [name]: value } }] : []
    ),
  otherLess,
];

function lessTrouble(
  options: SimOptions,
  group: typeof TROUBLES[number],
): SimOverrides[] {
  return Object.entries(options[group]).flatMap(
    ([name, value]): SimOverrides[] => {
      if (TIME_OR_SHARE.test(name)) return [{ [group]: { [name]: 0 } }];
      return value === true ? [{ [group]: { [name]: false } }] : [];
    },
  );
}

/** Of groups of options that say by their names what is less. */
function otherLess(options: SimOptions): SimOverrides[] {
  return Object.entries(options).flatMap(([group, values]) => {
    if (typeof values !== "object" || Array.isArray(values)) return [];
    return Object.entries(values).flatMap(([name, value]): SimOverrides[] => {
      if (Array.isArray(value) && value.every(isText)) {
        return shorter(value).map((list) => ({ [group]: { [name]: list } }));
      }
      return name.endsWith("Permille") && typeof value === "number"
        ? [{ [group]: { [name]: 0 } }]
        : [];
    });
  });
}

function isText(value: unknown): boolean {
  return typeof value === "string";
}

/** 1, and what lies half way to it. */
function smaller(count: number): number[] {
  return [...new Set([1, count >> 1, count - 1])].filter((less) =>
    less >= 1 && less < count
  );
}

/** Halves of a list, then the list without one of its items. */
function shorter<T>(items: readonly T[]): T[][] {
  if (items.length < 2) return [];
  const half = items.length >> 1;
  return [
    items.slice(0, half),
    items.slice(half),
    ...items.map((_, i) => items.filter((_, j) => j !== i)),
  ];
}

/** Whether a change changes anything. */
function isNew(change: SimOverrides, options: SimOptions): boolean {
  return JSON.stringify(overridden(options, change)) !==
    JSON.stringify(options);
}

/** Both, the second one before the first. */
function merged(first: SimOverrides, second: SimOverrides): SimOverrides {
  const result: Record<string, unknown> = { ...first };
  for (const [name, value] of Object.entries(second)) {
    const before = result[name];
    const isGroup = typeof before === "object" && !Array.isArray(before) &&
      typeof value === "object" && !Array.isArray(value);
    result[name] = isGroup ? { ...before, ...value } : value;
  }
  return result;
}

function isSame(
  failure: SimFailure | undefined,
  before: SimFailure | undefined,
): boolean {
  if (failure === undefined || before === undefined) return false;
  return failure.kind === before.kind && failure.check === before.check &&
    (failure.kind !== "crash" || failure.message === before.message);
}
