/**
 * The commands by their names.
 *
 * @module
 */
import { Arguments, type FlagSpecs } from "./arguments.ts";
import { runBackup, runRestore, runVerifyBackup } from "./backups.ts";
import { runForce, runRepair } from "./change.ts";
import {
  describeError,
  EXIT,
  type ExitCode,
  exitCodeOf,
  messageOf,
  type ToolIo,
  UsageError,
} from "./io.ts";
import { runDump, runInspect, runVerify } from "./look.ts";

/** One command. */
interface Command {
  readonly takes: readonly string[];
  readonly flags: FlagSpecs;
  readonly help: string;
  readonly run: (args: Arguments, io: ToolIo) => Promise<ExitCode>;
}

const TEXT = { type: "string" } as const;
const TEXTS = { type: "string", multiple: true } as const;
const SWITCH = { type: "boolean" } as const;

const COMMANDS: Readonly<Record<string, Command>> = {
  inspect: {
    takes: ["DIR"],
    flags: {},
    help: "inspect DIR\n    what a data directory holds",
    run: runInspect,
  },
  verify: {
    takes: ["DIR"],
    flags: {},
    help: "verify DIR\n    check every checksum, list what is damaged",
    run: runVerify,
  },
  dump: {
    takes: ["DIR"],
    flags: { group: TEXT, from: TEXT, to: TEXT },
    help:
      "dump DIR --group G [--from INDEX] [--to INDEX]\n    entries as lines of JSON",
    run: runDump,
  },
  repair: {
    takes: ["DIR"],
    flags: { yes: SWITCH },
    help: "repair DIR [--yes]\n    leave out what is damaged and all behind it",
    run: runRepair,
  },
  backup: {
    takes: ["URL", "FILE"],
    flags: { stale: SWITCH },
    help:
      "backup URL FILE [--stale]\n    fetch a backup from a running member, http://HOST:PORT",
    run: runBackup,
  },
  "verify-backup": {
    takes: ["FILE"],
    flags: {},
    help: "verify-backup FILE\n    check everything in a backup",
    run: runVerifyBackup,
  },
  restore: {
    takes: ["FILE"],
    flags: {
      data: TEXT,
      deployment: TEXT,
      group: TEXT,
      node: TEXT,
      address: TEXT,
      members: TEXT,
      "same-deployment": SWITCH,
    },
    help:
      "restore FILE --data DIR --deployment NAME --node N\n    (--address HOST:PORT | --members N=HOST:PORT,…) [--group G]\n    [--same-deployment]\n    begin a new cluster with the state of a backup",
    run: runRestore,
  },
  "force-new-cluster": {
    takes: ["DIR"],
    flags: {
      group: TEXTS,
      node: TEXTS,
      address: TEXTS,
      deployment: TEXT,
      other: TEXTS,
      yes: SWITCH,
    },
    help:
      "force-new-cluster DIR --group G --node N --deployment NAME\n    [--address HOST:PORT] [--other DIR]… [--yes]\n    make a cluster of its own of the only survivor",
    run: runForce,
  },
};

const HELP = `Tools for data directories and backups.

${Object.values(COMMANDS).map(({ help }) => `  balsa ${help}`).join("\n")}

All take --json, for output that programs read; a failure is an object with
the one field "error" then. Exit codes: 0 done, nothing
is wrong; 1 damage was found, or it failed; 2 wrong use; 3 refused, nothing
was changed (without --yes too).`;

/** Runs a command line; returns the exit code. Never throws. */
export async function run(
  args: readonly string[],
  io: ToolIo,
): Promise<ExitCode> {
  const [name = "help", ...rest] = args;
  try {
    const isHelp = name === "help" || args.includes("--help") ||
      args.includes("-h");
    if (isHelp) {
      await io.out(HELP);
      return EXIT.ok;
    }
    const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
    if (command === undefined) {
      throw new UsageError(
        `Cannot run "${name}": unknown command, wanted ${
          Object.keys(COMMANDS).join(", ")
        }`,
      );
    }
    return await command.run(new Arguments(name, rest, command), io);
  } catch (error) {
    const message = messageOf(name, error);
    io.err(message);
    if (error instanceof UsageError) io.err("--help tells more");
    if (args.includes("--json")) {
      await io.out(JSON.stringify(describeError(error, message)));
    }
    return exitCodeOf(error);
  }
}
