/**
 * A transport over TCP: `Deno.connect` and `Deno.listen` on Deno, `node:net`
 * on Node and Bun.
 *
 * Each host dials the hosts it sends to and only receives on what others
 * dialled. A connection starts with a handshake that compares protocol
 * versions, deployment and addresses. Peers are not authenticated and nothing
 * is encrypted: keep the port inside a network you trust.
 *
 * @example
 * ```ts
 * import { TcpTransport } from "@balsa/raft/transports/tcp";
 *
 * const transport = new TcpTransport({ keepaliveMs: 500 });
 * ```
 *
 * @module
 */
import { LinkTransport } from "../link/link_transport.ts";
import { denoSockets } from "./sockets_deno.ts";
import { nodeSockets } from "./sockets_node.ts";
import type {
  Envelope,
  SnapshotTransfer,
  Transport,
  TransportHandler,
  TransportIdentity,
} from "../../src/transport.ts";
import type { Carrier } from "../link/channel.ts";
import type { LinkOptions } from "../link/options.ts";

export type {
  ByteChannel,
  Carrier,
  HostPort,
  ListenEvents,
  Listening,
  RefusalCode,
} from "../link/channel.ts";
export type { LinkOptions } from "../link/options.ts";

/** Settings of a {@linkcode TcpTransport}. All have defaults. */
export interface TcpTransportOptions extends LinkOptions {
  /** How to reach the network; by default the runtime's own sockets. */
  readonly sockets?: Carrier | undefined;
}

/** The runtime's own sockets: the only place that asks which one it is. */
const runtimeSockets: Carrier = "Deno" in globalThis
  ? denoSockets
  : nodeSockets;

/** Carries messages between hosts over TCP. */
export class TcpTransport implements Transport {
  readonly #link: LinkTransport;

  /**
   * A transport at rest; `start` listens on the host's own address.
   *
   * @throws {RangeError} If an option is out of range.
   */
  constructor(options: TcpTransportOptions = {}) {
    this.#link = new LinkTransport(options.sockets ?? runtimeSockets, options);
  }

  /** Starts to listen and to deliver. Once. */
  start(identity: TransportIdentity, handler: TransportHandler): Promise<void> {
    return this.#link.start(identity, handler);
  }

  /** Queues one frame; `false` if it was dropped. */
  send(address: string, envelopes: readonly Envelope[]): boolean {
    return this.#link.send(address, envelopes);
  }

  /** Sends a snapshot on a connection of its own. */
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
