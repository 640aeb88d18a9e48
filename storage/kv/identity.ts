/**
 * Whose data it is, and who opened it last.
 *
 * @module
 */
import { hashBytes } from "../../src/checksum.ts";
import { RaftError } from "../../src/errors.ts";
import { getU64, joinBytes, setU64, viewOf } from "./bytes.ts";
import { corruption, nameRow } from "./errors.ts";
import {
  EPOCH_KEY,
  FIRST_KEY,
  IDENTITY_KEY,
  LAST_KEY,
  MAX_KEY_BYTES,
} from "./keys.ts";
import type { KvGuard, KvSet, OrderedKv } from "./ordered_kv.ts";
import { RowCodec } from "./rows.ts";

/** Version of keys and values that is written. */
export const FORMAT_VERSION = 1;

const MAGIC = new TextEncoder().encode("BALSAKVS");
const INCARNATION_BYTES = 16;
const HEAD_BYTES = MAGIC.length + 4 + INCARNATION_BYTES;

/** Data that was taken into possession. */
export interface Possession {
  /** 32 lower case hexadecimal digits. */
  readonly incarnation: string;
  /** For every row but the identity. */
  readonly codec: RowCodec;
  /** Number of this opening; no other one has or had it. */
  readonly epoch: number;
  /** Holds as long as nobody else opens the data. */
  readonly guard: KvGuard;
}

/** Whose data is wanted. */
export interface Claim {
  readonly deployment: string;
  /** Of data that is made; minted if absent. */
  readonly incarnation: string | undefined;
}

/**
 * Checks the identity and raises the epoch, which fences off whoever had the
 * data open before. Empty data is given an identity. Changes nothing if it
 * rejects.
 *
 * @throws {RaftError} `identityMismatch`, `corrupt`, `unsupportedFormat`,
 * `locked` if somebody else was faster.
 */
export async function takePossession(
  kv: OrderedKv,
  claim: Claim,
): Promise<Possession> {
  requireLimits(kv);
  const stored = await kv.get(IDENTITY_KEY);
  if (stored === undefined) return await found(kv, claim);
  const { deployment, incarnation } = decodeIdentity(kv.name, stored);
  if (deployment !== claim.deployment) {
    throw new RaftError(
      "identityMismatch",
      `Cannot open "${kv.name}": it belongs to deployment "${deployment}", wanted "${claim.deployment}"`,
      { file: kv.name },
    );
  }
  const codec = new RowCodec(kv.name, hashBytes(incarnation));
  const epoch = await kv.get(EPOCH_KEY);
  const before = codec.body(EPOCH_KEY, epoch);
  const number = codec.parse(EPOCH_KEY, () => getU64(viewOf(before), 0));
  const raised = codec.set(EPOCH_KEY, encodeEpoch(number + 1));
  await kv.commit([raised], { key: EPOCH_KEY, value: epoch });
  return possess(codec, raised, { incarnation, epoch: number + 1 });
}

/** Gives empty data an identity. */
async function found(kv: OrderedKv, claim: Claim): Promise<Possession> {
  const range = { start: FIRST_KEY, end: LAST_KEY, limit: 1 };
  for await (const [key] of kv.list(range)) {
    const row = nameRow(kv.name, key);
    throw corruption(
      kv.name,
      IDENTITY_KEY,
      `it is missing, but there is a row "${row}"`,
    );
  }
  const incarnation = claim.incarnation === undefined
    ? crypto.getRandomValues(new Uint8Array(INCARNATION_BYTES))
    : parseIncarnation(claim.incarnation);
  const body = encodeIdentity(incarnation, claim.deployment);
  const identity = new RowCodec(kv.name, 0).set(IDENTITY_KEY, body);
  const codec = new RowCodec(kv.name, hashBytes(incarnation));
  const epoch = codec.set(EPOCH_KEY, encodeEpoch(1));
  const guard = { key: IDENTITY_KEY, value: undefined };
  await kv.commit([identity, epoch], guard);
  return possess(codec, epoch, { incarnation, epoch: 1 });
}

function possess(
  codec: RowCodec,
  row: KvSet,
  of: { readonly incarnation: Uint8Array; readonly epoch: number },
): Possession {
  return {
    incarnation: toHex(of.incarnation),
    epoch: of.epoch,
    codec,
    guard: { key: EPOCH_KEY, value: row.value },
  };
}

function encodeEpoch(number: number): Uint8Array {
  const body = new Uint8Array(8);
  setU64(viewOf(body), 0, number);
  return body;
}

function encodeIdentity(
  incarnation: Uint8Array,
  deployment: string,
): Uint8Array {
  const version = new Uint8Array(4);
  viewOf(version).setUint32(0, FORMAT_VERSION, true);
  const text = new TextEncoder().encode(deployment);
  return joinBytes([MAGIC, version, incarnation, text]);
}

function decodeIdentity(
  name: string,
  value: Uint8Array,
): { readonly incarnation: Uint8Array; readonly deployment: string } {
  const body = new RowCodec(name, 0).body(IDENTITY_KEY, value);
  if (
    body.length < MAGIC.length + 4 ||
    MAGIC.some((byte, at) => body[at] !== byte)
  ) {
    throw corruption(name, IDENTITY_KEY, "it is not the identity of a storage");
  }
  const version = viewOf(body).getUint32(MAGIC.length, true);
  if (version !== FORMAT_VERSION) {
    throw new RaftError(
      "unsupportedFormat",
      `Cannot read "${name}": its version is ${version}, wanted ${FORMAT_VERSION}`,
      { file: nameRow(name, IDENTITY_KEY), offset: MAGIC.length },
    );
  }
  if (body.length < HEAD_BYTES) {
    throw corruption(name, IDENTITY_KEY, `it has ${body.length} bytes`);
  }
  return {
    incarnation: body.slice(MAGIC.length + 4, HEAD_BYTES),
    deployment: new TextDecoder().decode(body.subarray(HEAD_BYTES)),
  };
}

function parseIncarnation(text: string): Uint8Array {
  if (!/^[0-9a-f]{32}$/.test(text)) {
    throw new RangeError(
      `Cannot make a storage: its incarnation is "${text}", wanted 32 lower case hexadecimal digits`,
    );
  }
  return Uint8Array.from(
    { length: INCARNATION_BYTES },
    (_, at) => Number.parseInt(text.slice(2 * at, 2 * at + 2), 16),
  );
}

function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(
    "",
  );
}

/** The format needs this much room; every engine worth its name has it. */
function requireLimits({ name, limits }: OrderedKv): void {
  const wanted: readonly (readonly [string, number, number])[] = [
    ["keyBytes", limits.keyBytes, MAX_KEY_BYTES],
    ["valueBytes", limits.valueBytes, 256],
    ["batchBytes", limits.batchBytes, 4 * limits.valueBytes],
    ["batchOps", limits.batchOps, 8],
  ];
  for (const [what, value, least] of wanted) {
    if (value >= least) continue;
    throw new RangeError(
      `Cannot use "${name}" for a storage: its ${what} are ${value}, wanted at least ${least}`,
    );
  }
}
