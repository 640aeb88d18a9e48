/**
 * Settings from flags, environment and file, checked: a flag wins over the
 * environment, the environment over the file, the file over the default.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { MemberAddress } from "@balsa/raft";
import * as z from "zod";
import { messageOf } from "./exit.ts";
import {
  CLUSTER_FLAGS,
  type FlagSpec,
  SERVE_FLAGS,
  usage,
  variableOf,
} from "./flags.ts";

/** Where to listen, or where somebody listens. */
export interface HostPort {
  /** A name or address, without brackets. */
  readonly host: string;
  readonly port: number;
}

/** How members talk to each other. */
export type TransportName = "tcp" | "http";

/** Settings that a member and the launcher share. */
export interface SharedConfig {
  readonly transport: TransportName;
  /** How long a request waits for a leader and a quorum. */
  readonly timeoutMs: number;
  readonly deployment: string;
  /** Whether the leader answers lease reads by itself. */
  readonly leaseReads: boolean;
  /** Entries after which a snapshot is taken. */
  readonly snapshotEntries: number;
  /** Entries that stay in the log below a snapshot. */
  readonly snapshotTrailing: number;
  /** Size of a full segment of the log. */
  readonly segmentBytes: number;
}

/** Settings of one member. */
export interface ServeConfig extends SharedConfig {
  readonly id: number;
  /** Every member, this one included, ascending by id. */
  readonly members: readonly MemberAddress[];
  /** Where to serve clients; port 0 for a free one. */
  readonly http: HostPort;
  /** What peers tell clients in redirects; `null` for where `http` listens. */
  readonly advertise: string | null;
  /** This member's Raft address, as `members` has it. */
  readonly raft: string;
  readonly data: string;
  /** Whether the group runs already, and will add this member. */
  readonly join: boolean;
  readonly exitWithStdin: boolean;
}

/** Settings of the launcher. */
export interface ClusterConfig extends SharedConfig {
  readonly data: string;
  readonly httpPort: number;
  readonly raftPort: number;
}

