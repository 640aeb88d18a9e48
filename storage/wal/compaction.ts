/**
 * Gives back the room that nobody needs any more: removes the oldest segments
 * once no group has an entry in them, and moves the entries of a group that
 * holds back the others.
 *
 * The frames of the log, but for checkpoints, are at most four times what
 * lives in them, or two segments, and what was written since the last look at
 * it. To get there, as much is moved as lives in the log while three times as
 * much of it died: at most a third of what was written is written again.
 *
 * All of it happens behind the batches and one thing at a time. A segment
 * goes only when what made it dead is durable, when the one behind it begins
 * with a checkpoint, and when nobody reads it; the oldest one first, its
 * removal durable before that of the next, so that no crash leaves a gap.
 *
 * @module
 */
import { removeLater } from "./durable_file.ts";
import { failed } from "./errors.ts";
import { isShortage } from "./file_system.ts";
import type { GroupTable } from "./groups.ts";
import type { SegmentLedger } from "./ledger.ts";
import type { LogObserver } from "./log_tail.ts";
import type { LogWriter } from "./log_writer.ts";
import type { ReadSource } from "./reader.ts";
import { relocate } from "./relocation.ts";
import {
  indexPath,
  type SealedSegment,
  type Segment,
  segmentPath,
} from "./segment.ts";

/** The log may be this many times as large as what lives in it. */
const MOST_OVERHEAD = 4;
/** And this many segments in any case. */
const LEAST_SEGMENTS = 2;

/** What a compactor works with. */
export interface CompactorOptions {
  readonly source: ReadSource;
  readonly groups: GroupTable;
  readonly ledger: SegmentLedger;
  readonly writer: LogWriter;
  /** Size of a full segment. */
  readonly segmentBytes: number;
  /** How many dead segments stay. */
  readonly retainSegments: number;
}

/** Frees segments whenever there is a reason to look. */
export class Compactor implements LogObserver {
  readonly #options: CompactorOptions;
  /** Set while it is at work; never rejects. */
  #loop: Promise<void> | undefined;
  /** Whether something changed since the work began. */
  #isNudged = false;
  #isStopping = false;
  /** One that entries could not be read from: it stays for a while. */
  #unreadable: number | undefined;

  /** Does nothing until it is nudged. */
  constructor(options: CompactorOptions) {
    this.#options = options;
  }

  /** A segment is full: there may be enough by now to be worth the work. */
  sealed(segment: Segment): void {
    const { sequence, headerBytes, base, end } = segment;
    const hasCheckpoint = base > headerBytes;
    this.#options.ledger.add({ sequence, hasCheckpoint, base, end });
    // What could not be read may be read now.
    this.#unreadable = undefined;
    this.nudge();
  }

  /** Looks whether there is something to do, now or once it has time. */
  nudge(): void {
    this.#isNudged = true;
    if (this.#isStopping) return;
    this.#loop ??= this.#run();
  }

  /** Ends after the step under way. Never rejects. */
  async close(): Promise<void> {
    this.#isStopping = true;
    await this.#loop;
  }

  async #run(): Promise<void> {
    // Not within the turn of whoever had the reason.
    await Promise.resolve();
    while (this.#isNudged && !this.#isStopping) {
      this.#isNudged = false;
      while (await this.#step());
    }
    this.#loop = undefined;
  }

  /** Frees or empties one segment; whether there may be another. */
  async #step(): Promise<boolean> {
    const { writer } = this.#options;
    if (this.#isStopping || writer.failure !== undefined) return false;
    return await this.#freeOldest() || await this.#emptyOldest();
  }

  async #freeOldest(): Promise<boolean> {
    const { ledger, retainSegments, writer } = this.#options;
    const [oldest] = ledger.sealed;
    const isDead = oldest !== undefined &&
      this.#countDead() > retainSegments && this.#canGo(0);
    if (!isDead || ledger.isHeld(oldest.sequence)) return false;
    try {
      // The record that made it dead may be on its way to the disk yet. What
      // is dead stays dead.
      await writer.flushed();
    } catch {
      return false;
    }
    return await this.#remove(oldest);
  }

  /** Durable when it resolves. Whether it is gone. */
  async #remove({ sequence }: SealedSegment): Promise<boolean> {
    const { groups, ledger, source, writer } = this.#options;
    const { fileSystem, directory } = source;
    const path = segmentPath(directory, sequence);
    try {
      await removeLater(fileSystem, path);
      await removeLater(fileSystem, indexPath(path));
    } catch {
      // It harms nobody, and is tried again.
      return false;
    }
    try {
      await fileSystem.syncDirectory(directory);
    } catch (error) {
      if (isShortage(error)) return false;
      // Nobody knows now which names the disk has (H44).
      writer.fail(failed(`remove "${path}"`, error));
      return false;
    }
    ledger.dropOldest();
    groups.live.forget(sequence);
    return true;
  }

  /** Moves what lives in the oldest segment that is not dead. */
  async #emptyOldest(): Promise<boolean> {
    const { groups, ledger, source, writer } = this.#options;
    const at = this.#countDead();
    const oldest = ledger.sealed[at];
    if (oldest === undefined || !this.#canGo(at) || !this.#isTooLarge(at)) {
      return false;
    }
    const { sequence } = oldest;
    if (sequence === this.#unreadable) return false;
    const isStopping = () => this.#isStopping;
    try {
      await relocate(sequence, { source, groups, writer, isStopping });
    } catch {
      // Whoever wants these entries is told what is wrong with them.
      this.#unreadable = sequence;
      return false;
    }
    return groups.live.recordsIn(sequence) === 0;
  }

  /** How many of the oldest segments hold nothing that lives. */
  #countDead(): number {
    const { groups, ledger } = this.#options;
    const { sealed } = ledger;
    const living = sealed.findIndex(({ sequence }) =>
      groups.live.recordsIn(sequence) > 0
    );
    return living < 0 ? sealed.length : living;
  }

  /** Whether the log could begin with the segment behind. */
  #canGo(at: number): boolean {
    const { ledger, writer } = this.#options;
    const next = ledger.sealed[at + 1];
    return next?.hasCheckpoint ?? writer.hasCheckpoint;
  }

  /** Whether the log from a segment on is larger than it may be. */
  #isTooLarge(from: number): boolean {
    const { groups, ledger, segmentBytes, writer } = this.#options;
    let bytes = writer.activeBytes;
    for (const { base, end } of ledger.sealed.slice(from)) bytes += end - base;
    const limit = Math.max(
      MOST_OVERHEAD * groups.live.bytes,
      LEAST_SEGMENTS * segmentBytes,
    );
    return bytes > limit;
  }
}
