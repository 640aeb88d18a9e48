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
import { failed } from "./errors.ts";
import { FrameBuilder } from "./frame_builder.ts";
import { type LogObserver, LogTail, type LogTailOptions } from "./log_tail.ts";
import type { RecoveredLog } from "./recovery.ts";

/** Batches share a frame up to this size; a larger batch has its own. */
const JOIN_BYTES = 4 << 20;
/** Batches that may wait are written anyhow once there is that much. */
const LAZY_BYTES = 1 << 20;
const MAX_POOLED = 2;

/** What the writer is told besides the log. */
export type LogWriterOptions = Omit<LogTailOptions, "onFailure">;

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: RaftError) => void;
}

/** How a batch is appended. */
export interface AppendOptions extends WriteOptions {
  /** What has to be done before it is written; it waits for nothing else. */
  readonly after?: Promise<void> | undefined;
}

/** Puts records into a frame when it is about to be written. */
export type FrameFiller = (builder: FrameBuilder) => void;

/** A frame that takes batches, or waits, or is on its way. */
interface PendingFrame {
  readonly builder: FrameBuilder;
  readonly waiters: Waiter[];
  readonly groups: Set<GroupId>;
  /** Whether somebody waits for it to be durable. */
  isUrgent: boolean;
  /** Whether it can be read from its file. */
  isWritten: boolean;
  /** Set in a frame that takes no batches. */
  fill: FrameFiller | undefined;
  /** What has to be done before it is written. */
  after: Promise<void> | undefined;
}

/** Appends frames to the log. */
export class LogWriter {
  readonly #options: LogWriterOptions;
  readonly #tail: LogTail;
  /** Frames in the order of the log; only the last one takes batches. */
  readonly #queue: PendingFrame[] = [];
  /** Cleared frames, to be used again. */
  readonly #pool: PendingFrame[] = [];
  /** The frame that is being written and flushed. */
  #inFlight: PendingFrame | undefined;
  /** Set while frames are written one after the other. */
  #loop: Promise<void> | undefined;
  /** Once set, nothing is written any more (H44). */
  #failure: RaftError | undefined;

  /** Goes on where a recovered log ends. */
  constructor(log: RecoveredLog, options: LogWriterOptions) {
    this.#options = options;
    this.#tail = new LogTail(log, {
      ...options,
      onFailure: (error) => this.fail(error),
    });
  }

  /** Why the log takes nothing any more, if so. */
  get failure(): RaftError | undefined {
    return this.#failure;
  }

  /** Bytes of frames in the segment that takes the next one. */
  get activeBytes(): number {
    return this.#tail.active.end - this.#tail.active.base;
  }

  /** Whether a log could begin with the segment that takes the next frame. */
  get hasCheckpoint(): boolean {
    return this.#tail.active.base > this.#tail.active.headerBytes;
  }

  /** Whether something waits to be written. */
  get isBusy(): boolean {
    return this.#loop !== undefined;
  }

  /** Tells an observer of what is written from now on. */
  observe(observer: LogObserver): void {
    this.#tail.observe(observer);
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
    options: AppendOptions = {},
  ): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    const frame = options.after === undefined
      ? this.#joinable()
      : this.#newFrame();
    if (options.after !== undefined) frame.after = options.after;
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
   * Resolves once all that is in the table of groups is durable.
   *
   * @throws {RaftError} If it cannot be.
   */
  flushed(): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    const frame = this.#inFlight;
    return frame === undefined ? Promise.resolve() : waitFor(frame);
  }

  /**
   * Writes a frame of its own behind all that was given so far. `fill` is
   * called when everything before it is in the table of groups: what it finds
   * there is what its records come upon. If it appends nothing, nothing is
   * written. Resolves once the frame is durable.
   */
  insert(fill: FrameFiller): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    const frame = this.#newFrame();
    frame.fill = fill;
    frame.isUrgent = true;
    const settled = waitFor(frame);
    this.#start();
    return settled;
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
      if (this.#failure === undefined) await this.#tail.noteEnd();
    } catch (error) {
      this.fail(error);
    }
    await this.abandon();
  }

  /** Gives the files back and leaves them as they are. Never rejects. */
  async abandon(): Promise<void> {
    this.#failure ??= new RaftError("stopped", "Cannot write: it was closed");
    await this.#tail.close();
  }

  /** Takes nothing any more: the disk cannot be relied upon (H44). */
  fail(error: unknown): void {
    if (this.#failure !== undefined) return;
    const failure = failed(`write to "${this.#tail.active.path}"`, error);
    this.#failure = failure;
    const frames = this.#queue.splice(0);
    if (this.#inFlight !== undefined) frames.unshift(this.#inFlight);
    for (const { waiters } of frames) {
      for (const waiter of waiters) waiter.reject(failure);
      waiters.length = 0;
    }
  }

  #joinable(): PendingFrame {
    const last = this.#queue.at(-1);
    const isOpen = last !== undefined && last.fill === undefined &&
      last.builder.length < JOIN_BYTES;
    return isOpen ? last : this.#newFrame();
  }

  #newFrame(): PendingFrame {
    const frame = this.#pool.pop() ?? {
      builder: new FrameBuilder(this.#options.recordSeed),
      waiters: [],
      groups: new Set(),
      isUrgent: false,
      isWritten: false,
      fill: undefined,
      after: undefined,
    };
    // One that takes no more batches has nothing to wait for.
    const last = this.#queue.at(-1);
    if (last !== undefined) last.isUrgent = true;
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
      for (;;) {
        const frame = this.#queue[0];
        if (frame === undefined || !frame.isUrgent) break;
        this.#queue.shift();
        this.#inFlight = frame;
        await this.#write(frame);
        this.#inFlight = undefined;
        this.#complete(frame);
        this.#tail.prepareAhead();
      }
    } catch (error) {
      this.fail(error);
    }
    this.#loop = undefined;
  }

  async #write(frame: PendingFrame): Promise<void> {
    const { after, builder, fill } = frame;
    if (after !== undefined) await after;
    fill?.(builder);
    if (builder.isEmpty) return;
    await this.#tail.write(builder, () => void (frame.isWritten = true));
  }

  #complete(frame: PendingFrame): void {
    for (const waiter of frame.waiters) waiter.resolve();
    frame.waiters.length = 0;
    frame.groups.clear();
    frame.isUrgent = false;
    frame.isWritten = false;
    frame.fill = undefined;
    frame.after = undefined;
    frame.builder.clear();
    if (this.#pool.length < MAX_POOLED) this.#pool.push(frame);
  }
}

function waitFor(frame: PendingFrame): Promise<void> {
  return new Promise((resolve, reject) => {
    frame.waiters.push({ resolve, reject });
  });
}
