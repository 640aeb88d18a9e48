/**
 * A snapshot on a connection of its own: start, chunks with their offsets,
 * end with length and checksum, and the receiver's word that it is taken.
 * The receiver's pongs show that it is alive while its disk works.
 *
 * @module
 */
import { confStateToArray } from "../../src/codec.ts";
import { RaftError } from "../../src/errors.ts";
import {
  parseSnapshotAck,
  parseSnapshotChunk,
  parseSnapshotEnd,
  parseSnapshotStart,
} from "../../src/schema.ts";
import {
  decodeControl,
  encodeControlFrame,
  FRAME_KIND,
} from "../../src/wire.ts";
import { RejectedError } from "./channel.ts";
import { crc32 } from "./crc32.ts";
import { type Dialler, openChannel } from "./handshake.ts";
import { describeError, Ticker } from "./timing.ts";
import type {
  SnapshotTransfer,
  TransportHandler,
} from "../../src/transport.ts";
import type { Hello } from "../../src/schema.ts";
import type { ByteChannel } from "./channel.ts";
import type { Frame, FrameReader } from "./frame_reader.ts";
import type { OpenedChannel } from "./handshake.ts";
import type { LinkConfig } from "./options.ts";

/** A chunk's bytes at most; larger ones are cut. */
const MAX_CHUNK_BYTES = 256 << 10;
const PONG = encodeControlFrame(FRAME_KIND.pong, 0);

/** Destroys a channel on which nothing is heard for too long. */
class Watch {
  readonly #ticker: Ticker;
  #silentTicks = 0;
  /** Whether anything is due: else silence means nothing. */
  #isWaiting = false;

  constructor(channel: ByteChannel, config: LinkConfig) {
    this.#ticker = new Ticker(config.keepaliveMs, () => {
      if (!this.#isWaiting) return;
      if (++this.#silentTicks > 2 * config.maxMissedPings) channel.destroy();
    });
  }

  /** The next frame, which is due. */
  async next(reader: FrameReader): Promise<Frame | null> {
    this.#silentTicks = 0;
    this.#isWaiting = true;
    try {
      return await reader.next();
    } finally {
      this.#isWaiting = false;
    }
  }

  stop(): void {
    this.#ticker.stop();
  }
}

/**
 * Sends a snapshot; resolves once the peer has taken it whole.
 *
 * @throws {RaftError} `unreachable` if it did not get through,
 * `handshakeRefused` if the peer does not want us.
 */
export async function sendSnapshot(
  dialler: Dialler,
  address: string,
  { transfer, signal }: { transfer: SnapshotTransfer; signal: AbortSignal },
): Promise<void> {
  const opened = await open(dialler, address, signal);
  const { channel } = opened;
  const watch = new Watch(channel, dialler.config);
  const abort = () => channel.destroy();
  signal.addEventListener("abort", abort);
  try {
    if (signal.aborted) throw signal.reason;
    // Both at once: a receiver that fails half-way says so while we write.
    const answer = readAck(opened, watch);
    const written = writeAll(channel, transfer, signal);
    const problem = await Promise.race([
      answer,
      written.then(() => answer, (error) => {
        if (error instanceof BrokenChannelError) return answer;
        throw error;
      }),
    ]);
    if (problem !== "") throw failed(address, problem);
  } catch (error) {
    throw signal.aborted ? signal.reason : error;
  } finally {
    signal.removeEventListener("abort", abort);
    watch.stop();
    opened.reader.dispose();
    channel.destroy();
  }
}

async function open(
  dialler: Dialler,
  address: string,
  signal: AbortSignal,
): Promise<OpenedChannel> {
  try {
    return await openChannel(dialler, address, { purpose: "snapshot", signal });
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    if (!(error instanceof RejectedError)) {
      throw failed(address, describeError(error), error);
    }
    throw new RaftError(
      "handshakeRefused",
      `Cannot send a snapshot to ${address}: ${error.message}`,
      { cause: error },
    );
  }
}

function failed(address: string, what: string, cause?: unknown): RaftError {
  return new RaftError(
    "unreachable",
    `Cannot send a snapshot to ${address}: ${what}`,
    { cause },
  );
}

/** The receiver's verdict: empty if it took the snapshot. Never rejects. */
async function readAck(
  { reader }: OpenedChannel,
  watch: Watch,
): Promise<string> {
  try {
    for (;;) {
      const frame = await watch.next(reader);
      if (frame === null) return "the peer closed the connection";
      if (frame.kind === FRAME_KIND.pong) continue;
      if (frame.kind !== FRAME_KIND.snapshotAck) {
        return `the peer answered with a frame of kind ${frame.kind}`;
      }
      const [taken, reason] = decodeControl(frame.body, parseSnapshotAck);
      return taken ? "" : `the peer did not take it: ${reason}`;
    }
  } catch (error) {
    return describeError(error);
  }
}

/** The channel failed, and not the source of the chunks. */
class BrokenChannelError extends Error {}

async function write(
  channel: ByteChannel,
  kind: number,
  value: unknown,
): Promise<void> {
  try {
    await channel.write(encodeControlFrame(kind, value));
  } catch (error) {
    throw new BrokenChannelError(describeError(error));
  }
}

