/**
 * What a snapshot of a large state costs the writes that go on meanwhile:
 * three processes, write-ahead log and TCP, the key-value machine.
 *
 * @module
 */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { type RaftGroup, RaftHost } from "@balsa/raft";
import {
  type KvAnswer,
  type KvCommand,
  KvMachine,
  type KvQuery,
  type KvResult,
} from "@balsa/raft/machines/kv";
import { WalStorage } from "@balsa/raft/storage/wal";
import { TcpTransport } from "@balsa/raft/transports/tcp";
import type { Child, Runtime } from "./processes.ts";
import { startBench } from "./processes.ts";
import { percentile } from "./stats.ts";

/** Where a member is and what it does. */
export interface MemberOptions {
  readonly id: number;
  readonly directory: string;
  readonly addresses: readonly string[];
  /** Size of the state before anything is measured. */
  readonly stateBytes: number;
  /** How long writes are measured without a snapshot. */
  readonly seconds: number;
}

/** Writes with and without a snapshot under way. */
export interface SnapshotFigures {
  readonly stateBytes: number;
  /** How long the leader's snapshot took. */
  readonly snapshotMs: number;
  readonly quiet: WriteFigures;
  readonly during: WriteFigures;
  /** Memory of the leader's process before, in bytes. */
  readonly rssBefore: number;
  /** The most it had while the snapshot was taken. */
  readonly rssPeak: number;
}

/** Writes, their number a second and how long they took. */
export interface WriteFigures {
  readonly writesPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

type KvGroup = RaftGroup<KvCommand, KvResult, KvQuery, KvAnswer>;

const IDS = [1, 2, 3];
const LEADER = 1;
const WRITERS = 16;
const VALUE_BYTES = 256;
/** The state is made of values of this size. */
const BULK_BYTES = 16 << 10;
const BULK_WRITERS = 8;
/** Whoever sees this key takes a snapshot. */
const SIGNAL_KEY = "snapshot";
const LOOK_MS = 10;

/** Starts three members, and returns what the leader measured. */
export async function measureSnapshots(
  runtime: Runtime,
  directory: string,
  options: Pick<MemberOptions, "addresses" | "seconds" | "stateBytes">,
): Promise<unknown> {
  const children: Child[] = [];
  for (const id of IDS) {
    const data = join(directory, `snapshots-${id}`);
    await mkdir(data, { recursive: true });
    const member: MemberOptions = { ...options, id, directory: data };
    children.push(startBench(runtime, "member", member));
  }
  try {
    const [leader] = children;
    return leader === undefined
      ? undefined
      : JSON.parse(await leader.line("result"));
  } finally {
    for (const child of children) await child.stop();
  }
}

/** A member; the first one leads, measures and returns what it found. */
export async function runMember(
  options: MemberOptions,
): Promise<SnapshotFigures | undefined> {
  const { addresses, directory, id } = options;
  const host = await RaftHost.start({
    deployment: "bench",
    address: addresses[id - 1] ?? "",
    storage: new WalStorage({ directory }),
    transport: new TcpTransport(),
  });
  const group: KvGroup = await host.startGroup({
    group: 1,
    node: id,
    members: addresses.map((address, at) => ({ id: at + 1, address })),
    machine: new KvMachine(),
    priority: id === LEADER ? 1 : 0,
    // Only when asked for, so that one run can be compared with the other.
    snapshotEntries: Number.MAX_SAFE_INTEGER,
    snapshotBytes: Number.MAX_SAFE_INTEGER,
    snapshotTrailing: 1_000,
  });
  if (id === LEADER) return await measure(group, options);
  await isSignalled(group);
  await group.snapshot();
  return undefined;
}

async function measure(
  group: KvGroup,
  options: MemberOptions,
): Promise<SnapshotFigures> {
  while (group.status().role !== "leader") await pause(LOOK_MS);
  await fill(group, options.stateBytes);
  await writeFor(group, () => pause(1_000));
  const quiet = await writeFor(group, () => pause(1_000 * options.seconds));
  const rssBefore = process.memoryUsage.rss();
  let rssPeak = rssBefore;
  const watch = setInterval(() => {
    rssPeak = Math.max(rssPeak, process.memoryUsage.rss());
  }, LOOK_MS);
  const start = performance.now();
  let snapshotMs = 0;
  // The followers take theirs at the same time: the worst that can happen.
  await put(group, SIGNAL_KEY, new Uint8Array(0));
  const during = await writeFor(group, async () => {
    await group.snapshot();
    snapshotMs = performance.now() - start;
  });
  clearInterval(watch);
  const { stateBytes } = options;
  return { stateBytes, snapshotMs, quiet, during, rssBefore, rssPeak };
}

async function fill(group: KvGroup, bytes: number): Promise<void> {
  let next = 0;
  const writer = async () => {
    while (next * BULK_BYTES < bytes) {
      const value = new Uint8Array(BULK_BYTES).fill(next);
      await put(group, `bulk-${next++}`, value);
    }
  };
  await Promise.all(Array.from({ length: BULK_WRITERS }, writer));
}

/** Writes small values until `work` is done. */
async function writeFor(
  group: KvGroup,
  work: () => Promise<void>,
): Promise<WriteFigures> {
  const took: number[] = [];
  const start = performance.now();
  let isOver = false;
  const writer = async (_: unknown, at: number) => {
    for (let i = 0; !isOver; i++) {
      const before = performance.now();
      await put(group, `small-${at}-${i % 1_000}`, new Uint8Array(VALUE_BYTES));
      took.push(performance.now() - before);
    }
  };
  const writers = Array.from({ length: WRITERS }, writer);
  await work();
  isOver = true;
  await Promise.all(writers);
  const sorted = Float64Array.from(took).sort();
  return {
    writesPerSecond: took.length / ((performance.now() - start) / 1_000),
    p50Ms: percentile(sorted, 50),
    p99Ms: percentile(sorted, 99),
  };
}

async function put(
  group: KvGroup,
  key: string,
  value: Uint8Array,
): Promise<void> {
  await group.propose({ type: "put", key, value });
}

async function isSignalled(group: KvGroup): Promise<void> {
  const query: KvQuery = { type: "get", key: SIGNAL_KEY };
  for (;;) {
    const answer = await group.read(query, { consistency: "stale" })
      .catch(() => undefined);
    if (answer?.type === "get" && answer.item !== null) return;
    await pause(LOOK_MS);
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((go) => setTimeout(go, ms));
}
