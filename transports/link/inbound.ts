/**
 * The way in: who may connect, what they may send, when they are let go.
 *
 * @module
 */
import { isRaftError, RaftError } from "../../src/errors.ts";
import {
  decodeEnvelopes,
  encodeControlFrame,
  FRAME_KIND,
  MAX_HANDSHAKE_BYTES,
} from "../../src/wire.ts";
import type { Hello } from "../../src/schema.ts";
import { receiveSnapshot } from "./bulk.ts";
import { type ByteBudget, type Frame, FrameReader } from "./frame_reader.ts";
import { judge, readHello, refuse, type Verdict } from "./handshake.ts";
import { describeError, type Tasks, Ticker } from "./timing.ts";
import type {
  TransportHandler,
  TransportIdentity,
} from "../../src/transport.ts";
import type { ByteChannel, RefusalCode } from "./channel.ts";
import type { LinkConfig } from "./options.ts";

const PONG = encodeControlFrame(FRAME_KIND.pong, 0);

/** Sweeps without a byte after which a connection is taken for dead. */
const MAX_SILENT_SWEEPS = 2;

/** What the way in shares with its transport. */
export interface InboundContext {
  readonly identity: TransportIdentity;
  readonly handler: TransportHandler;
  readonly config: LinkConfig;
  readonly budget: ByteBudget;
  readonly tasks: Tasks;
  /** A peer proved that it is alive. */
  readonly contact: (address: string) => void;
}

/** One inbound connection. */
interface Connection {
  readonly channel: ByteChannel;
  readonly reader: FrameReader;
  /** Who it said it is; `undefined` until its hello was accepted. */
  address: string | undefined;
  /** Sweeps since the last byte; counted for `#listening` only. */
  silentSweeps: number;
  /** Whether an answer to a ping is being written. */
  isAnswering: boolean;
  /** Why it was torn down from this side, if it was. */
  cause: { code: RefusalCode; reason: string } | undefined;
}

/** Serves every inbound connection of a transport. */
export class Inbound {
  readonly #context: InboundContext;
  /** Every connection that is being served. */
  readonly #open = new Set<Connection>();
  /** Those without an accepted hello, oldest first. */
  readonly #halfOpen = new Set<Connection>();
  /** Those for messages: a snapshot's silence is watched by who takes it. */
  readonly #listening = new Set<Connection>();
  readonly #sweeper: Ticker;
  #closed = false;

  /** Ready for connections. */
  constructor(context: InboundContext) {
    this.#context = context;
    const { keepaliveMs, maxMissedPings } = context.config;
    const sweepMs = keepaliveMs * maxMissedPings;
    this.#sweeper = new Ticker(sweepMs, () => this.#sweep());
  }

  /** Takes over a connection. */
  accept(channel: ByteChannel): void {
    const { config, budget, tasks } = this.#context;
    if (this.#closed) return channel.destroy();
    if (this.#open.size >= config.maxInbound) {
      channel.destroy();
      return this.refused(
        channel.remote,
        "tooManyConnections",
        `Cannot accept a connection: ${this.#open.size} are open`,
      );
    }
    const maxBytes = MAX_HANDSHAKE_BYTES;
    const connection: Connection = {
      channel,
      reader: new FrameReader(channel, { maxBytes, budget }),
      address: undefined,
      silentSweeps: 0,
      isAnswering: false,
      cause: undefined,
    };
    this.#makeRoom();
    this.#open.add(connection);
    this.#halfOpen.add(connection);
    tasks.run(this.#serve(connection));
  }

  /** Closes what `address` dialled. */
  disconnect(address: string): void {
    for (const connection of this.#open) {
      if (connection.address === address) connection.channel.destroy();
    }
  }

  /** Reports something that was turned away. */
  refused(remote: string, code: RefusalCode, reason: string): void {
    this.#context.handler.refused(remote, code, reason);
  }

  /** Closes every connection; their tasks end soon. */
  close(): void {
    this.#closed = true;
    this.#sweeper.stop();
    for (const { channel } of this.#open) channel.destroy();
  }

  /**
   * Who dials and stays silent must not keep others out: the oldest such
   * connection gives way, for an honest hello takes a moment only.
   */
  #makeRoom(): void {
    if (this.#halfOpen.size < this.#context.config.maxHalfOpen) return;
    const [oldest] = this.#halfOpen;
    if (oldest === undefined) return;
    this.#halfOpen.delete(oldest);
    this.#drop(oldest, {
      code: "tooManyConnections",
      reason: "Cannot accept a connection: too many without a hello",
    });
  }

  #drop(connection: Connection, cause: Connection["cause"]): void {
    connection.cause ??= cause;
    connection.channel.destroy();
  }

  async #serve(connection: Connection): Promise<void> {
    const { channel, reader } = connection;
    try {
      const hello = await this.#greet(connection);
      if (hello === undefined) return;
      if (hello.purpose === "messages") {
        this.#listening.add(connection);
        await this.#receive(connection, hello);
      } else {
        await receiveSnapshot(this.#context, connection, hello);
      }
    } catch (error) {
      this.#report(connection, error);
    } finally {
      this.#halfOpen.delete(connection);
      this.#listening.delete(connection);
      this.#open.delete(connection);
      reader.dispose();
      channel.destroy();
    }
  }

