/**
 * A network that delivers when the test says so.
 *
 * @module
 */
import type {
  Envelope,
  PeerState,
  Transport,
  TransportHandler,
  TransportIdentity,
} from "../../../src/transport.ts";

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
  /** Every frame ever queued. */
  readonly sent: FakeFrame[] = [];
  /** Frames for which this says `true` are lost. */
  drop: (frame: FakeFrame) => boolean = () => false;
  /** Told of every frame the moment it is queued. */
  onSend: (frame: FakeFrame) => void = () => {};
  /** Addresses whose queue is full. */
  readonly full: Set<string> = new Set<string>();

  transport(): Transport {
    let own = "";
    return {
      start: (identity: TransportIdentity, handler: TransportHandler) => {
        own = identity.address;
        this.#handlers.set(own, handler);
        return Promise.resolve();
      },
      send: (to: string, envelopes: readonly Envelope[]) => {
        if (this.full.has(to)) return false;
        const frame = { from: own, to, envelopes };
        this.sent.push(frame);
        this.onSend(frame);
        this.#queue.push(frame);
        return true;
      },
      sendSnapshot: () => Promise.reject(new Error("No snapshots here")),
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

  /** Undoes every cut. */
  heal(): void {
    this.#cut.clear();
    this.drop = () => false;
  }

  /** Puts a frame on its way as if `from` had proved that address. */
  inject(from: string, to: string, envelopes: readonly Envelope[]): void {
    this.#queue.push({ from, to, envelopes });
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
        null,
      );
    }
    return frames.length > 0;
  }
}
