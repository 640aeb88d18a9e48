/**
 * The bytes of the write-ahead log, format version 2. All integers are little
 * endian; `u64` holds at most 2^53 - 1. `crc(bytes, seed)` is CRC-32 (IEEE) of
 * `bytes`, started from `seed` instead of 0, as `zlib.crc32(bytes, seed)`.
 *
 * **Files of a data directory.** `identity`: one header with sequence 0.
 * `0000000000000001.wal` and following: segments, numbered without a gap. A
 * segment gets its name when it is laid out in full and durable, so that a
 * short one is damage. `0000000000000001.idx`: see `segment_index.ts`; may be
 * missing. `closed`: see `end_note.ts`. `snapshots/`: see
 * `snapshots/format.ts`. `*.tmp`: a file on its way; means nothing. `lock-N`:
 * see `lock.ts`.
 *
 * **Header** (identity file, start of each segment):
 *
 * ```text
 *  0  8  magic "BALSAWAL"
 *  8  u32  format version
 * 12  u32  crc(bytes 0..12, 0): a version can be believed in every format
 * 16 16  incarnation
 * 32 u64  sequence: 0 in the identity file, else the number of the segment
 * 40 u64  capacity: bytes the segment is laid out with; 0 in the identity file
 * 48 u32  length n of the deployment id, at most 1024
 * 52  n  deployment id, UTF-8
 *  +  u32  crc(everything before, 0): the *seed* of this file
 * ```
 *
 * Version 1 lacks the capacity: there, what stands at 48 stands at 40. It is
 * read for ever; files of both versions may lie side by side.
 *
 * A segment goes on with frames, one behind the other, then zeros.
 *
 * **Frame**: what one flush makes durable, whole or not at all:
 *
 * ```text
 *  0  4  magic b5 4c 4f 47
 *  4 u32  length of the body
 *  8 u32  crc(body, 0)
 * 12 u32  checksum of the frame before, across segments; 0 for the first
 * 16 u64  sequence: 1, 2, 3 …, across segments
 * 24  u8  type: 1 data, 2 sealed, 3 closed, 4 checkpoint
 * 25  3  zero
 * 28 u32  checksum: crc(bytes 0..28, seed of the segment ^ place)
 * 32  …  body: records, one behind the other
 * ```
 *
 * `place` is `(offset of the frame in its file + 1) * 0x9e3779b1` modulo
 * 2^32. So a frame validates only where it was written, in the log it was
 * written for, and behind the frames it was written behind: old bytes, or a
 * write that went astray, never do (H61). *Sealed* is the last frame of a
 * full segment and says that the next segment exists. *Closed* is written by
 * an orderly end. Both have no body. *Checkpoint* is the first frame of every
 * segment but the first: a checkpoint record for each group, ascending by id,
 * and nothing else. What lies before it may be gone (see `compaction.ts`).
 *
 * A frame is written only when all before it is durable. Therefore a valid
 * frame header proves that whatever is wrong before it is damage, while a bad
 * frame with no frame behind it is a write that was under way (H48, H50).
 *
 * **Record**:
 *
 * ```text
 *  0 u32  checksum: crc(bytes 4.., seed of the identity file)
 *  4 u32  length of the payload
 *  8  u8  type
 *  9  3  zero
 * 12 u64  group
 * 20  …  payload
 * ```
 *
 * | type | record | payload |
 * |---|---|---|
 * | 1 | create | u64 node, then CBOR `[index, term, configuration]` of the snapshot it starts from |
 * | 2 | hard state | u64 term, u64 vote (0 if nobody), u64 commit, u8 whether there is a vote |
 * | 3 | entries | u64 term, u64 first index, u32 count, then per entry u8 type, u32 length n, n bytes |
 * | 4 | configuration | u64 index, then CBOR of the configuration |
 * | 5 | snapshot | u64 index, u64 term, then CBOR of its configuration |
 * | 6 | compact | u64 index of the last entry that goes, u64 its term |
 * | 7 | destroy | none |
 * | 8 | checkpoint | see below |
 * | 9 | relocate | as of entries |
 *
 * Entries replace everything the group stored from their first index on: a
 * truncation is the record that overwrites, so a dropped suffix stays dropped
 * whatever is lost behind it (H53). *Snapshot* replaces the log through its
 * index, its data being stored before; what is above stays if the log holds
 * its last entry, and goes if it does not (thesis §5.3). *Compact* drops
 * entries that a snapshot contains. *Relocate* is a copy of entries that the
 * group has, so that the segment they were read from can go: it changes where
 * they lie and nothing else.
 *
 * A checkpoint record is the state of its group after all frames before:
 *
 * ```text
 *  0 u64  node
 *  8 u64  sequence of the frame that created the group
 * 16 25  hard state, as in its record
 * 41 u64  first index
 * 49 u64  last index
 * 57 u64  term of the entry before the first
 * 65 u32  number n of terms
 * 69  16n  per term of the log: u64 term, u64 its first index
 *  +  …  CBOR [[index, term, configuration] of the snapshot it started from,
 *        whether that was installed, [index, configuration] or null]
 * ```
 *
 * @module
 */
