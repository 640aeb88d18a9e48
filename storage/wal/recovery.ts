/**
 * Opens a log that exists: finds its end, tells an unfinished write from
 * damage, and makes sure that what was found is durable.
 *
 * @module
 */
import { RaftError } from "../../src/errors.ts";
import type { StorageRepair } from "../../src/storage.ts";
import { corruption, type FileOffset } from "./errors.ts";
import { removeIfThere } from "./durable_file.ts";
import { type EndNote, endOf, readEndNote, requireEnd } from "./end_note.ts";
import { readFully, writeFully } from "./file_system.ts";
import {
  decodeHeader,
  type Header,
  type LogIdentity,
  MAX_HEADER_BYTES,
} from "./format.ts";
import { GroupTable } from "./groups.ts";
import { IndexCollection } from "./index_collection.ts";
import { scanIndexed } from "./indexed_scan.ts";
import { GONE } from "./live_bytes.ts";
import { foreignVersion, requireDeployment } from "./identity.ts";
import {
  CHAIN_START,
  findRemains,
  type FrameChain,
  scanSegment,
  type ScanTarget,
  type SegmentScan,
} from "./scan.ts";
import type { PendingIndex } from "./segment_indexer.ts";
import {
  fillWithZeros,
  frameMode,
  indexPath,
  listIndexFiles,
  listSegments,
  type LogPlace,
  type SealedSegment,
  type Segment,
  segmentPath,
} from "./segment.ts";

/** A log that was opened. */
export interface RecoveredLog {
  readonly groups: GroupTable;
  /** The full segments before the active one, oldest first. */
  readonly sealed: readonly SealedSegment[];
  /** The segment that takes the next frame. */
  readonly active: Segment;
  /** The one prepared behind it, if there is one. */
  readonly spare: Segment | undefined;
  /** The last frame. */
  readonly chain: FrameChain;
  readonly repairs: readonly StorageRepair[];
  /** Where it was closed; the note has to go before a frame is written. */
  readonly endNote: EndNote | undefined;
  /** Index files to be written, and the one that is begun. */
  readonly pendingIndexes: readonly PendingIndex[];
}

/** A stretch of a file. */
interface Stretch {
  readonly path: string;
  readonly from: number;
  readonly to: number;
}

/** Where the frames of the log end. */
interface LogEnd {
  readonly indexes: IndexCollection;
  readonly sealed: readonly SealedSegment[];
  readonly at: ScanTarget;
  readonly scan: SegmentScan;
  /** The last frame, perhaps in the segment before; empty for a new log. */
  readonly last: Stretch;
  /** Numbers of the segments behind. */
  readonly behind: readonly number[];
}

/**
 * Reads all segments. `accept` is asked, before anything is changed, whether
 * to go on from what they hold: what it throws, this throws.
 *
 * @throws {RaftError} `corrupt`, `unsupportedFormat`, `identityMismatch`; all
 * files are as they were then. Errors of the file system pass through.
 */
export async function recoverLog(
  place: LogPlace,
  accept: (groups: GroupTable) => Promise<void>,
): Promise<RecoveredLog> {
  const files: ScanTarget[] = [];
  try {
    return await recoverFiles(place, files, accept);
  } catch (error) {
    for (const { file } of files) place.fileSystem.close(file);
    throw error;
  }
}

async function recoverFiles(
  place: LogPlace,
  files: ScanTarget[],
  accept: (groups: GroupTable) => Promise<void>,
): Promise<RecoveredLog> {
  const endNote = await readEndNote(place);
  const sequences = listSegments(place.fileSystem, place.directory);
  const groups = new GroupTable();
  const open = async (sequence: number): Promise<ScanTarget> => {
    // Full segments are read once: there may be more than files can be open.
    for (const { file } of files.splice(0, files.length - 1)) {
      place.fileSystem.close(file);
    }
    const target = await openSegment(place, sequence);
    files.push(target);
    return target;
  };
  const end = await findEnd(place, sequences, { groups, open });
  const next = end.behind[0];
  const spare = next === undefined ? undefined : await open(next);
  const dirtyEnd = await judgeRemains(end, spare);
  const { base, end: activeEnd } = end.scan;
  const active = toSegment(end.at, { base, end: activeEnd });
  requireEnd(endNote, endOf(active, end.scan.chain), active.path);
  await accept(groups);
  const repairs: StorageRepair[] = [...end.indexes.repairs];
  // Nothing was changed up to here; from here on nothing is refused.
  await repairTail(end.at, { from: end.scan.end, dirtyEnd, repairs });
  // A killed process may have left what no flush has covered yet (H45, H51).
  await rewrite(place, end.last);
  await place.fileSystem.sync(end.at.file);
  removeStrayIndexes(place, end.sealed);
  await place.fileSystem.syncDirectory(place.directory);
  for (const { file } of files) {
    const isKept = file === end.at.file || file === spare?.file;
    if (!isKept) place.fileSystem.close(file);
  }
  return {
    groups,
    sealed: end.sealed,
    active,
    spare: spare && toSegment(spare, emptyBounds(spare)),
    chain: end.scan.chain,
    repairs,
    endNote,
    pendingIndexes: end.indexes.pending,
  };
}

