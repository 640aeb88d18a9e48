/**
 * Those who are to find a mutant: the conformance kit and the simulator, each
 * as a process in the mutant's copy of the project.
 *
 * @module
 */
import { spawn } from "node:child_process";
import process from "node:process";
import { createInterface } from "node:readline";
import type { HuntLine } from "./hunt.ts";

/** How a mutant was found. */
export interface Catch {
  /** Who found it. */
  readonly hunter: "conformance" | "simulator";
  /** The failing cases, or the check that failed. */
  readonly by: string;
  /** What was seen. */
  readonly message: string;
  /** Seeds it took, the last one included; 0 for the conformance kit. */
  readonly seeds: number;
}

/** A patched copy is no program; then nothing is proven by its failing. */
export class BrokenMutantError extends Error {
  override name = "BrokenMutantError";
}

/** Silence after which a process hangs; a seed takes a second at most. */
const PATIENCE_MS = 120_000;

/** How a process ended. */
interface Ending {
  readonly lines: readonly string[];
  readonly errors: string;
  readonly code: number | null;
  readonly hung: boolean;
}

/** Runs the conformance kit in `folder`. */
export async function huntByConformance(
  folder: string,
): Promise<Catch | undefined> {
  const words = ["tests/conformance/main.ts"];
  const { lines, errors, code, hung } = await runIn(folder, words);
  const result = lines.map((line) => /^(\d+) passed, (\d+) failed/.exec(line))
    .findLast((match) => match !== null);
  const found = { hunter: "conformance", seeds: 0 } as const;
  if (hung) return { ...found, by: "hang", message: "it never ended" };
  if (result === undefined || result === null) {
    if (isNoProgram(errors)) throw new BrokenMutantError(errors);
    return { ...found, by: "crash", message: lastLine(errors) };
  }
  if (code === 0) return undefined;
  const [, passed, failed] = result;
  return {
    ...found,
    by: `${failed} of ${Number(passed) + Number(failed)} cases`,
    message: lines[0] ?? "",
  };
}

/** Which seeds a simulation runs. */
export type Seeds =
  | { readonly from: number; readonly through: number }
  | readonly number[];

/** Runs seeds of the simulator in `folder` until one fails. */
export async function huntBySimulator(
  folder: string,
  seeds: Seeds,
): Promise<Catch | undefined> {
  const words = "from" in seeds
    ? [`${seeds.from}`, `${seeds.through}`]
    : [seeds.join(",")];
  const { lines, errors, code, hung } = await runIn(folder, [
    "tests/mutants/hunt.ts",
    ...words,
  ]);
  const told: HuntLine[] = lines.map((line) => JSON.parse(line));
  const last = told.at(-1);
  if (last === undefined || last.type === "ready") {
    throw new BrokenMutantError(errors);
  }
  if (last.type === "clean") return undefined;
  const found = { hunter: "simulator", seeds: last.seed } as const;
  if (last.type === "seed") {
    // The process ended, or was ended, in the middle of this seed.
    const by = hung ? "hang" : "crash";
    const message = hung ? "the seed never ended" : `exit code ${code}`;
    return { ...found, by, message };
  }
  if (last.isBroken) throw new BrokenMutantError(last.message);
  return { ...found, by: last.by, message: last.message };
}

/** Checks the types of what may be patched: a mutant is to be a program. */
export async function checkTypes(folder: string): Promise<void> {
  for (
    const [config, entry] of [
      ["core.json", "src/core/mod.ts"],
      ["deno.json", "src/rsm/machine_runner.ts"],
    ]
  ) {
    const words = ["check", "--quiet", "--config", `${config}`];
    const ending = await collect(folder, [...words, `${entry}`]);
    if (ending.code !== 0) throw new BrokenMutantError(ending.errors);
  }
}

function runIn(folder: string, words: readonly string[]): Promise<Ending> {
  return collect(folder, [
    ...["run", "-A", "--no-check", "--config", "deno.json"],
    ...words,
  ]);
}

async function collect(
  folder: string,
  args: readonly string[],
): Promise<Ending> {
  const child = spawn(process.execPath, [...args], {
    cwd: folder,
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, NO_COLOR: "1" },
  });
  let hung = false;
  const hang = () => {
    hung = true;
    child.kill("SIGKILL");
  };
  let watchdog = setTimeout(hang, PATIENCE_MS);
  const lines: string[] = [];
  createInterface({ input: child.stdout }).on("line", (line) => {
    lines.push(line);
    clearTimeout(watchdog);
    watchdog = setTimeout(hang, PATIENCE_MS);
  });
  let errors = "";
  child.stderr.setEncoding("utf8").on("data", (text) => errors += text);
  try {
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", resolve);
    });
    return { lines, errors, code, hung };
  } finally {
    clearTimeout(watchdog);
  }
}

/** Whether a text of errors says that the sources could not be loaded. */
function isNoProgram(errors: string): boolean {
  return /SyntaxError|ReferenceError|The module's source code/.test(errors);
}

function lastLine(text: string): string {
  return text.trimEnd().split("\n").at(-1) ?? "";
}