import zlib from "node:zlib";
import { RaftError } from "../../src/errors.ts";

/** The version that is written. */
export const FORMAT_VERSION = 2;
/** The oldest version that is read. */
export const OLDEST_FORMAT_VERSION = 1;

/** Where a header says how long the deployment id is, by version. */
const LENGTH_AT: Readonly<Record<number, number>> = { 1: 40, 2: 48 };
const LENGTH_AT_NOW = 48;
/** The length before the deployment id and the checksum behind it. */
const FRAMING_BYTES = 8;
const CAPACITY_AT = 40;
const PREAMBLE_BYTES = 16;
const MAX_DEPLOYMENT_BYTES = 1024;
const HEADER_MAGIC: Uint8Array = new TextEncoder().encode("BALSAWAL");

/** How a frame begins. */
export const FRAME_MAGIC: Uint8Array = new Uint8Array([0xb5, 0x4c, 0x4f, 0x47]);
/** Bytes of a frame before its body. */
export const FRAME_HEADER_BYTES = 32;
/** Types of frames; never renumbered. */
export const FRAME = {
  data: 1,
  sealed: 2,
  closed: 3,
  checkpoint: 4,
} as const;
/** Type of a frame. */
export type FrameType = typeof FRAME[keyof typeof FRAME];

/** Bytes of a record before its payload. */
export const RECORD_HEADER_BYTES = 20;
/** Bytes of an entries record before its first entry. */
export const RUN_RECORD_HEAD_BYTES: number = RECORD_HEADER_BYTES + 20;
/** Types of records; never renumbered. */
export const RECORD = {
  create: 1,
  hardState: 2,
  entries: 3,
  conf: 4,
  snapshot: 5,
  compact: 6,
  destroy: 7,
  checkpoint: 8,
  relocate: 9,
} as const;

const TWO_POW_32 = 0x1_0000_0000;

/** CRC-32 of `bytes[from, to)`, continued from `seed`. */
export function checksum(
  bytes: Uint8Array,
  from: number,
  to: number,
  seed: number,
): number {
  return zlib.crc32(bytes.subarray(from, to), seed);
}

/**
 * Refuses runtimes that lack the checksum.
 *
 * @throws {RaftError} `unsupported` on Node before 20.15.
 */
export function requireChecksum(): void {
  if (typeof zlib.crc32 === "function") return;
  throw new RaftError(
    "unsupported",
    "Cannot use a write-ahead log: this runtime has no zlib.crc32, wanted Node 20.15, Deno 2 or Bun 1.2 at least",
  );
}

/** Writes an integer of `[0, 2^53)` in 8 bytes. */
export function putU64(view: DataView, at: number, value: number): void {
  view.setUint32(at, value % TWO_POW_32, true);
  view.setUint32(at + 4, Math.floor(value / TWO_POW_32), true);
}

