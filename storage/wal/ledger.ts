/**
 * The full segments of a log: which there are, and which are being read.
 *
 * @module
 */
import type { SealedSegment } from "./segment.ts";

/** Knows every segment before the one that takes frames. */
export class SegmentLedger {
  /** Oldest first, numbered without a gap. */
  readonly #sealed: SealedSegment[];
  /** How many reads are under way in a segment; none is absent. */
  readonly #readers = new Map<number, number>();
  /** Called when nobody reads a segment any more. */
  readonly #onReleased: () => void;

  /** Starts with what was found. */
  constructor(sealed: readonly SealedSegment[], onReleased: () => void) {
    this.#sealed = [...sealed];
    this.#onReleased = onReleased;
  }

  /** Every full segment, oldest first. */
  get sealed(): readonly SealedSegment[] {
    return this.#sealed;
  }

  /** Another one is full. */
  add(segment: SealedSegment): void {
    this.#sealed.push(segment);
  }

  /** The oldest one is gone. */
  dropOldest(): void {
    this.#sealed.shift();
  }

  /** Whether somebody reads a segment. */
  isHeld(sequence: number): boolean {
    return this.#readers.has(sequence);
  }

  /** Keeps segments until the function it returns is called. */
  hold(sequences: Iterable<number>): () => void {
    const held = new Set(sequences);
    for (const sequence of held) {
      this.#readers.set(sequence, (this.#readers.get(sequence) ?? 0) + 1);
    }
    return () => {
      for (const sequence of held) this.#release(sequence);
    };
  }

  #release(sequence: number): void {
    const left = (this.#readers.get(sequence) ?? 1) - 1;
    if (left > 0) {
      this.#readers.set(sequence, left);
      return;
    }
    this.#readers.delete(sequence);
    if (sequence === this.#sealed[0]?.sequence) this.#onReleased();
  }
}
