/**
 * The file `closed`: where the log ended when it was closed in order. While
 * it is there, the log has to reach exactly that far, so that a lost end can
 * be told from a write that was under way. It is removed durably before the
 * next frame is written; a killed process leaves none.
 *
 * ```text
 *  0  8  magic "BALSAEND"
 *  8 u32  version of the note, 1
 * 12 u32  crc(bytes 0..12, 0)
 * 16 16  incarnation
 * 32 u64  number of the last segment that has frames, or takes the first
 * 40 u64  offset behind its last frame
 * 48 u64  sequence of the last frame; 0 if there is none
 * 56 u32  checksum of the last frame; 0 if there is none
 * 60 u32  crc(bytes 0..60, 0)
 * ```
 *
 * @module
 */
import { join } from "node:path";
import { readStart, removeDurably, writeDurably } from "./durable_file.ts";
import { corruption, unsupported } from "./errors.ts";
import {
  checksum,
  decodePreamble,
  getU64,
  incarnationBytes,
  type LogIdentity,
  putPreamble,
  putU64,
  viewOf,
} from "./format.ts";
import type { FrameChain } from "./scan.ts";
import type { LogPlace, Segment } from "./segment.ts";

const MAGIC: Uint8Array = new TextEncoder().encode("BALSAEND");
const VERSION = 1;
const NOTE_BYTES = 64;

/** Where a log ends. */
export interface EndNote {
  /** Number of the segment. */
  readonly segment: number;
  /** Behind the last frame. */
  readonly offset: number;
  /** Sequence of the last frame. */
  readonly sequence: number;
  /** Checksum of the last frame. */
  readonly checksum: number;
}

/** Path of the note of a directory. */
export function endNotePath(directory: string): string {
  return join(directory, "closed");
}

/** What a note says about a log that ends there. */
export function endOf(
  segment: Pick<Segment, "sequence" | "end">,
  chain: FrameChain,
): EndNote {
  return {
    segment: segment.sequence,
    offset: segment.end,
    sequence: chain.sequence,
    checksum: chain.checksum,
  };
}

/** A note in bytes. */
export function encodeEndNote(
  identity: LogIdentity,
  note: EndNote,
): Uint8Array {
  const bytes = new Uint8Array(NOTE_BYTES);
  const view = viewOf(bytes);
  putPreamble(bytes, MAGIC, VERSION);
  bytes.set(incarnationBytes(identity.incarnation), 16);
  putU64(view, 32, note.segment);
  putU64(view, 40, note.offset);
  putU64(view, 48, note.sequence);
  view.setUint32(56, note.checksum, true);
  view.setUint32(60, checksum(bytes, 0, 60, 0), true);
  return bytes;
}

/** Writes the note; durable when this resolves. */
export async function writeEndNote(
  place: LogPlace,
  note: EndNote,
): Promise<void> {
  const path = endNotePath(place.directory);
  const bytes = encodeEndNote(place.identity, note);
  await writeDurably(place.fileSystem, path, bytes);
}

/** Removes the note; no crash brings it back once this resolves. */
export async function removeEndNote(place: LogPlace): Promise<void> {
  await removeDurably(place.fileSystem, endNotePath(place.directory));
}

/**
 * The note of a log, or `undefined` if its process was killed.
 *
 * @throws {RaftError} `corrupt` if it is damaged or another log's,
 * `unsupportedFormat` if it is of another version.
 */
export async function readEndNote(
  place: LogPlace,
): Promise<EndNote | undefined> {
  const path = endNotePath(place.directory);
  const bytes = await readStart(place.fileSystem, path, NOTE_BYTES + 1);
  if (bytes === undefined) return undefined;
  const at = { file: path, offset: 0 };
  const version = decodePreamble(bytes, MAGIC);
  if (version !== undefined && version !== VERSION) {
    throw unsupported(at, `its version is ${version}, wanted ${VERSION}`);
  }
  const view = viewOf(bytes);
  const isWhole = version !== undefined && bytes.length === NOTE_BYTES &&
    view.getUint32(60, true) === checksum(bytes, 0, 60, 0);
  if (!isWhole) throw corruption(at, "the note of the end is damaged");
  const own = incarnationBytes(place.identity.incarnation);
  if (!own.every((byte, i) => bytes[16 + i] === byte)) {
    throw corruption(at, "the note of the end is that of another log");
  }
  return {
    segment: getU64(view, 32),
    offset: getU64(view, 40),
    sequence: getU64(view, 48),
    checksum: view.getUint32(56, true),
  };
}

/**
 * Refuses a log that does not end where it was closed.
 *
 * @throws {RaftError} `corrupt` at the place where it does end.
 */
export function requireEnd(
  note: EndNote | undefined,
  found: EndNote,
  path: string,
): void {
  if (note === undefined) return;
  const isThere = note.segment === found.segment &&
    note.offset === found.offset && note.sequence === found.sequence &&
    note.checksum === found.checksum;
  if (isThere) return;
  throw corruption(
    { file: path, offset: found.offset },
    `the log ends there with frame ${found.sequence}, but it was closed at offset ${note.offset} of segment ${note.segment} with frame ${note.sequence}`,
  );
}