/** The inverse of {@linkcode putU64}. */
export function getU64(view: DataView, at: number): number {
  return view.getUint32(at, true) + view.getUint32(at + 4, true) * TWO_POW_32;
}

/** A view on the same bytes. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Whose log it is. */
export interface LogIdentity {
  readonly deployment: string;
  /** 32 hexadecimal digits. */
  readonly incarnation: string;
}

/** What a header says about its file. */
export interface HeaderPlace {
  /** Number of the segment; 0 for the identity file. */
  readonly sequence: number;
  /** Bytes the segment is laid out with; 0 where that is not known. */
  readonly capacity: number;
}

/** The place of the identity file. */
export const IDENTITY_PLACE: HeaderPlace = { sequence: 0, capacity: 0 };

/** A header in bytes. */
export function encodeHeader(
  identity: LogIdentity,
  place: HeaderPlace,
): Uint8Array {
  const deployment = new TextEncoder().encode(identity.deployment);
  if (deployment.length === 0 || deployment.length > MAX_DEPLOYMENT_BYTES) {
    throw new RangeError(
      `Cannot name a log: the deployment id has ${deployment.length} bytes, wanted 1 to ${MAX_DEPLOYMENT_BYTES}`,
    );
  }
  const bytes = new Uint8Array(
    LENGTH_AT_NOW + FRAMING_BYTES + deployment.length,
  );
  const view = viewOf(bytes);
  putPreamble(bytes, HEADER_MAGIC, FORMAT_VERSION);
  bytes.set(incarnationBytes(identity.incarnation), PREAMBLE_BYTES);
  putU64(view, 32, place.sequence);
  putU64(view, CAPACITY_AT, place.capacity);
  view.setUint32(LENGTH_AT_NOW, deployment.length, true);
  bytes.set(deployment, LENGTH_AT_NOW + 4);
  const end = bytes.length - 4;
  view.setUint32(end, checksum(bytes, 0, end, 0), true);
  return bytes;
}

/** The checksum that a header ends with; what its file is bound to. */
export function headerSeed(header: Uint8Array): number {
  return viewOf(header).getUint32(header.length - 4, true);
}

/** A header that is whole. */
export interface Header extends HeaderPlace {
  readonly identity: LogIdentity;
  /** Its own length. */
  readonly bytes: number;
  /** The checksum that it ends with. */
  readonly seed: number;
}

/** What stands at the start of a file. */
export type HeaderReading =
  | ({ readonly type: "valid" } & Header)
  /** A whole header of another format. */
  | { readonly type: "foreign"; readonly version: number }
  | { readonly type: "damaged" };

/** Reads a header from the start of `bytes`. */
export function decodeHeader(bytes: Uint8Array): HeaderReading {
  const version = decodePreamble(bytes, HEADER_MAGIC);
  if (version === undefined) return { type: "damaged" };
  const lengthAt = LENGTH_AT[version];
  if (lengthAt === undefined) return { type: "foreign", version };
  if (bytes.length < lengthAt + FRAMING_BYTES) return { type: "damaged" };
  const view = viewOf(bytes);
  const start = lengthAt + 4;
  const end = start + view.getUint32(lengthAt, true);
  if (end - start > MAX_DEPLOYMENT_BYTES || bytes.length < end + 4) {
    return { type: "damaged" };
  }
  const seed = view.getUint32(end, true);
  if (seed !== checksum(bytes, 0, end, 0)) return { type: "damaged" };
  const deployment = new TextDecoder().decode(bytes.subarray(start, end));
  const incarnation = toHex(bytes.subarray(PREAMBLE_BYTES, 32));
  return {
    type: "valid",
    identity: { deployment, incarnation },
    sequence: getU64(view, 32),
    capacity: lengthAt === CAPACITY_AT ? 0 : getU64(view, CAPACITY_AT),
    bytes: end + 4,
    seed,
  };
}

/**
 * The version at the start of a file that begins with `magic`, the version
 * and a checksum of both; `undefined` if no such thing stands there.
 */
