/**
 * The transport that all byte carriers share: one way out per address, one
 * way in for everybody.
 *
 * @module
 */
import { RaftError } from "../../src/errors.ts";
import { parseAddress } from "./channel.ts";
import { sendSnapshot } from "./bulk.ts";
import { ByteBudget } from "./frame_reader.ts";
import { Inbound } from "./inbound.ts";
import { type LinkOptions, resolveLinkOptions } from "./options.ts";
import { type LinkContext, OutboundLink } from "./outbound.ts";
import { describeError, Tasks } from "./timing.ts";
import type {
  Envelope,
  PeerState,
  SnapshotTransfer,
  Transport,
  TransportHandler,
  TransportIdentity,
} from "../../src/transport.ts";
import type { Carrier, Listening } from "./channel.ts";
import type { LinkConfig } from "./options.ts";

/** What exists from `start` to `close`. */
interface Started {
  readonly context: LinkContext;
  readonly inbound: Inbound;
  readonly listening: Listening;
}

/** A transport over any {@linkcode Carrier}. */
export class LinkTransport implements Transport {
  readonly #carrier: Carrier;
  readonly #config: LinkConfig;
  readonly #listen: string | undefined;
  /** Out to each address that was sent to and not disconnected. */
  readonly #links = new Map<string, OutboundLink>();
  /** Aborted by `close`. */
  readonly #closing = new AbortController();
  /** Snapshots on their way out; `close` waits for them. */
  readonly #transfers = new Set<Promise<void>>();
  #starting: Promise<Started> | undefined;
  #started: Started | undefined;
  #handler: TransportHandler | undefined;
  #closed: Promise<void> | undefined;

  /**
   * A transport at rest.
   *
   * @throws {RangeError} If an option is out of range.
   */
  constructor(carrier: Carrier, options: LinkOptions = {}) {
    this.#carrier = carrier;
    this.#config = resolveLinkOptions(options);
    this.#listen = options.listen;
  }

  async start(
    identity: TransportIdentity,
    handler: TransportHandler,
  ): Promise<void> {
    if (this.#starting !== undefined || this.#closed !== undefined) {
      throw new RaftError(
        "stopped",
        "Cannot start the transport: it was started or closed before",
      );
    }
    this.#handler = handler;
    this.#starting = this.#begin(identity, handler);
    const started = await this.#starting;
    if (this.#closed === undefined) this.#started = started;
  }

  send(address: string, envelopes: readonly Envelope[]): boolean {
    const started = this.#started;
    if (started === undefined || this.#closed !== undefined) return false;
    let link = this.#links.get(address);
    if (link === undefined) {
      link = new OutboundLink(address, started.context);
      this.#links.set(address, link);
    }
    return link.send(envelopes);
  }

  async sendSnapshot(
    address: string,
    transfer: SnapshotTransfer,
    signal: AbortSignal,
  ): Promise<void> {
    const started = this.#started;
    if (started === undefined || this.#closed !== undefined) {
      throw new RaftError(
        "stopped",
        "Cannot send a snapshot: the transport is not running",
      );
    }
    const either = new AbortController();
    const closing = this.#closing.signal;
    const abort = () =>
      either.abort(signal.aborted ? signal.reason : stopped());
    signal.addEventListener("abort", abort);
    closing.addEventListener("abort", abort);
    if (signal.aborted) abort();
    const options = { transfer, signal: either.signal };
    const sending = sendSnapshot(started.context, address, options);
    const settled = sending.catch(() => {});
    this.#transfers.add(settled);
    try {
      await sending;
    } finally {
      this.#transfers.delete(settled);
      signal.removeEventListener("abort", abort);
      closing.removeEventListener("abort", abort);
    }
  }

  disconnect(address: string): void {
    this.#links.get(address)?.close();
    this.#links.delete(address);
    this.#started?.inbound.disconnect(address);
  }

  close(): Promise<void> {
    this.#closed ??= this.#stop();
    return this.#closed;
  }

  async #begin(
    identity: TransportIdentity,
    handler: TransportHandler,
  ): Promise<Started> {
    const config = this.#config;
    const budget = new ByteBudget(config.maxReceiveBytes);
    const tasks = new Tasks((error) => {
      this.#refused(identity.address, "handlerFailed", describeError(error));
    });
    const context: LinkContext = {
      carrier: this.#carrier,
      identity,
      config,
      budget,
      tasks,
      peerState: (address, state) => this.#peerState(address, state),
    };
    const inbound = new Inbound({
      identity,
      handler,
      config,
      budget,
      tasks,
      contact: (address) => this.#links.get(address)?.contact(),
    });
    try {
      const at = parseAddress(this.#listen ?? identity.address);
      const listening = await this.#carrier.listen(at, {
        accept: (channel) => inbound.accept(channel),
        refused: (...about) => this.#refused(...about),
      });
      return { context, inbound, listening };
    } catch (error) {
      inbound.close();
      throw new RaftError(
        "unreachable",
        `Cannot listen on ${this.#listen ?? identity.address}: ${
          describeError(error)
        }`,
        { cause: error },
      );
    }
  }

  async #stop(): Promise<void> {
    let started: Started | undefined;
    try {
      started = await this.#starting;
    } catch {
      // It never listened: there is nothing to stop.
    }
    this.#closing.abort(stopped());
    if (started === undefined) return;
    const { context, inbound, listening } = started;
    for (const link of this.#links.values()) link.close();
    inbound.close();
    await Promise.all([context.tasks.settle(), ...this.#transfers]);
    // Last, so that a carrier can wait for all that it still has to end.
    await listening.close();
    this.#links.clear();
  }

  #peerState(address: string, state: PeerState): void {
    if (this.#closed === undefined) this.#handler?.peerState(address, state);
  }

  #refused(remote: string, code: string, reason: string): void {
    if (this.#closed === undefined) {
      this.#handler?.refused(remote, code, reason);
    }
  }
}

function stopped(): RaftError {
  return new RaftError("stopped", "Cannot go on: the transport was closed");
}
