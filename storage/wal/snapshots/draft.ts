/**
 * A snapshot on its way: a file that grows chunk by chunk and means nothing
 * until it is finished.
 *
 * @module
 */
import {
  type FileHandle,
  readFully,
  type WalFileSystem,
  writeFullyLater,
} from "../file_system.ts";
import { checksum } from "../format.ts";
import {
  CHUNK_HEADER_BYTES,
  encodeSnapshotFooter,
  sealChunk,
  snapshotSeed,
} from "./format.ts";
import { PieceReader } from "./piece_reader.ts";

/** Synced in steps, so that the log's own flushes never wait for much. */
const SYNC_STEP_BYTES = 1 << 20;

/** Where a draft lies, and what it starts with. */
export interface DraftPlace {
  readonly fileSystem: WalFileSystem;
  readonly path: string;
  readonly header: Uint8Array;
}

/** How far a draft is. */
interface Progress {
  /** Where in the file the next chunk goes. */
  position: number;
  /** Bytes of data before it. */
  offset: number;
  /** CRC-32 of these. */
  checksum: number;
}

/** The file of a snapshot that is not whole. After any error: `close` it. */
export class Draft {
  readonly #fileSystem: WalFileSystem;
  readonly #file: FileHandle;
  readonly #seed: number;
  readonly #at: Progress;
  #unsyncedBytes = 0;

  private constructor(place: DraftPlace, file: FileHandle, at: Progress) {
    this.#fileSystem = place.fileSystem;
    this.#file = file;
    this.#seed = snapshotSeed(place.header);
    this.#at = at;
  }

  /** A new file. Errors of the file system pass through. */
  static async begin(place: DraftPlace): Promise<Draft> {
    const { fileSystem, header, path } = place;
    const file = fileSystem.open(path, "create");
    try {
      await writeFullyLater(fileSystem, file, header, 0);
    } catch (error) {
      fileSystem.close(file);
      throw error;
    }
    const position = header.length;
    return new Draft(place, file, { position, offset: 0, checksum: 0 });
  }

  /**
   * Goes on with a file that is there, behind its last whole chunk: whatever
   * was not synced when the power went is checked like everything else.
   *
   * @returns `undefined` if it is not the draft of this very snapshot.
   */
  static async resume(place: DraftPlace): Promise<Draft | undefined> {
    const { fileSystem, header, path } = place;
    const file = fileSystem.open(path, "update");
    try {
      if (await startsWith(fileSystem, file, header)) {
        const at = await measure(place, file);
        fileSystem.truncate(file, at.position);
        return new Draft(place, file, at);
      }
    } catch (error) {
      fileSystem.close(file);
      throw error;
    }
    fileSystem.close(file);
    return undefined;
  }

  /** Bytes of data that are in the file. */
  get offset(): number {
    return this.#at.offset;
  }

  /**
   * Appends a chunk: its data behind room for its header, which is filled in.
   * Off the caller's thread; `chunk` must not change meanwhile.
   */
  async add(chunk: Uint8Array): Promise<void> {
    const at = this.#at;
    sealChunk(chunk, this.#seed, at.offset);
    await writeFullyLater(this.#fileSystem, this.#file, chunk, at.position);
    const { length } = chunk;
    at.position += length;
    at.offset += length - CHUNK_HEADER_BYTES;
    at.checksum = checksum(chunk, CHUNK_HEADER_BYTES, length, at.checksum);
    this.#unsyncedBytes += length;
    if (this.#unsyncedBytes >= SYNC_STEP_BYTES) await this.sync();
  }

  /** Ends the file; whole and durable when this resolves. */
  async finish(): Promise<{ readonly checksum: number }> {
    const { checksum: sum, offset, position } = this.#at;
    const footer = { bytes: offset, checksum: sum };
    const bytes = encodeSnapshotFooter(footer, this.#seed);
    await writeFullyLater(this.#fileSystem, this.#file, bytes, position);
    await this.sync();
    return { checksum: sum };
  }

  /** Makes what is there durable. Never to be tried again (H44). */
  async sync(): Promise<void> {
    this.#unsyncedBytes = 0;
    await this.#fileSystem.sync(this.#file);
  }

  /**
   * Lets go of the file. Once. Its data was synced or is given up: an error
   * says nothing about it.
   */
  close(): void {
    try {
      this.#fileSystem.close(this.#file);
    } catch {
      // The handle is gone all the same.
    }
  }
}

async function startsWith(
  fileSystem: WalFileSystem,
  file: FileHandle,
  header: Uint8Array,
): Promise<boolean> {
  const start = new Uint8Array(header.length);
  const length = await readFully(fileSystem, file, start, 0);
  return length === header.length &&
    header.every((byte, i) => byte === start[i]);
}

/** Where the whole chunks end. */
async function measure(
  { fileSystem, header }: DraftPlace,
  file: FileHandle,
): Promise<Progress> {
  const reader = new PieceReader(fileSystem, file, {
    position: header.length,
    seed: snapshotSeed(header),
    isShared: true,
  });
  for (;;) {
    const piece = await reader.next();
    if (piece.type === "chunk") continue;
    const { checksum: sum, offset, position } = reader;
    return { position, offset, checksum: sum };
  }
}
