/**
 * A network that delivers when the test says so.
 *
 * @module
 */
import type {
  Envelope,
  PeerState,
  SnapshotTransfer,
  Transport,
  TransportHandler,
  TransportIdentity,
} from "../../../src/transport.ts";
import { FakeBulk } from "./fake_bulk.ts";

/** A frame on its way. */
export interface FakeFrame {
  readonly from: string;
  readonly to: string;
  readonly envelopes: readonly Envelope[];
}

export class FakeNetwork {
  readonly #handlers = new Map<string, TransportHandler>();
  #queue: FakeFrame[] = [];
  #cut = new Set<string>();
  /** Where processes died that were not started again. */
  readonly #dead = new Set<string>();
  /** Whether hosts say at the handshake which data directory they have. */
  tellsIncarnations = false;
  readonly #incarnations = new Map<string, string>();
  /** Every frame ever queued. */
  readonly sent: FakeFrame[] = [];
  /** Frames for which this says `true` are lost. */
  drop: (frame: FakeFrame) => boolean = () => false;
  /** Told of every frame the moment it is queued. */
  onSend: (frame: FakeFrame) => void = () => {};
  /** Addresses whose queue is full. */
  readonly full: Set<string> = new Set<string>();
  /** The snapshots. */
  readonly bulk: FakeBulk = new FakeBulk();

  transport(): Transport {
    let own = "";
    let incarnation: string | null = null;
    return {
      start: (identity: TransportIdentity, handler: TransportHandler) => {
        own = identity.address;
        this.#dead.delete(own);
        incarnation = identity.incarnation ?? null;
        if (incarnation !== null) this.#incarnations.set(own, incarnation);
        this.#handlers.set(own, handler);
        return Promise.resolve();
      },
      send: (to: string, envelopes: readonly Envelope[]) => {
        if (this.full.has(to) || this.#dead.has(own)) return false;
        const frame = { from: own, to, envelopes };
        this.sent.push(frame);
        this.onSend(frame);
        this.#queue.push(frame);
        return true;
      },
      sendSnapshot: (to, transfer, signal) => {
        const handler = this.#handlers.get(to);
        const isCut = this.#cut.has(own) || this.#cut.has(to);
        if (handler === undefined || isCut) {
          return Promise.reject(new Error(`Nobody is at ${to}`));
        }
        return this.bulk.carry(
          { address: to, handler },
          { address: own, incarnation },
          transfer,
          signal,
        );
      },
      disconnect: () => {},
      close: () => {
        this.#handlers.delete(own);
        return Promise.resolve();
      },
    };
  }

  /** Cuts a host off, both ways. */
  isolate(address: string): void {
    this.#cut.add(address);
  }

  /** A host's process dies: it says and hears nothing more. */
  unplug(address: string): void {
    this.#handlers.delete(address);
    this.#dead.add(address);
  }

  /** Undoes every cut. */
  heal(): void {
    this.#cut.clear();
    this.drop = () => false;
  }

  /** Puts a frame on its way as if `from` had proved that address. */
  inject(from: string, to: string, envelopes: readonly Envelope[]): void {
    this.#queue.push({ from, to, envelopes });
  }

  /** Sends a snapshot as if `from` had proved that address. */
  injectSnapshot(
    from: string,
    to: string,
    transfer: SnapshotTransfer,
  ): Promise<void> {
    const handler = this.#handlers.get(to);
    if (handler === undefined) throw new Error(`Nobody is at ${to}`);
    return this.bulk.carry(
      { address: to, handler },
      { address: from, incarnation: null },
      transfer,
      new AbortController().signal,
    );
  }

  /** Tells the host at `to` how its connection to `peer` stands. */
  peerState(to: string, peer: string, state: PeerState): void {
    this.#handlers.get(to)?.peerState(peer, state);
  }

  /** Delivers what was queued before the call; whether anything was. */
  deliver(): boolean {
    const frames = this.#queue;
    this.#queue = [];
    for (const frame of frames) {
      if (this.#cut.has(frame.from) || this.#cut.has(frame.to)) continue;
      if (this.drop(frame)) continue;
      this.#handlers.get(frame.to)?.receive(
        frame.from,
        frame.envelopes,
        this.tellsIncarnations
          ? this.#incarnations.get(frame.from) ?? null
          : null,
      );
    }
    return frames.length > 0;
  }
}
