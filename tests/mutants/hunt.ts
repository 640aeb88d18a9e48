/**
 * Runs inside a copy of the project: simulates seeds until one fails, and
 * tells about it in lines of JSON.
 *
 * `deno run hunt.ts FROM THROUGH` or `deno run hunt.ts SEED,SEED…`
 *
 * @module
 */
import process from "node:process";
import { addMarks, MARKS, noMarks, simulate } from "../../src/sim/mod.ts";

/** What a hunter tells. */
export type HuntLine =
  | {
    /** The sources could be loaded. */
    readonly type: "ready";
  }
  | {
    /** A seed begins. */
    readonly type: "seed";
    readonly seed: number;
  }
  | {
    /** A check failed. */
    readonly type: "caught";
    readonly seed: number;
    /** The check; `crash` if something threw, `marks` if some were missed. */
    readonly by: string;
    readonly message: string;
    /** Whether the patch made no program, rather than a wrong one. */
    readonly isBroken: boolean;
  }
  | {
    /** No seed failed. */
    readonly type: "clean";
  };

/** After so many seeds every mark has to be reached (H138). */
const MARKED_SEEDS = 500;

tell({ type: "ready" });
hunt(process.argv.slice(2));

function hunt(words: readonly string[]): void {
  let reached = noMarks();
  let count = 0;
  for (const seed of seedsOf(words)) {
    tell({ type: "seed", seed });
    const { failure, marks } = simulate({ seed });
    if (failure !== undefined) {
      const { check, kind, message, cause } = failure;
      const isBroken = cause instanceof ReferenceError ||
        cause instanceof SyntaxError;
      tell({ type: "caught", seed, by: check ?? kind, message, isBroken });
      return;
    }
    reached = addMarks(reached, marks);
    if (++count !== MARKED_SEEDS) continue;
    const missed = MARKS.filter((mark) => reached[mark] === 0);
    if (missed.length === 0) continue;
    const message = `never reached: ${missed.join(" ")}`;
    tell({ type: "caught", seed, by: "marks", message, isBroken: false });
    return;
  }
  tell({ type: "clean" });
}

function seedsOf([first = "", last]: readonly string[]): number[] {
  if (first === "") return [];
  if (last === undefined) return first.split(",").map(Number);
  const count = Number(last) - Number(first) + 1;
  return Array.from({ length: count }, (_, i) => Number(first) + i);
}

function tell(line: HuntLine): void {
  console.log(JSON.stringify(line));
}
