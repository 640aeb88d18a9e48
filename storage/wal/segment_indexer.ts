/**
 * Writes an index file beside each segment that is full, from what was seen
 * of it: nothing is read again, and nobody waits for it.
 *
 * @module
 */
import { removeIfThere, writeDurably } from "./durable_file.ts";
import { isShortage } from "./file_system.ts";
import { FRAME } from "./format.ts";
import type { LogObserver, WrittenFrame } from "./log_tail.ts";
import { type IndexedSegment, SegmentIndexBuilder } from "./segment_index.ts";
import {
  indexPath,
  listSegments,
  type LogPlace,
  type Segment,
  segmentPath,
} from "./segment.ts";

/** What the index file of a segment is to hold. */
export interface PendingIndex {
  /** Number of the segment. */
  readonly sequence: number;
  readonly builder: SegmentIndexBuilder;
  /** What the segment turned out to be; absent while it takes frames. */
  readonly segment?: Omit<IndexedSegment, "before"> | undefined;
}

/** What an indexer works with. */
export interface SegmentIndexerOptions {
  readonly place: LogPlace;
  /** What opening collected: full segments without index, the active one. */
  readonly pending: readonly PendingIndex[];
  /** The disk cannot be relied upon any more. */
  readonly onFailure: (error: unknown) => void;
}

/** A frame, as the next one refers to it. */
type FrameLink = Pick<WrittenFrame, "sequence" | "checksum">;

/** See the module. */
export class SegmentIndexer implements LogObserver {
  readonly #options: SegmentIndexerOptions;
  /** Of segments that may take frames, by number. */
  readonly #builders = new Map<number, SegmentIndexBuilder>();
  /** The frames that seal segments, until those are told to be full. */
  readonly #seals = new Map<number, FrameLink>();
  /** Resolves when all that is due is written; never rejects. */
  #work: Promise<void> = Promise.resolve();

  /** Begins with the index files that opening found missing. */
  constructor(options: SegmentIndexerOptions) {
    this.#options = options;
    for (const { sequence, builder, segment } of options.pending) {
      if (segment === undefined) this.#builders.set(sequence, builder);
      else this.#schedule(sequence, () => builder.finish(segment));
    }
  }

  /** Notes the records of a frame. */
  written(frame: WrittenFrame): void {
    const { offset, previous, records, segment } = frame;
    let builder = this.#builders.get(segment.sequence);
    if (builder === undefined) {
      const sequence = frame.sequence - 1;
      builder = new SegmentIndexBuilder({ sequence, checksum: previous });
      this.#builders.set(segment.sequence, builder);
    }
    const source = {
      segment: segment.sequence,
      shift: offset,
      frame: frame.sequence,
    };
    for (const record of records) builder.add(record, source);
    if (frame.type !== FRAME.sealed) return;
    const { sequence, checksum } = frame;
    this.#seals.set(segment.sequence, { sequence, checksum });
  }

  /** Writes the index file of a segment as soon as there is time. */
  sealed(full: Segment): void {
    const { sequence, seed, base, end } = full;
    const builder = this.#builders.get(sequence);
    const after = this.#seals.get(sequence);
    this.#builders.delete(sequence);
    this.#seals.delete(sequence);
    if (builder === undefined || after === undefined) return;
    const segment = { seed, base, end, after };
    this.#schedule(sequence, () => builder.finish(segment));
  }

  /** Resolves when nothing is being written any more. Never rejects. */
  close(): Promise<void> {
    return this.#work;
  }

  /** One after the other. */
  #schedule(sequence: number, finish: () => Uint8Array[]): void {
    this.#work = this.#work.then(() => this.#write(sequence, finish));
  }

  async #write(
    sequence: number,
    finish: () => Uint8Array[],
  ): Promise<void> {
    const { place, onFailure } = this.#options;
    const { directory, fileSystem } = place;
    const path = indexPath(segmentPath(directory, sequence));
    try {
      await writeDurably(fileSystem, path, ...finish());
      // It may have been freed meanwhile; opening would remove what is left.
      if (!listSegments(fileSystem, directory).includes(sequence)) {
        removeIfThere(fileSystem, path);
      }
    } catch (error) {
      // Without it, opening takes longer. But a flush that failed says that
      // the disk cannot be relied upon (H44).
      if (!isShortage(error)) onFailure(error);
    }
  }
}
