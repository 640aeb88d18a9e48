/**
 * The command line of the simulator.
 *
 * @module
 */
import { drawOptions, type SimOverrides } from "../../src/sim/mod.ts";

/** Shown for `--help` and after a mistake. */
export const USAGE: string =
  `deno task sim --seed N | --seeds A..B | --list FILE | --replay FILE

  --seed N       run one seed and print the options it drew
  --seeds A..B   run many and print a summary
  --list FILE    run the seeds in FILE, one a line; # begins a comment
  --replay FILE  run a recorded trace again and compare event by event
  --ticks N      length of the phase with faults (default: the seed's)
  --options JSON replaces options that the seed draws, as shown for --seed
  --workers N    processes for many seeds (default 2)
  --bug NAME     break something on purpose; --bug list shows what
  --shrink       look for a shorter run that fails like the first failure
  --trace FILE   with --seed: write the run as lines of JSON

Exit codes: 0 all checks hold, 1 safety, 2 liveness, 3 something threw,
4 a campaign of 2000 seeds or more never reached some mark, 5 a replay left
its record, 64 wrong use.`;

/** What the command line asks for. */
export interface SimArguments {
  readonly seeds: SeedChoice;
  /** What replaces the options that a seed draws. */
  readonly overrides: SimOverrides;
  readonly workers: number;
  readonly bug: string | undefined;
  readonly trace: string | undefined;
  /** Whether to look for a shorter run that fails. */
  readonly shrink: boolean;
  /** Set by the campaign in its worker processes: of how many, which one. */
  readonly share: { readonly of: number; readonly number: number } | undefined;
}

/** Which seeds to run. */
export type SeedChoice =
  | { readonly type: "one"; readonly seed: number }
  | { readonly type: "range"; readonly from: number; readonly through: number }
  | { readonly type: "file"; readonly path: string }
  | { readonly type: "trace"; readonly path: string }
  | { readonly type: "help" }
  | { readonly type: "bugs" };

const VALUED = new Set([
  "seed",
  "seeds",
  "list",
  "replay",
  "ticks",
  "options",
  "workers",
  "bug",
  "trace",
  "share",
]);

/**
 * Reads the arguments.
 *
 * @throws {TypeError} If one is unknown, missing its value, or malformed.
 */
export function parseArguments(words: readonly string[]): SimArguments {
  const values = new Map<string, string>();
  for (let i = 0; i < words.length; i++) {
    const word = words[i] ?? "";
    if (word === "--help" || word === "-h") return helpArguments();
    if (word === "--shrink") {
      values.set("shrink", "");
      continue;
    }
    const [name = "", inline] = word.replace(/^--/, "").split("=", 2);
    if (!word.startsWith("--") || !VALUED.has(name)) {
      throw new TypeError(`Cannot read "${word}": there is no such option`);
    }
    const value = inline ?? words[++i];
    if (value === undefined) {
      throw new TypeError(`Cannot read "${word}": its value is missing`);
    }
    values.set(name, value);
  }
  const bug = values.get("bug");
  return {
    seeds: bug === "list" ? { type: "bugs" } : chooseSeeds(values),
    overrides: parseOverrides(values.get("options"), values.get("ticks")),
    workers: parseCount("workers", values.get("workers") ?? "2"),
    bug,
    trace: values.get("trace"),
    shrink: values.has("shrink"),
    share: parseShare(values.get("share")),
  };
}

function helpArguments(): SimArguments {
  return {
    seeds: { type: "help" },
    overrides: {},
    workers: 1,
    bug: undefined,
    trace: undefined,
    shrink: false,
    share: undefined,
  };
}

function chooseSeeds(values: ReadonlyMap<string, string>): SeedChoice {
  const seed = values.get("seed");
  const seeds = values.get("seeds");
  const list = values.get("list");
  const trace = values.get("replay");
  const given = [seed, seeds, list, trace].filter((one) => one !== undefined);
  if (given.length !== 1) {
    throw new TypeError(
      `Cannot choose seeds: ${given.length} of --seed, --seeds, --list and --replay are given, wanted one`,
    );
  }
  if (seed !== undefined) return { type: "one", seed: parseSeed(seed) };
  if (list !== undefined) return { type: "file", path: list };
  if (trace !== undefined) return { type: "trace", path: trace };
  const [from = "", through = "", ...more] = (seeds ?? "").split("..");
  if (more.length > 0) {
    throw new TypeError(`Cannot read --seeds "${seeds}": wanted A..B`);
  }
  const range = { from: parseSeed(from), through: parseSeed(through) };
  if (range.through < range.from) {
    throw new TypeError(
      `Cannot read --seeds "${seeds}": the end is below the beginning`,
    );
  }
  return { type: "range", ...range };
}

/** Reads a seed. @throws {TypeError} If it is none. */
export function parseSeed(text: string): number {
  const seed = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(seed)) return seed;
  throw new TypeError(
    `Cannot read the seed "${text}": wanted a safe integer from 0 on`,
  );
}

function parseCount(name: string, text: string): number {
  const count = Number(text);
  if (/^\d+$/.test(text) && count >= 1 && count <= 100_000) return count;
  throw new TypeError(
    `Cannot read --${name} "${text}": wanted a whole number from 1 to 100000`,
  );
}

function parseOverrides(
  text: string | undefined,
  ticks: string | undefined,
): SimOverrides {
  const given: unknown = text === undefined ? {} : parseJson(text);
  if (!isOverrides(given)) {
    throw new TypeError(
      `Cannot read --options ${text}: wanted an object with options of a seed`,
    );
  }
  return ticks === undefined
    ? given
    : { ...given, ticks: parseCount("ticks", ticks) };
}

/** Whether something has the shape of what seeds draw, as far as it goes. */
function isOverrides(given: unknown): given is SimOverrides {
  return isLike(given, { ...drawOptions(1), seed: undefined });
}

function isLike(given: unknown, model: unknown): boolean {
  if (typeof given !== typeof model || given === null) return false;
  if (Array.isArray(given) || Array.isArray(model)) {
    return Array.isArray(given) && Array.isArray(model);
  }
  if (typeof given !== "object" || typeof model !== "object") return true;
  const known = new Map<string, unknown>(Object.entries(model ?? {}));
  return Object.entries(given).every(([name, value]) =>
    isLike(value, known.get(name))
  );
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function parseShare(text: string | undefined): SimArguments["share"] {
  if (text === undefined) return undefined;
  const [number = "", of = ""] = text.split("/");
  return { number: parseCount("share", number), of: parseCount("share", of) };
}