/** Where settings come from. */
export interface ConfigSources {
  readonly flags: ReadonlyMap<string, string>;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** Members the launcher starts. */
export const CLUSTER_SIZE = 3;

const LEAST_TIMEOUT_MS = 100;
const MOST_TIMEOUT_MS = 600_000;
const MAX_MEMBERS = 99;
const LEAST_SEGMENT_BYTES = 4 << 10;
const MOST_SEGMENT_BYTES = 1 << 30;

const HOST_PORT = /^(?:\[([0-9A-Fa-f:.]+)\]|([^\s:\[\]/]+)):(\d{1,5})$/;
const WANTED_HOST_PORT = "wanted HOST:PORT";
const WANTED_ID = "wanted a whole number of at least 1";
const WANTED_TIME =
  "wanted a time such as 5s or 500ms (a bare number counts milliseconds), from 100ms to 10m";
const WANTED_MEMBERS = "wanted ID=HOST:PORT,ID=HOST:PORT and so on";

const digits = z.string().regex(/^\d{1,15}$/).transform(Number);
const wholeNumber = z.union([z.int(), digits]);
const positiveSchema = wholeNumber.pipe(z.int().min(1));
const trailingSchema = wholeNumber.pipe(z.int().min(0));
const segmentSchema = wholeNumber.pipe(
  z.int().min(LEAST_SEGMENT_BYTES).max(MOST_SEGMENT_BYTES),
);
const idSchema = wholeNumber.pipe(z.int().min(1));
const memberIdSchema = digits.pipe(z.int().min(1));
const portSchema = wholeNumber.pipe(z.int().min(1).max(65_535));
const nameSchema = z.string().regex(/^[\x21-\x7e]{1,200}$/);
const pathSchema = z.string().min(1).max(4096);
const transportSchema = z.enum(["tcp", "http"]);
const switchSchema = z.union([
  z.boolean(),
  z.enum(["true", "false"]).transform((word) => word === "true"),
]);

const hostPortSchema = z.string().transform((text, context) => {
  const parsed = parseHostPort(text);
  if (parsed !== undefined) return parsed;
  context.issues.push({ code: "custom", message: "shape", input: text });
  return z.NEVER;
});

/** Where a member is reached, as members compare it. */
export const peerSchema: z.ZodType<string, string> = hostPortSchema
  .refine(({ port }) => port > 0)
  .transform(formatHostPort);

const timeSchema = z.union([
  z.number(),
  z.string().regex(/^\d{1,9}(ms|s|m)?$/).transform(parseTime),
]).pipe(z.int().min(LEAST_TIMEOUT_MS).max(MOST_TIMEOUT_MS));

const membersSchema = z.union([
  z.record(z.string(), z.string()).transform((record) =>
    Object.entries(record)
  ),
  z.string().transform((text) =>
    text.split(",").map((item): [string, string] => {
      const equals = item.indexOf("=");
      return [item.slice(0, Math.max(equals, 0)), item.slice(equals + 1)];
    })
  ),
]).pipe(
  z.array(z.tuple([memberIdSchema, peerSchema])).min(1).max(MAX_MEMBERS)
    .transform((pairs) =>
      pairs.map(([id, address]): MemberAddress => ({ id, address }))
        .sort((a, b) => a.id - b.id)
    ),
);

/**
 * Reads `host:port`, `[v6]:port`; `undefined` if it is neither.
 */
export function parseHostPort(text: string): HostPort | undefined {
  const match = HOST_PORT.exec(text);
  if (match === null) return undefined;
  const port = Number(match[3]);
  if (port > 65_535) return undefined;
  return { host: match[1] ?? match[2] ?? "", port };
}

/** The inverse of {@linkcode parseHostPort}. */
export function formatHostPort({ host, port }: HostPort): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/**
 * The settings of one member.
 *
 * @throws {ExitError} Code 2, naming the setting and where it came from.
 */
export function readServeConfig(sources: ConfigSources): ServeConfig {
  const settings = new Settings(SERVE_FLAGS, sources);
  const id = settings.required("id", idSchema, WANTED_ID);
  const members = settings.required("members", membersSchema, WANTED_MEMBERS);
  checkMembers(members, id);
  const own = members.find((member) => member.id === id)?.address ?? "";
  const raft = settings.read("raft", peerSchema, WANTED_HOST_PORT) ?? own;
  if (raft !== own) {
    throw usage(
      `Cannot use --raft: it is "${raft}", but --members reaches member ${id} at "${own}"`,
    );
  }
  const fallback = { host: "127.0.0.1", port: 8000 + id };
  return {
    ...readShared(settings),
    id,
    members,
    raft,
    http: settings.read("http", hostPortSchema, WANTED_HOST_PORT) ?? fallback,
    advertise: settings.read("advertise", peerSchema, WANTED_HOST_PORT) ?? null,
    data: settings.read("data", pathSchema, "wanted a directory") ??
      join("data", `member-${id}`),
    join: settings.read("join", switchSchema, "wanted true or false") ?? false,
    exitWithStdin: settings.read(
      "exit-with-stdin",
      switchSchema,
      "wanted true or false",
    ) ?? false,
  };
}

/**
 * The settings of the launcher.
 *
 * @throws {ExitError} Code 2, naming the setting and where it came from.
 */
export function readClusterConfig(sources: ConfigSources): ClusterConfig {
  const settings = new Settings(CLUSTER_FLAGS, sources);
  const highest = 65_535 - CLUSTER_SIZE + 1;
  const base = portSchema.pipe(z.int().max(highest));
  const wanted = `wanted a port from 1 to ${highest}`;
  const config: ClusterConfig = {
    ...readShared(settings),
    data: settings.read("data", pathSchema, "wanted a directory") ?? "data",
    httpPort: settings.read("http-port", base, wanted) ?? 8001,
    raftPort: settings.read("raft-port", base, wanted) ?? 9001,
  };
  if (Math.abs(config.httpPort - config.raftPort) < CLUSTER_SIZE) {
    throw usage(
      `Cannot use --http-port ${config.httpPort} with --raft-port ${config.raftPort}: each needs ${CLUSTER_SIZE} ports of its own`,
    );
  }
  return config;
}

function readShared(settings: Settings): SharedConfig {
  return {
    transport: settings.read(
      "transport",
      transportSchema,
      "wanted tcp or http",
    ) ?? "tcp",
    timeoutMs: settings.read("timeout", timeSchema, WANTED_TIME) ?? 5_000,
    deployment: settings.read(
      "deployment",
      nameSchema,
      "wanted 1 to 200 visible ASCII characters",
    ) ?? "kv",
    leaseReads: settings.read(
      "lease-reads",
      switchSchema,
      "wanted true or false",
    ) ?? false,
    snapshotEntries: settings.read(
      "snapshot-entries",
      positiveSchema,
      WANTED_ID,
    ) ?? 100_000,
    snapshotTrailing: settings.read(
      "snapshot-trailing",
      trailingSchema,
      "wanted a whole number of at least 0",
    ) ?? 10_000,
    segmentBytes: settings.read(
      "segment-bytes",
      segmentSchema,
      `wanted a whole number from ${LEAST_SEGMENT_BYTES} to ${MOST_SEGMENT_BYTES}`,
    ) ?? 64 << 20,
  };
}

function checkMembers(members: readonly MemberAddress[], id: number): void {
  for (const [i, member] of members.entries()) {
    if (members[i + 1]?.id === member.id) {
      throw usage(`Cannot use --members: id ${member.id} is there twice`);
    }
    const twin = members.find((other) =>
      other !== member && other.address === member.address
    );
    if (twin !== undefined) {
      throw usage(
        `Cannot use --members: members ${member.id} and ${twin.id} share the address "${member.address}"`,
      );
    }
  }
  if (!members.some((member) => member.id === id)) {
    throw usage(
      `Cannot use --members: this member, --id ${id}, is not among them`,
    );
  }
}

/** Looks settings up by precedence and remembers where each came from. */
class Settings {
  readonly #specs: readonly FlagSpec[];
  readonly #sources: ConfigSources;
  readonly #file: ReadonlyMap<string, unknown>;
  readonly #path: string;

