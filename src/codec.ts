/**
 * CBOR, with every option set, and the one byte form of entries and
 * configurations that disk and wire share. The only import of cbor-x.
 *
 * @module
 */
import { Decoder } from "cbor-x/decode";
import { Encoder } from "cbor-x/encode";
import { type CborLimits, scanCbor } from "./cbor_scan.ts";
import { CborWriter } from "./cbor_writer.ts";
import { parseConfChange, parseConfState } from "./schema.ts";
import type { ConfChange, ConfState, Entry } from "./core/types.ts";

const OPTIONS = {
  useRecords: false,
  mapsAsObjects: true,
  tagUint8Array: false,
  variableMapSize: true,
  int64AsNumber: true,
} as const;

const encoder = new Encoder(OPTIONS);
const decoder = new Decoder(OPTIONS);

/** Room for the largest membership change that the schema lets pass. */
const CONF_CHANGE_LIMITS: CborLimits = { maxDepth: 3, maxItems: 8_192 };

const NO_BYTES = new Uint8Array(0);

/**
 * Encodes a value as CBOR. The result is never written to again, but may be a
 * view on a larger buffer that other results share.
 */
export function encodeCbor(value: unknown): Uint8Array {
  return encoder.encode(value);
}

/**
 * cbor-x: after the call the encoder's buffer is free again, so that it never
 * runs full and is never replaced. Its types leave the option out.
 */
const RESET_BUFFER_MODE = 1024;
const encodeInPlace = encoder.encode.bind(encoder) as (
  value: unknown,
  options: number,
) => Uint8Array;

/**
 * Encodes a value as CBOR for a caller that copies it anyway: the result is
 * overwritten by the next call of any function here. In return nothing is
 * allocated, which takes a third off a small command.
 */
export function encodeCborBriefly(value: unknown): Uint8Array {
  return encodeInPlace(value, RESET_BUFFER_MODE);
}

/**
 * Decodes CBOR. Byte fields of the result are views on `bytes`: copy what
 * outlives it (H121).
 *
 * @throws {Error} If `bytes` is not one whole CBOR item.
 */
export function decodeCbor(bytes: Uint8Array): unknown {
  return decoder.decode(bytes);
}

/**
 * Decodes CBOR from outside: {@linkcode scanCbor} first, so that depth and
 * count are bounded before anything is allocated. Byte fields of the result
 * are views on `bytes` (H121).
 *
 * @throws {Error} If `bytes` is not one whole item of the allowed forms.
 */
export function decodeStrictCbor(
  bytes: Uint8Array,
  limits: CborLimits,
): unknown {
  scanCbor(bytes, limits);
  return decoder.decode(bytes);
}

/** Encodes integers, booleans, null, text, bytes and arrays, nothing else. */
export function encodePlainCbor(value: unknown): Uint8Array {
  const writer = new CborWriter();
  writer.value(value);
  return writer.finish();
}

/** A copy of `bytes` that nothing else refers to. */
export function copyBytes(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes);
}

/** Type codes of entries on disk and wire; never renumbered. */
export const ENTRY_CODE = {
  command: 1,
  noop: 2,
  confChange: 3,
  omitted: 4,
} as const;

/** The bytes of an entry besides type, term and index. */
export function entryPayload(entry: Entry): Uint8Array {
  switch (entry.type) {
    case "command":
      return entry.data;
    case "noop":
    case "omitted":
      return NO_BYTES;
    case "confChange":
      return encodeConfChange(entry.change);
    default: {
      const unreachable: never = entry;
      return unreachable;
    }
  }
}

/**
 * Rebuilds an entry. Keeps `payload`: it must be the entry's own.
 *
 * @throws {Error} If the code is unknown or the payload does not fit it.
 */
export function entryFromPayload(
  code: number,
  term: number,
  index: number,
  payload: Uint8Array,
): Entry {
  switch (code) {
    case ENTRY_CODE.command:
      return { type: "command", term, index, data: payload };
    case ENTRY_CODE.noop:
    case ENTRY_CODE.omitted: {
      const type = code === ENTRY_CODE.noop ? "noop" : "omitted";
      if (payload.length > 0) {
        throw new Error(`Cannot decode an entry: ${type} with a payload`);
      }
      return { type, term, index };
    }
    case ENTRY_CODE.confChange:
      return {
        type: "confChange",
        term,
        index,
        change: decodeConfChange(payload),
      };
    default:
      throw new Error(`Cannot decode an entry: unknown type code ${code}`);
  }
}

/**
 * A membership change as bytes: `[transition, [[type, node, text?]…]]`; the
 * text is the incarnation of a `bind`, else the address.
 */
export function encodeConfChange(change: ConfChange): Uint8Array {
  return encodePlainCbor([
    change.transition,
    change.steps.map(({ type, node, address, incarnation }) => {
      const text = type === "bind" ? incarnation : address;
      return text === undefined ? [type, node] : [type, node, text];
    }),
  ]);
}

/** The inverse of {@linkcode encodeConfChange}; checks everything. */
export function decodeConfChange(bytes: Uint8Array): ConfChange {
  return parseConfChange(decodeStrictCbor(bytes, CONF_CHANGE_LIMITS));
}

/** A configuration as plain arrays, for CBOR on disk and wire. */
export function confStateToArray(conf: ConfState): unknown[] {
  return [
    conf.voters,
    conf.votersOutgoing,
    conf.learners,
    conf.learnersNext,
    conf.witnesses,
    conf.autoLeave,
    conf.removed,
    conf.addresses.map(({ id, address }) => [id, address]),
    conf.version,
    conf.staging,
    conf.incarnations.map(({ id, incarnation }) => [id, incarnation]),
  ];
}

/** The inverse of {@linkcode confStateToArray}; checks everything. */
export function confStateFromArray(value: unknown): ConfState {
  return parseConfState(value);
}
