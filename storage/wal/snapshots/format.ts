/**
 * The bytes of a stored snapshot, format version 1. Integers are little
 * endian, `u64` and `crc(bytes, seed)` as in the format of the log.
 *
 * **Files.** `snapshots/<group>/<index, 16 digits>-<term>.snap`: whole and
 * durable, for it is renamed only when it is. `….part`: on its way; with the
 * first 32 hexadecimal digits of the SHA-256 of its token before the ending if
 * it can be gone on with. `….snap.damaged`: was found damaged, is never read.
 * `….gone`: is being removed.
 *
 * **Header**:
 *
 * ```text
 *  0  8  magic "BALSASNP"
 *  8 u32  format version
 * 12 u32  crc(bytes 0..12, 0): a version can be believed in every format
 * 16 16  incarnation of the data directory
 * 32 u64  group
 * 40 u32  length n of the meta data, at most 32 MiB
 * 44  n  CBOR [index, term, configuration]
 *  + u32  crc(everything before, 0): the *seed* of this file
 * ```
 *
 * **Chunks**, as many as it takes, of at most 256 KiB each:
 *
 * ```text
 *  0 u32  length n, at least 1
 *  4 u32  crc(data, seed ^ place)
 *  8  n  data
 * ```
 *
 * `place` is `(offset of the data within all data + 1) * 0x9e3779b1` modulo
 * 2^32: a chunk validates only in its file and in its place (H61).
 *
 * **Footer**; nothing follows:
 *
 * ```text
 *  0 u32  0
 *  4 u64  length of all data
 * 12 u32  crc(all data, 0)
 * 16 u32  crc(bytes 0..16, seed ^ place), with the length as the offset
 * ```
 *
 * @module
 */
import { Buffer } from "node:buffer";
import {
  confStateFromArray,
  confStateToArray,
  decodeCbor,
  encodePlainCbor,
} from "../../../src/codec.ts";
import type { GroupId, SnapshotMeta } from "../../../src/core/types.ts";
import { checksum, getU64, putU64, viewOf } from "../format.ts";

/** The version that is written, and the only one that is read. */
export const SNAPSHOT_VERSION = 1;
/** Most data in one chunk. */
export const CHUNK_BYTES: number = 256 << 10;
/** Bytes of a chunk before its data. */
export const CHUNK_HEADER_BYTES = 8;
/** Bytes of the footer. */
export const FOOTER_BYTES = 20;
/** Bytes of a header before its meta data. */
export const HEADER_FIXED_BYTES = 44;

const PREAMBLE_BYTES = 16;
const MAX_META_BYTES = 32 << 20;
const MAGIC: Uint8Array = new TextEncoder().encode("BALSASNP");

/** Whose snapshot it is, and of what. */
export interface SnapshotHeader {
  /** Of the data directory, 32 hexadecimal digits. */
  readonly incarnation: string;
  readonly group: GroupId;
  readonly meta: SnapshotMeta;
}

/** A header in bytes. */
export function encodeSnapshotHeader(header: SnapshotHeader): Uint8Array {
  const { index, term, conf } = header.meta;
  const meta = encodePlainCbor([index, term, confStateToArray(conf)]);
  const bytes = new Uint8Array(HEADER_FIXED_BYTES + meta.length + 4);
  const view = viewOf(bytes);
  bytes.set(MAGIC, 0);
  view.setUint32(8, SNAPSHOT_VERSION, true);
  view.setUint32(12, checksum(bytes, 0, 12, 0), true);
  bytes.set(Buffer.from(header.incarnation, "hex"), PREAMBLE_BYTES);
  putU64(view, 32, header.group);
  view.setUint32(40, meta.length, true);
  bytes.set(meta, HEADER_FIXED_BYTES);
  const end = bytes.length - 4;
  view.setUint32(end, checksum(bytes, 0, end, 0), true);
  return bytes;
}

/** The checksum that a header ends with; what its file is bound to. */
export function snapshotSeed(header: Uint8Array): number {
  return viewOf(header).getUint32(header.length - 4, true);
}

/** What the first bytes of a file say about its header. */
export type HeadReading =
  | { readonly type: "valid"; readonly headerBytes: number }
  /** Written by another version. */
  | { readonly type: "foreign"; readonly version: number }
  | { readonly type: "damaged" };

