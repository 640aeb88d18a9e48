/**
 * Transports within one process, for tests and single-process clusters, with
 * a network between them that can be told to misbehave.
 *
 * @example
 * ```ts
 * import { MemoryNetwork } from "@balsa/raft/transports/memory";
 *
 * const network = new MemoryNetwork();
 * const transport = network.transport();
 * network.partition(["a:1"], ["b:1", "c:1"]);
 * network.heal();
 * await transport.close();
 * ```
 *
 * @module
 */
import { copyEnvelope, envelopesBytes } from "../src/envelopes.ts";
import { isRaftError, RaftError } from "../src/errors.ts";
import { decodeFrame, encodeFrame, PROTOCOL_VERSIONS } from "../src/wire.ts";
import type {
  Envelope,
  PeerState,
  SnapshotTransfer,
  Transport,
  TransportHandler,
  TransportIdentity,
} from "../src/transport.ts";
import { copyChunks, untilAborted } from "./memory/snapshots.ts";

/** Settings of a {@linkcode MemoryNetwork}. All have defaults. */
export interface MemoryNetworkOptions {
  /**
   * Runs `deliver` later, never within the call; one call at a time. By
   * default a task of its own, so that timers and I/O get their turn.
   */
  readonly schedule?: ((deliver: () => void) => void) | undefined;
  /**
   * Passes every frame through the wire's encoding and its checks. Off by
   * default: messages are copied instead.
   */
  readonly wire?: boolean | undefined;
  /**
   * Bytes on their way to one receiver, before `send` returns `false`. Default
   * 32 MiB.
   */
  readonly maxQueueBytes?: number | undefined;
  /** Uniform in `[0, 1)`; decides about loss and duplication. */
  readonly random?: (() => number) | undefined;
}

/** What the network does to frames; probabilities in `[0, 1]`. */
export interface MemoryFaults {
  /** That a frame is lost. Default 0. */
  readonly loss?: number | undefined;
  /** That a frame is delivered twice. Default 0. */
  readonly duplication?: number | undefined;
}

/** Settings of one transport. */
export interface MemoryTransportOptions {
  /** Protocol versions to speak; by default all that are known. */
  readonly protocol?:
    | { readonly min: number; readonly max: number }
    | undefined;
}

/** A transport that has started. */
interface Endpoint {
  readonly identity: TransportIdentity;
  readonly handler: TransportHandler;
  readonly protocol: { readonly min: number; readonly max: number };
  /** Bytes on their way to it. */
  queuedBytes: number;
  isClosed: boolean;
}

/** A network in memory; every transport it makes can reach every other. */
export class MemoryNetwork {
  readonly #endpoints = new Map<string, Endpoint>();
  readonly #schedule: ((deliver: () => void) => void) | undefined;
  readonly #wire: boolean;
  readonly #maxQueueBytes: number;
  readonly #random: () => number;
  /** Links that carry nothing, as `from to`. */
  readonly #cut = new Set<string>();
  #faults: MemoryFaults = {};
  /** What is to be delivered next, in order. */
  #queue: (() => void)[] = [];
  #isScheduled = false;
  /** Wakes the network up; open exactly while a transport is. */
  #hop: MessageChannel | undefined;

  /**
   * A network without faults.
   *
   * @throws {RangeError} If `maxQueueBytes` is not a positive integer.
   */
  constructor(options: MemoryNetworkOptions = {}) {
    this.#schedule = options.schedule;
    this.#wire = options.wire ?? false;
    this.#maxQueueBytes = options.maxQueueBytes ?? 32 << 20;
    this.#random = options.random ?? Math.random;
    if (
      !Number.isSafeInteger(this.#maxQueueBytes) || this.#maxQueueBytes < 1
    ) {
      throw new RangeError(
        `Cannot make a network: maxQueueBytes is ${this.#maxQueueBytes}, wanted a positive integer`,
      );
    }
  }

  /** A new transport on this network. */
  transport(options: MemoryTransportOptions = {}): Transport {
    return new MemoryTransport({
      start: (identity, handler) =>
        this.#attach(identity, handler, options.protocol ?? PROTOCOL_VERSIONS),
      detach: (endpoint) => this.#detach(endpoint),
      send: (from, to, envelopes) => this.#send(from, to, envelopes),
      find: (from, to) => this.#find(from, to),
      later: (report) => this.#later(report),
    });
  }

  /** Replaces the probabilities of faults; `{}` for none. */
  setFaults(faults: MemoryFaults): void {
    this.#faults = faults;
  }

  /** Cuts every link between two addresses of different groups. */
  partition(...groups: readonly (readonly string[])[]): void {
    groups.forEach((left, at) => {
      for (const right of groups.slice(at + 1)) {
        for (const a of left) {
          for (const b of right) {
            this.block(a, b);
            this.block(b, a);
          }
        }
      }
    });
  }

  /** Cuts the link in one direction. */
  block(from: string, to: string): void {
    this.#cut.add(`${from} ${to}`);
  }

  /** Mends every link. */
  heal(): void {
    this.#cut.clear();
  }

  /**
   * Delivers bytes to `to` as a frame from `from`, as a network transport
   * would: checked, and refused if they are no frame.
   */
  inject(from: string, to: string, frame: Uint8Array): void {
    const target = this.#endpoints.get(to);
    const sender = this.#endpoints.get(from)?.identity ?? { address: from };
    if (target !== undefined) {
      this.#later(() => deliverFrame(target, sender, frame));
    }
  }

  #attach(
    identity: TransportIdentity,
    handler: TransportHandler,
    protocol: Endpoint["protocol"],
  ): Endpoint {
    if (this.#endpoints.has(identity.address)) {
      throw new RaftError(
        "unreachable",
        `Cannot listen on ${identity.address}: it is in use`,
      );
    }
    const endpoint: Endpoint = {
      identity,
      handler,
      protocol,
      queuedBytes: 0,
      isClosed: false,
    };
    this.#endpoints.set(identity.address, endpoint);
    return endpoint;
  }

