/**
 * What the storage cases write, and how they look at what came of it.
 *
 * @module
 */
import { isRaftError, type RaftErrorCode } from "../errors.ts";
import type { GroupWrite, OpenedStorage, Storage } from "../storage.ts";
import type { ConfState, Entry, SnapshotMeta } from "../core/types.ts";
import { isSame } from "./is_same.ts";

/** The deployment that all cases use. */
export const DEPLOYMENT = "suite";

/** A configuration with something in every field. */
export const RICH_CONF: ConfState = {
  version: 7,
  voters: [1, 2, 3],
  votersOutgoing: [1, 2, 9],
  learners: [4],
  learnersNext: [9],
  staging: [4],
  witnesses: [3],
  autoLeave: true,
  removed: [5, 6, 7],
  addresses: [
    { id: 1, address: "10.0.0.1:9000" },
    { id: 2, address: "[2001:db8::1]:9000" },
  ],
  incarnations: [{ id: 1, incarnation: "0f" }],
};

const PLAIN_CONF: ConfState = {
  version: 0,
  voters: [1],
  votersOutgoing: [],
  learners: [],
  learnersNext: [],
  staging: [],
  witnesses: [],
  autoLeave: false,
  removed: [],
  addresses: [{ id: 1, address: "10.0.0.1:9000" }],
  incarnations: [],
};

/** A snapshot's meta; index 0 is where a new group starts. */
export function metaAt(index: number, term: number): SnapshotMeta {
  return { index, term, conf: PLAIN_CONF };
}

/** The write that makes a group with an empty log. */
export function createGroup(group: number, node = 1): GroupWrite {
  return { group, create: { node, snapshot: metaAt(0, 0) }, entries: [] };
}

/** A command whose bytes tell group, term and index apart. */
export function command(
  term: number,
  index: number,
  size = 24,
): Entry {
  const data = new Uint8Array(size);
  for (let i = 0; i < size; i++) data[i] = (term * 31 + index * 7 + i) & 0xff;
  return { type: "command", term, index, data };
}

/** What {@linkcode contents} tells of a group with an empty log. */
export function emptyGroup(
  group: number,
  node: number,
): Record<string, unknown> {
  return {
    group,
    node,
    hardState: { term: 0, vote: null, commit: 0 },
    snapshot: metaAt(0, 0),
    conf: null,
    firstIndex: 1,
    lastIndex: 0,
    prevTerm: 0,
    termRuns: [],
    entries: [],
  };
}

/** Commands of one term, `from` to `through`. */
export function commands(
  term: number,
  from: number,
  through: number,
  size?: number,
): Entry[] {
  const entries: Entry[] = [];
  for (let index = from; index <= through; index++) {
    entries.push(command(term, index, size));
  }
  return entries;
}

/** A write of entries and nothing else. */
export function append(group: number, entries: readonly Entry[]): GroupWrite {
  return { group, entries };
}

/** Everything a storage says about its groups, entries included. */
export async function contents(
  storage: Storage,
  opened: OpenedStorage,
): Promise<unknown> {
  const all: unknown[] = [];
  for (const stored of opened.groups) {
    const { group, firstIndex, lastIndex } = stored;
    const entries: Entry[] = [];
    while (firstIndex + entries.length <= lastIndex) {
      const from = firstIndex + entries.length;
      const maxBytes = 1 << 16;
      const range = { group, from, through: lastIndex, maxBytes };
      const more = await storage.read(range);
      check(more.length > 0, `read returned nothing from ${from} on`);
      entries.push(...more);
    }
    check(
      isSame(entries.slice(entries.length - stored.tail.length), stored.tail),
      "the tail is not the end of the log",
    );
    all.push({
      group,
      node: stored.node,
      hardState: { ...stored.hardState },
      snapshot: stored.snapshot,
      conf: stored.conf ?? null,
      firstIndex,
      lastIndex,
      prevTerm: stored.prevTerm,
      termRuns: stored.termRuns,
      entries,
    });
  }
  return all;
}

/** Rejects the case with a message. */
export function check(holds: boolean, message: string): asserts holds {
  if (!holds) throw new Error(message);
}

/** Rejects the case if two values do not hold the same. */
export function checkSame(
  actual: unknown,
  wanted: unknown,
  message: string,
): void {
  if (isSame(actual, wanted)) return;
  throw new Error(
    `${message}: found ${describe(actual)}, wanted ${describe(wanted)}`,
  );
}

/** What a promise rejects with. */
export async function rejection(
  action: () => Promise<unknown>,
  message: string,
): Promise<unknown> {
  try {
    await action();
  } catch (error) {
    return error;
  }
  throw new Error(`${message}: it resolved`);
}

/** Rejects the case unless an action rejects with a code. */
export async function checkRejects(
  action: () => Promise<unknown>,
  code: RaftErrorCode,
  message: string,
): Promise<void> {
  const error = await rejection(action, message);
  if (isRaftError(error, code)) return;
  throw new Error(`${message}: it rejected with ${error}, wanted ${code}`);
}

/** Short: a log may be long. */
function describe(value: unknown): string {
  const text = JSON.stringify(
    value,
    (_, inner) => inner instanceof Uint8Array ? `${inner.length} bytes` : inner,
  );
  return text.length > 600 ? `${text.slice(0, 600)}…` : text;
}
