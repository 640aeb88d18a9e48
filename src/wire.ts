/**
 * Frames, the unit of the wire: four bytes of length, one byte of version and
 * kind, one CBOR item. The length counts everything after itself.
 *
 * @module
 */
import { scanCbor } from "./cbor_scan.ts";
import { CborWriter } from "./cbor_writer.ts";
import { decodeCbor, decodeStrictCbor } from "./codec.ts";
import { RaftError } from "./errors.ts";
import {
  describeSchemaError,
  MAX_FRAME_ENVELOPES,
  parseFrameItems,
  parseWireMessage,
} from "./schema.ts";
import { toEnvelope, writeMessage } from "./wire_messages.ts";
import type { Envelope } from "./transport.ts";

/** Length and kind, before the CBOR item. */
export const FRAME_HEADER_BYTES = 5;

/**
 * Bytes a frame's length may say by default: the largest entry of the
 * defaults (8 MiB) fits twice.
 */
export const DEFAULT_MAX_FRAME_BYTES: number = 16 << 20;

/** What a hello or its answer may take, before anything is known of a peer. */
export const MAX_HANDSHAKE_BYTES = 4_096;

/** The protocol versions this code speaks. */
export const PROTOCOL_VERSIONS = { min: 2, max: 3 } as const;

/**
 * The first version in which the receiver of a snapshot says from where it
 * wants it, and each piece carries a checksum.
 */
export const RESUMING_VERSION = 3;

/**
 * The byte after the length: version in the upper half, kind in the lower.
 * The frames of the handshake carry version 0, since they never change.
 */
export const FRAME_KIND = {
  hello: 0x01,
  accept: 0x02,
  refusal: 0x03,
  messages: 0x11,
  ping: 0x12,
  pong: 0x13,
  snapshotStart: 0x14,
  snapshotChunk: 0x15,
  snapshotEnd: 0x16,
  snapshotAck: 0x17,
  /** Since version 3. */
  snapshotWanted: 0x18,
} as const;

/**
 * CBOR items in one frame: three for each of the most entries a message may
 * hold, and as many again for the rest.
 */
const MAX_FRAME_ITEMS = 1 << 20;
const LIMITS = { maxDepth: 7, maxItems: MAX_FRAME_ITEMS } as const;
const CONTROL_LIMITS = { maxDepth: 6, maxItems: 1 << 20 } as const;

/** Head of the envelope array: fixed width, so that it is patched at the end. */
const ENVELOPES_HEAD_BYTES = 3;
const FRAME_START_BYTES = FRAME_HEADER_BYTES + ENVELOPES_HEAD_BYTES;

/** Options of {@linkcode decodeFrame} and {@linkcode writeFrames}. */
export interface FrameLimits {
  /** Bytes the length may say; {@linkcode DEFAULT_MAX_FRAME_BYTES}. */
  readonly maxFrameBytes?: number | undefined;
}

/**
 * Appends envelopes to `writer` as frames: one, or as few as keep each within
 * the limits. All or nothing.
 *
 * @returns Whether they were written; `false` if one alone is too large.
 */
export function writeFrames(
  writer: CborWriter,
  envelopes: readonly Envelope[],
  limits: FrameLimits = {},
): boolean {
  const maxBytes = limits.maxFrameBytes ?? DEFAULT_MAX_FRAME_BYTES;
  const undo = writer.length;
  let start = beginFrame(writer);
  let firstItem = writer.items;
  let count = 0;
  for (const { group, message } of envelopes) {
    const envelopeStart = writer.length;
    const envelopeItems = writer.items;
    const fits = writeMessage(writer, group, message);
    count++;
    if (
      fits && writer.length - start - 4 <= maxBytes &&
      writer.items - firstItem < MAX_FRAME_ITEMS &&
      count <= MAX_FRAME_ENVELOPES
    ) continue;
    if (
      !fits || count === 1 ||
      writer.length - envelopeStart + FRAME_START_BYTES - 4 > maxBytes ||
      writer.items - envelopeItems >= MAX_FRAME_ITEMS
    ) {
      writer.truncate(undo);
      return false;
    }
    writer.insert(envelopeStart, FRAME_START_BYTES);
    endFrame(writer, start, envelopeStart, count - 1);
    start = envelopeStart;
    firstItem = envelopeItems;
    count = 1;
  }
  endFrame(writer, start, writer.length, count);
  return true;
}

function beginFrame(writer: CborWriter): number {
  const start = writer.length;
  writer.reserve(FRAME_START_BYTES);
  return start;
}

