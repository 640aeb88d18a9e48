/**
 * Command-line flags: what each command takes, and how arguments are split.
 * Meaning and range are checked later, by `config.ts`.
 *
 * @module
 */
import { EXIT, ExitError } from "./exit.ts";

/** One setting, reachable by flag, environment and file. */
export interface FlagSpec {
  /** Name after `--`; the file's key, and `BALSA_<NAME>` in the environment. */
  readonly name: string;
  /** What the help calls its value; absent for an on/off flag. */
  readonly value?: string | undefined;
  /** One line for the help. */
  readonly help: string;
}

/** Arguments taken apart, unchecked. */
export interface ParsedFlags {
  /** By flag name; `"true"` for an on/off flag. */
  readonly flags: ReadonlyMap<string, string>;
  /** What is not a flag, in order. */
  readonly positionals: readonly string[];
  /** Whether `--help` or `-h` was among the arguments. */
  readonly help: boolean;
}

const SHARED: readonly FlagSpec[] = [
  {
    name: "transport",
    value: "tcp|http",
    help: "how members talk to each other (tcp)",
  },
  {
    name: "timeout",
    value: "TIME",
    help: "how long a request waits for a leader and a quorum: 5s, 500ms (5s)",
  },
  {
    name: "deployment",
    value: "NAME",
    help: "keeps foreign clusters apart (kv)",
  },
  {
    name: "lease-reads",
    help: "answer lease reads without asking others; the same on all members",
  },
  {
    name: "snapshot-entries",
    value: "N",
    help: "take a snapshot after so many entries (100000)",
  },
  {
    name: "snapshot-trailing",
    value: "N",
    help: "keep so many entries below a snapshot, for followers (10000)",
  },
  {
    name: "segment-bytes",
    value: "N",
    help: "size of a full file of the log (67108864)",
  },
  {
    name: "config",
    value: "FILE",
    help: "a JSON file with any of these settings, named as the flags are",
  },
];

/** Flags of `serve`: one member. */
export const SERVE_FLAGS: readonly FlagSpec[] = [
  { name: "id", value: "N", help: "which member this is, at least 1" },
  {
    name: "members",
    value: "N=HOST:PORT,…",
    help: "every member's id and Raft address, this one's included",
  },
  {
    name: "http",
    value: "HOST:PORT",
    help: "where to serve clients; port 0 takes a free one (127.0.0.1:8000+N)",
  },
  {
    name: "raft",
    value: "HOST:PORT",
    help: "where to serve members (as --members says)",
  },
  {
    name: "advertise",
    value: "HOST:PORT",
    help: "where clients reach --http, told in redirects (as --http)",
  },
  {
    name: "data",
    value: "DIR",
    help: "this member's own directory, made if missing (data/member-N)",
  },
  {
    name: "join",
    help: "join a group that runs; --members then names this member alone",
  },
  ...SHARED,
  {
    name: "exit-with-stdin",
    help: "stop when standard input ends, so that no orphan is left",
  },
];

/** Flags of the launcher: three members on this machine. */
export const CLUSTER_FLAGS: readonly FlagSpec[] = [
  { name: "data", value: "DIR", help: "holds a directory per member (data)" },
  {
    name: "http-port",
    value: "PORT",
    help: "HTTP port of member 1; the others follow (8001)",
  },
  {
    name: "raft-port",
    value: "PORT",
    help: "Raft port of member 1; the others follow (9001)",
  },
  ...SHARED,
];

/** Flags of the client commands. */
export const CLIENT_FLAGS: readonly FlagSpec[] = [
  {
    name: "endpoint",
    value: "HOST:PORT",
    help: "the member to ask (127.0.0.1:8001)",
  },
  {
    name: "consistency",
    value: "linearizable|lease|stale",
    help: "for get and list (linearizable)",
  },
];

/** The environment variable of a flag: `--http-port` is `BALSA_HTTP_PORT`. */
export function variableOf(flag: string): string {
  return `BALSA_${flag.toUpperCase().replaceAll("-", "_")}`;
}

/**
 * Splits arguments into flags and positionals. Takes `--name value` and
 * `--name=value`; everything after `--` is positional.
 *
 * @throws {ExitError} Code 2, if a flag is unknown, given twice, or lacks its
 * value.
 */
export function parseFlags(
  args: readonly string[],
  specs: readonly FlagSpec[],
): ParsedFlags {
  const flags = new Map<string, string>();
  const positionals: string[] = [];
  let help = false;
  for (let i = 0; i < args.length; i += 1) {
    const arg = args[i] ?? "";
    if (arg === "--") {
      positionals.push(...args.slice(i + 1));
      break;
    }
    if (arg === "--help" || arg === "-h") {
      help = true;
      continue;
    }
    if (!arg.startsWith("-") || arg === "-") {
      positionals.push(arg);
      continue;
    }
    const equals = arg.indexOf("=");
    const name = equals < 0 ? arg : arg.slice(0, equals);
    const spec = specFor(name, specs);
    if (flags.has(spec.name)) {
      throw usage(`Cannot read the flags: ${name} is given twice`);
    }
    if (equals >= 0) {
      flags.set(spec.name, arg.slice(equals + 1));
    } else if (spec.value === undefined) {
      flags.set(spec.name, "true");
    } else {
      flags.set(spec.name, valueAfter(args, i, name));
      i += 1;
    }
  }
  return { flags, positionals, help };
}

/** An {@linkcode ExitError} for wrong usage. */
export function usage(message: string): ExitError {
  return new ExitError(EXIT.usage, message);
}

/** The flags as help text, one a line. */
export function describeFlags(specs: readonly FlagSpec[]): string {
  const heads = specs.map((spec) =>
    spec.value === undefined ? `--${spec.name}` : `--${spec.name} ${spec.value}`
  );
  const width = Math.max(...heads.map((head) => head.length));
  return specs
    .map((spec, i) => `  ${(heads[i] ?? "").padEnd(width)}  ${spec.help}`)
    .join("\n");
}

function specFor(name: string, specs: readonly FlagSpec[]): FlagSpec {
  const spec = specs.find((each) => `--${each.name}` === name);
  if (spec === undefined) {
    throw usage(`Cannot read the flags: unknown flag ${name}`);
  }
  return spec;
}

function valueAfter(
  args: readonly string[],
  at: number,
  name: string,
): string {
  const value = args[at + 1];
  if (value === undefined || value.startsWith("--")) {
    throw usage(`Cannot read the flags: ${name} lacks its value`);
  }
  return value;
}
