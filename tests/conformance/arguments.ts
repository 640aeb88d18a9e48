/**
 * The command line of `deno task conformance`.
 *
 * @module
 */
import type { Level } from "./compare.ts";

/** How to use it. */
export const USAGE = "usage: deno task conformance [DIR] [--level 1|2|3]";

/** What was asked for. */
export interface ConformanceArguments {
  /** The kit's folder; `undefined`: the project's own kit. */
  readonly folder: string | undefined;
  readonly level: Level;
}

/** Reads the command line. @throws {TypeError} If it cannot be understood. */
export function parseArguments(words: readonly string[]): ConformanceArguments {
  let folder: string | undefined;
  let level: Level = 3;
  for (let i = 0; i < words.length; i++) {
    const word = words[i] ?? "";
    if (word === "--level") level = parseLevel(words[++i]);
    else if (word.startsWith("--level=")) {
      level = parseLevel(word.slice("--level=".length));
    } else if (word.startsWith("-")) {
      throw new TypeError(`Cannot run the kit: unknown option "${word}"`);
    } else if (folder !== undefined) {
      throw new TypeError(
        `Cannot run the kit: there are two folders, "${folder}" and "${word}"`,
      );
    } else folder = word;
  }
  return { folder, level };
}

function parseLevel(word: string | undefined): Level {
  switch (word) {
    case "1":
      return 1;
    case "2":
      return 2;
    case "3":
      return 3;
    default:
      throw new TypeError(
        `Cannot run the kit: the level is "${word ?? ""}", not 1, 2 or 3`,
      );
  }
}
