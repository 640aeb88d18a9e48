/**
 * Group commit: collects what is to be written while the disk is busy, and
 * gives it to the disk in one piece.
 *
 * At any time at most one frame is on its way to the disk. What comes in
 * meanwhile is encoded at once into the next one, which is written when the
 * flush before has ended; so every flush serves all that waited for it.
 *
 * @module
 */
import { RaftError } from "../../src/errors.ts";
import type { WriteOptions } from "../../src/storage.ts";
import type { GroupId } from "../../src/core/types.ts";
import { endOf, removeEndNote, writeEndNote } from "./end_note.ts";
import { errorCode, writeFully, writeFullyLater } from "./file_system.ts";
import { failed } from "./errors.ts";
import { FRAME, FRAME_HEADER_BYTES, type FrameType } from "./format.ts";
import { FrameBuilder } from "./frame_builder.ts";
import type { GroupTable } from "./groups.ts";
import { readRecords } from "./records.ts";
import type { RecoveredLog } from "./recovery.ts";
import type { FrameChain } from "./scan.ts";
import {
  createSegment,
  fits,
  type LogPlace,
  nextCapacity,
  type Segment,
} from "./segment.ts";

/** Batches share a frame up to this size; a larger batch has its own. */
const JOIN_BYTES = 4 << 20;
/** Batches that may wait are written anyhow once there is that much. */
const LAZY_BYTES = 1 << 20;
const MAX_POOLED = 2;
/** Of frames this large on average, a flush hardly notices metadata. */
const LARGE_FRAME_BYTES = 256 << 10;

/** What makes a frame durable: a flush, the write itself, or nothing. */
export type FlushMode = "fdatasync" | "dsync" | "none";

/** What the writer is told besides the log. */
export interface LogWriterOptions {
  readonly place: LogPlace;
  readonly recordSeed: number;
  readonly segmentBytes: number;
  /** What makes a frame durable before its batches resolve. */
  readonly flush: FlushMode;
}

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: RaftError) => void;
}

/** A frame that takes batches, or waits, or is on its way. */
interface PendingFrame {
  readonly builder: FrameBuilder;
  readonly waiters: Waiter[];
  readonly groups: Set<GroupId>;
  /** Whether somebody waits for it to be durable. */
  isUrgent: boolean;
  /** Whether it can be read from its file. */
  isWritten: boolean;
}

/** Appends frames to the log. */
export class LogWriter {
  readonly #options: LogWriterOptions;
  readonly #groups: GroupTable;
  /** Frames in the order of the log; only the last one takes batches. */
  readonly #queue: PendingFrame[] = [];
  /** Cleared frames, to be used again. */
  readonly #pool: PendingFrame[] = [];
  /** The frame that is being written and flushed. */
  #inFlight: PendingFrame | undefined;
  #active: Segment;
  /** Frames in `#active` that this writer wrote. */
  #framesWritten = 0;
  /** Their bytes. */
  #bytesWritten = 0;
  #chain: FrameChain;
  /** Whether the directory says where the log was closed. */
  #hasEndNote: boolean;
  /** The segment after `#active`, or on its way to be; never rejects. */
  #spare: Promise<Segment | undefined> | undefined;
  /** Set while frames are written one after the other. */
  #loop: Promise<void> | undefined;
  /** Once set, nothing is written any more (H44). */
  #failure: RaftError | undefined;
  /** Why the last attempt to prepare a segment failed. */
  #spareError: unknown;

  /** Goes on where a recovered log ends. */
  constructor(log: RecoveredLog, options: LogWriterOptions) {
    this.#options = options;
    this.#groups = log.groups;
    this.#active = log.active;
    this.#chain = log.chain;
    this.#hasEndNote = log.endNote !== undefined;
    if (log.spare !== undefined) this.#spare = Promise.resolve(log.spare);
  }

  /** Why the log takes nothing any more, if so. */
  get failure(): RaftError | undefined {
    return this.#failure;
  }

