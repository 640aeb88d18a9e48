/**
 * The bytes of the write-ahead log, format version 1. All integers are little
 * endian; `u64` holds at most 2^53 - 1. `crc(bytes, seed)` is CRC-32 (IEEE) of
 * `bytes`, started from `seed` instead of 0, as `zlib.crc32(bytes, seed)`.
 *
 * **Files of a data directory.** `identity`: one header with sequence 0.
 * `0000000000000001.wal` and following: segments, numbered without a gap.
 * `*.tmp`: a file on its way; means nothing. `lock-N`: see `lock.ts`.
 *
 * **Header** (identity file, start of each segment):
 *
 * ```text
 *  0  8  magic "BALSAWAL"
 *  8  u32  format version
 * 12  u32  crc(bytes 0..12, 0): a version can be believed in every format
 * 16 16  incarnation
 * 32 u64  sequence: 0 in the identity file, else the number of the segment
 * 40 u32  length n of the deployment id, at most 1024
 * 44  n  deployment id, UTF-8
 *  +  u32  crc(everything before, 0): the *seed* of this file
 * ```
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
 * 24  u8  type: 1 data, 2 sealed, 3 closed
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
 * an orderly end. Both have no body.
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
 * | 5 | snapshot | reserved |
 * | 6 | compact | reserved |
 * | 7 | destroy | none |
 *
 * Entries replace everything the group stored from their first index on: a
 * truncation is the record that overwrites, so a dropped suffix stays dropped
 * whatever is lost behind it (H53).
 *
 * @module
 */
import zlib from "node:zlib";
import { RaftError } from "../../src/errors.ts";

/** The version that is written, and the only one that is read. */
export const FORMAT_VERSION = 1;

/** Bytes of a header besides the deployment id. */
const HEADER_FIXED_BYTES = 48;
const PREAMBLE_BYTES = 16;
const MAX_DEPLOYMENT_BYTES = 1024;
const HEADER_MAGIC: Uint8Array = new TextEncoder().encode("BALSAWAL");

/** How a frame begins. */
export const FRAME_MAGIC: Uint8Array = new Uint8Array([0xb5, 0x4c, 0x4f, 0x47]);
/** Bytes of a frame before its body. */
export const FRAME_HEADER_BYTES = 32;
/** Types of frames; never renumbered. */
export const FRAME = { data: 1, sealed: 2, closed: 3 } as const;
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

/** A header in bytes. `sequence` 0 makes the identity file. */
export function encodeHeader(
  identity: LogIdentity,
  sequence: number,
): Uint8Array {
  const deployment = new TextEncoder().encode(identity.deployment);
  if (deployment.length === 0 || deployment.length > MAX_DEPLOYMENT_BYTES) {
    throw new RangeError(
      `Cannot name a log: the deployment id has ${deployment.length} bytes, wanted 1 to ${MAX_DEPLOYMENT_BYTES}`,
    );
  }
  const bytes = new Uint8Array(HEADER_FIXED_BYTES + deployment.length);
  const view = viewOf(bytes);
  bytes.set(HEADER_MAGIC, 0);
  view.setUint32(8, FORMAT_VERSION, true);
  view.setUint32(12, checksum(bytes, 0, 12, 0), true);
  bytes.set(incarnationBytes(identity.incarnation), PREAMBLE_BYTES);
  putU64(view, 32, sequence);
  view.setUint32(40, deployment.length, true);
  bytes.set(deployment, 44);
  const end = bytes.length - 4;
  view.setUint32(end, checksum(bytes, 0, end, 0), true);
  return bytes;
}

/** The checksum that a header ends with; what its file is bound to. */
export function headerSeed(header: Uint8Array): number {
  return viewOf(header).getUint32(header.length - 4, true);
}

/** What stands at the start of a file. */
export type HeaderReading =
  | { readonly type: "valid"; readonly identity: LogIdentity; sequence: number }
  /** A whole header of another format. */
  | { readonly type: "foreign"; readonly version: number }
  | { readonly type: "damaged" };

/** Reads a header from the start of `bytes`. */
export function decodeHeader(bytes: Uint8Array): HeaderReading {
  if (bytes.length < PREAMBLE_BYTES) return { type: "damaged" };
  const view = viewOf(bytes);
  const isPreamble = HEADER_MAGIC.every((byte, i) => bytes[i] === byte) &&
    view.getUint32(12, true) === checksum(bytes, 0, 12, 0);
  if (!isPreamble) return { type: "damaged" };
  const version = view.getUint32(8, true);
  if (version !== FORMAT_VERSION) return { type: "foreign", version };
  if (bytes.length < HEADER_FIXED_BYTES) return { type: "damaged" };
  const length = view.getUint32(40, true);
  const end = 44 + length;
  if (length > MAX_DEPLOYMENT_BYTES || bytes.length < end + 4) {
    return { type: "damaged" };
  }
  if (view.getUint32(end, true) !== checksum(bytes, 0, end, 0)) {
    return { type: "damaged" };
  }
  const deployment = new TextDecoder().decode(bytes.subarray(44, end));
  const incarnation = toHex(bytes.subarray(PREAMBLE_BYTES, 32));
  const sequence = getU64(view, 32);
  return { type: "valid", identity: { deployment, incarnation }, sequence };
}

/** Bytes of the largest header. */
export const MAX_HEADER_BYTES: number = HEADER_FIXED_BYTES +
  MAX_DEPLOYMENT_BYTES;

/** A new incarnation: 32 random hexadecimal digits. */
export function mintIncarnation(): string {
  return toHex(crypto.getRandomValues(new Uint8Array(16)));
}

function incarnationBytes(incarnation: string): Uint8Array {
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
