/**
 * Gets out of a damaged data directory what can be trusted: everything before
 * the first damage. Works on a view; no byte on the disk changes.
 *
 * @module
 */
import { basename, dirname, join } from "node:path";
import type { GroupId, LogIndex } from "../../src/core/types.ts";
import { isRaftError, type RaftError } from "../../src/errors.ts";
import type { Storage, StoredGroup } from "../../src/storage.ts";
import { endNotePath } from "../wal/end_note.ts";
import {
  decodeHeader,
  encodeHeader,
  FRAME,
  FRAME_HEADER_BYTES,
  IDENTITY_PLACE,
  MAX_HEADER_BYTES,
} from "../wal/format.ts";
import { errorCode, readFully, writeFully } from "../wal/file_system.ts";
import { identityPath } from "../wal/identity.ts";
import { listSegments, segmentPath } from "../wal/segment.ts";
import { checkSegment } from "./check_segment.ts";
import { Draft } from "../wal/snapshots/draft.ts";
import { encodeSnapshotHeader } from "../wal/snapshots/format.ts";
import { parseSnapshotName } from "../wal/snapshots/snapshot_file.ts";
import { NO_MEMBERS } from "./copy_group.ts";
import { openFrozen, type ReadOnlyLog, readOwner } from "./data_directory.ts";
import { entriesOf } from "./dump.ts";
import { FrozenFileSystem } from "./frozen_file_system.ts";
import { Refusal } from "./refusal.ts";

/** Damages that are gone around before giving up. */
const MAX_STEPS = 1_000;

/** What has to go so that the rest can be read. */
export interface Dropped {
  /** From which file. */
  readonly file: string;
  /** From where on. */
  readonly offset: number;
  /** How many bytes; 0 if only one group loses what it had from there on. */
  readonly bytes: number;
  /** Why. */
  readonly why: string;
}

/** A log that opens, and what it lacks. */
export interface Salvage {
  readonly log: ReadOnlyLog;
  /** Its groups, as far as they can be read. */
  readonly groups: readonly StoredGroup[];
  /** Groups that nothing can be read of. */
  readonly lostGroups: readonly GroupId[];
  readonly dropped: readonly Dropped[];
}

/**
 * Drops, in a view, what opening complains of, until it opens.
 *
 * @throws {Refusal} If nothing is left, or it is not damage that it complains
 * of.
 */
export async function salvage(directory: string): Promise<Salvage> {
  const view = new FrozenFileSystem();
  const dropped: Dropped[] = [];
  const lost = new Set<GroupId>();
  for (let step = 0; step < MAX_STEPS; step++) {
    try {
      const log = await openFrozen(directory, view);
      const groups = await readableGroups(log, lost, dropped);
      return { log, groups, dropped, lostGroups: [...lost] };
    } catch (error) {
      if (!isRaftError(error)) throw error;
      if (error.code !== "corrupt") throw notDamage(directory, error);
      const group = groupOfSnapshot(directory, error.file ?? "");
      if (group === undefined) {
        dropped.push(...await drop(view, directory, error));
      } else {
        // Its log begins behind what is damaged: nothing can be made of it.
        lost.add(group);
        dropped.push(await substitute(view, directory, error, group));
      }
    }
  }
  throw new Refusal(
    `Cannot repair "${directory}": ${MAX_STEPS} damages were found, and there are more`,
  );
}

/**
 * Opening need not read full segments, so that damage in them shows only now:
 * a group is cut where it cannot be read any further.
 */
async function readableGroups(
  { storage, opened }: ReadOnlyLog,
  lost: ReadonlySet<GroupId>,
  dropped: Dropped[],
): Promise<StoredGroup[]> {
  const groups: StoredGroup[] = [];
  for (const stored of opened.groups) {
    if (lost.has(stored.group)) continue;
    let lastIndex = stored.firstIndex - 1;
    try {
      for await (const { index } of entriesOf(storage, stored)) {
        lastIndex = index;
      }
    } catch (error) {
      if (!isRaftError(error, "corrupt")) throw error;
      const { file = "", offset = 0, message: why } = error;
      // A portion is read whole or not at all: one by one up to the damage.
      lastIndex = await readOneByOne(storage, stored, lastIndex);
      dropped.push({ file, offset, bytes: 0, why });
    }
    const commit = Math.min(stored.hardState.commit, lastIndex);
    const hardState = { ...stored.hardState, commit };
    // Of an entry that is lost, it would come from nowhere.
    const conf = (stored.conf?.index ?? 0) > lastIndex
      ? undefined
      : stored.conf;
    groups.push({ ...stored, hardState, lastIndex, conf });
  }
  return groups;
}

async function readOneByOne(
  storage: Pick<Storage, "read">,
  { group, lastIndex }: StoredGroup,
  after: LogIndex,
): Promise<LogIndex> {
  for (let index = after + 1; index <= lastIndex; index++) {
    try {
      const range = { group, from: index, through: index, maxBytes: 1 };
      await storage.read(range);
    } catch (error) {
      if (!isRaftError(error, "corrupt")) throw error;
      return index - 1;
    }
  }
  return lastIndex;
}

