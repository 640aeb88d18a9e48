/**
 * Runs one set of test files on three runtimes: on Deno as they are, on Node
 * and Bun as bundles of themselves, which need no package.json, no
 * node_modules and no second import map.
 *
 * `deno run -A tests/tools/run_tests.ts [--runtime deno|node|bun] [word…]`:
 * a word keeps the test files whose path contains it.
 *
 * @module
 */
import { chooseConfig, type ConfigName } from "./choose_config.ts";
import { describeVerdict, failures, readVerdict } from "./test_report.ts";
import type { Runtime, Verdict } from "./test_report.ts";

const bunVersion = "1.4.5";
const reportFolder = "dist/reports";

/** A run that takes longer hangs; whole suites take about a minute. */
const patienceMs = 6 * 60_000;

/** A single test that takes longer hangs (Node and Bun can tell). */
const testPatienceMs = 2 * 60_000;

/** Tests of Deno's own tools; they mean nothing elsewhere. */
const denoOnly: readonly string[] = [
  "tests/architecture_test.ts",
  "tests/deno_only/",
];

interface Arguments {
  readonly runtimes: readonly Runtime[];
  readonly words: readonly string[];
}

interface Program {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

interface Setting {
  readonly config: ConfigName;
  /** Where this run's bundles are; runs beside each other share nothing. */
  readonly folder: string;
}

function parseArguments(args: readonly string[]): Arguments {
  const words: string[] = [];
  let runtimes: readonly Runtime[] = ["deno", "node", "bun"];
  for (let at = 0; at < args.length; at++) {
    const word = args[at] ?? "";
    if (word === "--runtime") {
      runtimes = [parseRuntime(args[++at])];
    } else if (word.startsWith("-")) {
      throw new TypeError(`Cannot run tests: unknown option "${word}"`);
    } else {
      words.push(word);
    }
  }
  return { runtimes, words };
}

function parseRuntime(word: string | undefined): Runtime {
  if (word === "deno" || word === "node" || word === "bun") return word;
  throw new TypeError(
    `Cannot run tests: the runtime is "${word}", not deno, node or bun`,
  );
}

async function* walk(folder: string): AsyncIterable<string> {
  for await (const entry of Deno.readDir(folder)) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory) yield* walk(path);
    else if (entry.name.endsWith("_test.ts")) yield path;
  }
}

async function findTests(words: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  for await (const path of walk("tests")) {
    const wanted = words.length === 0 ||
      words.some((word) => path.includes(word));
    if (wanted) found.push(path);
  }
  return found.sort();
}

function isPortable(path: string): boolean {
  return !denoOnly.some((prefix) => path.startsWith(prefix));
}

/** Where `deno bundle` puts a test file, all of them below `tests/`. */
function bundledPath(folder: string, path: string): string {
  return `${folder}/${path.slice("tests/".length, -".ts".length)}.js`;
}

async function bundleTests(
  { config, folder }: Setting,
  files: readonly string[],
): Promise<void> {
  // The anchor lies in tests/ itself: the bundler strips the folder that all
  // files share, and a choice of files might share a deeper one.
  await bundle([
    ...["--config", config, "--code-splitting", "--sourcemap=inline"],
    ...[`--outdir=${folder}`, "tests/tools/anchor.ts", ...files],
  ]);
  // Node decides by this file that .js means ES module.
  const manifest = `${folder}/package.json`;
  await Deno.writeTextFile(manifest, `{ "type": "module" }\n`);
}

async function bundle(args: readonly string[]): Promise<void> {
  const output = await new Deno.Command(Deno.execPath(), {
    args: ["bundle", "--quiet", "--platform=deno", ...args],
    stdin: "null",
  }).output();
  if (output.success) return;
  const text = new TextDecoder().decode(output.stderr);
  throw new Error(`Cannot bundle ${args.at(-1)}: ${text}`);
}

function serverBundle(folder: string): string {
  return `${folder}/kv.mjs`;
}

/** Without the bundle the tests of the server fail; the others still run. */
async function bundleServer(folder: string): Promise<void> {
  try {
    await bundle(["-o", serverBundle(folder), "examples/kv/main.ts"]);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
  }
}

/** The real executable: whoever kills npx leaves its child alive. */
async function findBun(): Promise<string> {
  const output = await new Deno.Command("npx", {
    args: ["-y", `bun@${bunVersion}`, "-e", "console.log(process.execPath)"],
    stdin: "null",
  }).output();
  const path = new TextDecoder().decode(output.stdout).trim();
  if (output.success && path !== "") return path;
  const text = new TextDecoder().decode(output.stderr);
  throw new Error(`Cannot run tests on Bun: npx does not supply it: ${text}`);
}