export function decodePreamble(
  bytes: Uint8Array,
  magic: Uint8Array,
): number | undefined {
  if (bytes.length < PREAMBLE_BYTES) return undefined;
  const view = viewOf(bytes);
  const isWhole = magic.every((byte, i) => bytes[i] === byte) &&
    view.getUint32(12, true) === checksum(bytes, 0, 12, 0);
  return isWhole ? view.getUint32(8, true) : undefined;
}

/** Writes what {@linkcode decodePreamble} reads; `magic` has 8 bytes. */
export function putPreamble(
  bytes: Uint8Array,
  magic: Uint8Array,
  version: number,
): void {
  const view = viewOf(bytes);
  bytes.set(magic, 0);
  view.setUint32(8, version, true);
  view.setUint32(12, checksum(bytes, 0, 12, 0), true);
}

/** Bytes of the largest header. */
export const MAX_HEADER_BYTES: number = LENGTH_AT_NOW + FRAMING_BYTES +
  MAX_DEPLOYMENT_BYTES;

/** A new incarnation: 32 random hexadecimal digits. */
export function mintIncarnation(): string {
  return toHex(crypto.getRandomValues(new Uint8Array(16)));
}

/** An incarnation as its 16 bytes. */
export function incarnationBytes(incarnation: string): Uint8Array {
  if (!/^[0-9a-f]{32}$/.test(incarnation)) {
    throw new RangeError(
      `Cannot name a log: incarnation is "${incarnation}", wanted 32 lower case hexadecimal digits`,
    );
  }
  return Uint8Array.from(
    { length: 16 },
    (_, i) => Number.parseInt(incarnation.slice(2 * i, 2 * i + 2), 16),
  );
}

function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(
    "",
  );
}

/** The head of a frame. */
export interface FrameHead {
  readonly bodyBytes: number;
  readonly bodyChecksum: number;
  /** Checksum of the frame before. */
  readonly previous: number;
  readonly sequence: number;
  readonly type: number;
  readonly checksum: number;
}

/** Where a frame stands: seed of its segment, offset in its file. */
export interface FramePlace {
  readonly seed: number;
  readonly offset: number;
}

function placeSeed(place: FramePlace): number {
  return (place.seed ^ Math.imul(place.offset + 1, 0x9e3779b1)) >>> 0;
}

/** Fills in the first 32 bytes of a frame; returns its checksum. */
export function putFrameHead(
  bytes: Uint8Array,
  view: DataView,
  head: Omit<FrameHead, "checksum">,
  place: FramePlace,
): number {
  bytes.set(FRAME_MAGIC, 0);
  view.setUint32(4, head.bodyBytes, true);
  view.setUint32(8, head.bodyChecksum, true);
  view.setUint32(12, head.previous, true);
  putU64(view, 16, head.sequence);
  view.setUint32(24, head.type, true);
  const sum = checksum(bytes, 0, 28, placeSeed(place));
  view.setUint32(28, sum, true);
  return sum;
}

/**
 * The frame head at `at` of `bytes`, or `undefined` if none that was written
 * for this place stands there.
 */
export function readFrameHead(
  bytes: Uint8Array,
  at: number,
  place: FramePlace,
): FrameHead | undefined {
  if (bytes.length - at < FRAME_HEADER_BYTES) return undefined;
  for (let i = 0; i < FRAME_MAGIC.length; i++) {
    if (bytes[at + i] !== FRAME_MAGIC[i]) return undefined;
  }
  const view = viewOf(bytes);
  const sum = view.getUint32(at + 28, true);
  if (sum !== checksum(bytes, at, at + 28, placeSeed(place))) return undefined;
  return {
    bodyBytes: view.getUint32(at + 4, true),
    bodyChecksum: view.getUint32(at + 8, true),
    previous: view.getUint32(at + 12, true),
    sequence: getU64(view, at + 16),
    type: view.getUint32(at + 24, true),
    checksum: sum,
  };
}