async function findEnd(
  place: LogPlace,
  sequences: readonly number[],
  into: {
    readonly groups: GroupTable;
    readonly open: (sequence: number) => Promise<ScanTarget>;
  },
): Promise<LogEnd> {
  const oldest = sequences[0] ?? 1;
  // What is older than the first segment that is left, its checkpoint holds.
  let chain = oldest === 1 ? CHAIN_START : undefined;
  let last: Stretch = { path: "", from: 0, to: 0 };
  const sealed: SealedSegment[] = [];
  const indexes = new IndexCollection();
  for (let i = 0; i <= sequences.length; i++) {
    const sequence = sequences[i];
    if (sequence !== oldest + i) throw missing(place, oldest + i);
    const at = await into.open(sequence);
    const scan = await scanByAnyMeans(at, chain, into.groups, indexes);
    const { base, end } = scan;
    if (scan.last < end) last = { path: at.path, from: scan.last, to: end };
    if (!scan.isSealed) {
      requireEntries(place, oldest, into.groups);
      const behind = sequences.slice(i + 1);
      return { indexes, sealed, at, scan, last, behind };
    }
    sealed.push({ sequence, hasCheckpoint: base > at.headerBytes, base, end });
    chain = scan.chain;
  }
  throw missing(place, oldest + sequences.length);
}

async function scanByAnyMeans(
  target: ScanTarget,
  chain: FrameChain | undefined,
  groups: GroupTable,
  indexes: IndexCollection,
): Promise<SegmentScan> {
  const found = await scanIndexed(target, chain, groups);
  if (found.type === "taken") return found.scan;
  if (found.type === "damaged") indexes.noteDamage(found.path, found.bytes);
  const scan = await scanSegment(target, chain, groups);
  indexes.add(target, scan);
  return scan;
}

/** Entries that a checkpoint speaks of must have been moved or dropped. */
function requireEntries(
  place: LogPlace,
  oldest: number,
  groups: GroupTable,
): void {
  if (groups.live.recordsIn(GONE) === 0) return;
  const group = groups.list().find(({ index }) =>
    index.firstsIn(GONE).length > 0
  );
  throw corruption(
    { file: segmentPath(place.directory, oldest - 1), offset: 0 },
    `the segment is missing, and with it entries of group ${group?.group}`,
  );
}

function missing(place: LogPlace, sequence: number): RaftError {
  const file = segmentPath(place.directory, sequence);
  return corruption({ file, offset: 0 }, "the segment is missing");
}

/** Of segments that are gone, or are not full after all. */
function removeStrayIndexes(
  place: LogPlace,
  sealed: readonly SealedSegment[],
): void {
  const { fileSystem, directory } = place;
  const wanted = new Set(
    sealed.map(({ sequence }) => indexPath(segmentPath(directory, sequence))),
  );
  for (const path of listIndexFiles(fileSystem, directory)) {
    if (!wanted.has(path)) removeIfThere(fileSystem, path);
  }
}

async function openSegment(
  place: LogPlace,
  sequence: number,
): Promise<ScanTarget> {
  const { fileSystem, directory, identity } = place;
  const path = segmentPath(directory, sequence);
  const file = fileSystem.open(path, frameMode(place));
  try {
    const start = new Uint8Array(MAX_HEADER_BYTES);
    const length = await readFully(fileSystem, file, start, 0);
    const found = start.subarray(0, length);
    const header = requireOwn(found, { path, sequence, identity });
    const size = fileSystem.size(file);
    requireWhole(path, size, header);
    const { seed, bytes: headerBytes } = header;
    return { fileSystem, path, file, size, sequence, seed, headerBytes };
  } catch (error) {
    fileSystem.close(file);
    throw error;
  }
}

/**
 * A segment is given its name when its header is durable: a bad one is
 * damage, whatever follows it.
 */
