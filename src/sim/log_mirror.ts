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

/** Entries from index 1 on. */
export class LogMirror {
  readonly #entries: Entry[] = [];
  readonly #digests: number[] = [];

  /** Index of the last entry, 0 for none. */
  get lastIndex(): LogIndex {
    return this.#entries.length;
  }

  /** Term of the last entry, 0 for none. */
  get lastTerm(): Term {
    return this.termAt(this.lastIndex);
  }

  /** The entry at `index`, or `undefined` outside of the log. */
  entryAt(index: LogIndex): Entry | undefined {
    return this.#entries[index - 1];
  }

  /** Term of the entry at `index`; 0 before and beyond the log. */
  termAt(index: LogIndex): Term {
    return this.#entries[index - 1]?.term ?? 0;
  }

  /** Digest of the prefix through `index`; 0 before and beyond the log. */
  digestAt(index: LogIndex): number {
    return this.#digests[index - 1] ?? 0;
  }

  /**
   * Replaces everything from the first entry's index on. Returns the digests
   * of the prefixes that end with each entry.
   */
  append(entries: readonly Entry[]): number[] {
    const digests: number[] = [];
    const first = entries[0];
    if (first === undefined) return digests;
    let digest = this.digestAt(first.index - 1);
    for (const entry of entries) {
      digest = chainDigest(digest, entry);
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
    for (const entry of entries) this.#entries.push(entry);
    for (const digest of digests) this.#digests.push(digest);
  }

  /** Becomes equal to `other`. */
  copyFrom(other: LogMirror): void {
    let equal = Math.min(this.lastIndex, other.lastIndex);
    while (equal > 0 && this.#entries[equal - 1] !== other.entryAt(equal)) {
      equal--;
    }
    this.#cut(equal);
    for (let i = equal + 1; i <= other.lastIndex; i++) {
      const entry = other.entryAt(i);
      if (entry === undefined) break;
      this.#entries.push(entry);
      this.#digests.push(other.digestAt(i));
    }
  }

  /** First index of each term, ascending. */
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
    let first = this.lastIndex + 1;
    let bytes = 0;
    while (first > 1) {
      const entry = this.entryAt(first - 1);
      if (entry === undefined) break;
      bytes += entryBytes(entry);
      if (bytes > maxBytes) break;
      first--;
    }
    return this.#entries.slice(first - 1);
  }

  #cut(lastIndex: LogIndex): void {
    if (lastIndex >= this.lastIndex) return;
    this.#entries.length = lastIndex;
    this.#digests.length = lastIndex;
  }
}
