/**
 * How the library's own snapshots are cut into checked pieces.
 *
 * A frame is `length (u32) · hash (u32) · payload`, big endian; the payload is
 * one CBOR array that starts with a number or a name. The hash is seeded with
 * the frame's place in the stream and its length, so frames that were lost,
 * repeated, swapped or cut are found like flipped bits (H65). Chunk borders mean
 * nothing: a stream may be cut anew anywhere on its way.
 *
 * @module
 */
import { hashBytes, hashInteger } from "./checksum.ts";
import { decodeCbor, encodeCborBriefly } from "./codec.ts";
import { RaftError } from "./errors.ts";

/** Largest chunk that {@linkcode frameChunks} yields. */
export const SNAPSHOT_CHUNK_BYTES: number = 256 * 1024;

/** Content of a frame at which a writer starts the next one. */
export const FRAME_TARGET_BYTES: number = 128 * 1024;

/**
 * Longest payload a reader accepts: a frame that is full but for one byte,
 * plus one item of 1 MiB with its names.
 */
export const MAX_FRAME_BYTES: number = 2 * 1024 * 1024;

const HEADER_BYTES = 8;

function frameHash(payload: Uint8Array, ordinal: number): number {
  return hashBytes(payload, hashInteger(ordinal, payload.length));
}

/** Writes the frames of one stream; counts them. */
export class FrameWriter {
  #ordinal = 0;

  /** The next frame, around `content`. */
  frame(content: readonly unknown[]): Uint8Array {
    const payload = encodeCborBriefly(content);
    if (payload.length > MAX_FRAME_BYTES) {
      throw new RaftError(
        "tooLarge",
        `Cannot write a snapshot frame: it has ${payload.length} bytes, ` +
          `at most ${MAX_FRAME_BYTES} are allowed`,
      );
    }
    const frame = new Uint8Array(HEADER_BYTES + payload.length);
    const header = new DataView(frame.buffer);
    header.setUint32(0, payload.length);
    header.setUint32(4, frameHash(payload, this.#ordinal));
    frame.set(payload, HEADER_BYTES);
    this.#ordinal += 1;
    return frame;
  }
}

/** Cuts frames that are too long for a chunk. */
export function* frameChunks(
  frames: Iterable<Uint8Array>,
): Generator<Uint8Array, void, undefined> {
  for (const frame of frames) {
    for (let from = 0; from < frame.length; from += SNAPSHOT_CHUNK_BYTES) {
      yield frame.subarray(from, from + SNAPSHOT_CHUNK_BYTES);
    }
  }
}

/**
 * Reads frames from arbitrarily cut chunks. At most one chunk and one frame are
 * held at a time, whatever a length field says (H132).
 */
export class FrameReader {
  readonly #source: AsyncIterator<Uint8Array>;
  /** The unread part of the chunk that arrived last. */
  #unread: Uint8Array = new Uint8Array(0);
  #ordinal = 0;

  /** Reads from `chunks`; nothing is pulled before it is needed. */
  constructor(chunks: AsyncIterable<Uint8Array>) {
    this.#source = chunks[Symbol.asyncIterator]();
  }

  /**
   * The content of the next frame; its byte fields are views on the frame.
   *
   * @throws {RaftError} `corrupt` if there is none, or it is damaged.
   */
  async next(): Promise<readonly unknown[]> {
    const header = await this.#take(HEADER_BYTES);
    const view = new DataView(header.buffer);
    const length = view.getUint32(0);
    if (length > MAX_FRAME_BYTES) {
      throw this.#corrupt(
        `it announces ${length} bytes, at most ${MAX_FRAME_BYTES} are allowed`,
      );
    }
    const payload = await this.#take(length);
    const hash = frameHash(payload, this.#ordinal);
    if (hash !== view.getUint32(4)) {
      throw this.#corrupt(
        `its hash is ${hash}, its header says ${view.getUint32(4)}`,
      );
    }
    const content = this.#decode(payload);
    this.#ordinal += 1;
    return content;
  }

  /** Everything behind the frames read so far. */
  async *rest(): AsyncGenerator<Uint8Array, void, undefined> {
    while (this.#unread.length > 0 || await this.#pull()) {
      const chunk = this.#unread;
      this.#unread = new Uint8Array(0);
      yield chunk;
    }
  }

  /**
   * Checks that the stream ends here.
   *
   * @throws {RaftError} `corrupt` if bytes follow.
   */
  async end(): Promise<void> {
    if (this.#unread.length > 0 || await this.#pull()) {
      throw new RaftError(
        "corrupt",
        "Cannot read a snapshot: bytes follow its last frame",
      );
    }
  }

  /** Lets go of the source; call it once reading is over. */
  async close(): Promise<void> {
    await this.#source.return?.();
  }

  #decode(payload: Uint8Array): readonly unknown[] {
    let content: unknown;
    try {
      content = decodeCbor(payload);
    } catch (cause) {
      throw this.#corrupt("it is no CBOR", cause);
    }
    if (!Array.isArray(content)) {
      throw this.#corrupt("it is no array");
    }
    return content;
  }

  /** Exactly `length` bytes that belong to the caller. */
  async #take(length: number): Promise<Uint8Array> {
    const taken = new Uint8Array(length);
    let filled = 0;
    while (filled < length) {
      if (this.#unread.length === 0 && !await this.#pull()) {
        throw this.#corrupt(
          `the stream ends after ${filled} of ${length} bytes`,
        );
      }
      const part = this.#unread.subarray(0, length - filled);
      taken.set(part, filled);
      filled += part.length;
      this.#unread = this.#unread.subarray(part.length);
    }
    return taken;
  }

  /** Waits for a chunk that is not empty; `false` at the end. */
  async #pull(): Promise<boolean> {
    while (this.#unread.length === 0) {
      const { done, value } = await this.#source.next();
      if (done === true) {
        return false;
      }
      this.#unread = value;
    }
    return true;
  }

  #corrupt(what: string, cause?: unknown): RaftError {
    return new RaftError(
      "corrupt",
      `Cannot read snapshot frame ${this.#ordinal}: ${what}`,
      cause === undefined ? {} : { cause },
    );
  }
}
