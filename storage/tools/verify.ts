/**
 * Checks everything in a data directory.
 *
 * @module
 */
import { join, resolve } from "node:path";
import { isRaftError, type RaftErrorCode } from "../../src/errors.ts";
import type { StorageRepair } from "../../src/storage.ts";
import { endNotePath, readEndNote } from "../wal/end_note.ts";
import { errorCode, readFully } from "../wal/file_system.ts";
import type { FrameHead } from "../wal/format.ts";
import { indexPath, listSegments, segmentPath } from "../wal/segment.ts";
import { decodeSegmentIndex } from "../wal/segment_index.ts";
import {
  inspectSnapshot,
  parseSnapshotName,
} from "../wal/snapshots/snapshot_file.ts";
import {
  checkSegment,
  type Problem,
  type SegmentReport,
} from "./check_segment.ts";
import {
  type DirectoryOwner,
  freeze,
  holderOf,
  openFrozen,
  readOwner,
} from "./data_directory.ts";
import type { FrozenFileSystem } from "./frozen_file_system.ts";
import type { Progress } from "./copy_group.ts";

/** How often a directory in use is gone through again. */
const MAX_LOOKS = 5;

/** What opening the directory would come to. */
export type Verdict =
  | {
    /** It opens, and has everything that was durable. */
    readonly type: "opens";
    /** What opening would repair. */
    readonly repairs: readonly StorageRepair[];
  }
  | {
    /** It is refused. */
    readonly type: "refused";
    /** Why. */
    readonly code: RaftErrorCode;
    /** For people; names file and offset. */
    readonly message: string;
  };

/** What was checked, and what is wrong. */
export interface Verification {
  /** The directory. */
  readonly directory: string;
  /** The process that uses it, or `null`. */
  readonly heldBy: number | null;
  /** Segments that were gone through. */
  readonly segments: number;
  /** Frames in them that are right. */
  readonly frames: number;
  /** Records in these. */
  readonly records: number;
  /** Entries in these, also of such as were replaced. */
  readonly entries: number;
  /** Snapshots that were read through. */
  readonly snapshots: number;
  /** Bytes that were read. */
  readonly bytes: number;
  /** Everything that is not as it was written. */
  readonly problems: readonly Problem[];
  /** What opening would come to. */
  readonly verdict: Verdict;
}

/**
 * Reads every checksum of every file. Changes nothing and takes no lock: of a
 * directory in use it checks what was there at some moment of the call.
 *
 * @throws {RangeError} If it is no data directory.
 * @throws Errors of the file system other than that a file is gone.
 */
export async function verify(
  directory: string,
  progress?: Progress,
): Promise<Verification> {
  const path = resolve(directory);
  for (let look = 1;; look++) {
    const heldBy = await holderOf(path);
    const found = await unlessGone(verifyOnce(path, heldBy, progress), {
      mayBe: heldBy !== null && look < MAX_LOOKS,
    });
    if (found === undefined) continue;
    const isRight = found.verdict.type === "opens" &&
      found.problems.every(({ type }) => type === "leftover");
    // A log that moves on under our eyes can look like anything.
    if (isRight || heldBy === null || look === MAX_LOOKS) return found;
  }
}

/** `undefined` if a file went away that was there a moment ago. */
async function unlessGone<T>(
  work: Promise<T>,
  { mayBe }: { readonly mayBe: boolean },
): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (mayBe && errorCode(error) === "ENOENT") return undefined;
    throw error;
  }
}

async function verifyOnce(
  directory: string,
  heldBy: number | null,
  progress: Progress | undefined,
): Promise<Verification> {
  const fileSystem = await freeze(directory, heldBy);
  const problems: Problem[] = [];
  const owner = await ownerOf(fileSystem, directory, problems);
  const totals = { segments: 0, frames: 0, records: 0, entries: 0 };
  const place = { fileSystem, directory, progress, problems };
  let bytes = 0;
  let snapshots = 0;
  if (owner !== undefined) {
    for await (const { size, ...report } of segmentsOf(place, owner)) {
      totals.segments++;
      totals.frames += report.frames;
      totals.records += report.records;
      totals.entries += report.entries;
      bytes += size;
      progress?.(bytes);
    }
    await checkEndNote(place, owner);
    for await (const size of snapshotsOf(place, owner)) {
      snapshots++;
      bytes += size;
      progress?.(bytes);
    }
  }
  const verdict = await verdictOf(directory, fileSystem);
  return {
    directory,
    heldBy,
    ...totals,
    snapshots,
    bytes,
    problems,
    verdict,
  };
}

/** What the checks share. */
interface Place {
  readonly fileSystem: FrozenFileSystem;
  readonly directory: string;
  readonly problems: Problem[];
}

async function ownerOf(
  fileSystem: FrozenFileSystem,
  directory: string,
  problems: Problem[],
): Promise<DirectoryOwner | undefined> {
  try {
    return await readOwner(fileSystem, directory);
  } catch (error) {
    if (!isRaftError(error)) throw error;
    problems.push(problemOf(error, join(directory, "identity")));
    return undefined;
  }
}

