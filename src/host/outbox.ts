/**
 * One frame per address and turn.
 *
 * @module
 */
import type { Envelope, Transport } from "../transport.ts";

/** Told when a frame could not even be queued. */
export type FrameDropped = (
  address: string,
  envelopes: readonly Envelope[],
) => void;

/** Collects what a turn says to other hosts. */
export class Outbox {
  readonly #transport: Transport;
  readonly #onDropped: FrameDropped;
  /** Frames being filled, in the order in which their addresses came up. */
  #frames = new Map<string, Envelope[]>();
  #frameCount = 0;

  constructor(transport: Transport, onDropped: FrameDropped) {
    this.#transport = transport;
    this.#onDropped = onDropped;
  }

  /** How many frames were handed to the transport. */
  get frameCount(): number {
    return this.#frameCount;
  }

  /** Adds a message to the frame for `address`. */
  add(address: string, envelope: Envelope): void {
    const frame = this.#frames.get(address);
    if (frame === undefined) this.#frames.set(address, [envelope]);
    else frame.push(envelope);
  }

  /** Sends every frame. */
  flush(): void {
    if (this.#frames.size === 0) return;
    const frames = this.#frames;
    this.#frames = new Map();
    for (const [address, envelopes] of frames) {
      this.#frameCount++;
      if (!this.#send(address, envelopes)) this.#onDropped(address, envelopes);
    }
  }

  /** A transport that throws against its contract has sent nothing. */
  #send(address: string, envelopes: readonly Envelope[]): boolean {
    try {
      return this.#transport.send(address, envelopes);
    } catch {
      return false;
    }
  }
}
