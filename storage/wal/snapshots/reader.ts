/**
 * Reads a stored snapshot back.
 *
 * @module
 */
import type { SnapshotMeta } from "../../../src/core/types.ts";
import { RaftError } from "../../../src/errors.ts";
import type { SnapshotReader } from "../../../src/storage.ts";
import { corruption, failed } from "../errors.ts";
import { errorCode, type WalFileSystem } from "../file_system.ts";
import { PieceReader } from "./piece_reader.ts";
import {
  type OpenFile,
  readFooter,
  readHeader,
  requireEnd,
  wholeFile,
  type WholeSnapshotFile,
} from "./snapshot_file.ts";

/**
 * Hands out a file's data, a chunk of at most 256 KiB at a time, each checked
 * again: a disk may go bad after it was written (H60).
 */
export class SnapshotFileReader implements SnapshotReader {
  readonly #fileSystem: WalFileSystem;
  readonly #source: WholeSnapshotFile;
  #onRelease: (() => void) | undefined;

  /** Opens nothing yet. `onRelease` is called at most once. */
  constructor(
    fileSystem: WalFileSystem,
    source: WholeSnapshotFile,
    onRelease: () => void,
  ) {
    this.#fileSystem = fileSystem;
    this.#source = source;
    this.#onRelease = onRelease;
  }

  /** What it contains. */
  get meta(): SnapshotMeta {
    return structuredClone(this.#source.meta);
  }

  /** Length of the data in bytes. */
  get bytes(): number {
    return this.#source.bytes;
  }

  /** Names these very bytes. */
  get token(): string {
    return this.#source.token;
  }

  /** See {@linkcode SnapshotReader.chunks}. */
  async *chunks(
    fromOffset = 0,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const { path } = this.#source;
    const fileSystem = this.#fileSystem;
    const file = this.#open();
    try {
      yield* this.#read({ fileSystem, file, path }, fromOffset);
    } catch (error) {
      throw failed(`read "${path}"`, error);
    } finally {
      fileSystem.close(file);
    }
  }

  /** See {@linkcode SnapshotReader.release}. */
  release(): void {
    const onRelease = this.#onRelease;
    this.#onRelease = undefined;
    onRelease?.();
  }

  #open(): number {
    const { path } = this.#source;
    try {
      return this.#fileSystem.open(path, "read");
    } catch (error) {
      if (errorCode(error) === "ENOENT") throw gone(path);
      throw failed(`read "${path}"`, error);
    }
  }

  async *#read(
    open: OpenFile,
    fromOffset: number,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const { fileSystem, file, path } = open;
    const { header, start } = await readHeader(fileSystem, file, path);
    const footer = await readFooter(open, start);
    // Somebody may have stored other bytes under this name meanwhile.
    const found = wholeFile(path, header, footer);
    if (found.token !== this.#source.token) throw gone(path);
    const reader = new PieceReader(fileSystem, file, start);
    await reader.skip(fromOffset);
    const isFromStart = reader.offset === 0;
    for (;;) {
      const { offset } = reader;
      const piece = await reader.next();
      if (piece.type === "chunk") {
        const known = Math.max(0, fromOffset - offset);
        if (known < piece.data.length) yield piece.data.subarray(known);
        continue;
      }
      const at = { file: path, offset: reader.position };
      if (piece.type === "damaged") throw corruption(at, piece.what);
      if (isFromStart && piece.footer.checksum !== reader.checksum) {
        throw corruption(at, "the checksum of its data is wrong");
      }
      requireEnd(open, reader.position);
      return;
    }
  }
}

function gone(path: string): RaftError {
  return new RaftError(
    "compacted",
    `Cannot read the snapshot "${path}": another one has replaced it`,
    { file: path },
  );
}
