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
import { DuplexChannel } from "../link/duplex_channel.ts";
import type { HostPort, ListenEvents, Listening } from "../link/channel.ts";

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
      resolve(channelOf(socket));
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
      events.accept(channelOf(socket));
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

function channelOf(socket: Socket): ByteChannel {
  const { remoteAddress = "unknown", remotePort = 0 } = socket;
  // Else each small frame waits for the acknowledgement of the last.
  socket.setNoDelay(true);
  return new DuplexChannel(socket, {
    remote: formatAddress({ host: remoteAddress, port: remotePort }),
    destroy: () => socket.destroy(),
  });
}
