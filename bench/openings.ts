/**
 * How long it takes to open a log that holds much, beside reading its bytes.
 *
 * @module
 */
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import { join } from "node:path";
import process from "node:process";
import type { GroupWrite } from "@balsa/raft";
import { WalStorage } from "@balsa/raft/storage/wal";

/** What the log holds. */
export interface LogContent {
  readonly directory: string;
  /** Of all groups together. */
  readonly entries: number;
  readonly groups: number;
  /** Of an entry. */
  readonly bytes: number;
}

/** An opening, and reading the same bytes. */
export interface OpeningFigures {
  readonly openMs: number;
  /** Most memory that the process ever had. */
  readonly peakMib: number;
  /** Of the log's files. */
  readonly mib: number;
  /** `cat` of them, from the page cache. */
  readonly catMs: number;
}

const DEPLOYMENT = "bench";
const WRITERS = 64;
const SEGMENT_NAME = /\.wal$/;

/** Every entry is a record of its own: the most there is to look at. */
export async function fillLog(content: LogContent): Promise<null> {
  const { directory, entries, groups, bytes } = content;
  const storage = new WalStorage({ directory, flush: "none" });
  await storage.open({ deployment: DEPLOYMENT });
  const ids = Array.from({ length: groups }, (_, at) => at + 1);
  await storage.write(ids.map(createGroup));
  const data = new Uint8Array(bytes).fill(120);
  let last = 0;
  const writer = async () => {
    while (last < entries / groups) {
      const index = ++last;
      const entry = { type: "command", term: 1, index, data } as const;
      await storage.write(ids.map((group) => ({ group, entries: [entry] })));
    }
  };
  await Promise.all(Array.from({ length: WRITERS }, writer));
  await storage.close();
  return null;
}

function createGroup(group: number): GroupWrite {
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
  return { group, create: { node: 1, snapshot }, entries: [] };
}

/** Opens a log in this process, which should have done nothing before. */
export async function measureOpening(
  { directory, entries }: { readonly directory: string; entries: number },
): Promise<OpeningFigures> {
  const storage = new WalStorage({ directory });
  const start = performance.now();
  const { groups } = await storage.open({ deployment: DEPLOYMENT });
  const openMs = performance.now() - start;
  const peakMib = readPeak() / (1 << 20);
  const found = groups.reduce((sum, { lastIndex }) => sum + lastIndex, 0);
  if (found !== entries) {
    throw new Error(`Cannot trust the log: it has ${found} of ${entries}`);
  }
  await storage.close();
  const { mib, catMs } = readBytes(directory);
  return { openMs, peakMib, mib, catMs };
}

/** Removes the files that make opening fast, but are not needed. */
export function dropIndexFiles(directory: string): void {
  for (const name of fs.readdirSync(directory)) {
    if (name.endsWith(".idx")) fs.unlinkSync(join(directory, name));
  }
}

/** Where the system does not tell the peak, what there is now. */
function readPeak(): number {
  try {
    const status = fs.readFileSync("/proc/self/status", "utf8");
    return Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1]) * 1_024;
  } catch {
    return process.memoryUsage().rss;
  }
}

function readBytes(directory: string): { mib: number; catMs: number } {
  const paths = fs.readdirSync(directory)
    .filter((name) => SEGMENT_NAME.test(name))
    .map((name) => join(directory, name));
  const bytes = paths.reduce((sum, path) => sum + fs.statSync(path).size, 0);
  const start = performance.now();
  execFileSync("sh", ["-c", 'cat "$@" > /dev/null', "cat", ...paths]);
  return { mib: bytes / (1 << 20), catMs: performance.now() - start };
}