async function drop(
  view: FrozenFileSystem,
  directory: string,
  error: RaftError,
): Promise<Dropped[]> {
  const { file = "", offset = 0, message: why } = error;
  if (file === identityPath(directory)) {
    return await rebuildIdentity(view, directory, why);
  }
  if (file === endNotePath(directory)) return [remove(view, file, why)];
  const sequences = listSegments(view, directory);
  const at = sequences.findIndex((it) => segmentPath(directory, it) >= file);
  const isSegment = file.endsWith(".wal") && dirname(file) === directory;
  if (!isSegment) throw notDamage(directory, error);
  const cut = sequences.slice(at < 0 ? sequences.length : at);
  const gone: Dropped[] = [];
  for (const sequence of cut) {
    const path = segmentPath(directory, sequence);
    gone.push(
      path === file && offset > 0
        ? cutFrom(view, path, offset, why)
        : remove(view, path, why),
    );
  }
  // It says where the log ended; and what was gone once need not be again.
  const note = endNotePath(directory);
  if (isThere(view, note)) gone.push(remove(view, note, why));
  if (gone.some(({ bytes }) => bytes > 0)) return gone;
  const last = sequences.at(-1);
  if (last !== undefined && segmentPath(directory, last) < file) {
    return [await unseal(view, segmentPath(directory, last), why)];
  }
  throw new Refusal(
    `Cannot repair "${directory}": nothing can be dropped that helps: ${why}`,
  );
}

/** The group that a snapshot's file belongs to. */
function groupOfSnapshot(directory: string, file: string): GroupId | undefined {
  const folder = dirname(file);
  const isSnapshot = dirname(folder) === join(directory, "snapshots") &&
    parseSnapshotName(basename(file)) !== undefined;
  return isSnapshot ? Number(basename(folder)) : undefined;
}

/**
 * Puts an empty snapshot in the place of a damaged one, so that the other
 * groups can be read.
 */
async function substitute(
  view: FrozenFileSystem,
  directory: string,
  { file = "", message: why }: RaftError,
  group: GroupId,
): Promise<Dropped> {
  const name = parseSnapshotName(basename(file));
  if (name === undefined) throw new RangeError(`Cannot read "${file}"`);
  const dropped = remove(view, file, why);
  const { incarnation } = await readOwner(view, directory);
  const meta = { ...name, conf: NO_MEMBERS };
  const header = encodeSnapshotHeader({ incarnation, group, meta });
  const draft = await Draft.begin({ fileSystem: view, path: file, header });
  await draft.finish();
  draft.close();
  return dropped;
}

/** The frame that ends a segment promises the next one, which is gone. */
async function unseal(
  view: FrozenFileSystem,
  path: string,
  why: string,
): Promise<Dropped> {
  const { end, last } = await checkSegment({
    fileSystem: view,
    path,
    ...(await headerOf(view, path)),
    recordSeed: 0,
    before: undefined,
  });
  if (last?.type !== FRAME.sealed) {
    throw new Refusal(`Cannot repair "${path}": it does not end: ${why}`);
  }
  return cutFrom(view, path, end - FRAME_HEADER_BYTES, why);
}

/** Whose segment it is, and which one. */
async function headerOf(
  view: FrozenFileSystem,
  path: string,
): Promise<{ readonly incarnation: string; readonly sequence: number }> {
  const file = view.open(path, "read");
  const start = new Uint8Array(MAX_HEADER_BYTES);
  const length = await readFully(view, file, start, 0);
  view.close(file);
  const header = decodeHeader(start.subarray(0, length));
  if (header.type !== "valid") return { incarnation: "", sequence: 0 };
  return {
    incarnation: header.identity.incarnation,
    sequence: header.sequence,
  };
}

/** The first segment says whose log it is. */
async function rebuildIdentity(
  view: FrozenFileSystem,
  directory: string,
  why: string,
): Promise<Dropped[]> {
  const path = identityPath(directory);
  const gone = isThere(view, path) ? [remove(view, path, why)] : [];
  for (const sequence of listSegments(view, directory)) {
    const segment = view.open(segmentPath(directory, sequence), "read");
    const start = new Uint8Array(MAX_HEADER_BYTES);
    const length = await readFully(view, segment, start, 0);
    view.close(segment);
    const header = decodeHeader(start.subarray(0, length));
    if (header.type !== "valid") continue;
    const file = view.open(path, "create");
    const bytes = encodeHeader(header.identity, IDENTITY_PLACE);
    writeFully(view, file, bytes, 0);
    view.close(file);
    return [...gone, { file: path, offset: 0, bytes: 0, why }];
  }
  throw new Refusal(
    `Cannot repair "${directory}": neither its identity nor a segment says whose log it is`,
  );
}

function cutFrom(
  view: FrozenFileSystem,
  path: string,
  offset: number,
  why: string,
): Dropped {
  const file = view.open(path, "update");
  const size = view.size(file);
  view.truncate(file, Math.min(offset, size));
  // A segment is as long as it was laid out.
  if (size > offset) view.write(file, new Uint8Array(1), size - 1);
  view.close(file);
  return { file: path, offset, bytes: Math.max(0, size - offset), why };
}

function remove(view: FrozenFileSystem, path: string, why: string): Dropped {
  const file = view.open(path, "read");
  const bytes = view.size(file);
  view.close(file);
  view.unlink(path);
  return { file: path, offset: 0, bytes, why };
}

function isThere(view: FrozenFileSystem, path: string): boolean {
  try {
    view.close(view.open(path, "read"));
    return true;
  } catch (error) {
    if (errorCode(error) === "ENOENT") return false;
    throw error;
  }
}

function notDamage(directory: string, error: RaftError): Refusal {
  return new Refusal(
    `Cannot repair "${directory}": ${error.code}: ${error.message}`,
  );
}
