/**
 * A transport over HTTP/2 without TLS: the frames of the TCP transport in the
 * two bodies of one long `POST` per peer.
 *
 * It listens by itself on the host's own address, or is mounted beside an API
 * on a server that speaks HTTP/2 and passes request bodies on as they arrive:
 * give its requests to {@linkcode HttpTransport.fetch}. A refused handshake
 * answers with a status of its own: 403 for another deployment, 409 for
 * another protocol version, 421 for another target, 400 for damage, 413 for
 * too much of it.
 *
 * @example
 * ```ts
 * import { HttpTransport } from "@balsa/raft/transports/http";
 *
 * const transport = new HttpTransport({ path: "/cluster/frames" });
 * ```
 *
 * @module
 */
import { LinkTransport } from "../link/link_transport.ts";
import { resolveLinkOptions } from "../link/options.ts";
import { dialHttp2 } from "./http2_client.ts";
import { type Http2ServerOptions, listenHttp2 } from "./http2_server.ts";
import { createRaftRoutes, type RequestHandler } from "./routes.ts";
import { DEFAULT_PATH } from "./streams.ts";
import { Teardown } from "./teardown.ts";
import type {
  Envelope,
  SnapshotTransfer,
  Transport,
  TransportHandler,
  TransportIdentity,
} from "../../src/transport.ts";
import type {
  ByteChannel,
  Carrier,
  HostPort,
  ListenEvents,
  Listening,
} from "../link/channel.ts";
import type { LinkOptions } from "../link/options.ts";

export type { LinkOptions } from "../link/options.ts";

/** Settings of an {@linkcode HttpTransport}. All have defaults. */
export interface HttpTransportOptions extends LinkOptions {
  /** Path of the stream, the same on all hosts. Default `/balsa/v1/frames`. */
  readonly path?: string | undefined;
  /**
   * Whether another server listens on the host's address and passes requests
   * to `fetch`. Default `false`.
   */
  readonly mounted?: boolean | undefined;
}

/** Carries messages between hosts over HTTP/2. */
export class HttpTransport implements Transport {
  readonly #link: LinkTransport;
  readonly #carrier: HttpCarrier;

  /**
   * A transport at rest; `start` listens on the host's own address.
   *
   * @throws {RangeError} If an option is out of range.
   */
  constructor(options: HttpTransportOptions = {}) {
    this.#carrier = new HttpCarrier(options);
    this.#link = new LinkTransport(this.#carrier, options);
  }

  /**
   * Answers one request of a server that this transport is mounted on; 404
   * for any path but its own.
   */
  fetch(request: Request): Promise<Response> {
    return this.#carrier.respond(request);
  }

  /** Starts to listen and to deliver. Once. */
  start(identity: TransportIdentity, handler: TransportHandler): Promise<void> {
    return this.#link.start(identity, handler);
  }

  /** Queues one frame; `false` if it was dropped. */
  send(address: string, envelopes: readonly Envelope[]): boolean {
    return this.#link.send(address, envelopes);
  }

  /** Sends a snapshot on a stream of its own. */
  sendSnapshot(
    address: string,
    transfer: SnapshotTransfer,
    signal: AbortSignal,
  ): Promise<void> {
    return this.#link.sendSnapshot(address, transfer, signal);
  }

  /** Forgets a peer: closes its connections, drops its queue. */
  disconnect(address: string): void {
    this.#link.disconnect(address);
  }

  /** Stops everything. Idempotent. */
  close(): Promise<void> {
    return this.#link.close();
  }
}

/** Streams of HTTP/2 as channels. */
class HttpCarrier implements Carrier {
  /** Answers everything but streams that arrive at the own port. */
  readonly respond: RequestHandler;
  readonly #server: Http2ServerOptions;
  readonly #isMounted: boolean;
  /** Set while the transport listens, mounted or not. */
  #events: ListenEvents | undefined;

  constructor(options: HttpTransportOptions) {
    const path = options.path ?? DEFAULT_PATH;
    if (!/^\/[^?#\s*:]*$/.test(path)) {
      throw new RangeError(
        `Cannot configure the transport: path is "${path}", wanted an absolute path`,
      );
    }
    const config = resolveLinkOptions(options);
    this.#isMounted = options.mounted ?? false;
    const accept = (channel: ByteChannel) => this.#accept(channel);
    this.respond = createRaftRoutes({ path, accept });
    this.#server = {
      path,
      handshakeTimeoutMs: config.handshakeTimeoutMs,
      maxSessions: config.maxInbound + config.maxHalfOpen,
      maxHalfOpen: config.maxHalfOpen,
      respond: this.respond,
      teardown: new Teardown(),
    };
  }

  dial(at: HostPort, signal: AbortSignal): Promise<ByteChannel> {
    const { path, teardown } = this.#server;
    return dialHttp2(at, { path, signal, teardown });
  }

  async listen(at: HostPort, events: ListenEvents): Promise<Listening> {
    const listening = this.#isMounted
      ? undefined
      : await listenHttp2(at, this.#server, events);
    this.#events = events;
    return {
      close: async (): Promise<void> => {
        this.#events = undefined;
        await listening?.close();
        await this.#server.teardown.settle();
      },
    };
  }

  #accept(channel: ByteChannel): boolean {
    this.#events?.accept(channel);
    return this.#events !== undefined;
  }
}