  #detach(endpoint: Endpoint): void {
    endpoint.isClosed = true;
    this.#endpoints.delete(endpoint.identity.address);
    if (this.#endpoints.size > 0) return;
    this.#hop?.port1.close();
    this.#hop = undefined;
    this.#queue = [];
    this.#isScheduled = false;
  }

  /** The peer, or why there is none. */
  #find(from: Endpoint, to: string): Endpoint | Unavailable {
    if (this.#cut.has(`${from.identity.address} ${to}`)) {
      return { type: "unreachable", reason: "cut off", refused: false };
    }
    const target = this.#endpoints.get(to);
    if (target === undefined) {
      return { type: "unreachable", reason: "refused", refused: true };
    }
    const objection = objectTo(from, target);
    if (objection === undefined) return target;
    const [code, reason] = objection;
    const { address } = from.identity;
    this.#later(() => {
      if (!target.isClosed) target.handler.refused(address, code, reason);
    });
    return { type: "rejected", reason };
  }

  #send(
    from: Endpoint,
    target: Endpoint,
    envelopes: readonly Envelope[],
  ): boolean {
    const { loss = 0, duplication = 0 } = this.#faults;
    if (loss > 0 && this.#random() < loss) return true;
    const twice = duplication > 0 && this.#random() < duplication;
    const bytes = envelopesBytes(envelopes);
    for (let copy = 0; copy < (twice ? 2 : 1); copy++) {
      if (target.queuedBytes + bytes > this.#maxQueueBytes) return false;
      const deliver = this.#delivery(from.identity, target, envelopes);
      if (deliver === undefined) return false;
      target.queuedBytes += bytes;
      this.#later(() => {
        target.queuedBytes -= bytes;
        deliver();
      });
    }
    return true;
  }

  /** Copies at once; `undefined` if the frame is too large for the wire. */
  #delivery(
    from: Sender,
    target: Endpoint,
    envelopes: readonly Envelope[],
  ): (() => void) | undefined {
    if (!this.#wire) {
      const copies = envelopes.map(copyEnvelope);
      return () => deliver(target, from, copies);
    }
    try {
      const frame = encodeFrame(envelopes);
      return () => deliverFrame(target, from, frame);
    } catch (error) {
      if (isRaftError(error, "frameTooLarge")) return undefined;
      throw error;
    }
  }

  #later(deliver: () => void): void {
    this.#queue.push(deliver);
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    if (this.#schedule === undefined) this.#wake();
    else this.#schedule(() => this.#deliverAll());
  }

  /** A message port's task comes after I/O and without a timer's delay. */
  #wake(): void {
    if (this.#hop === undefined) {
      this.#hop = new MessageChannel();
      this.#hop.port1.onmessage = () => this.#deliverAll();
    }
    this.#hop.port2.postMessage(null);
  }

  /** Delivers what was queued so far; what that causes waits for its turn. */
  #deliverAll(): void {
    const queue = this.#queue;
    this.#queue = [];
    this.#isScheduled = false;
    for (const deliver of queue) deliver();
  }
}

/** Why a peer cannot be sent to. */
type Unavailable =
  | {
    readonly type: "unreachable";
    readonly reason: string;
    readonly refused: boolean;
  }
  | { readonly type: "rejected"; readonly reason: string };

/** What a transport may ask of its network. */
interface Access {
  start(identity: TransportIdentity, handler: TransportHandler): Endpoint;
  detach(endpoint: Endpoint): void;
  send(
    from: Endpoint,
    to: Endpoint,
    envelopes: readonly Envelope[],
  ): boolean;
  find(from: Endpoint, to: string): Endpoint | Unavailable;
  /** Reports something in a turn of its own, as a real network does. */
  later(report: () => void): void;
}

