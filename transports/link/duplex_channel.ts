/**
 * A channel over a duplex stream in the manner of Node: a socket, a stream of
 * HTTP/2.
 *
 * @module
 */
import type { ByteChannel } from "./channel.ts";

/** The part of a duplex stream that a channel uses. */
export interface DuplexLike {
  on(event: "data", listener: (chunk: Uint8Array) => void): unknown;
  on(event: "end" | "close", listener: () => void): unknown;
  on(event: "error", listener: (error: Error) => void): unknown;
  write(
    chunk: Uint8Array,
    callback: (error?: Error | null) => void,
  ): unknown;
  end(): unknown;
  pause(): unknown;
  resume(): unknown;
}

/** What differs between streams. */
export interface DuplexTraits {
  /** Who is at the other end, for the log. */
  readonly remote: string;
  /** Tears the stream down, and what it runs on. */
  readonly destroy: () => void;
  /** Whether it may hold on to bytes after it has called back. */
  readonly keepsBytes?: boolean;
  /** Nothing is read before it resolves; if it rejects, nothing ever is. */
  readonly ready?: Promise<void>;
}

/** Bytes read ahead of the reader before the stream is paused. */
const MAX_READ_AHEAD_BYTES = 256 << 10;
/** How long an end may take until it becomes a tearing down. */
const END_TIMEOUT_MS = 1_000;

interface Waiter<T> {
  readonly resolve: (value: T) => void;
  readonly reject: (error: Error) => void;
}

/** Reads and writes one stream. */
export class DuplexChannel implements ByteChannel {
  readonly remote: string;
  readonly #stream: DuplexLike;
  readonly #traits: DuplexTraits;
  /** What arrived and was not read; at most a chunk above the limit. */
  readonly #chunks: Uint8Array[] = [];
  #aheadBytes = 0;
  #reader: Waiter<Uint8Array | null> | undefined;
  #writer: Waiter<void> | undefined;
  #ended = false;
  /** Whether `ready` has resolved. */
  #isReady = false;
  /** Set once the stream is closed; nothing is read or written after it. */
  #failure: Error | undefined;
  readonly #closed: Promise<void>;
  #markClosed: () => void = () => {};

  /** Takes the stream over. */
  constructor(stream: DuplexLike, traits: DuplexTraits) {
    this.#stream = stream;
    this.#traits = traits;
    this.remote = traits.remote;
    this.#closed = new Promise((resolve) => {
      this.#markClosed = resolve;
    });
    stream.on("data", (chunk) => this.#arrived(chunk));
    stream.on("end", () => this.#finish());
    stream.on("error", (error) => this.fail(error));
    stream.on("close", () => {
      this.fail(new Error("Cannot use a connection: it is closed"));
    });
  }

  read(): Promise<Uint8Array | null> {
    const { ready } = this.#traits;
    if (this.#isReady || ready === undefined) return this.#next();
    return ready.then(() => {
      this.#isReady = true;
      return this.#next();
    });
  }

  #next(): Promise<Uint8Array | null> {
    const chunk = this.#chunks.shift();
    if (chunk !== undefined) {
      this.#aheadBytes -= chunk.length;
      if (this.#aheadBytes < MAX_READ_AHEAD_BYTES) this.#stream.resume();
      return Promise.resolve(chunk);
    }
    if (this.#ended) return Promise.resolve(null);
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      this.#reader = { resolve, reject };
    });
  }

  write(bytes: Uint8Array): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      this.#writer = { resolve, reject };
      const own = this.#traits.keepsBytes ? bytes.slice() : bytes;
      this.#stream.write(own, (error) => {
        this.#writer = undefined;
        if (error) reject(error);
        else resolve();
      });
    });
  }

  async end(): Promise<void> {
    if (this.#failure === undefined) {
      this.#stream.end();
      const timer = setTimeout(() => this.destroy(), END_TIMEOUT_MS);
      // Reading on lets the other side's end arrive.
      this.#stream.resume();
      await this.#closed;
      clearTimeout(timer);
    }
    this.destroy();
  }

  destroy(): void {
    this.#traits.destroy();
    this.fail(new Error("Cannot use a connection: it was destroyed"));
  }

  /** Settles what is pending: not every runtime calls back by itself. */
  fail(error: Error): void {
    this.#failure ??= error;
    this.#reader?.reject(this.#failure);
    this.#reader = undefined;
    this.#writer?.reject(this.#failure);
    this.#writer = undefined;
    this.#markClosed();
  }

  #arrived(chunk: Uint8Array): void {
    const reader = this.#reader;
    if (reader !== undefined) {
      this.#reader = undefined;
      reader.resolve(chunk);
      return;
    }
    this.#chunks.push(chunk);
    this.#aheadBytes += chunk.length;
    if (this.#aheadBytes >= MAX_READ_AHEAD_BYTES) this.#stream.pause();
  }

  #finish(): void {
    this.#ended = true;
    this.#reader?.resolve(null);
    this.#reader = undefined;
  }
}
