/**
 * Runs a kit, case by case.
 *
 * @module
 */
import type { Level } from "./compare.ts";
import { ConfChangeFile } from "./confchange_cases.ts";
import { type Deviation, findDeviation } from "./deviations.ts";
import { describeDifference } from "./difference.ts";
import { KitError, type KitFile } from "./kit_files.ts";
import type { Scenario, ScenarioFile, TableFile } from "./kit_types.ts";
import { runQuorumCase } from "./quorum_cases.ts";
import { playScenario } from "./scenario.ts";
import { runRow } from "./tables.ts";
import { describeTxtDifference, type TxtCase } from "./txt.ts";

/** What became of one case. */
export interface Outcome {
  /** Path of the file below the kit's folder. */
  readonly path: string;
  /** Name of the case within the file. */
  readonly name: string;
  /** What is wrong; `undefined` if it passed. */
  readonly failure: string | undefined;
}

/** How a kit is run. */
export interface RunOptions {
  readonly level: Level;
  /** Scenarios that are answered differently on purpose at level 3. */
  readonly deviations: readonly Deviation[];
}

/** Runs every case of the files, in order. */
export function* runKit(
  files: readonly KitFile[],
  options: RunOptions,
): Iterable<Outcome> {
  for (const file of files) {
    const { path } = file;
    switch (file.type) {
      case "quorum":
        yield* runTxt(path, file.cases, runQuorumCase);
        break;
      case "confchange": {
        const conf = new ConfChangeFile();
        yield* runTxt(path, file.cases, (txt) => conf.run(txt));
        break;
      }
      case "scenarios":
        yield* runScenarios(path, file.file, options);
        break;
      case "tables":
        yield* runTables(path, file.file);
        break;
      default: {
        const unreachable: never = file;
        return unreachable;
      }
    }
  }
}

function* runTxt(
  path: string,
  cases: readonly TxtCase[],
  run: (txt: TxtCase) => string,
): Iterable<Outcome> {
  for (const txt of cases) {
    const name = `line ${txt.line} (${txt.command})`;
    const found = readable(path, name, () => run(txt));
    yield { path, name, failure: describeTxtDifference(txt, found) };
  }
}

function* runTables(path: string, file: TableFile): Iterable<Outcome> {
  for (const table of file.tables) {
    for (const [i, row] of table.rows.entries()) {
      const name = `${table.name}, row ${i + 1}`;
      const difference = readable(
        path,
        name,
        () => runRow(`${file.name}/${table.name}`, row),
      );
      const failure = difference && describeDifference(difference);
      yield { path, name, failure };
    }
  }
}

function* runScenarios(
  path: string,
  file: ScenarioFile,
  options: RunOptions,
): Iterable<Outcome> {
  for (const scenario of file.scenarios) {
    const { name } = scenario;
    const failure = runScenario(path, file, scenario, options);
    yield { path, name, failure };
  }
}

function runScenario(
  path: string,
  { suite }: ScenarioFile,
  scenario: Scenario,
  { level, deviations }: RunOptions,
): string | undefined {
  const failure = playScenario(scenario, suite, level);
  const deviation = findDeviation(deviations, suite, path, scenario.name);
  if (level < 3 || deviation === undefined) return failure;
  if (failure === undefined) {
    return "listed as a deviation: expected a difference, found none";
  }
  // What differs on purpose is the trace, not state or replication.
  return playScenario(scenario, suite, 2);
}

/** A case that says something unknown is a fault of the kit. */
function readable<T>(path: string, name: string, run: () => T): T {
  try {
    return run();
  } catch (cause) {
    if (!(cause instanceof TypeError)) throw cause;
    throw new KitError(`Cannot run ${path}, ${name}: ${cause.message}`, {
      cause,
    });
  }
}
