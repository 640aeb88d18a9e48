/**
 * Durable appends to the write-ahead log, beside bare writes and flushes of
 * as many bytes.
 *
 * @module
 */
import { join } from "node:path";
import type { GroupWrite, Storage } from "@balsa/raft";
import { WalStorage } from "@balsa/raft/storage/wal";
import { Journal, Trail } from "./journal.ts";
import { spread } from "./stats.ts";

/** Appends to the log and to bare files. */
export interface AppendFigures {
  readonly what: string;
  readonly writers: number;
  /** Bytes of one append. */
  readonly bytes: number;
  readonly appendsPerSecond: number;
  /** One bare write and flush at a time, to one file round and round. */
  readonly rawPerSecond: number;
  /** The same to new files. */
  readonly sequentialPerSecond: number;
}

interface Workload {
  readonly what: string;
  readonly writers: number;
  /** Of an append. */
  readonly entries: number;
  /** Of an entry. */
  readonly bytes: number;
}

/** The single writer comes first: what the others are compared with. */
const WORKLOADS: readonly Workload[] = [
  { what: "4 KiB", writers: 1, entries: 1, bytes: 4_096 },
  { what: "4 KiB", writers: 64, entries: 1, bytes: 4_096 },
  { what: "1 MiB of 1 KiB entries", writers: 1, entries: 1_024, bytes: 1_024 },
];
const ROUNDS = 5;
const GROUP = 1;

/** Measures each workload for some seconds, log and bare file in turns. */
export async function measureAppends(
  directory: string,
  seconds: number,
): Promise<AppendFigures[]> {
  const journal = new Journal(join(directory, "journal"));
  const trail = new Trail(join(directory, "trail"));
  const log = await Log.open(join(directory, "log"));
  const slice = seconds / ROUNDS / 3;
  const figures: AppendFigures[] = [];
  for (const workload of WORKLOADS) {
    const { bytes, entries, what, writers } = workload;
    const raw = () => flushed(journal, entries * bytes);
    const sequential = () => flushed(trail, entries * bytes);
    const append = () => log.append(entries, bytes);
    await rate(append, writers, slice);
    const ours: number[] = [];
    const bare: number[] = [];
    const fresh: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      bare.push(await rate(raw, 1, slice));
      fresh.push(await rate(sequential, 1, slice));
      ours.push(await rate(append, writers, slice));
    }
    figures.push({
      what,
      writers,
      bytes: entries * bytes,
      appendsPerSecond: spread(ours).median,
      rawPerSecond: spread(bare).median,
      sequentialPerSecond: spread(fresh).median,
    });
  }
  journal.close();
  trail.close();
  await log.close();
  return figures;
}

/** How often a second `writers` callers can do something, one by one. */
async function rate(
  work: () => Promise<void>,
  writers: number,
  seconds: number,
): Promise<number> {
  const start = performance.now();
  const end = start + seconds * 1_000;
  let count = 0;
  const writer = async () => {
    while (performance.now() < end) {
      await work();
      count++;
    }
  };
  await Promise.all(Array.from({ length: writers }, writer));
  return count / ((performance.now() - start) / 1_000);
}

const payloads = new Map<number, Uint8Array>();

function payload(bytes: number): Uint8Array {
  const known = payloads.get(bytes) ?? new Uint8Array(bytes).fill(120);
  payloads.set(bytes, known);
  return known;
}

function flushed(file: Journal | Trail, bytes: number): Promise<void> {
  file.write(payload(bytes));
  return new Promise((resolve) => file.flush(resolve));
}

/** A write-ahead log of one group. */
class Log {
  readonly #storage: Storage;
  #lastIndex = 0;

  private constructor(storage: Storage) {
    this.#storage = storage;
  }

  static async open(directory: string): Promise<Log> {
    const storage = new WalStorage({ directory });
    await storage.open({ deployment: "bench" });
    const conf = {
      version: 0,
      voters: [1],
      votersOutgoing: [],
      learners: [],
      learnersNext: [],
      staging: [],
      witnesses: [],
      autoLeave: false,
      removed: [],
      addresses: [],
      incarnations: [],
    };
    const snapshot = { index: 0, term: 0, conf };
    await storage.write([
      { group: GROUP, create: { node: 1, snapshot }, entries: [] },
    ]);
    return new Log(storage);
  }

  append(count: number, bytes: number): Promise<void> {
    const data = payload(bytes);
    const entries: GroupWrite["entries"] = Array.from(
      { length: count },
      (_, i) => ({
        type: "command",
        term: 1,
        index: this.#lastIndex + 1 + i,
        data,
      }),
    );
    this.#lastIndex += count;
    return this.#storage.write([{ group: GROUP, entries }]);
  }

  close(): Promise<void> {
    return this.#storage.close();
  }
}