async function writeAll(
  channel: ByteChannel,
  { group, from, to, term, meta, chunks }: SnapshotTransfer,
  signal: AbortSignal,
): Promise<void> {
  const what = [meta.index, meta.term, confStateToArray(meta.conf)];
  const start = [group, from, to, term, ...what];
  await write(channel, FRAME_KIND.snapshotStart, start);
  let offset = 0;
  let checksum = 0;
  for await (const chunk of chunks) {
    for (let at = 0; at < chunk.length; at += MAX_CHUNK_BYTES) {
      if (signal.aborted) throw signal.reason;
      const piece = chunk.subarray(at, at + MAX_CHUNK_BYTES);
      await write(channel, FRAME_KIND.snapshotChunk, [offset, piece]);
      offset += piece.length;
      checksum = crc32(piece, checksum);
    }
  }
  await write(channel, FRAME_KIND.snapshotEnd, [offset, checksum]);
}

/** What receiving needs to know. */
export interface Receiver {
  readonly handler: TransportHandler;
  readonly config: LinkConfig;
}

/**
 * Receives a snapshot on a connection whose handshake is done.
 *
 * @throws {RaftError} `malformedFrame` if the sender breaks the rules.
 */
export async function receiveSnapshot(
  { handler, config }: Receiver,
  { channel, reader }: { channel: ByteChannel; reader: FrameReader },
  sender: Pick<Hello, "address" | "incarnation">,
): Promise<void> {
  const watch = new Watch(channel, config);
  let writing: Promise<void> | undefined;
  const pulse = new Ticker(config.keepaliveMs, () => {
    writing ??= channel.write(PONG).then(() => {
      writing = undefined;
    }, () => channel.destroy());
  });
  try {
    const problem = await take({ handler, reader, watch }, sender);
    pulse.stop();
    await writing;
    await channel.write(
      encodeControlFrame(FRAME_KIND.snapshotAck, [
        problem === "",
        problem.slice(0, 500),
      ]),
    );
    await channel.end();
  } finally {
    pulse.stop();
    watch.stop();
    await writing;
  }
}

/** Hands the snapshot to the host; the problem, or nothing. */
async function take(
  { handler, reader, watch }: {
    handler: TransportHandler;
    reader: FrameReader;
    watch: Watch;
  },
  { address, incarnation }: Pick<Hello, "address" | "incarnation">,
): Promise<string> {
  const frame = await watch.next(reader);
  if (frame === null) return "it ended before it began";
  if (frame.kind !== FRAME_KIND.snapshotStart) throw misplaced(frame.kind);
  const start = decodeControl(frame.body, parseSnapshotStart);
  if (handler.snapshot === undefined) return "it takes no snapshots";
  const progress: Progress = { isWhole: false, violation: undefined };
  const chunks = readChunks(reader, watch, progress);
  try {
    await handler.snapshot(address, { ...start, chunks }, incarnation);
  } catch (error) {
    if (progress.violation !== undefined) throw progress.violation;
    return describeError(error);
  }
  return progress.isWhole ? "" : "it was not read to its end";
}

/** How far the receiving came. */
interface Progress {
  /** Whether the end was read, and length and checksum were right. */
  isWhole: boolean;
  /** What the sender did against the rules. */
  violation: RaftError | undefined;
}

async function* readChunks(
  reader: FrameReader,
  watch: Watch,
  progress: Progress,
): AsyncGenerator<Uint8Array> {
  try {
    yield* readPieces(reader, watch);
    progress.isWhole = true;
  } catch (error) {
    if (error instanceof RaftError) progress.violation = error;
    throw error;
  }
}

async function* readPieces(
  reader: FrameReader,
  watch: Watch,
): AsyncGenerator<Uint8Array> {
  let offset = 0;
  let checksum = 0;
  for (;;) {
    const frame = await watch.next(reader);
    if (frame === null) {
      throw new Error("Cannot receive a snapshot: the connection ended");
    }
    if (frame.kind === FRAME_KIND.snapshotEnd) {
      const [length, sum] = decodeControl(frame.body, parseSnapshotEnd);
      if (length !== offset || sum !== checksum) throw damaged(length, offset);
      return;
    }
    if (frame.kind !== FRAME_KIND.snapshotChunk) throw misplaced(frame.kind);
    // The chunk is the receiver's own (H121).
    const body = frame.owned ? frame.body : frame.body.slice();
    const [at, bytes] = decodeControl(body, parseSnapshotChunk);
    if (at !== offset) throw damaged(at, offset);
    offset += bytes.length;
    checksum = crc32(bytes, checksum);
    yield bytes;
  }
}

function damaged(said: number, counted: number): RaftError {
  return new RaftError(
    "malformedFrame",
    `Cannot receive a snapshot: it says ${said} bytes, counted ${counted}, or its checksum is wrong`,
  );
}

function misplaced(kind: number): RaftError {
  return new RaftError(
    "malformedFrame",
    `Cannot receive a snapshot: a frame of kind ${kind} is out of place`,
  );
}