  /**
   * Encodes a batch by `encode`, which returns the groups it is about, and
   * sees to it that it becomes durable after all batches before it. If
   * `encode` throws, nothing is appended and the promise rejects with that.
   *
   * With `sync: false` the promise resolves once the batches before are durable;
   * the batch itself becomes so with the next one that is synced, at `close`,
   * or when much has gathered.
   */
  append(
    encode: (builder: FrameBuilder) => readonly GroupId[],
    options: WriteOptions = {},
  ): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    const frame = this.#joinable();
    const { builder } = frame;
    const before = builder.length;
    try {
      for (const group of encode(builder)) frame.groups.add(group);
    } catch (error) {
      builder.cutTo(before);
      return Promise.reject(error);
    }
    // An empty batch, too, waits for those that were not synced before it.
    const isUrgent = options.sync !== false && !builder.isEmpty ||
      builder.length > LAZY_BYTES;
    if (isUrgent) frame.isUrgent = true;
    const awaited = frame.isUrgent ? frame : this.#frameBefore();
    if (awaited === undefined) return Promise.resolve();
    const settled = waitFor(awaited);
    this.#start();
    return settled;
  }

  /** Resolves once everything given for a group is where it can be read. */
  async settle(group: GroupId): Promise<void> {
    const frame = this.#unwritten(group);
    if (frame === undefined) return;
    frame.isUrgent = true;
    const settled = waitFor(frame);
    this.#start();
    await settled;
  }

  /**
   * Writes what is left and notes where the log ends, so that a lost end can
   * be told from an unfinished write. Never rejects.
   */
  async close(): Promise<void> {
    const last = this.#queue.at(-1);
    if (last !== undefined && !last.builder.isEmpty) last.isUrgent = true;
    this.#start();
    await this.#loop;
    try {
      await this.#noteEnd();
    } catch (error) {
      this.#fail(error);
    }
    await this.abandon();
  }

  /** Gives the files back and leaves them as they are. Never rejects. */
  async abandon(): Promise<void> {
    this.#failure ??= new RaftError("stopped", "Cannot write: it was closed");
    const { fileSystem } = this.#options.place;
    fileSystem.close(this.#active.file);
    const spare = await this.#spare;
    if (spare !== undefined) fileSystem.close(spare.file);
  }

  async #noteEnd(): Promise<void> {
    // A note that is still there still holds.
    if (this.#failure !== undefined || this.#hasEndNote) return;
    const { sequence, type } = this.#chain;
    const isMarked = sequence === 0 || type === FRAME.closed;
    if (!isMarked) await this.#writeMark(FRAME.closed);
    const note = endOf(this.#active, this.#chain);
    await writeEndNote(this.#options.place, note);
  }

  #joinable(): PendingFrame {
    const last = this.#queue.at(-1);
    if (last !== undefined && last.builder.length < JOIN_BYTES) return last;
    const frame = this.#pool.pop() ?? {
      builder: new FrameBuilder(this.#options.recordSeed),
      waiters: [],
      groups: new Set(),
      isUrgent: false,
      isWritten: false,
    };
    this.#queue.push(frame);
    return frame;
  }

  /** The frame before the one that takes batches, if it is not durable. */
  #frameBefore(): PendingFrame | undefined {
    return this.#queue.at(-2) ?? this.#inFlight;
  }

  /** The last frame about a group that is not in its file yet. */
  #unwritten(group: GroupId): PendingFrame | undefined {
    const queued = this.#queue.findLast((frame) => frame.groups.has(group));
    if (queued !== undefined) return queued;
    const frame = this.#inFlight;
    const isMeant = frame?.groups.has(group) === true && !frame.isWritten;
    return isMeant ? frame : undefined;
  }

  #start(): void {
    if (this.#loop !== undefined || this.#failure !== undefined) return;
    if (this.#queue[0]?.isUrgent !== true) return;
    this.#loop = this.#run();
  }

  /** Never rejects. Runs up to the first flush before it returns. */
  async #run(): Promise<void> {
    try {
      if (this.#hasEndNote) {
        await removeEndNote(this.#options.place);
        this.#hasEndNote = false;
      }
      for (;;) {
        const frame = this.#queue[0];
        if (frame === undefined || !frame.isUrgent) break;
        this.#queue.shift();
        this.#inFlight = frame;
        await this.#flush(frame);
        this.#inFlight = undefined;
        this.#complete(frame);
        this.#prepareAhead();
      }
    } catch (error) {
      this.#fail(error);
    }
    this.#loop = undefined;
  }

  async #flush(frame: PendingFrame): Promise<void> {
    const { builder } = frame;
    if (!fits(this.#active, builder.length)) await this.#rotate();
    const start = this.#active.end;
    const bytes = await this.#write(builder, FRAME.data);
    const source = {
      segment: this.#active.sequence,
      shift: start,
      frame: this.#chain.sequence,
    };
    for (const record of readRecords(bytes, FRAME_HEADER_BYTES, bytes.length)) {
      this.#groups.apply(record, source);
    }
    frame.isWritten = true;
    if (this.#options.flush === "fdatasync") await this.#sync();
  }

  /** Durable when it resolves if writes go through, else when synced. */
  async #write(builder: FrameBuilder, type: FrameType): Promise<Uint8Array> {
    const active = this.#active;
    const sequence = this.#chain.sequence + 1;
    const { bytes, checksum } = builder.finish(
      { type, sequence, previous: this.#chain.checksum },
      { seed: active.seed, offset: active.end },
    );
    const { fileSystem } = this.#options.place;
    if (this.#options.flush === "dsync") {
      await writeFullyLater(fileSystem, active.file, bytes, active.end);
    } else {
      writeFully(fileSystem, active.file, bytes, active.end);
    }
    active.end += bytes.length;
    this.#framesWritten++;
    this.#bytesWritten += bytes.length;
    this.#chain = { sequence, checksum, type };
    return bytes;
  }

  async #writeMark(type: FrameType): Promise<void> {
    await this.#write(new FrameBuilder(this.#options.recordSeed), type);
    if (this.#options.flush !== "dsync") await this.#sync();
  }

  #sync(): Promise<void> {
    return this.#options.place.fileSystem.sync(this.#active.file);
  }

  #complete(frame: PendingFrame): void {
    for (const waiter of frame.waiters) waiter.resolve();
    frame.waiters.length = 0;
    frame.groups.clear();
    frame.isUrgent = false;
    frame.isWritten = false;
    frame.builder.clear();
    if (this.#pool.length < MAX_POOLED) this.#pool.push(frame);
  }

  /**
   * Goes on in the next segment. It exists durably before the last frame of
   * this one says so, and this one is durable to its end before anything is
   * written there (H52).
   */
  async #rotate(): Promise<void> {
    const next = await this.#takeSpare();
    try {
      await this.#writeMark(FRAME.sealed);
    } catch (error) {
      // Not ours yet: closing the log closes it.
      this.#spare = Promise.resolve(next);
      throw error;
    }
    this.#options.place.fileSystem.close(this.#active.file);
    this.#active = next;
    this.#framesWritten = 0;
    this.#bytesWritten = 0;
  }

  async #takeSpare(): Promise<Segment> {
    for (let attempt = 0; attempt < 2; attempt++) {
      this.#spare ??= this.#makeSpare();
      const spare = await this.#spare;
      this.#spare = undefined;
      if (spare !== undefined) return spare;
    }
    throw this.#spareError;
  }

  /** Prepares the next segment while there is still room in this one. */
  #prepareAhead(): void {
    const isNeeded = this.#active.end > this.#active.capacity / 2;
    // After a full disk it is tried again when it has to be.
    const isHopeless = this.#spareError !== undefined;
    if (!isNeeded || isHopeless || this.#spare !== undefined) return;
    this.#spare = this.#makeSpare();
  }

  async #makeSpare(): Promise<Segment | undefined> {
    const { place, segmentBytes } = this.#options;
    const { sequence, capacity } = this.#active;
    const isLarge =
      this.#bytesWritten > LARGE_FRAME_BYTES * this.#framesWritten;
    try {
      const spare = await createSegment(place, sequence + 1, {
        capacity: nextCapacity(capacity, segmentBytes),
        layout: isLarge ? "hole" : "zeros",
      });
      this.#spareError = undefined;
      return spare;
    } catch (error) {
      this.#spareError = error;
      // No room is no harm yet: nothing refers to the segment. Anything else
      // says that the disk cannot be relied upon (H44, H56).
      if (!isOutOfSpace(error)) this.#fail(error);
      return undefined;
    }
  }

  #fail(error: unknown): void {
    if (this.#failure !== undefined) return;
    const failure = failed(`write to "${this.#active.path}"`, error);
    this.#failure = failure;
    const frames = this.#queue.splice(0);
    if (this.#inFlight !== undefined) frames.unshift(this.#inFlight);
    for (const { waiters } of frames) {
      for (const waiter of waiters) waiter.reject(failure);
      waiters.length = 0;
    }
  }
}

function waitFor(frame: PendingFrame): Promise<void> {
  return new Promise((resolve, reject) => {
    frame.waiters.push({ resolve, reject });
  });
}

function isOutOfSpace(error: unknown): boolean {
  const code = errorCode(error);
  return code === "ENOSPC" || code === "EDQUOT";
}
