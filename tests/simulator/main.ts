/**
 * `deno task sim`: runs seeds of the simulator and says how to repeat what
 * fails.
 *
 * @module
 */
import { readFileSync, writeFileSync } from "node:fs";
import process from "node:process";
import {
  drawOptions,
  type FailureKind,
  MARKS,
  overridden,
  simulate,
  type TraceLine,
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
  usage: 64,
} as const satisfies Readonly<
  Record<FailureKind | "ok" | "marks" | "usage", number>
>;

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
    case "range":
    case "file":
      return await runMany(words, args);
  }
}

function runOne(seed: number, args: SimArguments): number {
  const drawn = overridden(drawOptions(seed), args.overrides);
  console.log(`options ${JSON.stringify(drawn, null, 1)}`);
  const lines: string[] = [];
  const bug = args.bug === undefined ? undefined : startBug(args.bug);
  const result = simulate({
    seed,
    overrides: args.overrides,
    hooks: bug?.hooks,
    onEvent: args.trace === undefined
      ? undefined
      : (line) => lines.push(describeLine(line)),
  });
  bug?.stop();
  if (args.trace !== undefined) writeFileSync(args.trace, lines.join(""));
  const reached = MARKS.filter((mark) => result.marks[mark] > 0);
  console.log(`reached ${reached.join(" ")}`);
  console.log(
    `seed ${seed}: ${result.steps} events in ${result.elapsedMs} virtual ms, ${result.committedCount} entries committed, ${result.okCount} operations ok, ${result.unknownCount} of unknown outcome`,
  );
  console.log(`hash ${result.hash}`);
  if (result.failure === undefined) {
    console.log("verdict ok");
    return EXIT.ok;
  }
  const { kind, check, message, atMs, step, cause } = result.failure;
  console.log(`verdict ${kind} ${check ?? ""} at ${atMs} ms, event ${step}`);
  console.log(kind === "crash" ? cause : message);
  console.log(`repeat with: ${commandFor(seed, args)}`);
  return EXIT[kind];
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
  await runInWorkers(words, Math.min(args.workers, seeds.length), (report) => {
    reports.push(report);
    if (report.failure !== undefined) printFailure(report, args);
  });
  return printSummary(summarize(reports));
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
  console.log(`  repeat with: ${commandFor(seed, args)}`);
}

function printSummary(summary: CampaignSummary): number {
  const { marks, missingMarks, failures } = summary;
  console.log(
    MARKS.map((mark) => `${mark}=${marks[mark]}`).join(" "),
  );
  for (const mark of missingMarks) console.log(`never reached: ${mark}`);
  console.log(
    `${summary.seeds} seeds: ${failures.length} failed, ${summary.steps} events, ${summary.committedCount} commits, ${summary.okCount} ok, ${summary.unknownCount} unknown, ${
      MARKS.filter((mark) => marks[mark] > 0).length
    } of ${MARKS.length} marks, hash ${summary.hash}`,
  );
  const first = failures[0]?.failure;
  if (first !== undefined) return EXIT[first.kind];
  return missingMarks.length > 0 ? EXIT.marks : EXIT.ok;
}

function describeLine({ at, event, states }: TraceLine): string {
  return `${JSON.stringify({ at, event, states })}\n`;
}
