/**
 * The entries of a log, one by one.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { entryPayload } from "../../src/codec.ts";
import type {
  ConfChange,
  Entry,
  GroupId,
  LogIndex,
  Term,
} from "../../src/core/types.ts";
import type { Storage, StoredGroup } from "../../src/storage.ts";
import { openReadOnly } from "./data_directory.ts";

/** Entries are read in portions of about this size. */
const PORTION_BYTES = 4 << 20;

/** What to dump. */
export interface DumpOptions {
  /** Which group. */
  readonly group: GroupId;
  /** The first entry. @default {the first there is} */
  readonly from?: LogIndex | undefined;
  /** The last entry. @default {the last there is} */
  readonly through?: LogIndex | undefined;
}

/** An entry, fit for JSON. */
export interface DumpedEntry {
  /** Place in the log. */
  readonly index: LogIndex;
  /** Term of its leader. */
  readonly term: Term;
  /** What it is. */
  readonly type: Entry["type"];
  /** Its bytes in base64: of a command, as it was proposed. */
  readonly payload: string;
  /** Of a `confChange`: what changes. */
  readonly change?: ConfChange | undefined;
}

/**
 * Reads entries of a data directory, also while a member uses it. Changes
 * nothing.
 *
 * @throws {RangeError} If it is no data directory, or has no such group.
 * @throws {RaftError} `corrupt`, `unsupportedFormat`, or `compacted` if the
 * first entry asked for is not there any more.
 */
export async function* dump(
  directory: string,
  options: DumpOptions,
): AsyncGenerator<DumpedEntry, void, undefined> {
  const log = await openReadOnly(directory);
  try {
    const stored = requireGroup(log.opened.groups, directory, options.group);
    for await (const entry of entriesOf(log.storage, stored, options)) {
      yield describeEntry(entry);
    }
  } finally {
    await log.storage.close();
  }
}

/** @throws {RangeError} If there is none. */
export function requireGroup(
  groups: readonly StoredGroup[],
  directory: string,
  group: GroupId,
): StoredGroup {
  const stored = groups.find((it) => it.group === group);
  if (stored !== undefined) return stored;
  const ids = groups.map((it) => it.group).join(", ");
  throw new RangeError(
    `Cannot use group ${group} of "${directory}": it holds ${
      ids === "" ? "no group" : `only ${ids}`
    }`,
  );
}

/** Entries in order, a portion in memory at a time. */
export async function* entriesOf(
  storage: Pick<Storage, "read">,
  { group, firstIndex, lastIndex }: StoredGroup,
  range: {
    readonly from?: LogIndex | undefined;
    readonly through?: LogIndex | undefined;
  } = {},
): AsyncGenerator<Entry, void, undefined> {
  const through = Math.min(range.through ?? lastIndex, lastIndex);
  let from = range.from ?? firstIndex;
  while (from <= through) {
    const maxBytes = PORTION_BYTES;
    const entries = await storage.read({ group, from, through, maxBytes });
    yield* entries;
    from += entries.length;
  }
}

function describeEntry(entry: Entry): DumpedEntry {
  const { index, term, type } = entry;
  const payload = Buffer.from(entryPayload(entry)).toString("base64");
  return entry.type === "confChange"
    ? { index, term, type, payload, change: entry.change }
    : { index, term, type, payload };
}
