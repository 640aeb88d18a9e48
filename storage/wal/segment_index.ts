/**
 * The bytes of index files: all that opening a log needs of a full segment,
 * without the payload of its entries. `0000000000000007.idx` stands beside
 * segment 7. It is worth nothing by itself: it counts only while it fits the
 * frames before and behind, and can be made anew from the segment.
 *
 * ```text
 *  0  8  magic "BALSAIDX"
 *  8 u32  version of the index file, 1
 * 12 u32  crc(bytes 0..12, 0)
 * 16 u32  seed of the segment
 * 20 u32  checksum of the frame before its first one
 * 24 u64  sequence of the frame before its first one
 * 32 u32  checksum of its last frame, which seals it
 * 36 u32  zero
 * 40 u64  sequence of its last frame
 * 48 u64  offset behind the checkpoint it begins with; behind its header
 *         without one
 * 56 u64  offset behind its last frame
 * 64  …  items: the records of the segment in order
 *  + u32  crc(everything before, 0)
 * ```
 *
 * An item begins with the u32 type of its record. Of entries (types 3 and 9)
 * follow u32 count, u64 group, u64 term, u64 first index, u64 offset of the
 * record in the segment, u32 its bytes, u32 its checksum. Of all others follow
 * u32 length of the record, u64 sequence of its frame, and the record itself.
 *
 * @module
 */
import {
  checksum,
  decodePreamble,
  FRAME_HEADER_BYTES,
  getU64,
  putPreamble,
  putU64,
  RECORD,
  viewOf,
} from "./format.ts";
import type { FrameSource, GroupTable } from "./groups.ts";
import {
  isRunRecord,
  readRecord,
  readRunHead,
  type RecordView,
} from "./records.ts";
import type { FrameChain } from "./scan.ts";

const MAGIC: Uint8Array = new TextEncoder().encode("BALSAIDX");
const VERSION = 1;
const HEAD_BYTES = 64;
const RUN_ITEM_BYTES = 48;
const RECORD_ITEM_HEAD_BYTES = 16;
const MAX_CHUNK_BYTES = 1 << 20;

/** A part of what is collected. */
interface Chunk {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** How much of it is used. */
  length: number;
}

/** The frames of a full segment. */
export interface IndexedSegment {
  /** What its frames are bound to. */
  readonly seed: number;
  /** The frame before its first one. */
  readonly before: Omit<FrameChain, "type">;
  /** Its last frame. */
  readonly after: Omit<FrameChain, "type">;
  /** Behind the checkpoint it begins with; behind its header without one. */
  readonly base: number;
  /** Behind its last frame. */
  readonly end: number;
}

/** Collects what an index file holds while a segment is written or read. */
export class SegmentIndexBuilder {
  /** The frame before the first one of the segment. */
  readonly before: Omit<FrameChain, "type">;
  /** Items, as many as fit in each chunk: nothing is copied to grow. */
  readonly #chunks: Chunk[] = [];
  #length = HEAD_BYTES;

  /** Starts a segment behind a frame. */
  constructor(before: Omit<FrameChain, "type">) {
    this.before = before;
  }

  /** Bytes so far. */
  get length(): number {
    return this.#length;
  }

  /** Adds the next record of the segment. */
  add(record: RecordView, source: FrameSource): void {
    if (isRunRecord(record.type)) this.#addRun(record, source);
    else this.#addRecord(record, source);
  }

  /** The whole file in parts; nothing can be added any more. */
  finish(segment: Omit<IndexedSegment, "before">): Uint8Array[] {
    const head = new Uint8Array(HEAD_BYTES);
    putPreamble(head, MAGIC, VERSION);
    const view = viewOf(head);
    view.setUint32(16, segment.seed, true);
    view.setUint32(20, this.before.checksum, true);
    putU64(view, 24, this.before.sequence);
    view.setUint32(32, segment.after.checksum, true);
    putU64(view, 40, segment.after.sequence);
    putU64(view, 48, segment.base);
    putU64(view, 56, segment.end);
    const parts: Uint8Array[] = [head];
    for (const { bytes, length } of this.#chunks) {
      parts.push(bytes.subarray(0, length));
    }
    const sum = parts.reduce(
      (seed, part) => checksum(part, 0, part.length, seed),
      0,
    );
    const end = new Uint8Array(4);
    viewOf(end).setUint32(0, sum, true);
    return [...parts, end];
  }

