/**
 * `deno task sim`: runs seeds of the simulator and says how to repeat what
 * fails.
 *
 * @module
 */
import { closeSync, openSync, readFileSync, writeSync } from "node:fs";
import process from "node:process";
import {
  drawOptions,
  type FailureKind,
  MARKS,
  overridden,
  recordTrace,
  replayTrace,
  shrink,
  type SimResult,
} from "../../src/sim/mod.ts";
import {
  parseArguments,
  parseSeed,
  type SimArguments,
  USAGE,
} from "./arguments.ts";
import { BUGS, startBug } from "./bugs.ts";
import {
  type CampaignSummary,
  reportOf,
  runInWorkers,
  runSeed,
  type SeedReport,
  summarize,
} from "./campaign.ts";

const EXIT = {
  ok: 0,
  safety: 1,
  liveness: 2,
  crash: 3,
  marks: 4,
  difference: 5,
  usage: 64,
} as const satisfies Readonly<
  Record<FailureKind | "ok" | "marks" | "difference" | "usage", number>
>;

/** Failures of a campaign that are told one by one. */
const MAX_PRINTED_FAILURES = 20;

process.exitCode = await main(process.argv.slice(2));

async function main(words: readonly string[]): Promise<number> {
  let args: SimArguments;
  try {
    args = parseArguments(words);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    console.error(`\n${USAGE}`);
    return EXIT.usage;
  }
  switch (args.seeds.type) {
    case "help":
      console.log(USAGE);
      return EXIT.ok;
    case "bugs":
      for (const [name, { description }] of Object.entries(BUGS)) {
        console.log(`${name}: ${description}`);
      }
      return EXIT.ok;
    case "one":
      return runOne(args.seeds.seed, args);
    case "trace":
      return replay(args.seeds.path, args);
    case "range":
    case "file":
      return await runMany(words, args);
  }
}

function runOne(seed: number, args: SimArguments): number {
  const drawn = overridden(drawOptions(seed), args.overrides);
  console.log(`options ${JSON.stringify(drawn, null, 1)}`);
  const exit = printResult(runOrRecord(seed, args), args);
  if (args.shrink) printShrunk(seed, args);
  return exit;
}

function runOrRecord(seed: number, args: SimArguments): SimResult {
  const { trace } = args;
  if (trace === undefined) return runSeed(seed, args);
  const { overrides } = args;
  const bug = args.bug === undefined ? undefined : startBug(args.bug);
  const file = openSync(trace, "w");
  try {
    return recordTrace(
      { seed, overrides, hooks: bug?.hooks },
      (line) => writeSync(file, `${line}\n`),
    );
  } finally {
    closeSync(file);
    bug?.stop();
  }
}

/** Runs a recorded trace again and says where it leaves the record. */
function replay(path: string, args: SimArguments): number {
  const lines = readFileSync(path, "utf8").trimEnd().split("\n");
  const bug = args.bug === undefined ? undefined : startBug(args.bug);
  const { result, difference } = replayTrace(lines, { hooks: bug?.hooks });
  bug?.stop();
  const exit = printResult(result, args);
  if (difference === undefined) {
    console.log(`replayed ${lines.length} lines: equal`);
    return exit;
  }
  const { line, recorded, replayed } = difference;
  console.log(`replayed line ${line} of ${lines.length}: differs`);
  console.log(`  recorded ${recorded ?? "nothing"}`);
  console.log(`  replayed ${replayed ?? "nothing"}`);
  return EXIT.difference;
}

function printResult(result: SimResult, args: SimArguments): number {
  const { seed, failure } = result;
  const reached = MARKS.filter((mark) => result.marks[mark] > 0);
  console.log(`reached ${reached.join(" ")}`);
  console.log(
    `seed ${seed}: ${result.steps} events in ${result.elapsedMs} virtual ms, ${result.committedCount} entries committed, ${result.okCount} operations ok, ${result.unknownCount} of unknown outcome`,
  );
  console.log(`hash ${result.hash}`);
  if (failure === undefined) {
    console.log("verdict ok");
    return EXIT.ok;
  }
  const { kind, check, message, atMs, step, cause } = failure;
  console.log(`verdict ${kind} ${check ?? ""} at ${atMs} ms, event ${step}`);
  console.log(kind === "crash" ? cause : message);
  console.log(`repeat with: ${commandFor(seed, args)}`);
  return EXIT[kind];
}

