/**
 * Reads the reports that `deno test`, `node --test` and `bun test` print.
 *
 * @module
 */

/** Where tests run. */
export type Runtime = "bun" | "deno" | "node";

/** What one runtime said about the tests. */
export interface Verdict {
  readonly runtime: Runtime;
  /** Whether every test held and the program ended well. */
  readonly passed: boolean;
  /** Tests and sub-tests that held, as the runtime counts them. */
  readonly passedCount: number;
  /** Tests that failed; at least one if the runtime itself failed. */
  readonly failedCount: number;
  readonly skippedCount: number;
}

const names: Readonly<Record<Runtime, string>> = {
  bun: "Bun",
  deno: "Deno",
  node: "Node",
};

/**
 * The verdict of a report without colours. A report without a summary, with
 * nothing passed, or of a program that failed is a failure in any case.
 */
export function readVerdict(
  runtime: Runtime,
  text: string,
  success: boolean,
): Verdict {
  const counts = readCounts(runtime, text);
  const passed = success && counts.failedCount === 0 && counts.passedCount > 0;
  const failedCount = passed ? 0 : Math.max(1, counts.failedCount);
  return { runtime, ...counts, passed, failedCount };
}

/** One line for people and for whoever adds the figures up. */
export function describeVerdict(verdict: Verdict, seconds: number): string {
  const { runtime, passed, passedCount, failedCount, skippedCount } = verdict;
  return `${passed ? "ok    " : "FAILED"} ${names[runtime].padEnd(4)} ` +
    `${passedCount} passed, ${failedCount} failed, ` +
    `${skippedCount} skipped (${seconds.toFixed(1)} s)`;
}

/** The part of a report that tells what went wrong, else its end. */
export function failures(runtime: Runtime, text: string): string {
  switch (runtime) {
    case "deno":
      return from(text, /^ ERRORS /m) ?? tail(text);
    case "node":
      return from(text, /^✖ failing tests:/m) ?? tail(text);
    case "bun":
      return tail(withoutPasses(text));
  }
}

interface Counts {
  readonly passedCount: number;
  readonly failedCount: number;
  readonly skippedCount: number;
}

function readCounts(runtime: Runtime, text: string): Counts {
  switch (runtime) {
    case "deno":
      return readDeno(text);
    case "node":
      return {
        passedCount: last(text, /^ℹ pass (\d+)$/gm),
        failedCount: last(text, /^ℹ fail (\d+)$/gm) +
          last(text, /^ℹ cancelled (\d+)$/gm),
        skippedCount: last(text, /^ℹ skipped (\d+)$/gm),
      };
    case "bun":
      return {
        passedCount: last(text, /^ *(\d+) pass$/gm),
        failedCount: last(text, /^ *(\d+) fail$/gm) +
          last(text, /^ *(\d+) errors?$/gm),
        skippedCount: last(text, /^ *(\d+) skip$/gm),
      };
  }
}

/** Deno prints `ok | 12 passed (30 steps) | 2 failed (1 step) | 1 ignored`. */
function readDeno(text: string): Counts {
  const lines = text.match(/^(?:ok|FAILED) \| .*$/gm) ?? [];
  const summary = lines.at(-1) ?? "";
  const count = (word: string) =>
    last(summary, new RegExp(String.raw`(\d+) ${word}`, "g")) +
    last(summary, new RegExp(String.raw`${word} \((\d+) steps?\)`, "g"));
  return {
    passedCount: count("passed"),
    failedCount: count("failed"),
    skippedCount: count("ignored"),
  };
}

function last(text: string, pattern: RegExp): number {
  return Number([...text.matchAll(pattern)].at(-1)?.[1] ?? 0);
}

function from(text: string, pattern: RegExp): string | undefined {
  const at = text.search(pattern);
  return at < 0 ? undefined : text.slice(at);
}

function tail(text: string): string {
  return text.trimEnd().split("\n").slice(-80).join("\n");
}

/** Without what passed, and without the names of files that only passed. */
function withoutPasses(text: string): string {
  const lines = text.split("\n").filter((line) =>
    !line.startsWith("(pass)") && line.trim() !== ""
  );
  return lines.filter((line, at) => {
    const isFileName = /^\S+_test\.js:$/.test(line);
    return !isFileName || !/^\S+_test\.js:$/.test(lines[at + 1] ?? "");
  }).join("\n");
}
