/**
 * Sockets by `node:net`, for Node and Bun.
 *
 * @module
 */
import { connect, createServer, type Server, type Socket } from "node:net";
import {
  type ByteChannel,
  type Carrier,
  DialError,
  formatAddress,
} from "../link/channel.ts";
import type { HostPort, ListenEvents, Listening } from "../link/channel.ts";

/** Bytes read ahead of the reader before the socket is paused. */
const MAX_READ_AHEAD_BYTES = 256 << 10;

/** The sockets of `node:net`. */
export const nodeSockets: Carrier = { dial, listen };

function dial(
  { host, port }: HostPort,
  signal: AbortSignal,
): Promise<ByteChannel> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port });
    const abort = () => {
      socket.destroy();
      reject(signal.reason);
    };
    const fail = (error: Error & { code?: string }) => {
      signal.removeEventListener("abort", abort);
      socket.destroy();
      const refused = error.code === "ECONNREFUSED";
      const what = error.message === "" ? error.code : error.message;
      reject(new DialError(`Cannot connect: ${what}`, { refused }));
    };
    socket.on("error", fail);
    socket.once("connect", () => {
      signal.removeEventListener("abort", abort);
      socket.off("error", fail);
      resolve(new NodeChannel(socket));
    });
    signal.addEventListener("abort", abort);
    if (signal.aborted) abort();
  });
}

function listen(
  { host, port }: HostPort,
  events: ListenEvents,
): Promise<Listening> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => {
      events.accept(new NodeChannel(socket));
    });
    server.once("error", reject);
    server.listen({ host, port }, () => {
      server.off("error", reject);
      // A failed accept concerns one peer, who will try again.
      server.on("error", () => {});
      resolve({ close: () => closeServer(server) });
    });
  });
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}

interface Waiter<T> {
  readonly resolve: (value: T) => void;
  readonly reject: (error: Error) => void;
}

/** A TCP connection. */
class NodeChannel implements ByteChannel {
  readonly remote: string;
  readonly #socket: Socket;
  /** What arrived and was not read; at most a chunk above the limit. */
  readonly #chunks: Uint8Array[] = [];
  #aheadBytes = 0;
  #reader: Waiter<Uint8Array | null> | undefined;
  #writer: Waiter<void> | undefined;
  #ended = false;
  /** Set once the socket is closed. */
  #failure: Error | undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
    const { remoteAddress = "unknown", remotePort = 0 } = socket;
    this.remote = formatAddress({ host: remoteAddress, port: remotePort });
    socket.setNoDelay(true);
    socket.on("data", (chunk: Uint8Array) => this.#arrived(chunk));
    socket.on("end", () => this.#finish());
    socket.on("error", (error) => this.#fail(error));
    socket.on("close", () => {
      this.#fail(new Error("Cannot use a connection: it is closed"));
    });
  }

  read(): Promise<Uint8Array | null> {
    const chunk = this.#chunks.shift();
    if (chunk !== undefined) {
      this.#aheadBytes -= chunk.length;
      if (this.#aheadBytes < MAX_READ_AHEAD_BYTES) this.#socket.resume();
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
      this.#socket.write(bytes, (error) => {
        this.#writer = undefined;
        if (error) reject(error);
        else resolve();
      });
    });
  }

  end(): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        this.destroy();
        resolve();
      };
      this.#socket.once("close", done);
      this.#socket.end(done);
    });
  }

  destroy(): void {
    this.#socket.destroy();
    this.#fail(new Error("Cannot use a connection: it was destroyed"));
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
    if (this.#aheadBytes >= MAX_READ_AHEAD_BYTES) this.#socket.pause();
  }

  #finish(): void {
    this.#ended = true;
    this.#reader?.resolve(null);
    this.#reader = undefined;
  }

  /** Settles what is pending: not every runtime calls back by itself. */
  #fail(error: Error): void {
    this.#failure ??= error;
    this.#reader?.reject(this.#failure);
    this.#reader = undefined;
    this.#writer?.reject(this.#failure);
    this.#writer = undefined;
  }
}
