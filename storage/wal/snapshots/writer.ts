/**
 * Takes the data of one snapshot into a draft.
 *
 * @module
 */
import { isRaftError } from "../../../src/errors.ts";
import type { SnapshotWriter } from "../../../src/storage.ts";
import { snapshotFailed } from "../errors.ts";
import type { Draft } from "./draft.ts";
import {
  CHUNK_BYTES,
  CHUNK_HEADER_BYTES,
  type SnapshotFooter,
} from "./format.ts";

/** Where the file goes that a writer makes. All of it is called at most once. */
export interface WriterTarget {
  /** The path it will have. */
  readonly path: string;
  readonly draft: Draft;
  /** Whether a draft that is suspended may be found again. */
  readonly isResumable: boolean;
  /** Gives the finished, closed draft its name, durably. */
  readonly publish: (footer: SnapshotFooter) => Promise<void>;
  /** Removes the closed draft. Never rejects. */
  readonly discard: () => Promise<void>;
  /** It is over, whatever became of it. */
  readonly end: () => void;
}

/**
 * Writes chunks of equal size, however the data comes, off the caller's
 * thread. Holds one chunk of 256 KiB and nothing more. Calls that overlap are
 * done one after the other.
 */
export class SnapshotFileWriter implements SnapshotWriter {
  readonly #target: WriterTarget;
  /** A chunk with its header, filled up to `#filled`. */
  readonly #chunk = new Uint8Array(CHUNK_HEADER_BYTES + CHUNK_BYTES);
  #filled: number = CHUNK_HEADER_BYTES;
  /** Settles when the calls so far are through. Never rejects. */
  #turn: Promise<void> = Promise.resolve();
  /** Why nothing is taken any more. */
  #refusal: Error | undefined;

  /** Goes on where the draft ends. */
  constructor(target: WriterTarget) {
    this.#target = target;
  }

  /** See {@linkcode SnapshotWriter.offset}. */
  get offset(): number {
    return this.#target.draft.offset + this.#filled - CHUNK_HEADER_BYTES;
  }

  /** See {@linkcode SnapshotWriter.write}. */
  write(chunk: Uint8Array, at?: number): Promise<boolean> {
    return this.#inTurn(async () => {
      if (this.#refusal !== undefined) throw this.#refusal;
      const known = this.offset - (at ?? this.offset);
      if (known < 0) return false;
      await this.#guard(() => this.#take(chunk.subarray(known)));
      return true;
    });
  }

  /** See {@linkcode SnapshotWriter.commit}. */
  commit(): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#refusal !== undefined) throw this.#refusal;
      const { draft } = this.#target;
      const footer = await this.#guard(async () => {
        await this.#flush();
        return { bytes: draft.offset, ...await draft.finish() };
      });
      draft.close();
      try {
        await this.#target.publish(footer);
      } catch (error) {
        throw await this.#drop(error);
      }
      this.#end();
    });
  }

  /** See {@linkcode SnapshotWriter.abort}. */
  abort(): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#refusal !== undefined) return;
      this.#target.draft.close();
      const discarded = this.#target.discard();
      this.#end();
      await discarded;
    });
  }

  /** See {@linkcode SnapshotWriter.suspend}. */
  suspend(): Promise<void> {
    if (!this.#target.isResumable) return this.abort();
    return this.#inTurn(async () => {
      if (this.#refusal !== undefined) return;
      await this.#guard(async () => {
        await this.#flush();
        // What is gone on with is durable: nobody ever trusts a part of a file
        // whose flush had failed (H44).
        await this.#target.draft.sync();
      });
      this.#target.draft.close();
      this.#end();
    });
  }

  async #take(data: Uint8Array): Promise<void> {
    for (let at = 0; at < data.length;) {
      const room = this.#chunk.length - this.#filled;
      const part = data.subarray(at, at + room);
      this.#chunk.set(part, this.#filled);
      this.#filled += part.length;
      at += part.length;
      if (this.#filled === this.#chunk.length) await this.#flush();
    }
  }

  async #flush(): Promise<void> {
    if (this.#filled === CHUNK_HEADER_BYTES) return;
    const chunk = this.#chunk.subarray(0, this.#filled);
    await this.#target.draft.add(chunk);
    this.#filled = CHUNK_HEADER_BYTES;
  }

  /** What `work` comes to; if it fails, the draft is thrown away. */
  async #guard<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      this.#target.draft.close();
      throw await this.#drop(error);
    }
  }

  /** Throws the closed draft away: a flush that failed is not repeated (H44). */
  async #drop(cause: unknown): Promise<Error> {
    const error = isRaftError(cause)
      ? cause
      : snapshotFailed(this.#target.path, cause);
    const discarded = this.#target.discard();
    this.#end(error);
    await discarded;
    return error;
  }

  #end(refusal: Error = overError(this.#target.path)): void {
    this.#refusal = refusal;
    this.#target.end();
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(work);
    this.#turn = done.then(noop, noop);
    return done;
  }
}

function overError(path: string): RangeError {
  return new RangeError(
    `Cannot write to the snapshot "${path}": it was committed, suspended or thrown away`,
  );
}

function noop(): void {}
