/**
 * Snapshots on their way into a memory storage, and out of it.
 *
 * @module
 */
import { copyBytes } from "../../src/codec.ts";
import type { SnapshotReader, SnapshotWriter } from "../../src/storage.ts";
import type { StoredSnapshot } from "./image.ts";

const CHUNK_BYTES = 64 << 10;

/** Where a complete snapshot goes. */
export interface SnapshotTarget {
  /** Makes the data durable and visible. */
  readonly add: (data: Uint8Array) => Promise<void>;
  /** Called once, whatever became of it. */
  readonly end: () => void;
}

/** Collects the chunks of one snapshot. */
export class SnapshotCollector implements SnapshotWriter {
  readonly #target: SnapshotTarget;
  readonly #chunks: Uint8Array[] = [];
  #isOver = false;

  /** Starts with no data. */
  constructor(target: SnapshotTarget) {
    this.#target = target;
  }

  /** Appends a copy of a chunk. */
  write(chunk: Uint8Array): Promise<void> {
    if (this.#isOver) return Promise.reject(overError());
    this.#chunks.push(copyBytes(chunk));
    return Promise.resolve();
  }

  /** Makes it durable and visible. */
  async commit(): Promise<void> {
    if (this.#isOver) throw overError();
    this.#end();
    await this.#target.add(join(this.#chunks));
  }

  /** Throws it away. Harmless after `commit`. */
  abort(): Promise<void> {
    if (!this.#isOver) this.#end();
    return Promise.resolve();
  }

  #end(): void {
    this.#isOver = true;
    this.#target.end();
  }
}

/** A reader of a stored snapshot; hands out copies. */
export function toReader(stored: StoredSnapshot): SnapshotReader {
  const { data } = stored;
  return {
    meta: structuredClone(stored.meta),
    bytes: data.length,
    async *chunks(fromOffset = 0) {
      for (let at = fromOffset; at < data.length; at += CHUNK_BYTES) {
        yield copyBytes(data.subarray(at, at + CHUNK_BYTES));
      }
    },
  };
}

function join(chunks: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const chunk of chunks) length += chunk.length;
  const data = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    data.set(chunk, at);
    at += chunk.length;
  }
  return data;
}

function overError(): Error {
  return new RangeError(
    "Cannot write to the snapshot: it was committed or thrown away",
  );
}
