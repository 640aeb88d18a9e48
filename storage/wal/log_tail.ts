/**
 * The end of the log: writes frame after frame there, goes on in the next
 * segment when one is full, and tells the table of groups and whoever
 * observes the log what was written.
 *
 * @module
 */
import { endOf, removeEndNote, writeEndNote } from "./end_note.ts";
import { writeFully, writeFullyLater } from "./file_system.ts";
import { FRAME, FRAME_HEADER_BYTES, type FrameType } from "./format.ts";
import { FrameBuilder } from "./frame_builder.ts";
import type { GroupTable } from "./groups.ts";
import { readRecords, type RecordView } from "./records.ts";
import type { RecoveredLog } from "./recovery.ts";
import type { FrameChain } from "./scan.ts";
import { fits, type LogPlace, type Segment } from "./segment.ts";
import { SegmentSupply } from "./segment_supply.ts";

/** What makes a frame durable: a flush, the write itself, or nothing. */
export type FlushMode = "fdatasync" | "dsync" | "none";

/** What the tail is told besides the log. */
export interface LogTailOptions {
  readonly place: LogPlace;
  readonly recordSeed: number;
  readonly segmentBytes: number;
  /** What makes a frame durable before its batches resolve. */
  readonly flush: FlushMode;
  /** The disk cannot be relied upon any more. */
  readonly onFailure: (error: unknown) => void;
}

/** A frame that is in its file, though perhaps not durable. */
export interface WrittenFrame {
  readonly segment: Segment;
  /** In the file. */
  readonly offset: number;
  readonly type: FrameType;
  readonly sequence: number;
  /** Checksum of the frame before. */
  readonly previous: number;
  readonly checksum: number;
  /** The whole frame; valid until the observer returns. */
  readonly bytes: Uint8Array;
  /** In `bytes`, in order. */
  readonly records: readonly RecordView[];
}

/** Hears of everything that goes into the log. */
export interface LogObserver {
  /** A frame was written and its records applied. */
  written?(frame: WrittenFrame): void;
  /** A segment is full and durable, and nothing is written to it any more. */
  sealed?(segment: Segment): void;
}

/** Writes frames, one at a time: no call before the one before has settled. */
export class LogTail {
  readonly #options: LogTailOptions;
  readonly #groups: GroupTable;
  readonly #supply: SegmentSupply;
  readonly #observers: LogObserver[] = [];
  #active: Segment;
  #chain: FrameChain;
  /** Whether the directory says where the log was closed. */
  #hasEndNote: boolean;

  /** Goes on where a recovered log ends. */
  constructor(log: RecoveredLog, options: LogTailOptions) {
    this.#options = options;
    this.#groups = log.groups;
    this.#active = log.active;
    this.#chain = log.chain;
    this.#hasEndNote = log.endNote !== undefined;
    this.#supply = new SegmentSupply({ ...options, spare: log.spare });
  }

  /** The segment that takes the next frame. */
  get active(): Readonly<Segment> {
    return this.#active;
  }

  /** Tells an observer of what is written from now on. */
  observe(observer: LogObserver): void {
    this.#observers.push(observer);
  }

