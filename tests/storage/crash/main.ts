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
import { runCampaign } from "./campaign.ts";

/** Failures that are told one by one. */
const MAX_PRINTED_FAILURES = 10;

/** Of each of them: states are long. */
const MAX_PRINTED_CHARACTERS = 400;

const settings = z.object({
  seed: z.coerce.number().int().min(0).default(1),
  states: z.coerce.number().int().min(1).default(50_000),
});

const { values } = parseArgs({
  options: { seed: { type: "string" }, states: { type: "string" } },
});
const { seed, states } = settings.parse(values);
const report = await runCampaign({
  seed,
  states,
  // Rather more runs than more disks of each.
  disksPerMoment: 16,
  momentShare: 0.25,
  onRun: showProgress,
});
if (process.stdout.isTTY) process.stdout.write("\n");
for (const failure of report.failures.slice(0, MAX_PRINTED_FAILURES)) {
  process.stdout.write(
    `seed ${failure.seed}, after operation ${failure.moment}: ${
      String(failure.error).slice(0, MAX_PRINTED_CHARACTERS)
    }\n` +
      `  again: deno task crash --seed ${failure.seed}\n`,
  );
}
process.stdout.write(
  `${report.states} states, ${report.failures.length} failed (${report.runs} runs from seed ${seed} on)\n`,
);
process.exitCode = report.failures.length > 0 ? 1 : 0;

function showProgress({ states: done }: { readonly states: number }): void {
  if (process.stdout.isTTY) process.stdout.write(`\r${done} of ${states}`);
}
