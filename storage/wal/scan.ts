/**
 * Goes through one segment: the frames that count, and what is left behind
 * them.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { dirname } from "node:path";
import { corruption, unsupported } from "./errors.ts";
import {
  type FileHandle,
  readFully,
  type WalFileSystem,
} from "./file_system.ts";
import {
  checksum,
  FRAME,
  FRAME_HEADER_BYTES,
  FRAME_MAGIC,
  type FrameHead,
  readFrameHead,
  viewOf,
} from "./format.ts";
import { type FrameSource, type GroupTable, isKnownRecord } from "./groups.ts";
import { readRecord, type RecordView } from "./records.ts";
import { SegmentIndexBuilder } from "./segment_index.ts";
import { isZero, segmentPath } from "./segment.ts";

const CHUNK_BYTES = 1 << 20;

/** A file that is being read. */
export interface OpenFile {
  readonly fileSystem: WalFileSystem;
  readonly path: string;
  readonly file: FileHandle;
  readonly size: number;
}

/** The last frame so far; what the next one has to refer to. */
export interface FrameChain {
  readonly sequence: number;
  readonly checksum: number;
  readonly type: number;
}

/** The chain before the first frame of a log. */
export const CHAIN_START: FrameChain = { sequence: 0, checksum: 0, type: 0 };

/** How far the frames of a segment go. */
export interface SegmentScan {
  readonly chain: FrameChain;
  /** Behind the checkpoint it begins with; behind its header without one. */
  readonly base: number;
  /** Where the last frame begins; `end` if there is none. */
  readonly last: number;
  /** Behind the last frame. */
  readonly end: number;
  readonly isSealed: boolean;
  /** What its index file is to hold; absent without frames. */
  readonly index?: SegmentIndexBuilder | undefined;
}

/** What a segment is to the scan. */
export interface ScanTarget extends OpenFile {
  readonly sequence: number;
  readonly seed: number;
  readonly headerBytes: number;
}

/** Reads forward through a file, a chunk at a time. */
class Window {
  readonly #source: OpenFile;
  #buffer: Uint8Array;
  /** Offset in the file of the first byte of `bytes`. */
  start = 0;
  /** What is loaded. */
  bytes: Uint8Array = new Uint8Array(0);

  constructor(source: OpenFile) {
    this.#source = source;
    this.#buffer = new Uint8Array(Math.min(CHUNK_BYTES, source.size));
  }

