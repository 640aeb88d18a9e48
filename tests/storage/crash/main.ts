/**
 * `deno task crash`: opens every disk that a crash may leave of a log, and
 * says how to repeat what fails.
 *
 * ```text
 * deno task crash [--seed N] [--states N]
 * ```
 *
 * @module
 */
import process from "node:process";
import { parseArgs } from "node:util";
import * as z from "zod";
import { type CrashFailure, runCampaign } from "./campaign.ts";

/** Failures that are told one by one. */
const MAX_PRINTED_FAILURES = 10;

/** Of each of them: states are long. */
const MAX_PRINTED_CHARACTERS = 400;

/** Half of the states from every moment of few runs, half from many runs. */
const CAMPAIGNS = [
  { name: "every moment", disksPerMoment: 48, momentShare: 1 },
  { name: "many runs", disksPerMoment: 16, momentShare: 0.25 },
] as const;

const settings = z.object({
  seed: z.coerce.number().int().min(0).default(1),
  states: z.coerce.number().int().min(1).default(50_000),
});

const { values } = parseArgs({
  options: { seed: { type: "string" }, states: { type: "string" } },
});
const { seed, states } = settings.parse(values);
const failures: CrashFailure[] = [];
const told: string[] = [];
let tried = 0;
for (const { name, ...campaign } of CAMPAIGNS) {
  const share = Math.ceil(states / CAMPAIGNS.length);
  const report = await runCampaign({
    ...campaign,
    seed,
    states: Math.min(share, states - tried),
    onRun: showProgress,
  });
  tried += report.states;
  failures.push(...report.failures);
  told.push(`${name}: ${report.states} of ${report.runs} runs`);
}
if (process.stdout.isTTY) process.stdout.write("\n");
for (const failure of failures.slice(0, MAX_PRINTED_FAILURES)) {
  process.stdout.write(
    `seed ${failure.seed}, after operation ${failure.moment}: ${
      String(failure.error).slice(0, MAX_PRINTED_CHARACTERS)
    }\n` +
      `  again: deno task crash --seed ${failure.seed}\n`,
  );
}
process.stdout.write(
  `${tried} states, ${failures.length} failed (from seed ${seed} on; ${
    told.join("; ")
  })\n`,
);
process.exitCode = failures.length > 0 ? 1 : 0;

function showProgress({ states: done }: { readonly states: number }): void {
  if (!process.stdout.isTTY) return;
  process.stdout.write(`\r${tried + done} of ${states}`);
}
