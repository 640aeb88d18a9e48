/**
 * The first words on every connection: the dialler's hello, the acceptor's
 * consent or refusal.
 *
 * @module
 */
import {
  type Accept,
  type Hello,
  helloToArray,
  parseAccept,
  parseHello,
  parseRefusal,
  type ProtocolRange,
} from "../../src/schema.ts";
import {
  decodeControl,
  encodeControlFrame,
  FRAME_KIND,
  MAX_HANDSHAKE_BYTES,
} from "../../src/wire.ts";
import {
  type ByteChannel,
  type Carrier,
  DialError,
  parseAddress,
  type RefusalCode,
  RejectedError,
} from "./channel.ts";
import { type ByteBudget, type Frame, FrameReader } from "./frame_reader.ts";
import { withDeadline } from "./timing.ts";
import type { TransportIdentity } from "../../src/transport.ts";
import type { LinkConfig } from "./options.ts";

/** A connection whose handshake succeeded. */
export interface OpenedChannel {
  readonly channel: ByteChannel;
  readonly reader: FrameReader;
  readonly accept: Accept;
}

/** What a dialler needs to know. */
export interface Dialler {
  readonly carrier: Carrier;
  readonly identity: TransportIdentity;
  readonly config: LinkConfig;
  readonly budget: ByteBudget;
}

/**
 * Connects to `address` and shakes hands, within the dial timeout.
 *
 * @throws {DialError} If nobody answers.
 * @throws {RejectedError} If the peer refuses.
 */
export function openChannel(
  dialler: Dialler,
  address: string,
  { purpose, signal }: { purpose: Hello["purpose"]; signal: AbortSignal },
): Promise<OpenedChannel> {
  const { carrier, config } = dialler;
  const deadline = { ms: config.dialTimeoutMs, outer: signal };
  return withDeadline(deadline, async (limit) => {
    const channel = await carrier.dial(parseAddress(address), limit);
    const giveUp = () => channel.destroy();
    limit.addEventListener("abort", giveUp);
    try {
      if (limit.aborted) throw limit.reason;
      return await greet(dialler, channel, { target: address, purpose });
    } catch (error) {
      channel.destroy();
      throw error;
    } finally {
      limit.removeEventListener("abort", giveUp);
    }
  });
}

async function greet(
  { identity, config, budget }: Dialler,
  channel: ByteChannel,
  { target, purpose }: Pick<Hello, "target" | "purpose">,
): Promise<OpenedChannel> {
  const hello = helloToArray({
    versions: config.protocol,
    deployment: identity.deployment,
    address: identity.address,
    clientAddress: identity.clientAddress ?? null,
    target,
    purpose,
    incarnation: identity.incarnation ?? null,
  });
  const maxBytes = MAX_HANDSHAKE_BYTES;
  const reader = new FrameReader(channel, { maxBytes, budget });
  await channel.write(encodeControlFrame(FRAME_KIND.hello, hello));
  const frame = await reader.next();
  if (frame === null) {
    throw new DialError("Cannot connect: the peer closed the connection", {
      refused: false,
    });
  }
  const accept = readAnswer(frame);
  reader.maxBytes = config.maxFrameBytes;
  return { channel, reader, accept };
}

function readAnswer({ kind, body }: Frame): Accept {
  if (kind === FRAME_KIND.accept) return decodeControl(body, parseAccept);
  if (kind !== FRAME_KIND.refusal) {
    throw new RejectedError(
      `Cannot connect: the peer answered with a frame of kind ${kind}`,
    );
  }
  const { code, message } = decodeControl(body, parseRefusal);
  throw new RejectedError(`Cannot connect: ${code}: ${message}`);
}

/** Why a hello is not welcome. */
export interface Objection {
  readonly code: RefusalCode;
  readonly message: string;
}

/** The acceptor's part: the frame to answer with, and what it rests on. */
export interface Verdict {
  readonly frame: Uint8Array;
  readonly objection: Objection | null;
}

/** Judges a hello. */
export function judge(
  hello: Hello,
  identity: TransportIdentity,
  versions: ProtocolRange,
): Verdict {
  const objection = objectTo(hello, identity, versions);
  if (objection !== null) return refuse(objection);
  const version = Math.min(hello.versions.max, versions.max);
  const frame = encodeControlFrame(FRAME_KIND.accept, [
    version,
    identity.clientAddress ?? null,
    identity.incarnation ?? null,
  ]);
  return { frame, objection: null };
}

/** The verdict that refuses. */
export function refuse(objection: Objection): Verdict {
  const frame = encodeControlFrame(FRAME_KIND.refusal, [
    objection.code,
    objection.message.slice(0, 500),
  ]);
  return { frame, objection };
}

/** Reads a hello off the first frame. */
export function readHello({ kind, body }: Frame): Hello {
  // A wrong kind is judged like damage: this is not our protocol.
  return decodeControl(
    kind === FRAME_KIND.hello ? body : body.subarray(0, 0),
    parseHello,
  );
}

function objectTo(
  hello: Hello,
  identity: TransportIdentity,
  versions: ProtocolRange,
): Objection | null {
  if (
    hello.versions.max < versions.min || hello.versions.min > versions.max
  ) {
    return {
      code: "wrongVersion",
      message:
        `${hello.address} speaks versions ${hello.versions.min} to ${hello.versions.max}, ${identity.address} ${versions.min} to ${versions.max}`,
    };
  }
  if (hello.deployment !== identity.deployment) {
    return {
      code: "wrongDeployment",
      message:
        `${hello.address} belongs to "${hello.deployment}", ${identity.address} to "${identity.deployment}"`,
    };
  }
  if (hello.target !== identity.address) {
    return {
      code: "wrongTarget",
      message:
        `${hello.address} looks for ${hello.target}, this is ${identity.address}`,
    };
  }
  if (hello.address === identity.address) {
    return {
      code: "wrongTarget",
      message: `Somebody else claims the address ${identity.address}`,
    };
  }
  return null;
}
