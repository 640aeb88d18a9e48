/**
 * Sockets by Deno's own API, which carries half as much again as its
 * `node:net` does.
 *
 * @module
 */
import { type ByteChannel, type Carrier, DialError } from "../link/channel.ts";
import type { HostPort, ListenEvents, Listening } from "../link/channel.ts";
import { formatAddress } from "../link/channel.ts";

const READ_BYTES = 64 << 10;

/** The sockets of Deno. */
export const denoSockets: Carrier = { dial, listen };

async function dial(
  { host, port }: HostPort,
  signal: AbortSignal,
): Promise<ByteChannel> {
  try {
    const connection = await Deno.connect({ hostname: host, port, signal });
    if (!signal.aborted) return new DenoChannel(connection);
    connection.close();
  } catch (error) {
    const refused = error instanceof Deno.errors.ConnectionRefused;
    const reason = error instanceof Error ? error.message : String(error);
    throw new DialError(`Cannot connect: ${reason}`, { refused });
  }
  throw signal.reason;
}

function listen(
  { host, port }: HostPort,
  events: ListenEvents,
): Promise<Listening> {
  // Listening is synchronous; what it throws must still be a rejection.
  return new Promise((resolve) => {
    const listener = Deno.listen({ hostname: host, port });
    const accepting = acceptAll(listener, events);
    resolve({
      async close(): Promise<void> {
        closeQuietly(listener);
        await accepting;
      },
    });
  });
}

async function acceptAll(
  listener: Deno.TcpListener,
  events: ListenEvents,
): Promise<void> {
  for (;;) {
    try {
      events.accept(new DenoChannel(await listener.accept()));
    } catch (error) {
      if (error instanceof Deno.errors.BadResource) return;
      if (error instanceof Deno.errors.Interrupted) return;
      // Out of descriptors, or a peer that left before it was accepted:
      // neither ends the listening, and the pause keeps it from spinning.
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}

function closeQuietly(resource: { close(): void }): void {
  try {
    resource.close();
  } catch {
    // It was closed by the other side.
  }
}

/** A TCP connection. */
class DenoChannel implements ByteChannel {
  readonly remote: string;
  readonly #connection: Deno.TcpConn;
  readonly #buffer = new Uint8Array(READ_BYTES);
  #destroyed = false;

  constructor(connection: Deno.TcpConn) {
    this.#connection = connection;
    const { hostname, port } = connection.remoteAddr;
    this.remote = formatAddress({ host: hostname, port });
    try {
      // Else each small frame waits for the acknowledgement of the last.
      connection.setNoDelay(true);
    } catch {
      // The peer has left already; the first read says so.
    }
  }

  async read(): Promise<Uint8Array | null> {
    const count = await this.#connection.read(this.#buffer);
    return count === null ? null : this.#buffer.subarray(0, count);
  }

  async write(bytes: Uint8Array): Promise<void> {
    let at = await this.#connection.write(bytes);
    while (at < bytes.length) {
      at += await this.#connection.write(bytes.subarray(at));
    }
  }

  async end(): Promise<void> {
    try {
      await this.#connection.closeWrite();
    } catch {
      // The peer left first.
    }
    this.destroy();
  }

  destroy(): void {
    if (this.#destroyed) return;
    this.#destroyed = true;
    closeQuietly(this.#connection);
  }
}
