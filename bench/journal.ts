/**
 * A file that is written round and round: the cheapest durable append.
 *
 * @module
 */
import * as fs from "node:fs";

const FILE_BYTES = 64 * 1024 * 1024;
const CHUNK_BYTES = 1024 * 1024;

/** Appends to a preallocated file, and flushes it. */
export class Journal {
  readonly #file: number;
  /** Where the next write goes; wraps around before it would extend. */
  #offset = 0;

  /** Makes the file, filled with zeros and flushed. */
  constructor(path: string) {
    this.#file = fs.openSync(path, "w+");
    const zeros = new Uint8Array(CHUNK_BYTES);
    for (let at = 0; at < FILE_BYTES; at += CHUNK_BYTES) {
      fs.writeSync(this.#file, zeros, 0, CHUNK_BYTES, at);
    }
    fs.fsyncSync(this.#file);
  }

  /** Hands bytes to the page cache. */
  write(bytes: Uint8Array): void {
    if (this.#offset + bytes.length > FILE_BYTES) this.#offset = 0;
    fs.writeSync(this.#file, bytes, 0, bytes.length, this.#offset);
    this.#offset += bytes.length;
  }

  /** Calls back when everything written so far is durable. */
  flush(done: () => void): void {
    fs.fdatasync(this.#file, (error) => {
      if (error) throw error;
      done();
    });
  }

  /** Closes the file. */
  close(): void {
    fs.closeSync(this.#file);
  }
}
