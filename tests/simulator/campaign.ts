/**
 * Many seeds: in worker processes of the runtime we run on, with a summary
 * that does not depend on how the seeds were shared out.
 *
 * @module
 */
import { spawn } from "node:child_process";
import process from "node:process";
import { createInterface } from "node:readline";
import {
  addMarks,
  type FailureKind,
  type MarkCounts,
  MARKS,
  noMarks,
  type SimResult,
  simulate,
} from "../../src/sim/mod.ts";
import type { SimArguments } from "./arguments.ts";
import { startBug } from "./bugs.ts";

/** What a worker reports of a seed. */
export interface SeedReport {
  readonly seed: number;
  readonly hash: string;
  readonly steps: number;
  readonly committedCount: number;
  readonly okCount: number;
  readonly unknownCount: number;
  readonly marks: MarkCounts;
  readonly failure: {
    readonly kind: FailureKind;
    readonly check: string | null;
    readonly message: string;
  } | undefined;
}

/** Seeds of a campaign from which on every mark has to be reached. */
export const MARKED_CAMPAIGN_SEEDS = 2_000;

/** Runs one seed as the command line says. */
export function runSeed(
  seed: number,
  args: Pick<SimArguments, "overrides" | "bug">,
): SimResult {
  const bug = args.bug === undefined ? undefined : startBug(args.bug);
  try {
    return simulate({
      seed,
      overrides: args.overrides,
      hooks: bug?.hooks,
    });
  } finally {
    bug?.stop();
  }
}

/** The part of a result that a campaign keeps. */
export function reportOf(result: SimResult): SeedReport {
  const { seed, hash, steps, committedCount, okCount, unknownCount, marks } =
    result;
  const { failure } = result;
  return {
    seed,
    hash,
    steps,
    committedCount,
    okCount,
    unknownCount,
    marks,
    failure: failure && {
      kind: failure.kind,
      check: failure.check,
      message: failure.message,
    },
  };
}

/** Runs seeds in worker processes; reports them as they come. */
export async function runInWorkers(
  words: readonly string[],
  workers: number,
  onReport: (report: SeedReport) => void,
): Promise<void> {
  const shares = Array.from({ length: workers }, (_, i) => i + 1);
  await Promise.all(
    shares.map((number) =>
      runWorker([...words, "--share", `${number}/${workers}`], onReport)
    ),
  );
}

async function runWorker(
  words: readonly string[],
  onReport: (report: SeedReport) => void,
): Promise<void> {
  const script = process.argv[1];
  if (script === undefined) throw new Error("Cannot find the own script");
  const isDeno = "deno" in process.versions;
  const command = isDeno ? ["run", "-A", script] : [script];
  const child = spawn(process.execPath, [...command, ...words], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  for await (const line of createInterface({ input: child.stdout })) {
    onReport(JSON.parse(line));
  }
  const code = await exited;
  if (code !== 0) throw new Error(`Cannot go on: a worker exited with ${code}`);
}

/** What a campaign came to. */
export interface CampaignSummary {
  readonly seeds: number;
  readonly failures: readonly SeedReport[];
  readonly steps: number;
  readonly committedCount: number;
  readonly okCount: number;
  readonly unknownCount: number;
  readonly marks: MarkCounts;
  readonly missingMarks: readonly string[];
  /** Whether the campaign was long enough for each of them to be a failure. */
  readonly needsAllMarks: boolean;
  /** Digest of the digests of all seeds, in order. */
  readonly hash: string;
}

/** Sums reports up, in the order of their seeds. */
export function summarize(reports: readonly SeedReport[]): CampaignSummary {
  const ordered = [...reports].sort((left, right) => left.seed - right.seed);
  let marks = noMarks();
  const sum = { steps: 0, committedCount: 0, okCount: 0, unknownCount: 0 };
  let hash = 0n;
  for (const report of ordered) {
    marks = addMarks(marks, report.marks);
    sum.steps += report.steps;
    sum.committedCount += report.committedCount;
    sum.okCount += report.okCount;
    sum.unknownCount += report.unknownCount;
    hash = BigInt.asUintN(
      64,
      hash * 6364136223846793005n + BigInt(`0x${report.hash}`) + 1n,
    );
  }
  return {
    ...sum,
    seeds: ordered.length,
    failures: ordered.filter(({ failure }) => failure !== undefined),
    marks,
    missingMarks: MARKS.filter((mark) => marks[mark] === 0),
    needsAllMarks: ordered.length >= MARKED_CAMPAIGN_SEEDS,
    hash: hash.toString(16).padStart(16, "0"),
  };
}
