/** Sockets of the test's own, by `node:net` on every runtime. */
import { connect, createServer, type Server, type Socket } from "node:net";

/** An address on this machine that nobody listens on. */
export function freeAddress(): Promise<string> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const bound = server.address();
      const port = typeof bound === "object" && bound !== null ? bound.port : 0;
      server.close(() => resolve(`127.0.0.1:${port}`));
    });
  });
}

/** A connection that reads what comes and never fails the test by itself. */
export class RawSocket {
  readonly #socket: Socket;
  readonly #closed: Promise<void>;
  #received = new Uint8Array(0);
  #woken: () => void = () => {};

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("error", () => {});
    socket.on("data", (chunk: Uint8Array) => {
      const joined = new Uint8Array(this.#received.length + chunk.length);
      joined.set(this.#received);
      joined.set(chunk, this.#received.length);
      this.#received = joined;
      this.#woken();
    });
    this.#closed = new Promise((resolve) => {
      socket.once("close", () => {
        resolve();
        this.#woken();
      });
    });
  }

  /** Connects; rejects if nobody listens. */
  static open(address: string): Promise<RawSocket> {
    const [host = "", port = ""] = address.split(":");
    return new Promise((resolve, reject) => {
      const socket = connect({ host, port: Number(port) });
      socket.once("error", reject);
      socket.once("connect", () => {
        socket.off("error", reject);
        resolve(new RawSocket(socket));
      });
    });
  }

  /** Sends bytes as they are. */
  write(bytes: Uint8Array): void {
    this.#socket.write(bytes);
  }

  /** Waits for the first `count` bytes; fewer if the connection closes. */
  async read(count: number): Promise<Uint8Array> {
    while (this.#received.length < count && !this.#socket.destroyed) {
      await new Promise<void>((resolve) => {
        this.#woken = resolve;
      });
    }
    return this.#received.slice(0, count);
  }

  /** Resolves once the connection is closed, by whomever. */
  closed(): Promise<void> {
    return this.#closed;
  }

  /** Closes it from this side. */
  destroy(): Promise<void> {
    this.#socket.destroy();
    return this.#closed;
  }
}

/** A listener that does with its connections what the test says. */
export class RawListener {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly address: string;
  /** Connections so far. */
  accepted = 0;
  /** Called with each chunk that arrives. */
  onData: (socket: Socket, bytes: Uint8Array) => void = () => {};

  private constructor(server: Server, address: string) {
    this.#server = server;
    this.address = address;
    server.on("connection", (socket) => {
      this.accepted++;
      this.#sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => this.#sockets.delete(socket));
      socket.on("data", (bytes: Uint8Array) => this.onData(socket, bytes));
    });
  }

  /** Listens on a free port of this machine. */
  static open(): Promise<RawListener> {
    const server = createServer();
    return new Promise((resolve, reject) => {
      server.once("error", reject);
      server.listen(0, "127.0.0.1", () => {
        const at = server.address();
        const port = typeof at === "object" && at !== null ? at.port : 0;
        resolve(new RawListener(server, `127.0.0.1:${port}`));
      });
    });
  }

  /** Closes it and every connection. */
  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      for (const socket of this.#sockets) socket.destroy();
    });
  }
}
