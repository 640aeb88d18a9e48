/**
 * `deno task conformance`: runs a conformance kit against the core.
 *
 * @module
 */
import { resolve } from "node:path";
import process from "node:process";
import { entropicRandom } from "../../src/host/random.ts";
import { parseArguments, USAGE } from "./arguments.ts";
import { readDeviations } from "./deviations.ts";
import { KitError, readKit } from "./kit_files.ts";
import { type Outcome, runKit } from "./run_kit.ts";
import { runStatistics } from "./statistics.ts";

const OWN_FOLDER = "tests/conformance/kit";
const DEVIATIONS = "tests/conformance/deviations.json";

const EXIT = { passed: 0, failed: 1, unusable: 2 } as const;

process.exitCode = await main(process.argv.slice(2));

async function main(words: readonly string[]): Promise<number> {
  try {
    const { folder, level } = parseArguments(words);
    const files = await readKit(
      folder === undefined ? OWN_FOLDER : resolve(callersFolder(), folder),
    );
    const deviations = await readDeviations(DEVIATIONS);
    const outcomes = [...runKit(files, { level, deviations })];
    if (folder === undefined) outcomes.push(...runStatistics(entropicRandom()));
    return report(outcomes);
  } catch (error) {
    if (error instanceof TypeError) console.error(`${error.message}\n${USAGE}`);
    else if (error instanceof KitError) console.error(error.message);
    else throw error;
    return EXIT.unusable;
  }
}

/** A task runs in the project's root, wherever it was called from. */
function callersFolder(): string {
  return process.env.INIT_CWD ?? process.cwd();
}

function report(outcomes: readonly Outcome[]): number {
  const failures = outcomes.filter(({ failure }) => failure !== undefined);
  for (const { path, name, failure } of failures) {
    console.log(`FAILED ${path} [${name}] ${failure}`);
  }
  const passed = outcomes.length - failures.length;
  console.log(`${passed} passed, ${failures.length} failed`);
  return failures.length === 0 ? EXIT.passed : EXIT.failed;
}
