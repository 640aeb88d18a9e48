/**
 * The way out to one peer: a queue, a connection that is dialled when there
 * is something to say, and a pulse that tells whether the peer still hears.
 *
 * @module
 */
import { CborWriter } from "../../src/cbor_writer.ts";
import { envelopesBytes } from "../../src/envelopes.ts";
import { isRaftError } from "../../src/errors.ts";
import { encodeControlFrame, FRAME_KIND, writeFrames } from "../../src/wire.ts";
import { DialError, RejectedError } from "./channel.ts";
import { type Dialler, openChannel, type OpenedChannel } from "./handshake.ts";
import { Backoff, describeError, Pause, type Tasks, Ticker } from "./timing.ts";
import type { Envelope, PeerState } from "../../src/transport.ts";
import type { ByteChannel } from "./channel.ts";

/** Frames kept for a peer that is not connected; older ones give way. */
const MAX_WAITING_FRAMES = 16;
/** After so many milliseconds without a `send` a lost peer is left alone. */
const FORGET_AFTER_MS = 10_000;
/** A connection that lived so long clears the back-off. */
const PROVEN_AFTER_MS = 1_000;
/** A larger buffer is not kept for the next write. */
const MAX_SPARE_BYTES = 1 << 20;
const FIRST_BUFFER_BYTES = 16 << 10;

const PING = encodeControlFrame(FRAME_KIND.ping, 0);

/** What a link shares with its transport. */
export interface LinkContext extends Dialler {
  readonly tasks: Tasks;
  /** Told about every change; the transport passes it on. */
  readonly peerState: (address: string, state: PeerState) => void;
}

/** Sends to one address. */
export class OutboundLink {
  readonly #address: string;
  readonly #context: LinkContext;
  readonly #backoff: Backoff;
  readonly #pause = new Pause();
  readonly #closing = new AbortController();
  /** Whether `#run` is under way: from the first `send` to giving up. */
  #running = false;
  /** Set exactly while connected. */
  #channel: ByteChannel | undefined;
  /** What was sent while not connected: the newest, oldest first. */
  #waiting: (readonly Envelope[])[] = [];
  #waitingBytes = 0;
  /** Frames for the next write. */
  readonly #out = new CborWriter(FIRST_BUFFER_BYTES);
  /** A buffer that was written out and may take the place of `#out`'s. */
  #spare: Uint8Array | undefined;
  /** Bytes of the write under way, 0 if there is none. */
  #inFlightBytes = 0;
  #missedPings = 0;
  #lastSendMs = 0;

  /** A link at rest; the first `send` sets it going. */
  constructor(address: string, context: LinkContext) {
    this.#address = address;
    this.#context = context;
    const { minBackoffMs, maxBackoffMs, random } = context.config;
    const range = { minMs: minBackoffMs, maxMs: maxBackoffMs };
    this.#backoff = new Backoff(range, random);
  }