  /** Loads `[offset, offset + count)`; `false` if the file ends before. */
  async load(offset: number, count: number): Promise<boolean> {
    if (offset + count > this.#source.size) return false;
    const loadedEnd = this.start + this.bytes.length;
    if (offset >= this.start && offset + count <= loadedEnd) return true;
    if (count > this.#buffer.length) this.#buffer = new Uint8Array(count);
    const { fileSystem, file } = this.#source;
    const length = await readFully(fileSystem, file, this.#buffer, offset);
    this.start = offset;
    this.bytes = this.#buffer.subarray(0, length);
    return length >= count;
  }
}

/**
 * Takes the frames of a segment into `groups`, up to the first place where
 * none stands or the one that seals it. Without a chain `before` it is the
 * first one left of its log, and `groups` are what its checkpoint says.
 *
 * @throws {RaftError} `corrupt` or `unsupportedFormat`.
 */
export async function scanSegment(
  target: ScanTarget,
  before: FrameChain | undefined,
  groups: GroupTable,
): Promise<SegmentScan> {
  const window = new Window(target);
  const { headerBytes } = target;
  let chain = before;
  let [base, last, end] = [headerBytes, headerBytes, headerBytes];
  let index: SegmentIndexBuilder | undefined;
  for (;;) {
    const head = await loadFrame(target, window, { chain, offset: end });
    const isFirst = end === headerBytes;
    if (chain === undefined) requireCheckpoint(target, head);
    if (head === undefined) {
      const isSealed = false;
      return { chain: chain ?? CHAIN_START, base, last, end, isSealed, index };
    }
    const isStart = isFirst && before === undefined;
    const { sequence, type } = head;
    index ??= new SegmentIndexBuilder({
      sequence: sequence - 1,
      checksum: head.previous,
    });
    applyFrame(target, window, {
      ...{ head, offset: end, groups, index },
      ...{ isFirst, isStart },
    });
    chain = { sequence, checksum: head.checksum, type };
    last = end;
    end += FRAME_HEADER_BYTES + head.bodyBytes;
    if (type === FRAME.checkpoint) base = end;
    if (type === FRAME.sealed) {
      return { chain, base, last, end, isSealed: true, index };
    }
  }
}

/** What is before a checkpoint may be gone, but not before anything else. */
function requireCheckpoint(
  target: ScanTarget,
  head: FrameHead | undefined,
): void {
  if (head?.type === FRAME.checkpoint) return;
  if (head !== undefined) {
    const before = segmentPath(dirname(target.path), target.sequence - 1);
    throw corruption({ file: before, offset: 0 }, "the segment is missing");
  }
  throw corruption(
    { file: target.path, offset: target.headerBytes },
    "the checkpoint there is damaged, and the segment before is gone",
  );
}

/** The whole frame at an offset, loaded and checked; `undefined` if none. */
async function loadFrame(
  target: ScanTarget,
  window: Window,
  at: { readonly chain: FrameChain | undefined; readonly offset: number },
): Promise<FrameHead | undefined> {
  const { offset, chain } = at;
  if (!await window.load(offset, FRAME_HEADER_BYTES)) return undefined;
  const place = { seed: target.seed, offset };
  const head = readFrameHead(window.bytes, offset - window.start, place);
  if (head === undefined) return undefined;
  if (chain !== undefined) requireNext(target, { chain, offset, head });
  const bytes = FRAME_HEADER_BYTES + head.bodyBytes;
  if (!await window.load(offset, bytes)) return undefined;
  const from = offset - window.start;
  const sum = checksum(
    window.bytes,
    from + FRAME_HEADER_BYTES,
    from + bytes,
    0,
  );
  return sum === head.bodyChecksum ? head : undefined;
}

function requireNext(
  target: ScanTarget,
  frame: {
    readonly chain: FrameChain;
    readonly offset: number;
    readonly head: FrameHead;
  },
): void {
  const { chain, offset, head } = frame;
  const wanted = chain.sequence + 1;
  if (head.sequence === wanted && head.previous === chain.checksum) return;
  throw corruption(
    { file: target.path, offset },
    `frame ${head.sequence} stands where frame ${wanted} belongs, or does not continue it`,
  );
}

/** A frame and what it is to its segment and log. */
interface ScannedFrame {
  readonly head: FrameHead;
  readonly offset: number;
  readonly groups: GroupTable;
  readonly index: SegmentIndexBuilder;
  /** Whether it is the first of its segment. */
  readonly isFirst: boolean;
  /** Whether it is the first that is left of the log. */
  readonly isStart: boolean;
}

function applyFrame(
  target: ScanTarget,
  window: Window,
  frame: ScannedFrame,
): void {
  const { head, offset } = frame;
  const at = { file: target.path, offset };
  if (head.type < FRAME.data || head.type > FRAME.checkpoint) {
    throw unsupported(at, `its frame type ${head.type} is unknown`);
  }
  if (head.type === FRAME.checkpoint && !frame.isFirst) {
    throw corruption(at, "a checkpoint stands within the segment");
  }
  const from = offset - window.start + FRAME_HEADER_BYTES;
  const source = {
    segment: target.sequence,
    shift: window.start,
    frame: head.sequence,
  };
  const to = from + head.bodyBytes;
  const view = viewOf(window.bytes);
  for (let start = from; start < to;) {
    const record = parseRecord(at, view, { start, to, bytes: window.bytes });
    start = record.end;
    if (!isKnownRecord(record.type)) {
      throw unsupported(at, `its record type ${record.type} is unknown`);
    }
    try {
      applyRecord(record, source, frame);
    } catch (error) {
      throw corruption(at, "its records contradict those before", error);
    }
    frame.index.add(record, source);
  }
}

function applyRecord(
  record: RecordView,
  source: FrameSource,
  { head, groups, isStart }: ScannedFrame,
): void {
  if (isStart) groups.load(record);
  else if (head.type === FRAME.checkpoint) groups.compare(record);
  else groups.apply(record, source);
}

function parseRecord(
  at: { readonly file: string; readonly offset: number },
  view: DataView,
  place: { readonly bytes: Uint8Array; readonly start: number; to: number },
): RecordView {
  try {
    return readRecord(place.bytes, view, place.start, place.to);
  } catch (error) {
    throw corruption(at, "its records do not fit their frame", error);
  }
}

/** What lies behind the end of the frames. */
export interface Remains {
  /** Where a frame begins that was written for its place, if one does. */
  readonly frameAt: number | undefined;
  /** Behind the last byte that is not zero; `from` if all are. */
  readonly dirtyEnd: number;
}

/**
 * Looks for life behind a place where no frame stands. A single sound frame
 * head there proves that everything before it was durable once, so that the
 * gap is damage (H48); its body may be the write that was under way.
 */
export async function findRemains(
  target: ScanTarget,
  from: number,
  to: number = target.size,
): Promise<Remains> {
  const buffer = Buffer.alloc(Math.max(0, Math.min(CHUNK_BYTES, to - from)));
  let dirtyEnd = from;
  let at = from;
  while (at < to) {
    const wanted = buffer.subarray(0, Math.min(buffer.length, to - at));
    const length = await readFully(
      target.fileSystem,
      target.file,
      wanted,
      at,
    );
    if (length === 0) break;
    const chunk = wanted.subarray(0, length);
    if (!isZero(chunk)) {
      const frameAt = findFrameHead(chunk, at, { seed: target.seed, from });
      if (frameAt !== undefined) return { frameAt, dirtyEnd };
      dirtyEnd = at + lastNonZero(chunk) + 1;
    }
    if (at + length >= to) break;
    // A head may begin in one chunk and end in the next.
    at += Math.max(1, length - FRAME_HEADER_BYTES + 1);
  }
  return { frameAt: undefined, dirtyEnd };
}

/** A head right at `from` is that of the unfinished frame itself. */
function findFrameHead(
  chunk: Buffer,
  offset: number,
  search: { readonly seed: number; readonly from: number },
): number | undefined {
  let at = chunk.indexOf(FRAME_MAGIC);
  while (at >= 0) {
    const place = { seed: search.seed, offset: offset + at };
    const isHead = place.offset > search.from &&
      readFrameHead(chunk, at, place) !== undefined;
    if (isHead) return place.offset;
    at = chunk.indexOf(FRAME_MAGIC, at + 1);
  }
  return undefined;
}

function lastNonZero(chunk: Uint8Array): number {
  let at = chunk.length - 1;
  while (at >= 0 && chunk[at] === 0) at--;
  return at;
}
