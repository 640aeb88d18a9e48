/**
 * The program: a cluster on this machine, one member of a cluster, or a
 * client of one.
 *
 * @module
 */
import process from "node:process";
import { CLIENT_COMMANDS, runClient } from "./client.ts";
import { runCluster } from "./cluster.ts";
import { readClusterConfig, readServeConfig } from "./config.ts";
import { EXIT, type ExitCode, ExitError, messageOf } from "./exit.ts";
import {
  CLIENT_FLAGS,
  CLUSTER_FLAGS,
  describeFlags,
  parseFlags,
  SERVE_FLAGS,
  usage,
} from "./flags.ts";
import { type ProcessIo, processIo } from "./process_io.ts";
import { serve } from "./serve.ts";
import { ownArguments } from "./self.ts";

const HELP = `A replicated key-value store.

Usage:
  kv [flags]                    three members on this machine
  kv serve --id N --members …   one member
  kv get|put|delete|list|status a client

Three members (data, logs and ports on this machine only):
${describeFlags(CLUSTER_FLAGS)}

One member:
${describeFlags(SERVE_FLAGS)}

Clients: ${
  Object.entries(CLIENT_COMMANDS)
    .map(([name, takes]) => `${name} ${takes}`.trim()).join(", ")
}
${describeFlags(CLIENT_FLAGS)}

Every flag of a cluster or member can also come from the environment
(--http-port is BALSA_HTTP_PORT) or from the file of --config; a flag wins
over the environment, the environment over the file.

Exit codes: 0 stopped as asked; 1 failed while running; 2 wrong flags or
settings; 3 the data directory is in use, damaged or another member's;
4 an address cannot be listened on.`;

/** Runs the program with its arguments; returns the exit code. */
export async function main(
  args: readonly string[],
  io: ProcessIo,
): Promise<ExitCode> {
  const [command, rest] = splitCommand(args);
  if (command === "help") {
    io.out(HELP);
    return EXIT.ok;
  }
  const parsed = parseFlags(rest, flagsOf(command));
  if (parsed.help) {
    io.out(HELP);
    return EXIT.ok;
  }
  if (Object.hasOwn(CLIENT_COMMANDS, command)) {
    return await runClient(command, parsed, io);
  }
  const [surplus] = parsed.positionals;
  if (surplus !== undefined) {
    throw usage(`Cannot read the flags: "${surplus}" is no flag`);
  }
  const sources = { flags: parsed.flags, env: process.env };
  return command === "serve"
    ? await serve(readServeConfig(sources), io)
    : await runCluster(readClusterConfig(sources), io);
}

function splitCommand(args: readonly string[]): [string, readonly string[]] {
  const [first] = args;
  return first === undefined || first.startsWith("-")
    ? ["cluster", args]
    : [first, args.slice(1)];
}

function flagsOf(command: string) {
  if (command === "serve") return SERVE_FLAGS;
  if (command === "cluster") return CLUSTER_FLAGS;
  if (Object.hasOwn(CLIENT_COMMANDS, command)) return CLIENT_FLAGS;
  throw usage(
    `Cannot run "${command}": unknown command, wanted serve, ${
      Object.keys(CLIENT_COMMANDS).join(", ")
    } or none`,
  );
}

async function run(): Promise<ExitCode> {
  try {
    return await main(ownArguments(), processIo);
  } catch (error) {
    processIo.err(messageOf(error));
    if (!(error instanceof ExitError)) return EXIT.failed;
    if (error.exitCode === EXIT.usage) processIo.err("--help tells more");
    return error.exitCode;
  }
}

process.exit(await run());
