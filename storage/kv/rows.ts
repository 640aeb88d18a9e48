/**
 * The values of format version 1. Integers are unsigned, least significant
 * byte first. Every value begins with a checksum over the rest, whose seed is
 * made of the key and, but for the identity, of the incarnation: a row that
 * was moved or taken from other data does not pass (H60, H61).
 *
 * ```text
 * any row    u32 hash (MurmurHash3) of the body, body
 * identity   "BALSAKVS", u32 version, 16 bytes incarnation, deployment (UTF-8)
 * epoch      u64 number of the opening
 * marker     u32 pieces, u32 hash of the whole journal
 * journal    operations, cut into pieces anywhere:
 *            u32 bytes of the key, key, u32 0 to delete it or 1 + bytes, value
 * state      u8 1, or 0 if the group was destroyed; u8 1 if there is a vote;
 *            u64 node, term, vote, commit, firstIndex, lastIndex, term before
 *            firstIndex; u64 id (0 if there is none) and bytes of the snapshot
 *            data, u32 bytes of its pieces, u32 hash of its pieces' hashes;
 *            u32 bytes and u32 hash of runs, snapshot meta, configuration
 *            (0 bytes if there is none)
 * runs       CBOR [[term, firstIndex]…]
 * meta       CBOR [index, term, configuration]
 * conf       CBOR [index, configuration]
 * draft      CBOR [id, token, bytes of its pieces, index, term, configuration]
 * snapshot   data of a piece; all have the same size but for the last
 * entry      piece 0: u8 type, u64 term, u32 bytes of the payload, u32 hash of
 *            the payload if there is more than one piece, else 0, payload;
 *            further pieces: payload
 * ```
 *
 * Runs, meta and configuration are cut into pieces that fill a value. Rows of
 * entries outside of `[firstIndex, lastIndex]`, of snapshots other than the
 * state's, and of pieces beyond what the state or the entry says count for
 * nothing.
 *
 * @module
 */
import { hashBytes } from "../../src/checksum.ts";
import { corruption } from "./errors.ts";
import { viewOf } from "./bytes.ts";
import type { KvSet } from "./ordered_kv.ts";

/** Bytes of a value besides its body. */
export const ROW_OVERHEAD_BYTES = 4;

/** Seals rows, and opens them again. */
export class RowCodec {
  readonly #name: string;
  readonly #seed: number;

  /** For data of a name; `seed` is the hash of its incarnation. */
  constructor(name: string, seed: number) {
    this.#name = name;
    this.#seed = seed;
  }

  /** Names the data in errors. */
  get name(): string {
    return this.#name;
  }

  /** The operation that sets a row. The body is what `parts` join to. */
  set(key: Uint8Array, ...parts: readonly Uint8Array[]): KvSet {
    let length = ROW_OVERHEAD_BYTES;
    for (const part of parts) length += part.length;
    const value = new Uint8Array(length);
    let at = ROW_OVERHEAD_BYTES;
    for (const part of parts) {
      value.set(part, at);
      at += part.length;
    }
    const hash = this.#hash(key, value);
    viewOf(value).setUint32(0, hash, true);
    return { type: "set", key, value };
  }

  /**
   * The body of a row, a view on `value`.
   *
   * @throws {RaftError} `corrupt` if the row is missing or damaged.
   */
  body(key: Uint8Array, value: Uint8Array | undefined): Uint8Array {
    if (value === undefined) throw this.corrupt(key, "it is missing");
    if (!this.isIntact(key, value)) {
      throw this.corrupt(key, "its checksum does not fit");
    }
    return value.subarray(ROW_OVERHEAD_BYTES);
  }

  /** Whether a row is as it was written. */
  isIntact(key: Uint8Array, value: Uint8Array): boolean {
    return value.length >= ROW_OVERHEAD_BYTES &&
      viewOf(value).getUint32(0, true) === this.#hash(key, value);
  }

  /** Reads a body; what `read` throws becomes `corrupt`. */
  parse<T>(key: Uint8Array, read: () => T): T {
    try {
      return read();
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw this.corrupt(key, reason, error);
    }
  }

  /** The error that a row deserves. */
  corrupt(key: Uint8Array, what: string, cause?: unknown): Error {
    return corruption(this.#name, key, what, cause);
  }

  #hash(key: Uint8Array, value: Uint8Array): number {
    return hashBytes(
      value.subarray(ROW_OVERHEAD_BYTES),
      hashBytes(key, this.#seed),
    );
  }
}
