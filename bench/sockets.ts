/**
 * Byte streams and an HTTP server, each by the fastest means the runtime has:
 * the yardsticks must not lose for want of what the library itself uses.
 *
 * @module
 */
import * as net from "node:net";
import { serve } from "@hono/node-server";

/** One end of a connection. */
export interface Socket {
  /** Queues bytes; what waits for an earlier write leaves as one write. */
  write(bytes: Uint8Array): void;
}

/** Gets what arrives; the bytes are only lent until it returns. */
export type Receiver = (bytes: Uint8Array) => void;

/** Answers requests. */
export type Fetch = (request: Request) => Response | Promise<Response>;

const HOST = "127.0.0.1";
const READ_BYTES = 256 * 1024;

const onDeno = typeof Deno !== "undefined";

/** Connects to a port of this machine. */
export function connect(port: number, receive: Receiver): Promise<Socket> {
  return onDeno ? connectDeno(port, receive) : connectNode(port, receive);
}

/** Listens on a free port of this machine, and tells which. */
export function listen(accept: (socket: Socket) => Receiver): Promise<number> {
  return onDeno ? Promise.resolve(listenDeno(accept)) : listenNode(accept);
}

/** Serves HTTP on a free port of this machine, and tells which. */
export function serveHttp(fetch: Fetch): Promise<number> {
  if (onDeno) {
    return new Promise((resolve) => {
      const onListen = (at: { port: number }) => resolve(at.port);
      Deno.serve({ hostname: HOST, port: 0, onListen }, fetch);
    });
  }
  return new Promise((resolve) => {
    serve({ fetch, hostname: HOST, port: 0 }, (at) => resolve(at.port));
  });
}

async function connectDeno(port: number, receive: Receiver): Promise<Socket> {
  const connection = await Deno.connect({ hostname: HOST, port });
  const socket = new DenoSocket(connection);
  readAll(connection, receive);
  return socket;
}

function listenDeno(accept: (socket: Socket) => Receiver): number {
  const listener = Deno.listen({ hostname: HOST, port: 0 });
  const acceptAll = async () => {
    for await (const connection of listener) {
      readAll(connection, accept(new DenoSocket(connection)));
    }
  };
  acceptAll().catch(fail);
  return listener.addr.port;
}

function readAll(connection: Deno.TcpConn, receive: Receiver): void {
  const buffer = new Uint8Array(READ_BYTES);
  const read = async () => {
    for (;;) {
      const length = await connection.read(buffer);
      if (length === null) return;
      receive(buffer.subarray(0, length));
    }
  };
  read().catch(fail);
}

class DenoSocket implements Socket {
  readonly #connection: Deno.TcpConn;
  #waiting: Uint8Array[] = [];
  #writing = false;

  constructor(connection: Deno.TcpConn) {
    connection.setNoDelay();
    this.#connection = connection;
  }

  write(bytes: Uint8Array): void {
    this.#waiting.push(bytes);
    if (this.#writing) return;
    this.#writing = true;
    this.#drain().catch(fail);
  }

  async #drain(): Promise<void> {
    while (this.#waiting.length > 0) {
      const joined = concat(this.#waiting);
      this.#waiting = [];
      let written = 0;
      while (written < joined.length) {
        written += await this.#connection.write(joined.subarray(written));
      }
    }
    this.#writing = false;
  }
}

function connectNode(port: number, receive: Receiver): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ host: HOST, port, noDelay: true });
    socket.once("error", reject);
    socket.on("data", receive);
    socket.once("connect", () => resolve(new NodeSocket(socket)));
  });
}

function listenNode(accept: (socket: Socket) => Receiver): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = net.createServer({ noDelay: true }, (socket) => {
      socket.on("data", accept(new NodeSocket(socket)));
      socket.on("error", () => socket.destroy());
    });
    server.once("error", reject);
    server.listen(0, HOST, () => {
      const at = server.address();
      if (at === null || typeof at === "string") {
        reject(new Error(`Cannot listen: the address is ${at}`));
      } else resolve(at.port);
    });
  });
}

class NodeSocket implements Socket {
  readonly #socket: net.Socket;
  #waiting: Uint8Array[] = [];
  #writing = false;

  constructor(socket: net.Socket) {
    this.#socket = socket;
  }

  write(bytes: Uint8Array): void {
    this.#waiting.push(bytes);
    if (!this.#writing) this.#drain();
  }

  #drain(): void {
    this.#writing = this.#waiting.length > 0;
    if (!this.#writing) return;
    const joined = concat(this.#waiting);
    this.#waiting = [];
    this.#socket.write(joined, () => this.#drain());
  }
}

/** Several pieces as one. */
export function concat(parts: readonly Uint8Array[]): Uint8Array {
  const [first] = parts;
  if (first !== undefined && parts.length === 1) return first;
  let length = 0;
  for (const part of parts) length += part.length;
  const joined = new Uint8Array(length);
  let offset = 0;
  for (const part of parts) {
    joined.set(part, offset);
    offset += part.length;
  }
  return joined;
}

/** Ends a yardstick whose measurement can no longer be trusted. */
export function fail(error: unknown): never {
  throw error;
}