  #addRun(record: RecordView, source: FrameSource): void {
    const chunk = this.#reserve(RUN_ITEM_BYTES);
    const { term, first, count } = readRunHead(record);
    const { view, length: at } = chunk;
    view.setUint32(at, record.type, true);
    view.setUint32(at + 4, count, true);
    putU64(view, at + 8, record.group);
    putU64(view, at + 16, term);
    putU64(view, at + 24, first);
    putU64(view, at + 32, record.start + source.shift);
    view.setUint32(at + 40, record.end - record.start, true);
    view.setUint32(at + 44, record.checksum, true);
    chunk.length = at + RUN_ITEM_BYTES;
  }

  #addRecord(record: RecordView, source: FrameSource): void {
    const { bytes, start, end, type } = record;
    const size = end - start;
    const chunk = this.#reserve(RECORD_ITEM_HEAD_BYTES + size);
    const { view, length: at } = chunk;
    view.setUint32(at, type, true);
    view.setUint32(at + 4, size, true);
    putU64(view, at + 8, source.frame);
    chunk.bytes.set(bytes.subarray(start, end), at + RECORD_ITEM_HEAD_BYTES);
    chunk.length = at + RECORD_ITEM_HEAD_BYTES + size;
  }

  /** A chunk with room for an item, which is counted already. */
  #reserve(size: number): Chunk {
    this.#length += size;
    const last = this.#chunks.at(-1);
    if (last !== undefined && last.length + size <= last.bytes.length) {
      return last;
    }
    const room = Math.min(MAX_CHUNK_BYTES, Math.max(4 << 10, this.#length));
    const bytes = new Uint8Array(Math.max(size, room));
    const chunk = { bytes, view: viewOf(bytes), length: 0 };
    this.#chunks.push(chunk);
    return chunk;
  }
}

/** An index file that is whole. */
export interface SegmentIndex extends IndexedSegment {
  readonly bytes: Uint8Array;
}

/** What an index file turns out to be. */
export type SegmentIndexReading =
  | ({ readonly type: "valid" } & SegmentIndex)
  /** Whole, as far as that can be told, but of another version. */
  | { readonly type: "foreign" }
  | { readonly type: "damaged" };

/** Reads an index file. */
export function decodeSegmentIndex(bytes: Uint8Array): SegmentIndexReading {
  const version = decodePreamble(bytes, MAGIC);
  const end = bytes.length - 4;
  if (version === undefined || end < HEAD_BYTES) return { type: "damaged" };
  if (version !== VERSION) return { type: "foreign" };
  const view = viewOf(bytes);
  if (view.getUint32(end, true) !== checksum(bytes, 0, end, 0)) {
    return { type: "damaged" };
  }
  return {
    type: "valid",
    seed: view.getUint32(16, true),
    before: { checksum: view.getUint32(20, true), sequence: getU64(view, 24) },
    after: { checksum: view.getUint32(32, true), sequence: getU64(view, 40) },
    base: getU64(view, 48),
    end: getU64(view, 56),
    bytes,
  };
}

/** Where the frame stands that seals an indexed segment. */
export function sealOffset(index: IndexedSegment): number {
  return index.end - FRAME_HEADER_BYTES;
}

/**
 * Takes the records of a segment into `groups`.
 *
 * @throws {Error} If they contradict what came before them.
 */
export function applySegmentIndex(
  index: SegmentIndex,
  segment: { readonly sequence: number; readonly isStart: boolean },
  groups: GroupTable,
): void {
  const { bytes } = index;
  const view = viewOf(bytes);
  const end = bytes.length - 4;
  for (let at = HEAD_BYTES; at < end;) {
    const type = view.getUint32(at, true);
    if (isRunRecord(type)) {
      applyRunItem(view, at, segment.sequence, groups);
      at += RUN_ITEM_BYTES;
      continue;
    }
    const start = at + RECORD_ITEM_HEAD_BYTES;
    const record = readRecord(bytes, view, start, end);
    if (type !== RECORD.checkpoint) {
      const frame = getU64(view, at + 8);
      const source = { segment: segment.sequence, shift: 0, frame };
      groups.apply(record, source);
    } else if (segment.isStart) groups.load(record);
    else groups.compare(record);
    at = record.end;
  }
}

function applyRunItem(
  view: DataView,
  at: number,
  segment: number,
  groups: GroupTable,
): void {
  groups.applyRun(
    { type: view.getUint32(at, true), group: getU64(view, at + 8) },
    {
      count: view.getUint32(at + 4, true),
      term: getU64(view, at + 16),
      first: getU64(view, at + 24),
    },
    {
      segment,
      offset: getU64(view, at + 32),
      bytes: view.getUint32(at + 40, true),
      checksum: view.getUint32(at + 44, true),
    },
  );
}
