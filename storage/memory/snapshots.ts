/**
 * Snapshots on their way into a memory storage, and out of it.
 *
 * @module
 */
import { copyBytes } from "../../src/codec.ts";
import type { SnapshotReader, SnapshotWriter } from "../../src/storage.ts";
import type { SnapshotMeta } from "../../src/core/types.ts";
import type { StoredSnapshot } from "./image.ts";

const CHUNK_BYTES = 64 << 10;

/** What came of a snapshot before it was suspended. */
export interface SuspendedSnapshot {
  readonly token: string;
  readonly meta: SnapshotMeta;
  readonly chunks: readonly Uint8Array[];
}

/** Where a snapshot goes. */
export interface SnapshotTarget {
  /** Makes the data durable and visible. */
  readonly add: (data: Uint8Array) => Promise<void>;
  /** Keeps what there is for later, if it can be found again. */
  readonly keep: (chunks: readonly Uint8Array[]) => void;
  /** Called once, whatever became of it. */
  readonly end: () => void;
}

/** Collects the chunks of one snapshot. */
export class SnapshotCollector implements SnapshotWriter {
  readonly #target: SnapshotTarget;
  readonly #chunks: Uint8Array[];
  #offset: number;
  #isOver = false;

  /** Starts with the data of an earlier one. */
  constructor(target: SnapshotTarget, chunks: readonly Uint8Array[] = []) {
    this.#target = target;
    this.#chunks = [...chunks];
    this.#offset = lengthOf(chunks);
  }

  /** Bytes it has. */
  get offset(): number {
    return this.#offset;
  }

  /** Appends a copy of what is new of a chunk. */
  write(chunk: Uint8Array, at: number = this.#offset): Promise<boolean> {
    if (this.#isOver) return Promise.reject(overError());
    if (at > this.#offset) return Promise.resolve(false);
    const added = copyBytes(chunk.subarray(this.#offset - at));
    this.#chunks.push(added);
    this.#offset += added.length;
    return Promise.resolve(true);
  }

  /** Makes it durable and visible. */
  async commit(): Promise<void> {
    if (this.#isOver) throw overError();
    this.#end();
    await this.#target.add(join(this.#chunks));
  }

  /** Throws it away. Harmless when it is over. */
  abort(): Promise<void> {
    if (!this.#isOver) this.#end();
    return Promise.resolve();
  }

  /** Keeps what there is. Harmless when it is over. */
  suspend(): Promise<void> {
    if (!this.#isOver) {
      this.#target.keep(this.#chunks);
      this.#end();
    }
    return Promise.resolve();
  }

  #end(): void {
    this.#isOver = true;
    this.#target.end();
  }
}

/** A reader of a stored snapshot; hands out copies. */
export function toReader(stored: StoredSnapshot): SnapshotReader {
  const { data, token } = stored;
  return {
    meta: structuredClone(stored.meta),
    bytes: data.length,
    token,
    async *chunks(fromOffset = 0) {
      for (let at = fromOffset; at < data.length; at += CHUNK_BYTES) {
        yield copyBytes(data.subarray(at, at + CHUNK_BYTES));
      }
    },
  };
}

function join(chunks: readonly Uint8Array[]): Uint8Array {
  const data = new Uint8Array(lengthOf(chunks));
  let at = 0;
  for (const chunk of chunks) {
    data.set(chunk, at);
    at += chunk.length;
  }
  return data;
}

function lengthOf(chunks: readonly Uint8Array[]): number {
  let length = 0;
  for (const chunk of chunks) length += chunk.length;
  return length;
}

function overError(): Error {
  return new RangeError(
    "Cannot write to the snapshot: it was committed, suspended or thrown away",
  );
}