async function programFor(
  runtime: Runtime,
  { config, folder }: Setting,
  files: readonly string[],
): Promise<Program> {
  const bundled = files.map((path) => bundledPath(folder, path));
  // Tests of the KV server start it as processes of their own runtime: from
  // source on Deno, from this bundle elsewhere.
  const env = { BALSA_KV_ENTRY: serverBundle(folder) };
  switch (runtime) {
    case "deno":
      return {
        command: Deno.execPath(),
        args: [
          // Types are the business of the task check.
          ...["test", "-A", "--no-check", "--parallel", "--config", config],
          ...["--sanitize-ops", "--sanitize-resources", ...files],
        ],
      };
    case "node":
      return {
        command: "node",
        args: [
          ...["--enable-source-maps", "--test", "--test-reporter=spec"],
          `--test-timeout=${testPatienceMs}`,
          `--test-concurrency=${navigator.hardwareConcurrency}`,
          ...bundled,
        ],
        env,
      };
    case "bun":
      return {
        command: await findBun(),
        args: [
          ...["test", "--timeout", `${testPatienceMs}`],
          ...bundled.map((path) => `./${path}`),
        ],
        env,
      };
  }
}

async function run(
  runtime: Runtime,
  program: Program,
  showAll: boolean,
): Promise<Verdict> {
  const startedAtMs = performance.now();
  const child = spawn(program);
  const overdue = new AbortController();
  const timer = setTimeout(() => {
    overdue.abort();
    killGroup(child);
  }, patienceMs);
  const stop = () => {
    killGroup(child);
    Deno.exit(130);
  };
  Deno.addSignalListener("SIGINT", stop);
  Deno.addSignalListener("SIGTERM", stop);
  const [output, errors, status] = await Promise.all([
    collect(child.stdout, overdue.signal, showAll),
    collect(child.stderr, overdue.signal, showAll),
    child.status,
  ]);
  clearTimeout(timer);
  Deno.removeSignalListener("SIGINT", stop);
  Deno.removeSignalListener("SIGTERM", stop);
  const text = plain(`${output}\n${errors}`);
  const path = `${reportFolder}/${runtime}.log`;
  await Deno.mkdir(reportFolder, { recursive: true });
  await Deno.writeTextFile(path, text);
  const verdict = readVerdict(runtime, text, status.success);
  const seconds = (performance.now() - startedAtMs) / 1000;
  console.log(describeVerdict(verdict, seconds));
  if (overdue.signal.aborted) console.log("It hung and was killed.");
  if (!verdict.passed && !showAll) {
    console.log(`${failures(runtime, text)}\n(all of it in ${path})\n`);
  }
  return verdict;
}

function spawn(program: Program): Deno.ChildProcess {
  try {
    return new Deno.Command(program.command, {
      args: [...program.args],
      env: { NO_COLOR: "1", ...program.env },
      detached: true,
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
  } catch (cause) {
    const message = `Cannot run tests: ${program.command} is not on the PATH`;
    throw new Error(message, { cause });
  }
}

/** Ends the program and what it started: Node has a process per test file. */
function killGroup(child: Deno.ChildProcess): void {
  Deno.kill(-child.pid, "SIGKILL");
}

/** Reads until the end, or, if the program hangs, until it is given up. */
async function collect(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
  overdue: AbortSignal,
  showAll: boolean,
): Promise<string> {
  let text = "";
  const keep = new WritableStream<string>({
    async write(part) {
      text += part;
      if (showAll) await Deno.stdout.write(new TextEncoder().encode(part));
    },
  });
  await stream.pipeThrough(new TextDecoderStream())
    .pipeTo(keep, { signal: overdue })
    .catch((error) => {
      if (!overdue.aborted) throw error;
    });
  return text;
}

/** The text without terminal colours. */
function plain(text: string): string {
  // deno-lint-ignore no-control-regex -- escape sequences begin with one
  return text.replaceAll(/\x1b\[[0-9;]*m/g, "");
}

async function main(): Promise<number> {
  const { runtimes, words } = parseArguments(Deno.args);
  const [files, config] = await Promise.all([findTests(words), chooseConfig()]);
  const portable = files.filter(isPortable);
  if (files.length === 0) {
    throw new Error(`Cannot run tests: no file matches ${words.join(", ")}`);
  }
  console.log(
    `${files.length} test files (${portable.length} on Node and Bun), ` +
      `@std/assert by ${config}`,
  );
  const setting = { config, folder: `dist/tests-${Deno.pid}` };
  await Deno.mkdir(setting.folder, { recursive: true });
  try {
    if (portable.length > 0 && runtimes.some(isBundled)) {
      await bundleTests(setting, portable);
      await bundleServer(setting.folder);
    }
    const verdicts: Verdict[] = [];
    for (const runtime of runtimes) {
      const chosen = isBundled(runtime) ? portable : files;
      if (chosen.length === 0) continue;
      const program = await programFor(runtime, setting, chosen);
      verdicts.push(await run(runtime, program, words.length > 0));
    }
    return verdicts.every((verdict) => verdict.passed) ? 0 : 1;
  } finally {
    await Deno.remove(setting.folder, { recursive: true });
  }
}

function isBundled(runtime: Runtime): boolean {
  return runtime !== "deno";
}

try {
  Deno.exit(await main());
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  Deno.exit(1);
}