function endFrame(
  writer: CborWriter,
  start: number,
  end: number,
  count: number,
): void {
  writer.patch(start, 4, end - start - 4);
  writer.patchByte(start + 4, FRAME_KIND.messages);
  writer.patchByte(start + FRAME_HEADER_BYTES, 0x99);
  writer.patch(start + FRAME_HEADER_BYTES + 1, 2, count);
}

/**
 * Envelopes as one whole frame.
 *
 * @throws {RaftError} `frameTooLarge` if they do not fit into one.
 */
export function encodeFrame(
  envelopes: readonly Envelope[],
  limits: FrameLimits = {},
): Uint8Array {
  const writer = new CborWriter();
  const written = writeFrames(writer, envelopes, limits);
  const frame = writer.finish();
  const declared = written ? readLength(frame, 0) + 4 : 0;
  if (declared === frame.length) return frame;
  throw new RaftError(
    "frameTooLarge",
    `Cannot encode a frame: ${envelopes.length} envelopes do not fit into one`,
  );
}

/** A frame of any kind but messages: plain data after the header. */
export function encodeControlFrame(kind: number, value: unknown): Uint8Array {
  const writer = new CborWriter();
  writer.reserve(FRAME_HEADER_BYTES);
  writer.value(value);
  writer.patch(0, 4, writer.length - 4);
  writer.patchByte(4, kind);
  return writer.finish();
}

/** The length a frame's first four bytes say. */
export function readLength(bytes: Uint8Array, at: number): number {
  return (bytes[at] ?? 0) * 0x100_0000 + ((bytes[at + 1] ?? 0) << 16) +
    ((bytes[at + 2] ?? 0) << 8) + (bytes[at + 3] ?? 0);
}

/**
 * Decodes one whole frame of messages. What it returns is the caller's own:
 * no later change of `frame` shows in it (H121).
 *
 * @throws {RaftError} `frameTooLarge` or `malformedFrame`, and nothing else.
 */
export function decodeFrame(
  frame: Uint8Array,
  limits: FrameLimits = {},
): Envelope[] {
  const maxBytes = limits.maxFrameBytes ?? DEFAULT_MAX_FRAME_BYTES;
  if (frame.length < FRAME_HEADER_BYTES) {
    throw malformed("it is shorter than its header");
  }
  const declared = readLength(frame, 0);
  if (declared > maxBytes) {
    throw new RaftError(
      "frameTooLarge",
      `Cannot decode a frame: it says ${declared} bytes, wanted at most ${maxBytes}`,
    );
  }
  if (declared !== frame.length - 4) {
    throw malformed(`it says ${declared} bytes and has ${frame.length - 4}`);
  }
  if (frame[4] !== FRAME_KIND.messages) {
    throw malformed(`it is of kind ${frame[4]}, wanted messages`);
  }
  return decodeEnvelopes(frame.subarray(FRAME_HEADER_BYTES), { owned: false });
}

/** Whose the bytes given to {@linkcode decodeEnvelopes} are. */
export interface Ownership {
  /** Nobody writes to them again: the result may refer to them. */
  readonly owned: boolean;
}

/**
 * Decodes the CBOR item of a frame of messages.
 *
 * @throws {RaftError} `malformedFrame`, and nothing else.
 */
export function decodeEnvelopes(
  body: Uint8Array,
  { owned }: Ownership,
): Envelope[] {
  try {
    const { hasBytes } = scanCbor(body, LIMITS);
    // Bytes decode to views: give them a buffer that is never reused.
    const source = hasBytes && !owned ? new Uint8Array(body) : body;
    const items = parseFrameItems(decodeCbor(source));
    // A small payload must not keep a large foreign one alive: only a frame
    // with a single bearer is shared with it.
    const share = items.length === 1;
    const envelopes: Envelope[] = [];
    for (const item of items) {
      envelopes.push(toEnvelope(parseWireMessage(item), share));
    }
    return envelopes;
  } catch (error) {
    throw malformed(describeSchemaError(error), error);
  }
}

/**
 * Decodes the CBOR item of any other frame; check the result.
 *
 * @throws {RaftError} `malformedFrame`.
 */
export function decodeControl<T>(
  body: Uint8Array,
  parse: (value: unknown) => T,
): T {
  try {
    return parse(decodeStrictCbor(body, CONTROL_LIMITS));
  } catch (error) {
    throw malformed(describeSchemaError(error), error);
  }
}

function malformed(what: string, cause?: unknown): RaftError {
  return new RaftError("malformedFrame", `Cannot decode a frame: ${what}`, {
    cause,
  });
}
