/**
 * How much of what the log holds somebody can still read, by segment: what
 * may be freed, and when it pays to move the rest.
 *
 * @module
 */

/** The number that stands for a segment that is gone. */
export const GONE = 0;

/** What lives in one segment. */
interface Usage {
  /** Records that hold entries of a group's log. Never negative. */
  records: number;
  /** Their bytes. */
  bytes: number;
}

/**
 * Counts records of live entries, whole ones even if only a part of them
 * lives. Kept up to date by the indexes of all groups.
 */
export class LiveBytes {
  readonly #segments = new Map<number, Usage>();
  /** Of all segments. */
  #bytes = 0;
  /** The segment that was asked for last: nearly always the next one too. */
  #last = GONE;
  #lastUsage: Usage = { records: 0, bytes: 0 };

  /** Starts with nothing. */
  constructor() {
    this.#segments.set(GONE, this.#lastUsage);
  }

  /** Bytes of all live records. */
  get bytes(): number {
    return this.#bytes;
  }

  /** How many segments are known, the one that stands for those gone included. */
  get segments(): number {
    return this.#segments.size;
  }

  /** How many live records a segment has. */
  recordsIn(segment: number): number {
    return this.#segments.get(segment)?.records ?? 0;
  }

  /** A record lives. */
  add(segment: number, bytes: number): void {
    const usage = this.#usage(segment);
    usage.records++;
    usage.bytes += bytes;
    this.#bytes += bytes;
  }

  /** A record that lived is not wanted any more. */
  remove(segment: number, bytes: number): void {
    const usage = this.#usage(segment);
    usage.records--;
    usage.bytes -= bytes;
    this.#bytes -= bytes;
  }

  /** Forgets a segment in which nothing lives. */
  forget(segment: number): void {
    if (segment === this.#last) this.#usage(GONE);
    this.#segments.delete(segment);
  }

  #usage(segment: number): Usage {
    if (segment === this.#last) return this.#lastUsage;
    let usage = this.#segments.get(segment);
    if (usage === undefined) {
      usage = { records: 0, bytes: 0 };
      this.#segments.set(segment, usage);
    }
    this.#last = segment;
    this.#lastUsage = usage;
    return usage;
  }
}
