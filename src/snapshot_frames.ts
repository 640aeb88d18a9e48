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
    const header = readHeader(await this.#take(HEADER_BYTES), this.#ordinal);
    const payload = await this.#take(header.length);
    const content = openFrame(payload, header.hash, this.#ordinal);
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

  /** Exactly `length` bytes that belong to the caller. */
  async #take(length: number): Promise<Uint8Array> {
    const taken = new Uint8Array(length);
    let filled = 0;
    while (filled < length) {
      if (this.#unread.length === 0 && !await this.#pull()) {
        throw endsEarly(filled, length, this.#ordinal);
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
}

/** Reads frames from bytes that are all at hand, without waiting. */
export class FrameParser {
  /** What is not read yet. */
  #unread: Uint8Array;
  #ordinal = 0;

  /** Reads from `bytes`, which nobody changes meanwhile. */
  constructor(bytes: Uint8Array) {
    this.#unread = bytes;
  }

  /**
   * The content of the next frame; its byte fields are views on the bytes.
   *
   * @throws {RaftError} `corrupt` if there is none, or it is damaged.
   */
  next(): readonly unknown[] {
    const header = readHeader(this.#take(HEADER_BYTES), this.#ordinal);
    const payload = this.#take(header.length);
    const content = openFrame(payload, header.hash, this.#ordinal);
    this.#ordinal += 1;
    return content;
  }

  /** Everything behind the frames read so far. */
  rest(): Uint8Array {
    const rest = this.#unread;
    this.#unread = new Uint8Array(0);
    return rest;
  }

  #take(length: number): Uint8Array {
    const taken = this.#unread.subarray(0, length);
    if (taken.length < length) {
      throw endsEarly(taken.length, length, this.#ordinal);
    }
    this.#unread = this.#unread.subarray(length);
    return taken;
  }
}

/** Length and hash of the payload that follows. */
function readHeader(
  header: Uint8Array,
  ordinal: number,
): { length: number; hash: number } {
  const view = new DataView(header.buffer, header.byteOffset, HEADER_BYTES);
  const length = view.getUint32(0);
  if (length > MAX_FRAME_BYTES) {
    throw corruptFrame(
      ordinal,
      `it announces ${length} bytes, at most ${MAX_FRAME_BYTES} are allowed`,
    );
  }
  return { length, hash: view.getUint32(4) };
}

/** The content of a payload that has the hash of its header. */
function openFrame(
  payload: Uint8Array,
  wanted: number,
  ordinal: number,
): readonly unknown[] {
  const hash = frameHash(payload, ordinal);
  if (hash !== wanted) {
    throw corruptFrame(
      ordinal,
      `its hash is ${hash}, its header says ${wanted}`,
    );
  }
  let content: unknown;
  try {
    content = decodeCbor(payload);
  } catch (cause) {
    throw corruptFrame(ordinal, "it is no CBOR", cause);
  }
  if (!Array.isArray(content)) {
    throw corruptFrame(ordinal, "it is no array");
  }
  return content;
}

function endsEarly(taken: number, length: number, ordinal: number): RaftError {
  return corruptFrame(
    ordinal,
    `the stream ends after ${taken} of ${length} bytes`,
  );
}

function corruptFrame(
  ordinal: number,
  what: string,
  cause?: unknown,
): RaftError {
  return new RaftError(
    "corrupt",
    `Cannot read snapshot frame ${ordinal}: ${what}`,
    cause === undefined ? {} : { cause },
  );
}
