/**
 * A snapshot on a connection of its own: start, the receiver's word from where
 * it wants it, chunks with offsets and checksums, end, and the receiver's word
 * that it is taken. The receiver's pongs show that it is alive while its disk
 * works. In version 2 of the protocol every transfer is from the start, and
 * only the end has a checksum.
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
  parseSnapshotWanted,
} from "../../src/schema.ts";
import {
  decodeControl,
  encodeControlFrame,
  FRAME_KIND,
  RESUMING_VERSION,
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
    const { verdict, wanted } = readAnswers(opened, watch);
    const isResuming = opened.accept.version >= RESUMING_VERSION;
    const written = isResuming
      ? writeWanted(channel, transfer, { wanted, signal })
      : writeWhole(channel, transfer, signal);
    const problem = await Promise.race([
      verdict,
      written.then(() => verdict, (error) => {
        if (error instanceof BrokenChannelError) return verdict;
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

/** What the receiver says. Neither ever rejects. */
interface Answers {
  /** Empty if it took the snapshot. */
  readonly verdict: Promise<string>;
  /** From where it wants it; never settles if it does not want it. */
  readonly wanted: Promise<number>;
}

function readAnswers(opened: OpenedChannel, watch: Watch): Answers {
  let want: (offset: number) => void = () => {};
  const wanted = new Promise<number>((resolve) => {
    want = resolve;
  });
  const verdict = readVerdict(opened, watch, (offset) => want(offset));
  return { verdict, wanted };
}

