/**
 * Has the next segment ready before it is needed: to lay one out takes long,
 * and no batch is to wait for it.
 *
 * @module
 */
import { isShortage } from "./file_system.ts";
import {
  createSegment,
  type LogPlace,
  nextCapacity,
  type Segment,
} from "./segment.ts";

/** Of frames this large on average, a flush hardly notices metadata. */
const LARGE_FRAME_BYTES = 256 << 10;

/** What a supply is told. */
export interface SegmentSupplyOptions {
  readonly place: LogPlace;
  /** Size of a full segment. */
  readonly segmentBytes: number;
  /** One that is prepared already. */
  readonly spare: Segment | undefined;
  /** The disk cannot be relied upon any more (H44, H56). */
  readonly onFailure: (error: unknown) => void;
}

/** Prepares one segment ahead. */
export class SegmentSupply {
  readonly #options: SegmentSupplyOptions;
  /** The next segment, or on its way to be; never rejects. */
  #spare: Promise<Segment | undefined> | undefined;
  /** Why the last attempt failed. */
  #error: unknown;
  /** Frames that went to the segment in use. */
  #frames = 0;
  /** Their bytes. */
  #bytes = 0;

  /** Starts with the spare that was found. */
  constructor(options: SegmentSupplyOptions) {
    this.#options = options;
    const { spare } = options;
    if (spare !== undefined) this.#spare = Promise.resolve(spare);
  }

  /** A frame was written: tells what the next segment will be used for. */
  wrote(bytes: number): void {
    this.#frames++;
    this.#bytes += bytes;
  }

  /** Prepares the segment after `active` while there is still room in it. */
  prepareAhead(active: Segment): void {
    const isNeeded = active.end > active.capacity / 2;
    // After a full disk it is tried again when it has to be.
    const isHopeless = this.#error !== undefined;
    if (!isNeeded || isHopeless || this.#spare !== undefined) return;
    this.#spare = this.#make(active);
  }

  /**
   * The segment after `active`; it exists durably.
   *
   * @throws What the file system threw.
   */
  async take(active: Segment): Promise<Segment> {
    for (let attempt = 0; attempt < 2; attempt++) {
      this.#spare ??= this.#make(active);
      const spare = await this.#spare;
      this.#spare = undefined;
      if (spare === undefined) continue;
      this.#frames = 0;
      this.#bytes = 0;
      return spare;
    }
    throw this.#error;
  }

  /** Takes back a segment that was not used. */
  giveBack(segment: Segment): void {
    this.#spare = Promise.resolve(segment);
  }

  /** Gives the file back. Never rejects. */
  async close(): Promise<void> {
    const spare = await this.#spare;
    if (spare !== undefined) this.#options.place.fileSystem.close(spare.file);
  }

  async #make(active: Segment): Promise<Segment | undefined> {
    const { place, segmentBytes, onFailure } = this.#options;
    const { sequence, capacity } = active;
    const isLarge = this.#bytes > LARGE_FRAME_BYTES * this.#frames;
    try {
      const spare = await createSegment(place, sequence + 1, {
        capacity: nextCapacity(capacity, segmentBytes),
        layout: isLarge ? "hole" : "zeros",
      });
      this.#error = undefined;
      return spare;
    } catch (error) {
      this.#error = error;
      // No room is no harm yet: nothing refers to the segment. Anything else
      // says that the disk cannot be relied upon (H44, H56).
      if (!isShortage(error)) onFailure(error);
      return undefined;
    }
  }
}