  /**
   * Writes a frame of records; durable when this resolves, and applied and to
   * be read when `onWritten` is called.
   *
   * @throws What the file system threw; nothing may be written after that.
   */
  async write(builder: FrameBuilder, onWritten: () => void): Promise<void> {
    if (this.#hasEndNote) {
      await removeEndNote(this.#options.place);
      this.#hasEndNote = false;
    }
    if (!fits(this.#active, builder.length)) await this.#rotate();
    if (lacksCheckpoint(this.#active)) await this.#writeCheckpoint();
    const writing = this.#put(builder, FRAME.data);
    if (writing !== undefined) await writing;
    onWritten();
    if (this.#options.flush === "fdatasync") await this.#sync();
  }

  /** Makes the next segment before it is needed. */
  prepareAhead(): void {
    this.#supply.prepareAhead(this.#active);
  }

  /**
   * Notes where the log ends, so that a lost end can be told from an
   * unfinished write.
   */
  async noteEnd(): Promise<void> {
    // A note that is still there still holds.
    if (this.#hasEndNote) return;
    if (lacksCheckpoint(this.#active)) await this.#writeCheckpoint();
    const { sequence, type } = this.#chain;
    const isMarked = sequence === 0 || type === FRAME.closed;
    if (!isMarked) await this.#putMark(FRAME.closed);
    const note = endOf(this.#active, this.#chain);
    await writeEndNote(this.#options.place, note);
  }

  /** Gives the files back. */
  async close(): Promise<void> {
    this.#options.place.fileSystem.close(this.#active.file);
    await this.#supply.close();
  }

  /**
   * Writes a frame. Durable when it resolves if writes go through; else it is
   * written when this returns, and durable when synced.
   */
  #put(builder: FrameBuilder, type: FrameType): Promise<void> | undefined {
    const segment = this.#active;
    const offset = segment.end;
    const sequence = this.#chain.sequence + 1;
    const previous = this.#chain.checksum;
    const { bytes, checksum } = builder.finish(
      { type, sequence, previous },
      { seed: segment.seed, offset },
    );
    const { fileSystem } = this.#options.place;
    const frame = {
      segment,
      offset,
      bytes,
      type,
      sequence,
      previous,
      checksum,
    };
    if (this.#options.flush === "dsync") {
      return writeFullyLater(fileSystem, segment.file, bytes, offset)
        .then(() => this.#take(frame));
    }
    writeFully(fileSystem, segment.file, bytes, offset);
    this.#take(frame);
    return undefined;
  }

  /** The frame is in its file: from now on it counts. */
  #take(frame: Omit<WrittenFrame, "records">): void {
    const { segment, bytes, offset, sequence, checksum, type } = frame;
    segment.end += bytes.length;
    this.#supply.wrote(bytes.length);
    this.#chain = { sequence, checksum, type };
    const records = readRecords(bytes, FRAME_HEADER_BYTES, bytes.length);
    if (type === FRAME.data) {
      const source = {
        segment: segment.sequence,
        shift: offset,
        frame: sequence,
      };
      for (const record of records) this.#groups.apply(record, source);
    }
    const written = { ...frame, records };
    for (const observer of this.#observers) observer.written?.(written);
  }

  /** A frame without records. Durable when it resolves. */
  #putMark(type: FrameType): Promise<void> {
    return this.#putFlushed(new FrameBuilder(this.#options.recordSeed), type);
  }

  async #putFlushed(builder: FrameBuilder, type: FrameType): Promise<void> {
    await this.#put(builder, type);
    if (this.#options.flush !== "dsync") await this.#sync();
  }

  #sync(): Promise<void> {
    return this.#options.place.fileSystem.sync(this.#active.file);
  }

  /**
   * Goes on in the next segment. It exists durably before the last frame of
   * this one says so, and this one is durable to its end before anything is
   * written there (H52).
   */
  async #rotate(): Promise<void> {
    const next = await this.#supply.take(this.#active);
    try {
      await this.#putMark(FRAME.sealed);
    } catch (error) {
      // Not ours yet: closing the log closes it.
      this.#supply.giveBack(next);
      throw error;
    }
    const full = this.#active;
    this.#options.place.fileSystem.close(full.file);
    this.#active = next;
    // What lies before may go only when this is durable.
    await this.#writeCheckpoint();
    for (const observer of this.#observers) observer.sealed?.(full);
  }

  /** All frames before are applied: the table is what they left. */
  async #writeCheckpoint(): Promise<void> {
    const builder = new FrameBuilder(this.#options.recordSeed);
    for (const state of this.#groups.list()) builder.checkpoint(state);
    await this.#putFlushed(builder, FRAME.checkpoint);
    this.#active.base = this.#active.end;
  }
}

/** Also the case if the process was killed between two segments. */
function lacksCheckpoint(segment: Segment): boolean {
  return segment.sequence > 1 && segment.end === segment.headerBytes;
}
