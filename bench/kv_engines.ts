/**
 * Durable writes to key-value engines: through the storage, beside bare
 * commits of as many rows to the same engine.
 *
 * @module
 */
import { join } from "node:path";
import { type GroupWrite, isRaftError, type Storage } from "@balsa/raft";
import { KvStorage, type OrderedKv } from "@balsa/raft/storage/kv";
import { openDenoKv } from "@balsa/raft/storage/kv/deno";
import { openSqliteKv } from "@balsa/raft/storage/kv/sqlite";
import { spread } from "./stats.ts";

/** Writes through the storage and bare commits. */
export interface KvFigures {
  readonly engine: string;
  readonly what: string;
  readonly writers: number;
  /** Entries of a write, rows of a bare commit. */
  readonly entries: number;
  readonly writesPerSecond: number;
  /** Bare commits, one at a time. */
  readonly commitsPerSecond: number;
}

interface Workload {
  readonly what: string;
  readonly writers: number;
  readonly entries: number;
}

const ENTRY_BYTES = 1024;
const WORKLOADS: readonly Workload[] = [
  { what: "1 entry", writers: 1, entries: 1 },
  { what: "1 entry", writers: 64, entries: 1 },
  { what: "64 entries", writers: 1, entries: 64 },
];
const ROUNDS = 5;
const GROUP = 1;

const ENGINES = [
  ["SQLite", (path: string) => openSqliteKv({ path })],
  ["Deno KV", (path: string) => openDenoKv(path)],
] as const;

/** Measures each engine that the runtime has, storage and engine in turns. */
export async function measureKvEngines(
  directory: string,
  seconds: number,
): Promise<KvFigures[]> {
  const figures: KvFigures[] = [];
  for (const [name, open] of ENGINES) {
    const path = join(directory, name.replace(" ", "_").toLowerCase());
    const bare = await openIfThere(() => open(`${path}-bare`));
    if (bare === undefined) continue;
    const log = await Log.open(() => open(path));
    const slice = seconds / ROUNDS / WORKLOADS.length / 2;
    for (const workload of WORKLOADS) {
      figures.push({
        engine: name,
        ...workload,
        ...await measure({ bare, log, slice }, workload),
      });
    }
    await log.close();
    await bare.close();
  }
  return figures;
}

/** An engine, unless the runtime has none of the kind. */
async function openIfThere(
  open: () => Promise<OrderedKv>,
): Promise<OrderedKv | undefined> {
  try {
    return await open();
  } catch (error) {
    if (isRaftError(error, "unsupported")) return undefined;
    throw error;
  }
}

async function measure(
  { bare, log, slice }: { bare: OrderedKv; log: Log; slice: number },
  { writers, entries }: Workload,
): Promise<Pick<KvFigures, "writesPerSecond" | "commitsPerSecond">> {
  const writes: number[] = [];
  const commits: number[] = [];
  let rows = 0;
  const commit = () => {
    const operations = Array.from({ length: entries }, () => {
      const key = new Uint8Array(22);
      new DataView(key.buffer).setUint32(18, ++rows);
      const value = new Uint8Array(ENTRY_BYTES).fill(rows);
      return { type: "set", key, value } as const;
    });
    return bare.commit(operations);
  };
  for (let round = 0; round < ROUNDS; round++) {
    commits.push(await rate(commit, 1, slice));
    writes.push(await rate(() => log.append(entries), writers, slice));
  }
  return {
    writesPerSecond: spread(writes).median,
    commitsPerSecond: spread(commits).median,
  };
}

/** Calls a second that so many callers get done, each one after the other. */
async function rate(
  action: () => Promise<void>,
  callers: number,
  seconds: number,
): Promise<number> {
  const start = performance.now();
  const end = start + seconds * 1_000;
  let count = 0;
  const call = async () => {
    while (performance.now() < end) {
      await action();
      count++;
    }
  };
  await Promise.all(Array.from({ length: callers }, call));
  return count / ((performance.now() - start) / 1_000);
}

/** A storage with one group that grows. */
class Log {
  readonly #storage: Storage;
  #last = 0;

  constructor(storage: Storage) {
    this.#storage = storage;
  }

  static async open(open: () => Promise<OrderedKv>): Promise<Log> {
    const storage = new KvStorage({ open });
    await storage.open({ deployment: "bench" });
    const conf = {
      ...{ version: 0, voters: [1], votersOutgoing: [], learners: [] },
      ...{ learnersNext: [], staging: [], witnesses: [], autoLeave: false },
      ...{ removed: [], addresses: [], incarnations: [] },
    };
    const snapshot = { index: 0, term: 0, conf };
    const create = { node: 1, snapshot };
    await storage.write([{ group: GROUP, create, entries: [] }]);
    return new Log(storage);
  }

  append(count: number): Promise<void> {
    const entries = Array.from({ length: count }, () => {
      const index = ++this.#last;
      const data = new Uint8Array(ENTRY_BYTES).fill(index);
      return { type: "command", term: 1, index, data } as const;
    });
    const write: GroupWrite = {
      group: GROUP,
      hardState: { term: 1, vote: 1, commit: this.#last - count },
      entries,
    };
    return this.#storage.write([write]);
  }

  close(): Promise<void> {
    return this.#storage.close();
  }
}