  constructor(specs: readonly FlagSpec[], sources: ConfigSources) {
    this.#specs = specs;
    this.#sources = sources;
    this.#path = sources.flags.get("config") ||
      sources.env[variableOf("config")] || "";
    this.#file = this.#path === "" ? new Map() : readConfigFile(this.#path);
    for (const name of this.#file.keys()) this.#checkKnown(name);
  }

  read<T>(name: string, schema: z.ZodType<T>, wanted: string): T | undefined {
    const found = this.#find(name);
    if (found === undefined) return undefined;
    const parsed = schema.safeParse(found.value);
    if (parsed.success) return parsed.data;
    throw usage(
      `Cannot use --${name}${found.from}: it is ${
        JSON.stringify(found.value)
      }, ${wanted}`,
    );
  }

  required<T>(name: string, schema: z.ZodType<T>, wanted: string): T {
    const value = this.read(name, schema, wanted);
    if (value !== undefined) return value;
    throw usage(
      `Cannot start: --${name} is missing (also ${
        variableOf(name)
      }, or "${name}" in the file of --config)`,
    );
  }

  #find(name: string): { value: unknown; from: string } | undefined {
    const flag = this.#sources.flags.get(name);
    if (flag !== undefined) return { value: flag, from: "" };
    const variable = variableOf(name);
    const value = this.#sources.env[variable];
    // An empty variable counts as unset: shells and containers make them.
    if (value !== undefined && value !== "") {
      return { value, from: ` from ${variable}` };
    }
    return this.#file.has(name)
      ? { value: this.#file.get(name), from: ` from ${this.#path}` }
      : undefined;
  }

  #checkKnown(name: string): void {
    if (name !== "config" && this.#specs.some((spec) => spec.name === name)) {
      return;
    }
    throw usage(
      `Cannot use the configuration file ${this.#path}: unknown setting "${name}"`,
    );
  }
}

function readConfigFile(path: string): ReadonlyMap<string, unknown> {
  try {
    const parsed: unknown = JSON.parse(readFileSync(path, "utf8"));
    if (
      typeof parsed === "object" && parsed !== null && !Array.isArray(parsed)
    ) {
      return new Map(Object.entries(parsed));
    }
  } catch (error) {
    throw usage(
      `Cannot read the configuration file ${path}: ${messageOf(error)}`,
    );
  }
  throw usage(
    `Cannot read the configuration file ${path}: wanted one JSON object`,
  );
}

function parseTime(text: string): number {
  const amount = Number.parseInt(text, 10);
  if (text.endsWith("ms")) return amount;
  if (text.endsWith("s")) return amount * 1_000;
  return text.endsWith("m") ? amount * 60_000 : amount;
}