async function readVerdict(
  { reader }: OpenedChannel,
  watch: Watch,
  onWanted: (offset: number) => void,
): Promise<string> {
  try {
    for (;;) {
      const frame = await watch.next(reader);
      if (frame === null) return "the peer closed the connection";
      if (frame.kind === FRAME_KIND.pong) continue;
      if (frame.kind === FRAME_KIND.snapshotWanted) {
        onWanted(decodeControl(frame.body, parseSnapshotWanted));
        continue;
      }
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

function startToArray(
  { group, from, to, term, meta }: SnapshotTransfer,
): unknown[] {
  const what = [meta.index, meta.term, confStateToArray(meta.conf)];
  return [group, from, to, term, ...what];
}

async function writeWanted(
  channel: ByteChannel,
  transfer: SnapshotTransfer,
  { wanted, signal }: {
    readonly wanted: Promise<number>;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const start = [...startToArray(transfer), transfer.token ?? null];
  await write(channel, FRAME_KIND.snapshotStart, start);
  let offset = await wanted;
  let checksum = 0;
  for await (const piece of pieces(transfer.chunks(offset), signal)) {
    checksum = crc32(piece, checksum);
    const chunk = [offset, piece, checksum];
    await write(channel, FRAME_KIND.snapshotChunk, chunk);
    offset += piece.length;
  }
  await write(channel, FRAME_KIND.snapshotEnd, [offset, checksum]);
}

/** As version 2 has it. */
async function writeWhole(
  channel: ByteChannel,
  transfer: SnapshotTransfer,
  signal: AbortSignal,
): Promise<void> {
  const start = startToArray(transfer);
  await write(channel, FRAME_KIND.snapshotStart, start);
  let offset = 0;
  let checksum = 0;
  for await (const piece of pieces(transfer.chunks(), signal)) {
    await write(channel, FRAME_KIND.snapshotChunk, [offset, piece]);
    offset += piece.length;
    checksum = crc32(piece, checksum);
  }
  await write(channel, FRAME_KIND.snapshotEnd, [offset, checksum]);
}

async function* pieces(
  chunks: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const chunk of chunks) {
    for (let at = 0; at < chunk.length; at += MAX_CHUNK_BYTES) {
      if (signal.aborted) throw signal.reason;
      yield chunk.subarray(at, at + MAX_CHUNK_BYTES);
    }
  }
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
  sender: Pick<Hello, "address" | "incarnation" | "versions">,
): Promise<void> {
  const watch = new Watch(channel, config);
  const voice = new Voice(channel);
  const pulse = new Ticker(config.keepaliveMs, () => {
    if (!voice.isBusy) voice.say(PONG).catch(() => channel.destroy());
  });
  const version = Math.min(sender.versions.max, config.protocol.max);
  const ask = version < RESUMING_VERSION
    ? undefined
    : (offset: number) =>
      voice.say(encodeControlFrame(FRAME_KIND.snapshotWanted, offset));
  try {
    const problem = await take({ handler, reader, watch, ask }, sender);
    pulse.stop();
    await voice.say(
      encodeControlFrame(FRAME_KIND.snapshotAck, [
        problem === "",
        problem.slice(0, 500),
      ]),
    );
    await channel.end();
  } finally {
    pulse.stop();
    watch.stop();
    await voice.silence();
  }
}

/** Writes one frame after the other: a channel takes one at a time. */
class Voice {
  readonly #channel: ByteChannel;
  #last: Promise<void> = Promise.resolve();
  #waiting = 0;

  constructor(channel: ByteChannel) {
    this.#channel = channel;
  }

  /** Whether a frame is on its way. */
  get isBusy(): boolean {
    return this.#waiting > 0;
  }

  /** Resolves once the frame is written; the channel's errors pass through. */
  async say(frame: Uint8Array): Promise<void> {
    this.#waiting++;
    const said = this.#last.then(() => this.#channel.write(frame));
    this.#last = said.catch(() => {});
    try {
      await said;
    } finally {
      this.#waiting--;
    }
  }

  /** Waits until no frame is on its way. */
  silence(): Promise<void> {
    return this.#last;
  }
}

/** What the data of a snapshot comes through. */
interface Intake {
  readonly reader: FrameReader;
  readonly watch: Watch;
  /** Tells the sender from where it is wanted; not in version 2. */
  readonly ask: ((offset: number) => Promise<void>) | undefined;
}

/** Hands the snapshot to the host; the problem, or nothing. */
async function take(
  { handler, ...intake }: Intake & { readonly handler: TransportHandler },
  { address, incarnation }: Pick<Hello, "address" | "incarnation">,
): Promise<string> {
  const frame = await intake.watch.next(intake.reader);
  if (frame === null) return "it ended before it began";
  if (frame.kind !== FRAME_KIND.snapshotStart) throw misplaced(frame.kind);
  const start = decodeControl(frame.body, parseSnapshotStart);
  if (handler.snapshot === undefined) return "it takes no snapshots";
  const progress: Progress = { isWhole: false, violation: undefined };
  const chunks = (fromOffset = 0) => readChunks(intake, fromOffset, progress);
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
  intake: Intake,
  fromOffset: number,
  progress: Progress,
): AsyncGenerator<Uint8Array> {
  try {
    yield* readPieces(intake, fromOffset);
    progress.isWhole = true;
  } catch (error) {
    if (error instanceof RaftError) progress.violation = error;
    throw error;
  }
}

async function* readPieces(
  { reader, watch, ask }: Intake,
  fromOffset: number,
): AsyncGenerator<Uint8Array> {
  await ask?.(fromOffset);
  let offset = ask === undefined ? 0 : fromOffset;
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
    const [at, bytes, sum] = decodeControl(body, parseSnapshotChunk);
    checksum = crc32(bytes, checksum);
    // A part that is kept when the connection breaks was checked before (H65).
    const isWhole = ask === undefined || sum === checksum;
    // Whoever sends nothing for ever would keep the place of all others.
    const isEmpty = bytes.length === 0;
    if (at !== offset || !isWhole || isEmpty) throw damaged(at, offset);
    offset += bytes.length;
    const known = Math.max(0, fromOffset - at);
    if (known < bytes.length) yield bytes.subarray(known);
  }
}

function damaged(said: number, counted: number): RaftError {
  return new RaftError(
    "malformedFrame",
    `Cannot receive a snapshot: it says ${said} bytes, counted ${counted}, or a piece is empty or its checksum wrong`,
  );
}

function misplaced(kind: number): RaftError {
  return new RaftError(
    "malformedFrame",
    `Cannot receive a snapshot: a frame of kind ${kind} is out of place`,
  );
}