/** One host's end of the network. */
class MemoryTransport implements Transport {
  readonly #network: Access;
  #endpoint: Endpoint | undefined;
  #isClosed = false;
  /** Peers that the handler was told are connected. */
  readonly #connected = new Map<string, Endpoint>();
  readonly #closing = new AbortController();
  readonly #transfers = new Set<Promise<void>>();

  constructor(network: Access) {
    this.#network = network;
  }

  // deno-lint-ignore require-await -- what it throws must be a rejection
  async start(
    identity: TransportIdentity,
    handler: TransportHandler,
  ): Promise<void> {
    if (this.#endpoint !== undefined || this.#isClosed) {
      throw new RaftError(
        "stopped",
        "Cannot start the transport: it was started or closed before",
      );
    }
    this.#endpoint = this.#network.start(identity, handler);
  }

  send(address: string, envelopes: readonly Envelope[]): boolean {
    const endpoint = this.#endpoint;
    if (endpoint === undefined || this.#isClosed) return false;
    const target = this.#reach(endpoint, address);
    if (target === undefined) return false;
    return this.#network.send(endpoint, target, envelopes);
  }

  async sendSnapshot(
    address: string,
    transfer: SnapshotTransfer,
    signal: AbortSignal,
  ): Promise<void> {
    const endpoint = this.#endpoint;
    if (endpoint === undefined || this.#isClosed) throw stopped();
    if (signal.aborted) throw signal.reason;
    const target = this.#reach(endpoint, address);
    const snapshot = target?.handler.snapshot?.bind(target.handler);
    if (snapshot === undefined) {
      throw new RaftError(
        "unreachable",
        `Cannot send a snapshot to ${address}: nobody takes it`,
      );
    }
    const closing = this.#closing.signal;
    const progress = { isWhole: false };
    const chunks = (fromOffset = 0) =>
      copyChunks(transfer.chunks(fromOffset), [signal, closing], progress);
    const { address: from, incarnation } = endpoint.identity;
    const whole = { ...transfer, chunks };
    const taken = snapshot(from, whole, incarnation ?? null);
    const settled = taken.catch(() => {});
    this.#transfers.add(settled);
    try {
      await untilAborted(taken, [signal, closing]);
      if (progress.isWhole) return;
      throw new RaftError(
        "unreachable",
        `Cannot send a snapshot to ${address}: it was not read to its end`,
      );
    } finally {
      this.#transfers.delete(settled);
    }
  }

  disconnect(address: string): void {
    this.#connected.delete(address);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#closing.abort(stopped());
    if (this.#endpoint !== undefined && !this.#endpoint.isClosed) {
      this.#network.detach(this.#endpoint);
    }
    await Promise.all(this.#transfers);
  }

  /** The peer; tells the handler when that changes. */
  #reach(endpoint: Endpoint, address: string): Endpoint | undefined {
    const found = this.#network.find(endpoint, address);
    if ("type" in found) {
      this.#connected.delete(address);
      this.#tell(endpoint, address, found);
      return undefined;
    }
    if (this.#connected.get(address) !== found) {
      this.#connected.set(address, found);
      const { clientAddress = null, incarnation = null } = found.identity;
      const type = "connected";
      this.#tell(endpoint, address, { type, clientAddress, incarnation });
    }
    return found;
  }

  #tell(endpoint: Endpoint, address: string, state: PeerState): void {
    this.#network.later(() => {
      if (!this.#isClosed) endpoint.handler.peerState(address, state);
    });
  }
}

/** Who a frame comes from. */
type Sender = Pick<TransportIdentity, "address" | "incarnation">;

function stopped(): RaftError {
  return new RaftError("stopped", "Cannot go on: the transport is closed");
}

function objectTo(
  from: Endpoint,
  target: Endpoint,
): readonly [string, string] | undefined {
  const { address, deployment } = from.identity;
  if (
    from.protocol.max < target.protocol.min ||
    from.protocol.min > target.protocol.max
  ) {
    return ["wrongVersion", `${address} speaks no common protocol version`];
  }
  if (deployment !== target.identity.deployment) {
    return ["wrongDeployment", `${address} belongs to "${deployment}"`];
  }
  return undefined;
}

function deliver(
  target: Endpoint,
  from: Sender,
  envelopes: readonly Envelope[],
): void {
  if (target.isClosed) return;
  const { address, incarnation } = from;
  try {
    target.handler.receive(address, envelopes, incarnation ?? null);
  } catch (error) {
    // One host's failure must not keep the others from their frames (H125).
    target.handler.refused(address, "handlerFailed", String(error));
  }
}

function deliverFrame(
  target: Endpoint,
  from: Sender,
  frame: Uint8Array,
): void {
  if (target.isClosed) return;
  let envelopes: Envelope[];
  try {
    envelopes = decodeFrame(frame);
  } catch (error) {
    if (!isRaftError(error)) throw error;
    return target.handler.refused(from.address, error.code, error.message);
  }
  deliver(target, from, envelopes);
}
