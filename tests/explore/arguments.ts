/**
 * The command line of the exploration.
 *
 * @module
 */
import {
  type Bounds,
  CHANGE_KINDS,
  type ChangeKind,
  DEFAULT_BOUNDS,
} from "./bounds.ts";
import { MAX_BOUND } from "./budget.ts";

/** Shown for `--help` and after a mistake. */
export const USAGE: string = `deno task explore [options]

Without bounds: a suite of searches, each to its end. With any of them: one.

  --members N      voters at the start (default ${DEFAULT_BOUNDS.members})
  --terms N        highest term (default ${DEFAULT_BOUNDS.terms})
  --entries N      commands proposed (default ${DEFAULT_BOUNDS.entries})
  --crashes N      crashes (default ${DEFAULT_BOUNDS.crashes})
  --stalls N       times that a disk falls behind (default ${DEFAULT_BOUNDS.stalls})
  --heartbeats N   rounds of heartbeats (default ${DEFAULT_BOUNDS.heartbeats})
  --change KIND    ${CHANGE_KINDS.join(", ")} (default ${DEFAULT_BOUNDS.change})
  --pre-vote       campaigns begin with a pre-vote
  --max-states N   end a search there (default ${10_000_000})
  --seconds N      end a search then (default 3600)
  --bug NAME       plant a bug; list shows which there are
  --save FILE      write the actions that lead to a violation
  --replay FILE    carry out such actions, with the bounds and the bug given

Messages may be lost, repeated and reordered without bounds.
Exit codes: 0 no violation, 1 a violation, 2 a search was not complete,
64 wrong use.`;

/** What the command line asks for. */
export interface ExploreArguments {
  /** One search; `undefined` for the suite. */
  readonly bounds: Bounds | undefined;
  readonly maxStates: number;
  readonly seconds: number;
  readonly bug: string | undefined;
  readonly save: string | undefined;
  readonly replay: string | undefined;
  readonly help: boolean;
}

const COUNTS = [
  "members",
  "terms",
  "entries",
  "crashes",
  "stalls",
  "heartbeats",
] as const;

const VALUED: ReadonlySet<string> = new Set([
  ...COUNTS,
  "change",
  "max-states",
  "seconds",
  "bug",
  "save",
  "replay",
]);

const FLAGS: ReadonlySet<string> = new Set(["pre-vote", "help"]);

/**
 * Reads the arguments.
 *
 * @throws {TypeError} If one is unknown, missing its value, or malformed.
 */
export function parseArguments(words: readonly string[]): ExploreArguments {
  const values = new Map<string, string>();
  for (let i = 0; i < words.length; i++) {
    const word = words[i] ?? "";
    const [name = "", inline] = word.replace(/^--/, "").split("=", 2);
    if (!word.startsWith("--") || !VALUED.has(name) && !FLAGS.has(name)) {
      throw new TypeError(`Cannot read "${word}": there is no such option`);
    }
    const value = FLAGS.has(name) ? "" : inline ?? words[++i];
    if (value === undefined) {
      throw new TypeError(`Cannot read "${word}": its value is missing`);
    }
    values.set(name, value);
  }
  return {
    bounds: boundsOf(values),
    maxStates: count("max-states", values.get("max-states") ?? "10000000"),
    seconds: count("seconds", values.get("seconds") ?? "3600"),
    bug: values.get("bug"),
    save: values.get("save"),
    replay: values.get("replay"),
    help: values.has("help"),
  };
}

function boundsOf(values: ReadonlyMap<string, string>): Bounds | undefined {
  const names = [...COUNTS, "change", "pre-vote"];
  if (!names.some((name) => values.has(name))) return undefined;
  const counts = Object.fromEntries(COUNTS.map((name) => {
    const text = values.get(name) ?? `${DEFAULT_BOUNDS[name]}`;
    const value = count(name, text);
    if (value <= MAX_BOUND) return [name, value];
    throw new TypeError(
      `Cannot explore with --${name} ${value}: wanted at most ${MAX_BOUND}`,
    );
  }));
  return {
    ...DEFAULT_BOUNDS,
    ...counts,
    change: changeOf(values.get("change") ?? DEFAULT_BOUNDS.change),
    preVote: values.has("pre-vote"),
  };
}

function changeOf(text: string): ChangeKind {
  const kind = CHANGE_KINDS.find((name) => name === text);
  if (kind !== undefined) return kind;
  throw new TypeError(
    `Cannot read --change "${text}": wanted one of ${CHANGE_KINDS.join(", ")}`,
  );
}

function count(name: string, text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(value)) return value;
  throw new TypeError(`Cannot read --${name} "${text}": wanted a whole number`);
}
