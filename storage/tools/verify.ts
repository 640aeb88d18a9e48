/**
 * Checks everything in a data directory.
 *
 * @module
 */
import { basename, dirname, join, resolve } from "node:path";
import type { GroupId } from "../../src/core/types.ts";
import { isRaftError, type RaftErrorCode } from "../../src/errors.ts";
import type { StorageRepair } from "../../src/storage.ts";
import { endNotePath, readEndNote } from "../wal/end_note.ts";
import { reasonOf } from "../wal/errors.ts";
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
 * @throws Errors of the file system if it cannot be listed.
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
  const { verdict, groups } = await verdictOf(directory, fileSystem);
  const found = { directory, heldBy, ...totals, snapshots, bytes, verdict };
  if (groups === undefined) return { ...found, problems };
  const root = join(directory, "snapshots");
  const judged = problems.map((problem): Problem => {
    const folder = dirname(problem.file);
    const isOfGroup = dirname(folder) !== root ||
      groups.some((group) => `${group}` === basename(folder));
    return isOfGroup ? problem : { ...problem, type: "leftover" };
  });
  return { ...found, problems: judged };
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
    if (expected < sequence) {
      problems.push(missing(directory, expected, sequence - 1));
      before = undefined;
    }
    expected = sequence + 1;
    const path = segmentPath(directory, sequence);
    const own = { fileSystem, path, sequence, incarnation, recordSeed, before };
    try {
      const report = await checkSegment(own);
      problems.push(...report.problems);
      problems.push(...await checkIndex(fileSystem, path, report));
      before = report.last ?? before;
      yield { ...report, size: sizeOf(fileSystem, path) };
    } catch (error) {
      problems.push(unreadable(path, error, "damage"));
      before = undefined;
    }
  }
}

/** An index file is worth nothing by itself: opening makes it anew. */
async function checkIndex(
  fileSystem: FrozenFileSystem,
  segment: string,
  { last }: SegmentReport,
): Promise<Problem[]> {
  const path = indexPath(segment);
  let bytes: Uint8Array | undefined;
  try {
    bytes = await contentOf(fileSystem, path);
  } catch (error) {
    return [unreadable(path, error, "leftover")];
  }
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

/** However many are missing, it is one problem: a name can be anything. */
function missing(directory: string, first: number, last = first): Problem {
  const file = segmentPath(directory, first);
  const what = first === last
    ? "the segment is missing"
    : `the segment is missing, and all through ${segmentPath("", last)}`;
  return { file, offset: 0, what, type: "damage" };
}

/**
 * A disk that fails is a finding.
 *
 * @throws `error` if the file is gone, which may be in order.
 */
function unreadable(
  file: string,
  error: unknown,
  type: Problem["type"],
): Problem {
  const code = errorCode(error);
  if (code === undefined || code === "ENOENT") throw error;
  return { file, offset: 0, what: `cannot be read: ${reasonOf(error)}`, type };
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
    const path = endNotePath(directory);
    problems.push(
      isRaftError(error)
        ? problemOf(error, path)
        : unreadable(path, error, "damage"),
    );
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
        yield sizeOf(fileSystem, file);
      } catch (error) {
        problems.push(
          isRaftError(error)
            ? problemOf(error, file)
            : unreadable(file, error, "damage"),
        );
      }
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
    // A file where a folder is looked for: opening says what it thinks of it.
    if (["ENOENT", "ENOTDIR"].includes(errorCode(error) ?? "")) return [];
    throw error;
  }
}

/** What opening comes to; of which groups, if it opens. */
async function verdictOf(
  directory: string,
  fileSystem: FrozenFileSystem,
): Promise<
  { readonly verdict: Verdict; readonly groups?: readonly GroupId[] }
> {
  try {
    const options = { readsTail: true };
    const log = await openFrozen(directory, fileSystem, options);
    const { storage, opened } = log;
    await storage.close();
    const verdict = { type: "opens", repairs: opened.repairs } as const;
    return { verdict, groups: opened.groups.map(({ group }) => group) };
  } catch (error) {
    if (!isRaftError(error)) throw error;
    const { code, message } = error;
    return { verdict: { type: "refused", code, message } };
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