/** Looks for a shorter run that fails in the same way. */
function printShrunk(seed: number, args: SimArguments): void {
  const found = shrink({
    run: (overrides) => runSeed(seed, { ...args, overrides }),
    overrides: args.overrides,
    onProgress: ({ options, steps }, runs) =>
      console.log(
        `  run ${runs}: still fails with ${options.ticks} ticks, ${options.members} members, ${options.groups} groups, ${steps} events`,
      ),
  });
  if (found === undefined) return;
  const { overrides, result, runs } = found;
  console.log(
    `shrunk in ${runs} runs to ${result.steps} events: ${result.failure?.message}`,
  );
  console.log(`repeat with: ${commandFor(seed, { ...args, overrides })}`);
}

function commandFor(seed: number, { overrides, bug }: SimArguments): string {
  const words = [`deno task sim --seed ${seed}`];
  const { ticks, ...options } = overrides;
  if (ticks !== undefined) words.push("--ticks", `${ticks}`);
  if (Object.keys(options).length > 0) {
    words.push(`--options '${JSON.stringify(options)}'`);
  }
  if (bug !== undefined) words.push("--bug", bug);
  return words.join(" ");
}

async function runMany(
  words: readonly string[],
  args: SimArguments,
): Promise<number> {
  const seeds = [...seedsOf(args)];
  if (args.share !== undefined) {
    const { of, number } = args.share;
    for (let i = number - 1; i < seeds.length; i += of) {
      const seed = seeds[i];
      if (seed === undefined) break;
      console.log(JSON.stringify(reportOf(runSeed(seed, args))));
    }
    return EXIT.ok;
  }
  const reports: SeedReport[] = [];
  let failed = 0;
  await runInWorkers(words, Math.min(args.workers, seeds.length), (report) => {
    reports.push(report);
    if (report.failure === undefined) return;
    if (++failed <= MAX_PRINTED_FAILURES) printFailure(report, args);
  });
  const summary = summarize(reports);
  const [worst] = summary.failures;
  if (args.shrink && worst !== undefined) printShrunk(worst.seed, args);
  return printSummary(summary);
}

function seedsOf(args: SimArguments): number[] {
  const { seeds } = args;
  switch (seeds.type) {
    case "range": {
      const { from, through } = seeds;
      return Array.from({ length: through - from + 1 }, (_, i) => from + i);
    }
    case "file":
      return readFileSync(seeds.path, "utf8").split("\n")
        .map((line) => line.replace(/#.*/, "").trim())
        .filter((line) => line !== "")
        .map(parseSeed);
    default:
      return [];
  }
}

function printFailure(report: SeedReport, args: SimArguments): void {
  const { seed, failure } = report;
  if (failure === undefined) return;
  console.log(`seed ${seed}: ${failure.kind} ${failure.check ?? ""}`);
  console.log(`  ${failure.message}`);
  const options = overridden(drawOptions(seed), args.overrides);
  console.log(`  options ${JSON.stringify(options)}`);
  console.log(`  repeat with: ${commandFor(seed, args)}`);
}

function printSummary(summary: CampaignSummary): number {
  const { marks, missingMarks, needsAllMarks, failures } = summary;
  console.log(
    MARKS.map((mark) => `${mark}=${marks[mark]}`).join(" "),
  );
  if (missingMarks.length > 0) {
    console.log(`never reached: ${missingMarks.join(" ")}`);
  }
  console.log(
    `${summary.seeds} seeds: ${failures.length} failed, ${summary.steps} events, ${summary.committedCount} commits, ${summary.okCount} ok, ${summary.unknownCount} unknown, ${
      MARKS.filter((mark) => marks[mark] > 0).length
    } of ${MARKS.length} marks, hash ${summary.hash}`,
  );
  const first = failures[0]?.failure;
  if (first !== undefined) return EXIT[first.kind];
  return needsAllMarks && missingMarks.length > 0 ? EXIT.marks : EXIT.ok;
}
