/**
 * `deno task chaos`: real processes, killed and started again under load.
 * Ends with 0 if nothing was lost, doubled or late, else with 1.
 *
 * @module
 */
import { parseArgs } from "node:util";
import process from "node:process";
import { describeReport, runChaos } from "./chaos.ts";
import { buildProgram, isForm } from "./program.ts";

const USAGE = `deno task chaos [--runtime deno|bun|node|exe]
  [--transport tcp|http] [--logs small|large] [--seconds N] [--seed N]
  [--clients N]
  [--leader-kills N] [--follower-kills N] [--full-kills N] [--calms N]`;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      runtime: { type: "string", default: "deno" },
      transport: { type: "string", default: "tcp" },
      logs: { type: "string" },
      seconds: { type: "string", default: "180" },
      seed: { type: "string", default: `${Date.now() % 1_000_000}` },
      clients: { type: "string", default: "8" },
      "leader-kills": { type: "string", default: "10" },
      "follower-kills": { type: "string", default: "10" },
      "full-kills": { type: "string", default: "3" },
      calms: { type: "string", default: "2" },
      help: { type: "boolean", default: false },
    },
  });
  const { runtime, transport } = values;
  if (
    values.help || !isForm(runtime) ||
    (transport !== "tcp" && transport !== "http") ||
    !["small", "large", undefined].includes(values.logs)
  ) {
    console.error(USAGE);
    return values.help ? 0 : 2;
  }
  const seed = count(values.seed, "seed");
  // Every other seed has members that cut their logs all the time.
  const logs = values.logs ?? (seed % 2 === 0 ? "small" : "large");
  const seconds = count(values.seconds, "seconds");
  const ended = new AbortController();
  const abort = (why: string) => ended.abort(new Error(why));
  const timer = setTimeout(
    () => abort(`Cannot finish within ${seconds} s`),
    seconds * 1_000,
  );
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.on(signal, () => abort(`Cannot finish: ${signal}`));
  }
  const start = performance.now();
  console.log(`runtime ${runtime}, transport ${transport}, ${logs} logs`);
  const report = await runChaos({
    program: buildProgram(runtime),
    transport,
    hasSmallLogs: logs === "small",
    seed,
    clients: count(values.clients, "clients"),
    leaderKills: count(values["leader-kills"], "leader-kills"),
    followerKills: count(values["follower-kills"], "follower-kills"),
    fullKills: count(values["full-kills"], "full-kills"),
    calms: count(values.calms, "calms"),
    report: (line) => console.log(line),
    signal: ended.signal,
  });
  clearTimeout(timer);
  for (const violation of report.violations.slice(0, 50)) {
    console.error(`violation: ${violation}`);
  }
  const took = ((performance.now() - start) / 1_000).toFixed(0);
  console.log(
    `chaos ${runtime} ${transport} ${describeReport(report)}, ${took} s`,
  );
  return report.violations.length === 0 ? 0 : 1;
}

function count(text: string, name: string): number {
  const value = Number(text);
  if (/^\d{1,9}$/.test(text)) return value;
  throw new Error(`Cannot use --${name}: it is "${text}", wanted a number`);
}

try {
  process.exit(await main());
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exit(1);
}