async function* segmentsOf(
  { fileSystem, directory, problems }: Place,
  { incarnation, recordSeed }: DirectoryOwner,
): AsyncGenerator<SegmentReport & { readonly size: number }> {
  const sequences = listSegments(fileSystem, directory);
  let before: FrameHead | undefined;
  let expected = sequences[0] ?? 1;
  if (sequences.length === 0) {
    problems.push(missing(directory, expected));
  }
  for (const sequence of sequences) {
    for (; expected < sequence; expected++) {
      problems.push(missing(directory, expected));
      before = undefined;
    }
    expected = sequence + 1;
    const path = segmentPath(directory, sequence);
    const own = { fileSystem, path, sequence, incarnation, recordSeed, before };
    const report = await checkSegment(own);
    problems.push(...report.problems);
    problems.push(...await checkIndex(fileSystem, path, report));
    before = report.last ?? before;
    yield { ...report, size: sizeOf(fileSystem, path) };
  }
}

/** An index file is worth nothing by itself: opening makes it anew. */
async function checkIndex(
  fileSystem: FrozenFileSystem,
  segment: string,
  { last }: SegmentReport,
): Promise<Problem[]> {
  const path = indexPath(segment);
  const bytes = await contentOf(fileSystem, path);
  if (bytes === undefined) return [];
  const reading = decodeSegmentIndex(bytes);
  const isRight = reading.type === "valid" &&
    (last === undefined || reading.after.checksum === last.checksum);
  if (isRight) return [];
  const what = "the index of a segment is damaged, and will be made anew";
  return [{ file: path, offset: 0, what, type: "leftover" }];
}

async function contentOf(
  fileSystem: FrozenFileSystem,
  path: string,
): Promise<Uint8Array | undefined> {
  let file: number;
  try {
    file = fileSystem.open(path, "read");
  } catch (error) {
    if (errorCode(error) === "ENOENT") return undefined;
    throw error;
  }
  try {
    const bytes = new Uint8Array(fileSystem.size(file));
    const length = await readFully(fileSystem, file, bytes, 0);
    return bytes.subarray(0, length);
  } finally {
    fileSystem.close(file);
  }
}

function missing(directory: string, sequence: number): Problem {
  const file = segmentPath(directory, sequence);
  return { file, offset: 0, what: "the segment is missing", type: "damage" };
}

function sizeOf(fileSystem: FrozenFileSystem, path: string): number {
  const file = fileSystem.open(path, "read");
  const size = fileSystem.size(file);
  fileSystem.close(file);
  return size;
}

/** Whether the log ends where the note says is for opening to tell. */
async function checkEndNote(
  { fileSystem, directory, problems }: Place,
  identity: DirectoryOwner,
): Promise<void> {
  try {
    await readEndNote({ fileSystem, directory, identity });
  } catch (error) {
    if (!isRaftError(error)) throw error;
    problems.push(problemOf(error, endNotePath(directory)));
  }
}

async function* snapshotsOf(
  { fileSystem, directory, problems }: Place,
  { incarnation }: DirectoryOwner,
): AsyncGenerator<number> {
  const root = join(directory, "snapshots");
  for (const folder of namesIn(fileSystem, root)) {
    const own = join(root, folder);
    const owner = { incarnation, group: Number(folder), directory: own };
    for (const text of namesIn(fileSystem, own)) {
      const file = join(own, text);
      if (text.endsWith(".damaged")) {
        const what = "a damaged snapshot that was set aside";
        problems.push({ file, offset: 0, what, type: "leftover" });
      }
      const name = parseSnapshotName(text);
      if (name === undefined) continue;
      try {
        const found = await inspectSnapshot(fileSystem, owner, name);
        if (found.state === "damaged") {
          problems.push(problemOf(found.problem, file));
        }
      } catch (error) {
        if (!isRaftError(error)) throw error;
        problems.push(problemOf(error, file));
      }
      yield sizeOf(fileSystem, file);
    }
  }
}

function namesIn(
  fileSystem: FrozenFileSystem,
  folder: string,
): readonly string[] {
  try {
    return [...fileSystem.list(folder)].sort();
  } catch (error) {
    if (errorCode(error) === "ENOENT") return [];
    throw error;
  }
}

async function verdictOf(
  directory: string,
  fileSystem: FrozenFileSystem,
): Promise<Verdict> {
  try {
    const { storage, opened } = await openFrozen(directory, fileSystem);
    await storage.close();
    return { type: "opens", repairs: opened.repairs };
  } catch (error) {
    if (!isRaftError(error)) throw error;
    return { type: "refused", code: error.code, message: error.message };
  }
}

function problemOf(
  error: {
    readonly message: string;
    readonly file: string | undefined;
    readonly offset: number | undefined;
  },
  file: string,
): Problem {
  return {
    file: error.file ?? file,
    offset: error.offset ?? 0,
    what: error.message,
    type: "damage",
  };
}
