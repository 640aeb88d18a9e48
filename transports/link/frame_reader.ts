/**
 * Cuts a stream of bytes into frames without ever allocating more than has
 * arrived (H132).
 *
 * @module
 */
import { RaftError } from "../../src/errors.ts";
import { FRAME_HEADER_BYTES, readLength } from "../../src/wire.ts";
import type { ByteChannel } from "./channel.ts";

/** A frame off a channel. */
export interface Frame {
  readonly kind: number;
  /** The CBOR item. */
  readonly body: Uint8Array;
  /** Whether `body` is the caller's; else it is valid until the next call. */
  readonly owned: boolean;
}

/** A limit that several readers share. */
export class ByteBudget {
  #left: number;

  /** Starts with `bytes` to give. */
  constructor(bytes: number) {
    this.#left = bytes;
  }

  /** Takes bytes out; `false`, and nothing taken, if there are too few. */
  take(bytes: number): boolean {
    if (bytes > this.#left) return false;
    this.#left -= bytes;
    return true;
  }

  /** Gives bytes back. */
  give(bytes: number): void {
    this.#left += bytes;
  }
}

/** A buffer for a frame that did not arrive in one piece starts this small. */
const FIRST_PART_BYTES = 64 << 10;

const NOTHING = new Uint8Array(0);

/** Reads frames from one channel. */
export class FrameReader {
  /** Bytes a frame's length may say; raised once a peer is known. */
  maxBytes: number;
  readonly #channel: ByteChannel;
  readonly #budget: ByteBudget;
  /** What the channel gave last, consumed up to `#at`. */
  #chunk: Uint8Array = NOTHING;
  #at = 0;
  /** The header of the frame under way; complete at `#headerLength` 5. */
  readonly #header = new Uint8Array(FRAME_HEADER_BYTES);
  #headerLength = 0;
  /** The body under way, if it spans chunks; its length is in the budget. */
  #part: Uint8Array | undefined;
  #partLength = 0;

  /** Reads from `channel`, with memory from `budget`. */
  constructor(
    channel: ByteChannel,
    { maxBytes, budget }: { maxBytes: number; budget: ByteBudget },
  ) {
    this.#channel = channel;
    this.maxBytes = maxBytes;
    this.#budget = budget;
  }

  /** Whether a frame has begun and is not complete. */
  get isMidFrame(): boolean {
    return this.#headerLength > 0;
  }

  /**
   * The next frame of what has arrived, if there is one.
   *
   * @throws {RaftError} `frameTooLarge` or `malformedFrame`.
   */
  poll(): Frame | undefined {
    if (!this.#pollHeader()) return undefined;
    const length = this.#bodyLength();
    const available = this.#chunk.length - this.#at;
    const kind = this.#header[4] ?? 0;
    if (this.#part === undefined && available >= length) {
      const body = this.#chunk.subarray(this.#at, this.#at += length);
      this.#headerLength = 0;
      return { kind, body, owned: false };
    }
    const part = this.#room(length, Math.min(available, length));
    const wanted = Math.min(available, length - this.#partLength);
    part.set(
      this.#chunk.subarray(this.#at, this.#at + wanted),
      this.#partLength,
    );
    this.#at += wanted;
    this.#partLength += wanted;
    if (this.#partLength < length) return undefined;
    this.dispose();
    this.#headerLength = 0;
    return { kind, body: part, owned: true };
  }

  /** Reads on from the channel; `false` at its end. */
  async fill(): Promise<boolean> {
    const chunk = await this.#channel.read();
    if (chunk === null) return false;
    this.#chunk = chunk;
    this.#at = 0;
    return true;
  }

  /** The next frame, waiting for it; `null` at the end of the channel. */
  async next(): Promise<Frame | null> {
    for (;;) {
      const frame = this.poll();
      if (frame !== undefined) return frame;
      if (!await this.fill()) return null;
    }
  }

  /** Gives memory back to the budget. */
  dispose(): void {
    if (this.#part === undefined) return;
    this.#budget.give(this.#part.length);
    this.#part = undefined;
    this.#partLength = 0;
  }

  #pollHeader(): boolean {
    while (this.#headerLength < FRAME_HEADER_BYTES) {
      const byte = this.#chunk[this.#at];
      if (byte === undefined) return false;
      this.#at++;
      this.#header[this.#headerLength++] = byte;
    }
    return true;
  }

  #bodyLength(): number {
    const declared = readLength(this.#header, 0);
    if (declared > this.maxBytes) {
      throw new RaftError(
        "frameTooLarge",
        `Cannot read a frame: it says ${declared} bytes, wanted at most ${this.maxBytes}`,
      );
    }
    if (declared < 1) {
      throw new RaftError(
        "malformedFrame",
        "Cannot read a frame: it has no kind",
      );
    }
    return declared - 1;
  }

  /** The part's buffer, grown by doubling so that `more` bytes fit. */
  #room(length: number, more: number): Uint8Array {
    const current = this.#part ?? NOTHING;
    const needed = Math.min(length, this.#partLength + more);
    if (this.#part !== undefined && needed <= current.length) return current;
    const size = Math.min(
      length,
      Math.max(FIRST_PART_BYTES, 2 * current.length, needed),
    );
    if (!this.#budget.take(size - current.length)) {
      throw new RaftError(
        "frameTooLarge",
        "Cannot read a frame: the memory for frames under way is used up",
      );
    }
    const grown = new Uint8Array(size);
    grown.set(current.subarray(0, this.#partLength));
    this.#part = grown;
    return grown;
  }
}