function requireOwn(
  found: Uint8Array,
  wanted: {
    readonly path: string;
    readonly sequence: number;
    readonly identity: LogIdentity;
  },
): Header {
  const { path, sequence, identity } = wanted;
  const at: FileOffset = { file: path, offset: 0 };
  const reading = decodeHeader(found);
  if (reading.type === "damaged") throw corruption(at, "its header is damaged");
  if (reading.type === "foreign") throw foreignVersion(at, reading.version);
  requireDeployment(reading.identity, identity.deployment, path);
  if (reading.identity.incarnation !== identity.incarnation) {
    throw new RaftError(
      "identityMismatch",
      `Cannot open "${path}": it belongs to log ${reading.identity.incarnation}, wanted ${identity.incarnation}`,
      at,
    );
  }
  if (reading.sequence !== sequence) {
    throw corruption(at, `it is segment ${reading.sequence}, not ${sequence}`);
  }
  return reading;
}

/** Version 1 does not say how large a segment was laid out. */
function requireWhole(path: string, size: number, header: Header): void {
  if (size >= header.capacity) return;
  throw corruption(
    { file: path, offset: size },
    `it ends there, but was laid out with ${header.capacity} bytes`,
  );
}

/**
 * Decides what is behind the last frame: returns where an unfinished write
 * ends, or throws because frames follow it.
 */
async function judgeRemains(
  end: LogEnd,
  spare: ScanTarget | undefined,
): Promise<number> {
  const from = end.scan.end;
  const at: FileOffset = { file: end.at.path, offset: from };
  const remains = await findRemains(end.at, from);
  if (remains.frameAt !== undefined) {
    throw corruption(
      at,
      `the frame there is damaged, though one follows at ${remains.frameAt}`,
    );
  }
  if (end.behind.length > 1) {
    throw corruption(
      at,
      `the log ends there, though ${end.behind.length} segments follow`,
    );
  }
  if (spare === undefined) return remains.dirtyEnd;
  // A frame goes to the next segment only after this one was sealed. A look
  // at its start will do, unless something is torn.
  const isTorn = remains.dirtyEnd > from;
  const to = isTorn ? spare.size : Math.min(spare.size, 1 << 20);
  const ahead = await findRemains(spare, spare.headerBytes - 1, to);
  if (ahead.frameAt === undefined) return remains.dirtyEnd;
  throw corruption(
    at,
    `the frame there is damaged, though "${spare.path}" has one at ${ahead.frameAt}`,
  );
}

/**
 * Makes the last frame durable, the one that no flush may have covered. To
 * flush its file is not enough: after a flush that failed the system may take
 * pages for written that are not (H44), so it gets them anew.
 */
async function rewrite(place: LogPlace, frame: Stretch): Promise<void> {
  const { fileSystem } = place;
  if (frame.from === frame.to) return;
  const file = fileSystem.open(frame.path, "update");
  try {
    const chunk = new Uint8Array(Math.min(1 << 20, frame.to - frame.from));
    for (let at = frame.from; at < frame.to; at += chunk.length) {
      const bytes = chunk.subarray(0, frame.to - at);
      const length = await readFully(fileSystem, file, bytes, at);
      writeFully(fileSystem, file, bytes.subarray(0, length), at);
    }
    await fileSystem.sync(file);
  } finally {
    fileSystem.close(file);
  }
}

/** Wipes an unfinished write for good, so that nothing of it rises (H47). */
async function repairTail(
  target: ScanTarget,
  tail: {
    readonly from: number;
    readonly dirtyEnd: number;
    readonly repairs: StorageRepair[];
  },
): Promise<void> {
  const { from, dirtyEnd, repairs } = tail;
  if (dirtyEnd <= from) return;
  const { fileSystem, file, path } = target;
  await fillWithZeros(fileSystem, file, from, dirtyEnd);
  await fileSystem.sync(file);
  repairs.push({
    type: "tornTail",
    file: path,
    offset: from,
    bytes: dirtyEnd - from,
  });
}

function toSegment(
  target: ScanTarget,
  bounds: Pick<Segment, "base" | "end">,
): Segment {
  const { sequence, path, file, seed, headerBytes, size } = target;
  const capacity = Math.max(size, headerBytes);
  return { sequence, path, file, seed, headerBytes, capacity, ...bounds };
}

function emptyBounds(target: ScanTarget): Pick<Segment, "base" | "end"> {
  return { base: target.headerBytes, end: target.headerBytes };
}
