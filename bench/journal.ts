/**
 * Bare files that are appended to and flushed: what a log is measured by.
 *
 * @module
 */
import * as fs from "node:fs";

const FILE_BYTES = 64 * 1024 * 1024;
const CHUNK_BYTES = 1024 * 1024;

/**
 * One file that is written round and round: the cheapest durable append, for
 * its blocks are laid out and mostly in the caches of everybody beneath.
 */
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

/**
 * File after file, written once from start to end: the disk's sequential
 * bandwidth as a log can have it, whose bytes are new ones always.
 */
export class Trail {
  readonly #path: string;
  #file: number;
  /** Number of the file. */
  #count = 0;
  #offset = 0;

  /** Begins the first file. */
  constructor(path: string) {
    this.#path = path;
    this.#file = fs.openSync(this.#name(), "w");
  }

  /** Hands bytes to the page cache. */
  write(bytes: Uint8Array): void {
    if (this.#offset + bytes.length > FILE_BYTES) this.#next();
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

  /** Closes and removes what is left. */
  close(): void {
    fs.closeSync(this.#file);
    fs.unlinkSync(this.#name());
  }

  #next(): void {
    this.close();
    this.#count++;
    this.#offset = 0;
    this.#file = fs.openSync(this.#name(), "w");
  }

  #name(): string {
    return `${this.#path}-${this.#count}`;
  }
}
