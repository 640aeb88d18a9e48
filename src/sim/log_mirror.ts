/**
 * An independent copy of a log, with a digest of every prefix: two logs are
 * equal up to an index exactly if their digests there are.
 *
 * @module
 */
import { type Entry, entryBytes } from "../core/types.ts";
import type { ConfChange, LogIndex, Term, TermRun } from "../core/types.ts";
import { finish32, hashBytes, mix32 } from "./trace_hash.ts";

const TYPE_CODE = { command: 1, noop: 2, confChange: 3, omitted: 4 } as const;

/** A digest of what an entry says, without its place. */
export function entryDigest(entry: Entry): number {
  switch (entry.type) {
    case "command":
      return mix32(TYPE_CODE.command, hashBytes(entry.data));
    case "noop":
    case "omitted":
      return TYPE_CODE[entry.type];
    case "confChange":
      return mix32(TYPE_CODE.confChange, changeDigest(entry.change));
    default: {
      const unreachable: never = entry;
      return unreachable;
    }
  }
}

function changeDigest(change: ConfChange): number {
  const text = JSON.stringify(change);
  let hash = text.length;
  for (let i = 0; i < text.length; i++) hash = mix32(hash, text.charCodeAt(i));
  return hash;
}

/** Digest of the prefix that ends with `entry`, given that of the one before. */
export function chainDigest(previous: number, entry: Entry): number {
  return finish32(
    mix32(mix32(mix32(previous, entry.index), entry.term), entryDigest(entry)),
  );
}

/** What is known of a log up to some index, entries or not. */
export interface LogPrefix {
  /** Term of each entry, from index 1 on. */
  readonly terms: readonly Term[];
  /** Digest of the log through each entry, from index 1 on. */
  readonly digests: readonly number[];
}

/**
 * Digest of the log through an entry without payload, given the digest before
 * it: of what that entry is elsewhere.
 */
export type OmittedDigest = (entry: Entry, previous: number) => number;

/**
 * A log. Its older entries may be gone, their terms and digests are known for
 * ever: checkers compare what members have forgotten.
 */
export class LogMirror {
  /** Entries from `#base + 1` on. */
  #entries: Entry[] = [];
  /** From index 1 on, as are the digests. */
  #terms: Term[] = [];
  #digests: number[] = [];
  /** Index of the last entry that is gone. */
  #base: LogIndex = 0;
  readonly #omittedDigest: OmittedDigest;

  /** Makes an empty log. */
  constructor(
    omittedDigest: OmittedDigest = (entry, previous) =>
      chainDigest(previous, entry),
  ) {
    this.#omittedDigest = omittedDigest;
  }

  /** Index of the first entry that is there. */
  get firstIndex(): LogIndex {
    return this.#base + 1;
  }

  /** Index of the last entry, 0 for none. */
  get lastIndex(): LogIndex {
    return this.#terms.length;
  }

  /** Term of the last entry, 0 for none. */
  get lastTerm(): Term {
    return this.termAt(this.lastIndex);
  }

  /** Term of the entry before the first. */
  get prevTerm(): Term {
    return this.termAt(this.#base);
  }

  /** The entry at `index`, or `undefined` outside of the log. */
  entryAt(index: LogIndex): Entry | undefined {
    return this.#entries[index - this.#base - 1];
  }

  /** Term of the entry at `index`, gone or not; 0 before and beyond the log. */
  termAt(index: LogIndex): Term {
    return this.#terms[index - 1] ?? 0;
  }

  /** Digest of the prefix through `index`; 0 before and beyond the log. */
  digestAt(index: LogIndex): number {
    return this.#digests[index - 1] ?? 0;
  }

  /**
   * Replaces everything from the first entry's index on. Returns the digests
   * of the log through each of `entries`.
   */
  append(entries: readonly Entry[]): number[] {
    const digests: number[] = [];
    const first = entries[0];
    if (first === undefined) return digests;
    let digest = this.digestAt(first.index - 1);
    for (const entry of entries) {
      digest = entry.type === "omitted"
        ? this.#omittedDigest(entry, digest)
        : chainDigest(digest, entry);
      digests.push(digest);
    }
    this.appendChained(entries, digests);
    return digests;
  }

  /** As {@linkcode append}, with the digests it returned for another log. */
  appendChained(entries: readonly Entry[], digests: readonly number[]): void {
    const first = entries[0];
    if (first === undefined) return;
    this.#cut(first.index - 1);
    for (const entry of entries) {
      this.#entries.push(entry);
      this.#terms.push(entry.term);
    }
    for (const digest of digests) this.#digests.push(digest);
  }

  /** Lets the entries through `index` go, as far as they are there. */
  compact(index: LogIndex): void {
    const through = Math.min(index, this.lastIndex);
    if (through <= this.#base) return;
    this.#entries.splice(0, through - this.#base);
    this.#base = through;
  }

  /** Becomes a log that begins behind `index`, where `prefix` ends. */
  resetTo(prefix: LogPrefix, index: LogIndex): void {
    this.#entries = [];
    this.#terms = prefix.terms.slice(0, index);
    this.#digests = prefix.digests.slice(0, index);
    this.#base = index;
  }

  /** Becomes equal to `other`. */
  copyFrom(other: LogMirror): void {
    if (this.#base !== other.#base) {
      this.#entries = [...other.#entries];
      this.#terms = [...other.#terms];
      this.#digests = [...other.#digests];
      this.#base = other.#base;
      return;
    }
    let equal = Math.min(this.lastIndex, other.lastIndex);
    while (
      equal > this.#base && this.entryAt(equal) !== other.entryAt(equal)
    ) equal--;
    this.#cut(equal);
    for (let i = equal + 1; i <= other.lastIndex; i++) {
      const entry = other.entryAt(i);
      if (entry === undefined) break;
      this.#entries.push(entry);
      this.#terms.push(entry.term);
      this.#digests.push(other.digestAt(i));
    }
  }

  /** First index of each term among the entries, ascending. */
  termRuns(): TermRun[] {
    const runs: TermRun[] = [];
    let term = 0;
    for (const entry of this.#entries) {
      if (entry.term === term) continue;
      term = entry.term;
      runs.push({ term, firstIndex: entry.index });
    }
    return runs;
  }

  /** Entries of a range: at least one, then while they fit in `maxBytes`. */
  slice(from: LogIndex, through: LogIndex, maxBytes: number): Entry[] {
    const entries: Entry[] = [];
    let bytes = 0;
    for (let i = from; i <= Math.min(through, this.lastIndex); i++) {
      const entry = this.entryAt(i);
      if (entry === undefined) break;
      bytes += entryBytes(entry);
      if (entries.length > 0 && bytes > maxBytes) break;
      entries.push(entry);
    }
    return entries;
  }

  /** The newest entries that fit in `maxBytes`; may be none. */
  newest(maxBytes: number): Entry[] {
    let count = 0;
    let bytes = 0;
    for (let i = this.#entries.length - 1; i >= 0; i--) {
      const entry = this.#entries[i];
      if (entry === undefined) break;
      bytes += entryBytes(entry);
      if (bytes > maxBytes) break;
      count++;
    }
    return this.#entries.slice(this.#entries.length - count);
  }

  #cut(lastIndex: LogIndex): void {
    if (lastIndex >= this.lastIndex) return;
    this.#entries.length = Math.max(0, lastIndex - this.#base);
    this.#terms.length = lastIndex;
    this.#digests.length = lastIndex;
  }
}
