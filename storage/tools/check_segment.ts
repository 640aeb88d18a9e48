/**
 * Goes through one segment and on behind whatever is damaged in it.
 *
 * @module
 */
import {
  checksum,
  decodeHeader,
  FRAME,
  FRAME_HEADER_BYTES,
  type FrameHead,
  MAX_HEADER_BYTES,
  readFrameHead,
  RECORD,
} from "../wal/format.ts";
import { readFully, type WalFileSystem } from "../wal/file_system.ts";
import { isIntact, readRecords, readRunHead } from "../wal/records.ts";
import { findRemains, type ScanTarget } from "../wal/scan.ts";

/** Something that is not as it was written. */
export interface Problem {
  /** Where. */
  readonly file: string;
  /** Where in it, in bytes. */
  readonly offset: number;
  /** For people. */
  readonly what: string;
  /**
   * `damage`: what was durable once is not what it was. `leftover`: an
   * unfinished write or a file set aside; opening deals with it.
   */
  readonly type: "damage" | "leftover";
}

/** What a segment is part of. */
export interface SegmentPlace {
  readonly fileSystem: WalFileSystem;
  readonly path: string;
  readonly sequence: number;
  readonly incarnation: string;
  readonly recordSeed: number;
  /** The last frame of the segment before, if that is known. */
  readonly before: FrameHead | undefined;
}

/** What was found. */
export interface SegmentReport {
  readonly frames: number;
  readonly records: number;
  readonly entries: number;
  /** The last frame that is whole; `undefined` if none is. */
  readonly last: FrameHead | undefined;
  /** Behind that frame. */
  readonly end: number;
  readonly problems: readonly Problem[];
}

/** Checks every frame and every record of a segment. */
export async function checkSegment(
  place: SegmentPlace,
): Promise<SegmentReport> {
  const { fileSystem, path } = place;
  const file = fileSystem.open(path, "read");
  try {
    const start = new Uint8Array(MAX_HEADER_BYTES);
    const length = await readFully(fileSystem, file, start, 0);
    const header = decodeHeader(start.subarray(0, length));
    if (header.type !== "valid") {
      const what = header.type === "foreign"
        ? `its format version is ${header.version}`
        : "its header is damaged";
      return hopeless(place, what);
    }
    const isOwn = header.identity.incarnation === place.incarnation &&
      header.sequence === place.sequence;
    if (!isOwn) return hopeless(place, "it belongs to another log or place");
    const walk = new Walk(place, {
      fileSystem,
      path,
      file,
      size: fileSystem.size(file),
      sequence: place.sequence,
      seed: header.seed,
      headerBytes: header.bytes,
    });
    if (fileSystem.size(file) < header.capacity) {
      const what =
        `the file ends there, though ${header.capacity} bytes were laid out`;
      walk.add(fileSystem.size(file), what, "damage");
    }
    return await walk.run();
  } finally {
    fileSystem.close(file);
  }
}

function hopeless({ path, before }: SegmentPlace, what: string): SegmentReport {
  const problem = { file: path, offset: 0, what, type: "damage" } as const;
  const counts = { frames: 0, records: 0, entries: 0 };
  return { ...counts, last: before, end: 0, problems: [problem] };
}

/** One way through one segment. */
class Walk {
  readonly #place: SegmentPlace;
  readonly #target: ScanTarget;
  readonly #problems: Problem[] = [];
  #frames = 0;
  #records = 0;
  #entries = 0;
  /** What the next frame has to refer to; `undefined` behind a gap. */
  #previous: FrameHead | undefined;
  #last: FrameHead | undefined;
  #end: number;

  constructor(place: SegmentPlace, target: ScanTarget) {
    this.#place = place;
    this.#target = target;
    this.#previous = place.before;
    this.#last = undefined;
    this.#end = target.headerBytes;
  }

  add(offset: number, what: string, type: Problem["type"]): void {
    this.#problems.push({ file: this.#target.path, offset, what, type });
  }

  async run(): Promise<SegmentReport> {
    let offset: number | undefined = this.#end;
    while (offset !== undefined && this.#last?.type !== FRAME.sealed) {
      const head = await this.#head(offset);
      offset = head === undefined
        ? await this.#gap(offset)
        : await this.#frame(head, offset);
    }
    return {
      frames: this.#frames,
      records: this.#records,
      entries: this.#entries,
      last: this.#last,
      end: this.#end,
      problems: this.#problems,
    };
  }

  async #head(offset: number): Promise<FrameHead | undefined> {
    const bytes = await this.#read(offset, FRAME_HEADER_BYTES);
    const { seed } = this.#target;
    return bytes && readFrameHead(bytes, 0, { seed, offset });
  }

  /** No frame stands there: goes on where the next one does. */
  async #gap(offset: number): Promise<number | undefined> {
    const { frameAt, dirtyEnd } = await findRemains(this.#target, offset);
    if (frameAt !== undefined) {
      const what = `no frame stands there, though one follows at ${frameAt}`;
      this.add(offset, what, "damage");
      this.#previous = undefined;
      return frameAt;
    }
    if (dirtyEnd > offset) {
      const what = `${dirtyEnd - offset} bytes of an unfinished write`;
      this.add(offset, what, "leftover");
    }
    return undefined;
  }

  /** Checks a frame; returns where the next one has to be. */
  async #frame(head: FrameHead, offset: number): Promise<number | undefined> {
    const next = offset + FRAME_HEADER_BYTES + head.bodyBytes;
    const body = await this.#read(offset + FRAME_HEADER_BYTES, head.bodyBytes);
    const sum = body && checksum(body, 0, body.length, 0);
    if (body === undefined || sum !== head.bodyChecksum) {
      const { frameAt } = await findRemains(this.#target, offset);
      const type = frameAt === undefined ? "leftover" : "damage";
      this.add(offset, `the body of frame ${head.sequence} is wrong`, type);
      this.#previous = undefined;
      return frameAt;
    }
    this.#checkChain(head, offset);
    this.#checkRecords(body, offset + FRAME_HEADER_BYTES);
    this.#frames++;
    this.#previous = head;
    this.#last = head;
    this.#end = next;
    return next;
  }

  #checkChain(head: FrameHead, offset: number): void {
    const previous = this.#previous;
    if (previous === undefined) return;
    const isNext = head.sequence === previous.sequence + 1 &&
      head.previous === previous.checksum;
    if (isNext) return;
    const what =
      `frame ${head.sequence} does not continue frame ${previous.sequence}`;
    this.add(offset, what, "damage");
  }

  #checkRecords(body: Uint8Array, at: number): void {
    try {
      for (const record of readRecords(body, 0, body.length)) {
        this.#records++;
        if (!isIntact(record, this.#place.recordSeed)) {
          const what = `the checksum of a record of group ${record.group}`;
          this.add(at + record.start, `${what} is wrong`, "damage");
        } else if (record.type === RECORD.entries) {
          this.#entries += readRunHead(record).count;
        }
      }
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.add(at, reason, "damage");
    }
  }

  async #read(
    offset: number,
    length: number,
  ): Promise<Uint8Array | undefined> {
    const { fileSystem, file, size } = this.#target;
    if (offset + length > size) return undefined;
    const bytes = new Uint8Array(length);
    const count = await readFully(fileSystem, file, bytes, offset);
    return count === length ? bytes : undefined;
  }
}
