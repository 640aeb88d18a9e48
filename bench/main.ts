/**
 * `deno task bench`: measures the core, the hosts and the key-value server,
 * each beside a yardstick in the same run.
 *
 * ```text
 * deno task bench [--runtime deno|bun|node] [--quick] [--only PART,…]
 *                 [--clients N,…] [--rounds N] [--seconds N] [--data DIR]
 * ```
 *
 * @module
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import * as z from "zod";
import { type HttpFigures, measureHttp, SUBJECTS } from "./http.ts";
import { describeMachine } from "./machine.ts";
import {
  killAll,
  prepareRuntime,
  runBench,
  type Runtime,
} from "./processes.ts";
import { dropIndexFiles } from "./openings.ts";
import { measureSnapshots } from "./snapshots.ts";
import {
  format,
  formatRatio,
  formatSpread,
  type Spread,
  table,
} from "./stats.ts";
import { freePorts } from "./subjects.ts";

const PARTS = ["core", "hosts", "storage", "http"] as const;

const list = z.string().transform((text) => text.split(","));
const settings = z.object({
  runtime: z.enum(["deno", "bun", "node"]).default("deno"),
  quick: z.boolean().optional(),
  only: list.pipe(z.array(z.enum(PARTS))).default([...PARTS]),
  clients: list.transform((words) => words.map(Number))
    .pipe(z.array(z.int().min(1).max(9_999))).default([1, 16, 64, 256]),
  rounds: z.coerce.number().int().min(1).max(300).optional(),
  seconds: z.coerce.number().positive().optional(),
  data: z.string().default(tmpdir()),
});
type Settings = z.infer<typeof settings>;

/** Bytes of the appends by which the disk is judged. */
const DISK_BYTES = 4_096;

