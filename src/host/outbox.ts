/**
 * One frame per address and turn.
 *
 * @module
 */
import type { Message } from "../core/message.ts";
import type { Envelope, Transport } from "../transport.ts";

/**
 * Payload bytes after which a frame is closed and another begun: what a peer
 * has no room for is dropped by the frame, so one group's bulk should not
 * take the heartbeats of all others along (H110).
 */
const MAX_FRAME_BYTES = 4 << 20;

/** A frame being filled. */
interface Frame {
  readonly address: string;
  readonly envelopes: Envelope[];
  /** Payload bytes in it. */
  bytes: number;
}

/** Told when a frame could not even be queued. */
export type FrameDropped = (
  address: string,
  envelopes: readonly Envelope[],
) => void;

/** Collects what a turn says to other hosts. */
export class Outbox {
  readonly #transport: Transport;
  readonly #onDropped: FrameDropped;
  /** In the order in which they were begun. */
  #frames: Frame[] = [];
  /** The one of each address that is being filled. */
  readonly #open = new Map<string, Frame>();
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
    const bytes = payloadBytes(envelope.message);
    let frame = this.#open.get(address);
    if (frame === undefined || frame.bytes + bytes > MAX_FRAME_BYTES) {
      frame = { address, envelopes: [], bytes: 0 };
      this.#open.set(address, frame);
      this.#frames.push(frame);
    }
    frame.envelopes.push(envelope);
    frame.bytes += bytes;
  }

  /** Sends every frame. */
  flush(): void {
    if (this.#frames.length === 0) return;
    const frames = this.#frames;
    this.#frames = [];
    this.#open.clear();
    for (const { address, envelopes } of frames) {
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

/** Bytes of the commands a message carries; the rest is small. */
function payloadBytes(message: Message): number {
  let bytes = 0;
  if (message.type === "appendEntries") {
    for (const entry of message.entries) {
      if (entry.type === "command") bytes += entry.data.length;
    }
  } else if (message.type === "propose") {
    for (const command of message.commands) bytes += command.length;
  }
  return bytes;
}