/** How long the header is, from its first `HEADER_FIXED_BYTES`. */
export function readSnapshotHead(bytes: Uint8Array): HeadReading {
  if (bytes.length < PREAMBLE_BYTES) return { type: "damaged" };
  const view = viewOf(bytes);
  const isPreamble = MAGIC.every((byte, i) => bytes[i] === byte) &&
    view.getUint32(12, true) === checksum(bytes, 0, 12, 0);
  if (!isPreamble) return { type: "damaged" };
  const version = view.getUint32(8, true);
  if (version !== SNAPSHOT_VERSION) return { type: "foreign", version };
  if (bytes.length < HEADER_FIXED_BYTES) return { type: "damaged" };
  const length = view.getUint32(40, true);
  if (length > MAX_META_BYTES) return { type: "damaged" };
  return { type: "valid", headerBytes: HEADER_FIXED_BYTES + length + 4 };
}

/** The header that `bytes` are; `undefined` if they are damaged. */
export function decodeSnapshotHeader(
  bytes: Uint8Array,
): SnapshotHeader | undefined {
  const end = bytes.length - 4;
  const view = viewOf(bytes);
  if (view.getUint32(end, true) !== checksum(bytes, 0, end, 0)) {
    return undefined;
  }
  const cbor = decodeCbor(bytes.subarray(HEADER_FIXED_BYTES, end));
  if (!Array.isArray(cbor)) return undefined;
  const [index, term, conf]: unknown[] = cbor;
  if (typeof index !== "number" || typeof term !== "number") return undefined;
  const incarnation = bytes.subarray(PREAMBLE_BYTES, 32);
  return {
    incarnation: Buffer.from(incarnation).toString("hex"),
    group: getU64(view, 32),
    meta: { index, term, conf: confStateFromArray(conf) },
  };
}

function placeSeed(seed: number, offset: number): number {
  return (seed ^ Math.imul(offset + 1, 0x9e3779b1)) >>> 0;
}

/**
 * Fills in the header of the chunk that `bytes` are, its data being there.
 * `offset` is that of the data within all data.
 */
export function sealChunk(
  bytes: Uint8Array,
  seed: number,
  offset: number,
): void {
  const view = viewOf(bytes);
  const length = bytes.length - CHUNK_HEADER_BYTES;
  view.setUint32(0, length, true);
  const sum = checksum(
    bytes,
    CHUNK_HEADER_BYTES,
    bytes.length,
    placeSeed(seed, offset),
  );
  view.setUint32(4, sum, true);
}

/** What a file ends with. */
export interface SnapshotFooter {
  /** Length of all data. */
  readonly bytes: number;
  /** CRC-32 of all data. */
  readonly checksum: number;
}

/** A footer in bytes. */
export function encodeSnapshotFooter(
  footer: SnapshotFooter,
  seed: number,
): Uint8Array {
  const bytes = new Uint8Array(FOOTER_BYTES);
  const view = viewOf(bytes);
  putU64(view, 4, footer.bytes);
  view.setUint32(12, footer.checksum, true);
  const sum = checksum(bytes, 0, 16, placeSeed(seed, footer.bytes));
  view.setUint32(16, sum, true);
  return bytes;
}

/** What stands behind the data read so far. */
export type Piece =
  | { readonly type: "chunk"; readonly data: Uint8Array }
  | { readonly type: "footer"; readonly footer: SnapshotFooter }
  | { readonly type: "damaged"; readonly what: string };

/**
 * The piece at the start of `bytes`, with `offset` bytes of data before it.
 * Its data is a view.
 */
export function decodePiece(
  bytes: Uint8Array,
  seed: number,
  offset: number,
): Piece {
  if (bytes.length < CHUNK_HEADER_BYTES) {
    return { type: "damaged", what: "it ends too early" };
  }
  const view = viewOf(bytes);
  const length = view.getUint32(0, true);
  if (length === 0) return decodeFooter(bytes, seed, offset);
  if (length > CHUNK_BYTES) {
    return { type: "damaged", what: `a chunk says it has ${length} bytes` };
  }
  const end = CHUNK_HEADER_BYTES + length;
  if (bytes.length < end) {
    return { type: "damaged", what: "it ends within a chunk" };
  }
  const seeded = placeSeed(seed, offset);
  const sum = checksum(bytes, CHUNK_HEADER_BYTES, end, seeded);
  if (view.getUint32(4, true) !== sum) {
    return { type: "damaged", what: "the checksum of a chunk is wrong" };
  }
  return { type: "chunk", data: bytes.subarray(CHUNK_HEADER_BYTES, end) };
}

function decodeFooter(bytes: Uint8Array, seed: number, offset: number): Piece {
  if (bytes.length < FOOTER_BYTES) {
    return { type: "damaged", what: "it ends within its footer" };
  }
  const view = viewOf(bytes);
  const sum = checksum(bytes, 0, 16, placeSeed(seed, offset));
  if (view.getUint32(16, true) !== sum || getU64(view, 4) !== offset) {
    return { type: "damaged", what: "its footer is damaged" };
  }
  const footer = { bytes: offset, checksum: view.getUint32(12, true) };
  return { type: "footer", footer };
}