function readSettings(): Settings {
  const { values } = parseArgs({
    options: {
      runtime: { type: "string" },
      quick: { type: "boolean" },
      only: { type: "string" },
      clients: { type: "string" },
      rounds: { type: "string" },
      seconds: { type: "string" },
      data: { type: "string" },
    },
  });
  return settings.parse(values);
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

async function main(settings: Settings): Promise<void> {
  const directory = await mkdtemp(join(settings.data, "balsa-bench-"));
  try {
    const runtime = await prepareRuntime(settings.runtime, directory);
    print(await describeMachine(runtime, directory));
    if (settings.only.includes("core")) {
      await benchCore(settings, runtime);
      await benchIdle(settings, runtime);
    }
    if (settings.only.includes("hosts")) await benchHosts(settings, runtime);
    if (settings.only.includes("storage")) {
      await benchAppends(settings, runtime, directory);
      await benchEngines(settings, runtime, directory);
      await benchOpenings(settings, runtime, directory);
      await benchSnapshots(settings, runtime, directory);
    }
    if (settings.only.includes("http")) {
      await benchDisk(settings, runtime, directory);
      await benchHttp(settings, runtime, directory);
    }
  } finally {
    killAll();
    await rm(directory, { recursive: true, force: true });
  }
}

const coreFigures = z.array(z.object({
  batch: z.number(),
  proposalsPerSecond: z.number(),
  nullProposalsPerSecond: z.number(),
}));

async function benchCore(settings: Settings, runtime: Runtime): Promise<void> {
  const seconds = settings.seconds ?? (settings.quick ? 1 : 5);
  const result = await runBench(runtime, "core", { seconds });
  print("\nThree cores in memory, 256-byte proposals:\n");
  print(table(
    ["batch", "proposals/s", "without protocol", "ratio"],
    coreFigures.parse(result).map((figures) => [
      String(figures.batch),
      format(figures.proposalsPerSecond),
      format(figures.nullProposalsPerSecond),
      formatRatio(figures.proposalsPerSecond, figures.nullProposalsPerSecond),
    ]),
  ));
}

const idleFigures = z.array(z.object({
  state: z.string(),
  groups: z.number(),
  messagesPerTick: z.number(),
  msPerTick: z.number(),
  nullMsPerTick: z.number(),
}));

async function benchIdle(settings: Settings, runtime: Runtime): Promise<void> {
  const seconds = settings.seconds ?? (settings.quick ? 1 : 5);
  const result = await runBench(runtime, "idle", { seconds });
  print("\nGroups of three cores that have nothing to do, in memory:\n");
  print(table(
    [
      "groups",
      "state",
      "messages/tick",
      "ms/tick",
      "us/tick of a group",
      "messages alone, ms",
    ],
    idleFigures.parse(result).map((figures) => [
      String(figures.groups),
      figures.state,
      String(figures.messagesPerTick),
      format(figures.msPerTick),
      format(1_000 * figures.msPerTick / figures.groups),
      figures.messagesPerTick > 0 ? format(figures.nullMsPerTick) : "none",
    ]),
  ));
}

const hostFigures = z.array(z.object({
  inFlight: z.number(),
  commitsPerSecond: z.number(),
  nullCommitsPerSecond: z.number(),
}));

async function benchHosts(settings: Settings, runtime: Runtime): Promise<void> {
  const seconds = settings.seconds ?? (settings.quick ? 1 : 5);
  const result = await runBench(runtime, "hosts", { seconds });
  print("\nThree hosts in one process, storage and network in memory:\n");
  print(table(
    ["in flight", "commits/s", "bare turns", "ratio"],
    hostFigures.parse(result).map((figures) => [
      String(figures.inFlight),
      format(figures.commitsPerSecond),
      format(figures.nullCommitsPerSecond),
      formatRatio(figures.commitsPerSecond, figures.nullCommitsPerSecond),
    ]),
  ));
}

const appendFigures = z.array(z.object({
  what: z.string(),
  writers: z.number(),
  bytes: z.number(),
  appendsPerSecond: z.number(),
  rawPerSecond: z.number(),
  sequentialPerSecond: z.number(),
}));

async function benchAppends(
  settings: Settings,
  runtime: Runtime,
  directory: string,
): Promise<void> {
  const seconds = settings.seconds ?? (settings.quick ? 3 : 15);
  const result = await runBench(runtime, "appends", { directory, seconds });
  print("\nDurable appends to the write-ahead log:\n");
  print(table(
    ["append", "writers", "a second", "MiB/s", "of rewriting", "of new files"],
    appendFigures.parse(result).map((figures) => [
      figures.what,
      String(figures.writers),
      format(figures.appendsPerSecond),
      format(figures.appendsPerSecond * figures.bytes / (1 << 20)),
      formatRatio(figures.appendsPerSecond, figures.rawPerSecond),
      formatRatio(figures.appendsPerSecond, figures.sequentialPerSecond),
    ]),
  ));
}

const engineFigures = z.array(z.object({
  engine: z.string(),
  what: z.string(),
  writers: z.number(),
  entries: z.number(),
  writesPerSecond: z.number(),
  commitsPerSecond: z.number(),
}));

async function benchEngines(
  settings: Settings,
  runtime: Runtime,
  directory: string,
): Promise<void> {
  const seconds = settings.seconds ?? (settings.quick ? 3 : 15);
  const result = await runBench(runtime, "engines", { directory, seconds });
  const figures = engineFigures.parse(result);
  if (figures.length === 0) return;
  print("\nDurable writes of 1 KiB entries to key-value engines:\n");
  print(table(
    ["engine", "write", "writers", "a second", "bare commits", "of bare"],
    figures.map((figures) => [
      figures.engine,
      figures.what,
      String(figures.writers),
      format(figures.writesPerSecond),
      format(figures.commitsPerSecond),
      formatRatio(figures.writesPerSecond, figures.commitsPerSecond),
    ]),
  ));
}

const openingFigures = z.object({
  openMs: z.number(),
  peakMib: z.number(),
  mib: z.number(),
  catMs: z.number(),
});

/** The log that is opened: 212 MiB in segments. */
const OPENED = { entries: 1_000_000, groups: 10, bytes: 128 } as const;

async function benchOpenings(
  settings: Settings,
  runtime: Runtime,
  directory: string,
): Promise<void> {
  const log = { ...OPENED, directory: join(directory, "opened") };
  await runBench(runtime, "fillLog", log);
  const rows: string[][] = [];
  for (let round = settings.rounds ?? 3; round > 0; round--) {
    for (const way of ["read", "missing"] as const) {
      if (way === "missing") dropIndexFiles(log.directory);
      const result = await runBench(runtime, "openLog", log);
      const { openMs, peakMib, mib, catMs } = openingFigures.parse(result);
      rows.push([
        way,
        format(openMs),
        format(peakMib),
        format(catMs),
        `${formatRatio(openMs, catMs)} (${format(mib)} MiB)`,
      ]);
    }
  }
  print("\nOpening a log of 1 000 000 entries of 128 bytes in 10 groups:\n");
  print(table(
    ["index files", "ms", "peak MiB", "cat of it, ms", "of cat"],
    rows.sort(([a = ""], [b = ""]) => b.localeCompare(a)),
  ));
}

const writeFigures = z.object({
  writesPerSecond: z.number(),
  p50Ms: z.number(),
  p99Ms: z.number(),
});
const snapshotFigures = z.object({
  stateBytes: z.number(),
  snapshotMs: z.number(),
  quiet: writeFigures,
  during: writeFigures,
  rssBefore: z.number(),
  rssPeak: z.number(),
});

/** The state whose snapshot is taken under load. */
const STATE_BYTES = 256 << 20;

async function benchSnapshots(
  settings: Settings,
  runtime: Runtime,
  directory: string,
): Promise<void> {
  const ports = await freePorts(3);
  const result = await measureSnapshots(runtime, directory, {
    addresses: ports.map((port) => `127.0.0.1:${port}`),
    seconds: settings.seconds ?? (settings.quick ? 3 : 10),
    stateBytes: STATE_BYTES,
  });
  const figures = snapshotFigures.parse(result);
  const { during, quiet, rssBefore, rssPeak, snapshotMs } = figures;
  print("\nWrites of 256 bytes, 16 in flight, while all three members take a");
  print(
    `snapshot of 256 MiB (${format(snapshotMs)} ms; memory of the leader ` +
      `${format(rssBefore / (1 << 20))} MiB before, at most ` +
      `${format(rssPeak / (1 << 20))} MiB meanwhile):\n`,
  );
  const rows = [["without", quiet], ["meanwhile", during]] as const;
  print(table(
    ["snapshot", "writes/s", "p50 ms", "p99 ms", "p99 of without"],
    rows.map(([name, figures]) => [
      name,
      format(figures.writesPerSecond),
      format(figures.p50Ms),
      format(figures.p99Ms),
      formatRatio(figures.p99Ms, quiet.p99Ms),
    ]),
  ));
}

const diskFigures = z.object({
  syncsPerSecond: z.number(),
  p50Ms: z.number(),
  p99Ms: z.number(),
});

async function benchDisk(
  settings: Settings,
  runtime: Runtime,
  directory: string,
): Promise<void> {
  const seconds = settings.quick ? 0.5 : 2;
  const options = { directory, bytes: DISK_BYTES, seconds };
  const result = await runBench(runtime, "disk", options);
  const { syncsPerSecond, p50Ms, p99Ms } = diskFigures.parse(result);
  print(
    `\nThe disk alone: ${format(syncsPerSecond)} flushed appends of 4 KiB a ` +
      `second, one at a time; p50 ${format(p50Ms)} ms, p99 ${format(p99Ms)} ms`,
  );
}

async function benchHttp(
  settings: Settings,
  runtime: Runtime,
  directory: string,
): Promise<void> {
  const results: HttpFigures[] = [];
  for (const clients of settings.clients) {
    results.push(
      await measureHttp({
        runtime,
        directory,
        rounds: settings.rounds ?? (settings.quick ? 1 : 5),
        seconds: settings.seconds ?? (settings.quick ? 1 : 3),
        warmupSeconds: 1,
      }, clients),
    );
  }
  print("\nThe key-value server, three processes, 256-byte values; medians");
  print("(least–most) of the rounds:\n");
  print(table(
    [
      "clients",
      "server",
      "writes/s",
      "p50 ms",
      "p99 ms",
      "server CPU us/write",
      "load CPU us",
      "failed",
    ],
    results.flatMap(absoluteRows),
  ));
  print("\nBalsa as a ratio to each yardstick, from the medians:\n");
  print(table(
    ["clients", "beside", "writes/s", "p50", "p99", "server CPU"],
    results.flatMap(ratioRows),
  ));
}

function absoluteRows({ clients, subjects }: HttpFigures): string[][] {
  return SUBJECTS.map((name) => {
    const figures = subjects[name];
    const { serverCpuUs } = figures;
    return [
      String(clients),
      name,
      formatSpread(figures.writesPerSecond),
      formatSpread(figures.p50Ms),
      formatSpread(figures.p99Ms),
      serverCpuUs === null ? "unknown" : formatSpread(serverCpuUs),
      format(figures.loadCpuUs.median),
      String(figures.failures),
    ];
  });
}

function ratioRows({ clients, subjects }: HttpFigures): string[][] {
  const { balsa } = subjects;
  const ratio = (figure: Spread | null, yardstick: Spread | null) =>
    figure === null || yardstick === null
      ? "unknown"
      : formatRatio(figure.median, yardstick.median);
  return (["echo", "null"] as const).map((name) => {
    const yardstick = subjects[name];
    return [
      String(clients),
      name,
      ratio(balsa.writesPerSecond, yardstick.writesPerSecond),
      ratio(balsa.p50Ms, yardstick.p50Ms),
      ratio(balsa.p99Ms, yardstick.p99Ms),
      ratio(balsa.serverCpuUs, yardstick.serverCpuUs),
    ];
  });
}

process.once("SIGINT", () => {
  killAll();
  process.exit(130);
});
await main(readSettings());
