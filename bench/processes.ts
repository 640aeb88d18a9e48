/**
 * The processes of a benchmark: on which runtime they run, how they say what
 * they have to say, and that none is left behind.
 *
 * @module
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

/** A runtime that Balsa runs on. */
export type RuntimeName = "deno" | "bun" | "node";

/** What can be started: the benchmarks, or the key-value server. */
export type ProgramName = "bench" | "kv";

/** How to start programs on a runtime. */
export interface Runtime {
  readonly name: RuntimeName;
  readonly version: string;
  readonly command: string;
  /** What to put before the program's own arguments. */
  readonly programs: Readonly<Record<ProgramName, readonly string[]>>;
}

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const SOURCES: Readonly<Record<ProgramName, string>> = {
  bench: join(ROOT, "bench/entry.ts"),
  kv: join(ROOT, "examples/kv/main.ts"),
};
const BUN = "bun@1.4.5";

const run = promisify(execFile);

/**
 * Finds a runtime, and bundles the programs into `directory` if it does not
 * run TypeScript sources.
 */
export async function prepareRuntime(
  name: RuntimeName,
  directory: string,
): Promise<Runtime> {
  if (name === "deno") return denoRuntime();
  const command = name === "node" ? "node" : await findBun();
  const { stdout } = await run(command, ["--version"]);
  return {
    name,
    version: stdout.trim().replace(/^v/, ""),
    command,
    programs: {
      bench: [await bundle("bench", directory)],
      kv: [await bundle("kv", directory)],
    },
  };
}

/** The runtime of this process. */
export function denoRuntime(): Runtime {
  const sources = (name: ProgramName) => ["run", "-A", SOURCES[name]];
  return {
    name: "deno",
    version: process.versions["deno"] ?? "unknown",
    command: process.execPath,
    programs: { bench: sources("bench"), kv: sources("kv") },
  };
}

/** The executable itself: a wrapper's process id would measure the wrapper. */
async function findBun(): Promise<string> {
  const script = "console.log(process.execPath)";
  const { stdout } = await run("npx", ["-y", BUN, "-e", script]);
  return stdout.trim();
}

async function bundle(name: ProgramName, directory: string): Promise<string> {
  const output = join(directory, `${name}.mjs`);
  await run(process.execPath, [
    "bundle",
    "--quiet",
    "--platform=deno",
    "-o",
    output,
    SOURCES[name],
  ], { cwd: ROOT });
  return output;
}

/** Last lines of a process's standard error that are kept. */
const MAX_KEPT_LINES = 20;

/** A process that was started, and the lines it prints. */
export class Child {
  readonly #process: ChildProcess;
  readonly #name: string;
  /** What it said on standard error lately; shown only if it fails. */
  readonly #errors: string[] = [];
  readonly #lines: AsyncIterator<string>;
  readonly #exited: Promise<void>;

  /** Starts a program. */
  constructor(
    runtime: Runtime,
    program: ProgramName,
    args: readonly string[],
  ) {
    const all = [...runtime.programs[program], ...args];
    this.#name = `${program} ${args[0] ?? ""} on ${runtime.name}`;
    const child = spawn(runtime.command, all, { cwd: ROOT });
    child.stdin.end();
    this.#process = child;
    children.add(child);
    this.#exited = new Promise((resolve) => {
      child.once("close", () => {
        children.delete(child);
        resolve();
      });
    });
    const lines = createInterface({ input: child.stdout });
    this.#lines = lines[Symbol.asyncIterator]();
    createInterface({ input: child.stderr }).on("line", (line) => {
      this.#errors.push(line);
      if (this.#errors.length > MAX_KEPT_LINES) this.#errors.shift();
    });
  }

  /** Process id, by which its processor time is found. */
  get pid(): number {
    return this.#process.pid ?? this.#fail("it has no process id");
  }

  /** The rest of the first line to come that starts with a word. */
  async line(word: string): Promise<string> {
    for (;;) {
      const { value, done } = await this.#lines.next();
      if (done) return this.#fail(`it ended without a line "${word}"`);
      if (value.startsWith(`${word} `)) return value.slice(word.length + 1);
    }
  }

  /** Ends the process, gently first, and waits for that. */
  async stop(): Promise<void> {
    this.#process.kill("SIGTERM");
    const timer = setTimeout(() => this.#process.kill("SIGKILL"), 5_000);
    await this.#exited;
    clearTimeout(timer);
  }

  #fail(problem: string): never {
    const said = this.#errors.map((line) => `\n  ${line}`).join("");
    throw new Error(`Cannot run ${this.#name}: ${problem}${said}`);
  }
}

const children = new Set<ChildProcess>();

/** Ends every process that was started and still runs. */
export function killAll(): void {
  for (const child of children) child.kill("SIGKILL");
}

/** Runs a command of the benchmarks' entry to its end, for its result. */
export async function runBench(
  runtime: Runtime,
  command: string,
  options: unknown,
): Promise<unknown> {
  const child = startBench(runtime, command, options);
  const result = await child.line("result");
  await child.stop();
  return JSON.parse(result);
}

/** Starts a command of the benchmarks' entry. */
export function startBench(
  runtime: Runtime,
  command: string,
  options: unknown,
): Child {
  return new Child(runtime, "bench", [command, JSON.stringify(options)]);
}