  /** Queues one frame; `false` if there is no room for it. */
  send(envelopes: readonly Envelope[]): boolean {
    if (this.#closing.signal.aborted) return false;
    if (this.#channel === undefined) return this.#sendLater(envelopes);
    const limits = this.#context.config;
    const before = this.#out.length;
    if (before + this.#inFlightBytes >= limits.maxQueueBytes) return false;
    if (!writeFrames(this.#out, envelopes, limits)) return false;
    const queued = this.#out.length + this.#inFlightBytes;
    if (queued > limits.maxQueueBytes) {
      this.#out.truncate(before);
      return false;
    }
    this.#flush();
    return true;
  }

  /** The peer was heard from: try again now (H33). */
  contact(): void {
    this.#backoff.reset();
    this.#pause.cut();
  }

  /** Closes the connection and drops the queue. */
  close(): void {
    this.#closing.abort(new Error("Cannot connect: the transport is closed"));
    this.#waiting = [];
    this.#channel?.destroy();
    this.#pause.cut();
  }

  #sendLater(envelopes: readonly Envelope[]): boolean {
    const bytes = envelopesBytes(envelopes);
    const { maxQueueBytes } = this.#context.config;
    if (bytes > maxQueueBytes) return false;
    this.#lastSendMs = performance.now();
    this.#waiting.push(envelopes);
    this.#waitingBytes += bytes;
    // To a peer that comes back, the newest frame is worth most (H126).
    while (
      this.#waiting.length > MAX_WAITING_FRAMES ||
      this.#waitingBytes > maxQueueBytes
    ) {
      const oldest = this.#waiting.shift();
      if (oldest !== undefined) this.#waitingBytes -= envelopesBytes(oldest);
    }
    if (!this.#running) {
      this.#running = true;
      this.#context.tasks.run(this.#run());
    }
    return true;
  }

  /** Keeps a connection while there is a need for one. */
  async #run(): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      const opened = await this.#open();
      if (opened !== undefined) {
        const sinceMs = performance.now();
        await this.#drive(opened);
        if (signal.aborted) break;
        this.#lost();
        if (performance.now() - sinceMs >= PROVEN_AFTER_MS) {
          this.#backoff.reset();
          continue;
        }
      } else if (!this.#isWanted()) {
        break;
      }
      if (!signal.aborted) await this.#pause.wait(this.#backoff.next());
    }
    this.#running = false;
    this.#waiting = [];
    this.#waitingBytes = 0;
  }

  /** Whether anybody has tried to send lately. */
  #isWanted(): boolean {
    return performance.now() - this.#lastSendMs < FORGET_AFTER_MS;
  }

  async #open(): Promise<OpenedChannel | undefined> {
    const options = {
      purpose: "messages",
      signal: this.#closing.signal,
    } as const;
    try {
      return await openChannel(this.#context, this.#address, options);
    } catch (error) {
      if (this.#closing.signal.aborted) return undefined;
      const reason = describeError(error);
      const isRejected = error instanceof RejectedError || isRaftError(error);
      const refused = error instanceof DialError && error.refused;
      this.#tell(
        isRejected
          ? { type: "rejected", reason }
          : { type: "unreachable", reason, refused },
      );
      return undefined;
    }
  }

  /** Serves an open connection until it ends. */
  async #drive({ channel, reader, accept }: OpenedChannel): Promise<void> {
    const { config } = this.#context;
    if (this.#closing.signal.aborted) return channel.destroy();
    this.#channel = channel;
    this.#missedPings = 0;
    const { clientAddress, incarnation } = accept;
    this.#tell({ type: "connected", clientAddress, incarnation });
    this.#sendWaiting();
    const ticker = new Ticker(config.keepaliveMs, () => this.#ping());
    try {
      for (;;) {
        const frame = await reader.next();
        if (frame === null || frame.kind !== FRAME_KIND.pong) break;
        this.#missedPings = 0;
      }
    } catch {
      // A broken connection ends like a closed one: by dialling again.
    } finally {
      ticker.stop();
      reader.dispose();
      channel.destroy();
      this.#channel = undefined;
      this.#out.truncate(0);
    }
  }

  #lost(): void {
    this.#lastSendMs = performance.now();
    const reason = this.#missedPings >= this.#context.config.maxMissedPings
      ? "no answer to pings"
      : "the connection was lost";
    this.#tell({ type: "unreachable", reason, refused: false });
  }

  #sendWaiting(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#waitingBytes = 0;
    const limits = this.#context.config;
    for (const envelopes of waiting) {
      writeFrames(this.#out, envelopes, limits);
    }
    this.#flush();
  }

  /**
   * Writes that succeed prove nothing when packets vanish on the way: the
   * system takes them for many minutes. Only an answer does.
   */
  #ping(): void {
    if (this.#missedPings >= this.#context.config.maxMissedPings) {
      this.#channel?.destroy();
      return;
    }
    this.#missedPings++;
    this.#out.raw(PING);
    this.#flush();
  }

  /** One write at a time; what comes meanwhile is joined behind it. */
  #flush(): void {
    const channel = this.#channel;
    if (channel === undefined || this.#inFlightBytes > 0) return;
    if (this.#out.length > 0) this.#context.tasks.run(this.#write(channel));
  }

  async #write(channel: ByteChannel): Promise<void> {
    try {
      while (this.#out.length > 0 && this.#channel === channel) {
        const next = this.#spare ?? new Uint8Array(FIRST_BUFFER_BYTES);
        this.#spare = undefined;
        const bytes = this.#out.take(next);
        this.#inFlightBytes = bytes.length;
        await channel.write(bytes);
        const { buffer } = bytes;
        if (buffer.byteLength <= MAX_SPARE_BYTES) {
          this.#spare = new Uint8Array(buffer);
        }
      }
    } catch {
      channel.destroy();
    } finally {
      this.#inFlightBytes = 0;
    }
    // A new connection may have come up while the old one's write failed.
    this.#flush();
  }

  #tell(state: PeerState): void {
    this.#context.peerState(this.#address, state);
  }
}
