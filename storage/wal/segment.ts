/**
 * Segment files: their names, how they come into being, how they are read.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { join } from "node:path";
import {
  encodeHeader,
  FRAME_HEADER_BYTES,
  headerSeed,
  type LogIdentity,
} from "./format.ts";
import { removeIfThere } from "./durable_file.ts";
import {
  type FileHandle,
  type OpenMode,
  type WalFileSystem,
  writeFully,
} from "./file_system.ts";

const INDEX_NAME = /^\d{16}\.idx(\.tmp)?$/;
const SEGMENT_NAME = /^(\d{16})\.wal$/;
const ZEROS: Uint8Array = new Uint8Array(1 << 20);
/** Synced in steps, so that the log's own flushes never wait for much. */
const FILL_STEP_BYTES = 4 << 20;

/**
 * The first segment of a log is at most this large, and each one after it at
 * most four times the one before: a small log costs little to start, and a
 * busy one soon has segments of full size.
 */
const FIRST_SEGMENT_BYTES = 4 << 20;
const SEGMENT_GROWTH = 4;

/** One file of the log. */
export interface Segment {
  readonly sequence: number;
  readonly path: string;
  /** Open for reading and writing as long as the segment takes frames. */
  readonly file: FileHandle;
  /** What its frames are bound to. */
  readonly seed: number;
  readonly headerBytes: number;
  /** Bytes that are laid out in advance. */
  readonly capacity: number;
  /** Behind the checkpoint it begins with; behind its header without one. */
  base: number;
  /** Where the next frame goes: the end of the last one. */
  end: number;
}

/** A segment that is full. */
export interface SealedSegment {
  readonly sequence: number;
  /** Whether a log can begin with it. */
  readonly hasCheckpoint: boolean;
  /** Where what is no checkpoint begins. */
  readonly base: number;
  /** Behind its last frame. */
  readonly end: number;
}

/** Where a log lives. */
export interface LogPlace {
  readonly fileSystem: WalFileSystem;
  readonly directory: string;
  readonly identity: LogIdentity;
  /**
   * Whether segments take frames in mode `durable`.
   *
   * @default false
   */
  readonly isWriteThrough?: boolean | undefined;
}

/** Name of a segment in its directory. */
export function segmentPath(directory: string, sequence: number): string {
  return join(directory, `${String(sequence).padStart(16, "0")}.wal`);
}

/** Path of the index file of a segment. */
export function indexPath(segmentPath: string): string {
  return segmentPath.replace(/\.wal$/, ".idx");
}

/** Paths of the index files in a directory, unfinished ones included. */
export function listIndexFiles(
  fileSystem: WalFileSystem,
  directory: string,
): string[] {
  return fileSystem.list(directory)
    .filter((name) => INDEX_NAME.test(name))
    .map((name) => join(directory, name));
}

/** Numbers of the segments in a directory, ascending. */
export function listSegments(
  fileSystem: WalFileSystem,
  directory: string,
): number[] {
  const sequences: number[] = [];
  for (const name of fileSystem.list(directory)) {
    const match = SEGMENT_NAME.exec(name);
    if (match !== null) sequences.push(Number(match[1]));
  }
  return sequences.sort((a, b) => a - b);
}

/** How large the segment after one of `previous` bytes is; 0: the first. */
export function nextCapacity(previous: number, segmentBytes: number): number {
  const grown = Math.max(FIRST_SEGMENT_BYTES, previous * SEGMENT_GROWTH);
  return Math.min(segmentBytes, grown);
}

/** Whether a frame, and the one that seals the segment, still go in. */
export function fits(segment: Segment, frameBytes: number): boolean {
  // A segment takes a first frame of any size: it grows beyond its plan.
  return segment.end === segment.base ||
    segment.end + frameBytes + FRAME_HEADER_BYTES <= segment.capacity;
}

/** How a segment is laid out in advance. */
export interface SegmentPlan {
  /** Bytes of the file. */
  readonly capacity: number;
  /**
   * `"zeros"`: written in full, so that later writes change no metadata and a
   * flush is one write to the disk. `"hole"`: only its length is set; large
   * frames gain nothing by zeros, and would have every byte written twice.
   */
  readonly layout: "zeros" | "hole";
}

/**
 * Makes the segment; it is durable under its name when this resolves (H51).
 * The work is done in slices off the caller's thread.
 */
export async function createSegment(
  place: LogPlace,
  sequence: number,
  plan: SegmentPlan,
): Promise<Segment> {
  const { capacity, layout } = plan;
  const { fileSystem, directory } = place;
  const path = segmentPath(directory, sequence);
  const draft = `${path}.tmp`;
  const header = encodeHeader(place.identity, { sequence, capacity });
  removeIfThere(fileSystem, draft);
  const file = fileSystem.open(draft, "create");
  try {
    writeFully(fileSystem, file, header, 0);
    const from = layout === "hole"
      ? Math.max(header.length, capacity - 1)
      : header.length;
    await fillWithZeros(fileSystem, file, from, capacity);
    await fileSystem.sync(file);
    fileSystem.rename(draft, path);
    await fileSystem.syncDirectory(directory);
    return {
      sequence,
      path,
      file: openForFrames(place, path, file),
      seed: headerSeed(header),
      headerBytes: header.length,
      capacity: Math.max(capacity, header.length),
      base: header.length,
      end: header.length,
    };
  } catch (error) {
    fileSystem.close(file);
    removeQuietly(fileSystem, draft);
    throw error;
  }
}

/** How a segment is opened that takes frames. */
export function frameMode(place: LogPlace): OpenMode {
  return place.isWriteThrough === true ? "durable" : "update";
}

/** The zeros were not written through: that would take many times as long. */
function openForFrames(
  place: LogPlace,
  path: string,
  file: FileHandle,
): FileHandle {
  const mode = frameMode(place);
  if (mode === "update") return file;
  const reopened = place.fileSystem.open(path, mode);
  place.fileSystem.close(file);
  return reopened;
}

/** Writes zeros over `[from, to)`. Does not wait for the disk. */
export async function fillWithZeros(
  fileSystem: WalFileSystem,
  file: FileHandle,
  from: number,
  to: number,
): Promise<void> {
  let unsynced = 0;
  for (let at = from; at < to;) {
    const zeros = ZEROS.subarray(0, Math.min(ZEROS.length, to - at));
    const count = await fileSystem.writeLater(file, zeros, at);
    if (count <= 0) {
      throw new Error(
        `Cannot lay out a segment: nothing was written at offset ${at} of ${to}`,
      );
    }
    at += count;
    unsynced += count;
    if (unsynced >= FILL_STEP_BYTES) {
      unsynced = 0;
      await fileSystem.sync(file);
    }
  }
}

/** Whether all of `bytes` is zero. */
export function isZero(bytes: Uint8Array): boolean {
  for (let at = 0; at < bytes.length; at += ZEROS.length) {
    const part = bytes.subarray(at, at + ZEROS.length);
    if (Buffer.compare(part, ZEROS.subarray(0, part.length)) !== 0) {
      return false;
    }
  }
  return true;
}

/** For cleaning up behind another error, which is the one to tell about. */
function removeQuietly(fileSystem: WalFileSystem, path: string): void {
  try {
    fileSystem.unlink(path);
  } catch {
    // Opening the log removes it.
  }
}
