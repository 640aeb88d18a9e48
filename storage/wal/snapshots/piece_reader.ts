/**
 * Reads the pieces of a snapshot's file one after the other, each checked.
 *
 * @module
 */
import {
  type FileHandle,
  readFully,
  type WalFileSystem,
} from "../file_system.ts";
import { checksum, viewOf } from "../format.ts";
import {
  CHUNK_BYTES,
  CHUNK_HEADER_BYTES,
  decodePiece,
  type Piece,
} from "./format.ts";

const PIECE_BYTES = CHUNK_HEADER_BYTES + CHUNK_BYTES;

/** Where the pieces begin, and what they are bound to. */
export interface PieceStart {
  /** Bytes of the header before them. */
  readonly position: number;
  readonly seed: number;
  /**
   * Whether one buffer is used for all: data is valid until the next call
   * then, else it is the caller's.
   *
   * @default false
   */
  readonly isShared?: boolean | undefined;
}

/**
 * Goes through a file that stays open meanwhile. Holds one chunk at a time,
 * whatever a length says (H132); reading takes place off the caller's thread,
 * so that everything else gets its turn between two chunks (H74).
 */
export class PieceReader {
  readonly #fileSystem: WalFileSystem;
  readonly #file: FileHandle;
  readonly #seed: number;
  readonly #shared: Uint8Array | undefined;
  #position: number;
  #offset = 0;
  #checksum = 0;

  /** Reads from the first chunk on. */
  constructor(
    fileSystem: WalFileSystem,
    file: FileHandle,
    start: PieceStart,
  ) {
    this.#fileSystem = fileSystem;
    this.#file = file;
    this.#seed = start.seed;
    this.#position = start.position;
    if (start.isShared === true) this.#shared = new Uint8Array(PIECE_BYTES);
  }

  /** Where in the file the next piece begins. */
  get position(): number {
    return this.#position;
  }

  /** Bytes of data before it. */
  get offset(): number {
    return this.#offset;
  }

  /** CRC-32 of these, unless some were skipped. */
  get checksum(): number {
    return this.#checksum;
  }

  /** The next piece; passes by it if it is a chunk. */
  async next(): Promise<Piece> {
    const bytes = await this.#read(PIECE_BYTES);
    const piece = decodePiece(bytes, this.#seed, this.#offset);
    if (piece.type === "chunk") {
      const { data } = piece;
      this.#checksum = checksum(data, 0, data.length, this.#checksum);
      this.#pass(data.length);
    }
    return piece;
  }

  /**
   * Passes by the chunks that end at or before `offset`, unread. If a length
   * among them is wrong, what follows does not validate.
   */
  async skip(offset: number): Promise<void> {
    while (this.#offset < offset) {
      const bytes = await this.#read(CHUNK_HEADER_BYTES);
      if (bytes.length < CHUNK_HEADER_BYTES) return;
      const length = viewOf(bytes).getUint32(0, true);
      const isBefore = this.#offset + length <= offset;
      if (length === 0 || length > CHUNK_BYTES || !isBefore) return;
      this.#pass(length);
    }
  }

  #pass(dataBytes: number): void {
    this.#position += CHUNK_HEADER_BYTES + dataBytes;
    this.#offset += dataBytes;
  }

  /** Up to so many bytes of the file. */
  async #read(most: number): Promise<Uint8Array> {
    const left = this.#fileSystem.size(this.#file) - this.#position;
    const wanted = Math.max(0, Math.min(most, left));
    const bytes = this.#shared?.subarray(0, wanted) ?? new Uint8Array(wanted);
    const length = await readFully(
      this.#fileSystem,
      this.#file,
      bytes,
      this.#position,
    );
    return bytes.subarray(0, length);
  }
}
