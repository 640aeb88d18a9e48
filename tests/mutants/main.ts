/**
 * `deno task mutants`: proves that conformance kit and simulator find bugs.
 *
 * @module
 */
import { readFileSync, writeFileSync } from "node:fs";
import process from "node:process";
import { type MutantArguments, parseArguments, USAGE } from "./arguments.ts";
import { BaselineError, runCampaign } from "./campaign.ts";
import { MUTANTS } from "./catalogue/mod.ts";
import {
  chooseMutants,
  type Mutant,
  patchedFiles,
  StalePatchError,
} from "./mutant.ts";
import {
  describeSum,
  describeTable,
  describeVerdict,
  reportJson,
} from "./report.ts";

const EXIT = { ok: 0, failed: 1, usage: 64 } as const;

process.exitCode = await main(process.argv.slice(2));

async function main(words: readonly string[]): Promise<number> {
  let args: MutantArguments;
  let mutants: readonly Mutant[];
  try {
    args = parseArguments(words);
    mutants = chooseMutants(MUTANTS, args.ids);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    console.error(`\n${USAGE}`);
    return EXIT.usage;
  }
  if (args.help) {
    console.log(USAGE);
    return EXIT.ok;
  }
  const stale = mutants.filter((mutant) => !fits(mutant));
  if (stale.length > 0) {
    console.error(`${stale.length} of ${mutants.length} mutants are stale`);
    return EXIT.failed;
  }
  if (args.onlyStaleCheck) {
    console.log(`${mutants.length} mutants fit the sources`);
    return EXIT.ok;
  }
  return await hunt(mutants, args);
}

async function hunt(
  mutants: readonly Mutant[],
  args: MutantArguments,
): Promise<number> {
  const { seeds, workers, by, checkTypes } = args;
  try {
    const verdicts = await runCampaign({
      root: process.cwd(),
      ...{ mutants, seeds, workers, by, checkTypes },
      onVerdict: (verdict) => console.log(describeVerdict(verdict)),
    });
    if (args.json !== undefined) writeFileSync(args.json, reportJson(verdicts));
    console.log(`\n${describeTable(verdicts)}\n`);
    console.log(describeSum(verdicts));
    const allDead = verdicts.every(({ outcome }) => outcome === "killed");
    return allDead ? EXIT.ok : EXIT.failed;
  } catch (error) {
    if (!(error instanceof BaselineError)) throw error;
    console.error(error.message);
    return EXIT.failed;
  }
}

/** Whether a mutant can be made of the present sources; says why not. */
function fits(mutant: Mutant): boolean {
  try {
    patchedFiles(mutant, (file) => readFileSync(file, "utf8"));
    return true;
  } catch (error) {
    if (!(error instanceof StalePatchError)) throw error;
    console.error(error.message);
    return false;
  }
}
