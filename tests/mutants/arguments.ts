/**
 * The command line of the mutants.
 *
 * @module
 */

/** Shown for `--help` and after a mistake. */
export const USAGE: string = `deno task mutants [ID…]

Puts one deliberate bug after the other into a copy of the core, and tells
who finds it: the conformance kit, or the simulator from seed 1 on.

  ID…                 only these mutants
  --seeds N           seeds a mutant may survive (default 2000)
  --workers N         mutants at the same time (default 2)
  --by WHOM           conformance, simulator, or first (default: who finds it
                      first, the kit beginning)
  --json FILE         write the report as JSON
  --check-types       check the types of every mutant too
  --only-stale-check  see whether every patch fits the sources, run nothing

Exit codes: 0 all were found, 1 one survived or does not fit the sources,
64 wrong use.`;

/** Who may hunt. */
export type Hunters = "first" | "conformance" | "simulator";

/** What the command line asks for. */
export interface MutantArguments {
  readonly ids: readonly string[];
  readonly seeds: number;
  readonly workers: number;
  readonly by: Hunters;
  readonly json: string | undefined;
  readonly checkTypes: boolean;
  readonly onlyStaleCheck: boolean;
  readonly help: boolean;
}

/**
 * Reads the arguments.
 *
 * @throws {TypeError} If one is unknown, lacks its value, or is malformed.
 */
export function parseArguments(words: readonly string[]): MutantArguments {
  const ids: string[] = [];
  const flags = new Set<string>();
  const values = new Map<string, string>();
  for (let i = 0; i < words.length; i++) {
    const word = words[i] ?? "";
    const [name = "", inline] = word.split("=", 2);
    switch (name) {
      case "--seeds":
      case "--workers":
      case "--by":
      case "--json": {
        const value = inline ?? words[++i];
        if (value === undefined) {
          throw new TypeError(`Cannot read "${word}": its value is missing`);
        }
        values.set(name, value);
        break;
      }
      case "--check-types":
      case "--only-stale-check":
      case "--help":
        flags.add(name);
        break;
      default:
        if (word.startsWith("-")) {
          throw new TypeError(`Cannot read "${word}": there is no such option`);
        }
        ids.push(word);
    }
  }
  return {
    ids,
    seeds: parseCount("--seeds", values.get("--seeds") ?? "2000"),
    workers: parseCount("--workers", values.get("--workers") ?? "2"),
    by: parseHunters(values.get("--by") ?? "first"),
    json: values.get("--json"),
    checkTypes: flags.has("--check-types"),
    onlyStaleCheck: flags.has("--only-stale-check"),
    help: flags.has("--help"),
  };
}

function parseHunters(text: string): Hunters {
  switch (text) {
    case "first":
    case "conformance":
    case "simulator":
      return text;
    default:
      throw new TypeError(
        `Cannot read --by "${text}": wanted first, conformance or simulator`,
      );
  }
}

function parseCount(name: string, text: string): number {
  const count = Number(text);
  if (/^\d+$/.test(text) && count >= 1 && count <= 1_000_000) return count;
  throw new TypeError(
    `Cannot read ${name} "${text}": wanted a whole number from 1 to 1000000`,
  );
}