  /** Reports an error that is the sender's doing, not a broken connection. */
  #report({ channel, cause }: Connection, error: unknown): void {
    if (this.#closed) return;
    if (cause !== undefined) {
      this.refused(channel.remote, cause.code, cause.reason);
    } else if (
      isRaftError(error, "malformedFrame") ||
      isRaftError(error, "frameTooLarge")
    ) {
      const { code } = error;
      if (code === "malformedFrame" || code === "frameTooLarge") {
        this.refused(channel.remote, code, error.message);
      }
    } else if (error instanceof HandlerError) {
      this.refused(channel.remote, "handlerFailed", error.message);
    }
  }

  /** The handshake; `undefined` if nothing came of it. */
  async #greet(connection: Connection): Promise<Hello | undefined> {
    const { config, identity, contact } = this.#context;
    const { channel, reader } = connection;
    const ms = config.handshakeTimeoutMs;
    const timer = setTimeout(() => {
      this.#drop(connection, {
        code: "handshakeTimeout",
        reason: `Cannot accept a connection: no hello within ${ms} ms`,
      });
    }, ms);
    try {
      const { hello, verdict } = await this.#hear(connection);
      if (verdict === undefined) return undefined;
      const { objection, frame } = verdict;
      if (objection !== null) {
        this.refused(channel.remote, objection.code, objection.message);
      }
      await answer(channel, frame, objection?.code ?? null);
      if (objection !== null || hello === undefined) return undefined;
      this.#halfOpen.delete(connection);
      connection.address = hello.address;
      reader.maxBytes = config.maxFrameBytes;
      if (hello.address !== identity.address) contact(hello.address);
      return hello;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Reads and judges a hello; no verdict if nobody said anything. */
  async #hear(
    connection: Connection,
  ): Promise<{ hello?: Hello; verdict: Verdict | undefined }> {
    const { identity, config } = this.#context;
    const { reader } = connection;
    try {
      const frame = await reader.next();
      if (frame === null) {
        if (connection.cause !== undefined) throw new DroppedError();
        if (!reader.isMidFrame) return { verdict: undefined };
        throw new RaftError(
          "malformedFrame",
          "Cannot accept a connection: it ended inside its hello",
        );
      }
      const hello = readHello(frame);
      return { hello, verdict: judge(hello, identity, config.protocol) };
    } catch (error) {
      if (isRaftError(error, "malformedFrame")) {
        const { message } = error;
        return { verdict: refuse({ code: "malformedFrame", message }) };
      }
      if (isRaftError(error, "frameTooLarge")) {
        const { message } = error;
        return { verdict: refuse({ code: "frameTooLarge", message }) };
      }
      throw error;
    }
  }

  /** Delivers frame after frame until the connection ends. */
  async #receive(connection: Connection, hello: Hello): Promise<void> {
    const { reader } = connection;
    for (;;) {
      const frame = reader.poll();
      if (frame === undefined) {
        if (!await reader.fill() || this.#closed) return;
        connection.silentSweeps = 0;
      } else {
        this.#take(connection, hello, frame);
      }
    }
  }

  #take(connection: Connection, hello: Hello, frame: Frame): void {
    switch (frame.kind) {
      case FRAME_KIND.messages: {
        const envelopes = decodeEnvelopes(frame.body, frame);
        try {
          const { address, incarnation } = hello;
          return this.#context.handler.receive(address, envelopes, incarnation);
        } catch (error) {
          throw new HandlerError(describeError(error));
        }
      }
      case FRAME_KIND.ping:
        if (connection.isAnswering) return;
        connection.isAnswering = true;
        return this.#context.tasks.run(pong(connection));
      default:
        throw new RaftError(
          "malformedFrame",
          `Cannot read a frame: its kind ${frame.kind} has no place here`,
        );
    }
  }

  /** Lets go of connections whose other end vanished without a word. */
  #sweep(): void {
    for (const connection of this.#listening) {
      if (connection.silentSweeps >= MAX_SILENT_SWEEPS) {
        connection.channel.destroy();
      }
      connection.silentSweeps++;
    }
  }
}

/** The host's own code threw where it must not. */
class HandlerError extends Error {}

/** The connection was torn down from this side; its cause says why. */
class DroppedError extends Error {}

async function pong(connection: Connection): Promise<void> {
  try {
    await connection.channel.write(PONG);
  } catch {
    connection.channel.destroy();
  } finally {
    connection.isAnswering = false;
  }
}

async function answer(
  channel: ByteChannel,
  frame: Uint8Array,
  refusal: RefusalCode | null,
): Promise<void> {
  if (channel.answer !== undefined) return await channel.answer(frame, refusal);
  await channel.write(frame);
  if (refusal !== null) await channel.end();
}
