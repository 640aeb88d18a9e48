/**
 * Entries as rows: one each, or several pieces if the payload is larger than
 * a value. See `rows.ts` for the format.
 *
 * @module
 */
import { hashBytes } from "../../src/checksum.ts";
import { ENTRY_CODE, entryFromPayload, entryPayload } from "../../src/codec.ts";
import { storedEntryBytes } from "../../src/storage_checks.ts";
import type { Entry, GroupId, LogIndex } from "../../src/core/types.ts";
import { getU64, joinBytes, setU64, viewOf } from "./bytes.ts";
import { numberedKey, parseNumberedKey, PART } from "./keys.ts";
import type { KvRow, KvSet } from "./ordered_kv.ts";
import { ROW_OVERHEAD_BYTES, type RowCodec } from "./rows.ts";

const HEAD_BYTES = 17;

/** An entry that was read, and the bytes it counts for in limits. */
export interface StoredEntry {
  readonly entry: Entry;
  readonly bytes: number;
}

/** How entries of one storage are cut. */
export interface EntryRows {
  readonly codec: RowCodec;
  /** Bytes of a value of the engine. */
  readonly valueBytes: number;
}

/** The rows of an entry, with copies of its bytes. */
export function encodeEntry(
  { codec, valueBytes }: EntryRows,
  group: GroupId,
  entry: Entry,
): KvSet[] {
  const payload = entryPayload(entry);
  const pieceBytes = valueBytes - ROW_OVERHEAD_BYTES;
  const firstBytes = Math.min(payload.length, pieceBytes - HEAD_BYTES);
  const head = new Uint8Array(HEAD_BYTES);
  const view = viewOf(head);
  head[0] = ENTRY_CODE[entry.type];
  setU64(view, 1, entry.term);
  view.setUint32(9, payload.length, true);
  const isCut = firstBytes < payload.length;
  view.setUint32(13, isCut ? hashBytes(payload) : 0, true);
  const keyOf = (piece: number) =>
    numberedKey(group, PART.entries, entry.index, piece);
  const rows = [codec.set(keyOf(0), head, payload.subarray(0, firstBytes))];
  for (let at = firstBytes; at < payload.length; at += pieceBytes) {
    const piece = payload.subarray(at, at + pieceBytes);
    rows.push(codec.set(keyOf(rows.length), piece));
  }
  return rows;
}

/** Puts the rows of entries together again, in order or in reverse. */
export class EntryAssembler {
  readonly #rows: EntryRows;
  /** Entry that `#pieces` are of. */
  #index: LogIndex = 0;
  /** By number; those in front are missing as long as rows come in reverse. */
  #pieces: (Uint8Array | undefined)[] = [];

  /** Starts with nothing. */
  constructor(rows: EntryRows) {
    this.#rows = rows;
  }

  /**
   * Takes the next row; returns an entry if that makes one whole. Pieces
   * behind the last one that an entry says it has count for nothing.
   *
   * @throws {RaftError} `corrupt` if the row is damaged.
   */
  take([key, value]: KvRow): StoredEntry | undefined {
    const { codec } = this.#rows;
    const { number, piece } = codec.parse(key, () => parseNumberedKey(key));
    if (number !== this.#index) {
      this.#index = number;
      this.#pieces = [];
    }
    this.#pieces[piece] = codec.body(key, value);
    const head = this.#pieces[0];
    // Whole already: this piece is a leftover of a longer entry.
    if (head === undefined || head.length === 0) return undefined;
    return codec.parse(key, () => this.#assemble(head));
  }

  #assemble(head: Uint8Array): StoredEntry | undefined {
    if (head.length < HEAD_BYTES) {
      throw new Error(`Cannot read an entry: its row has ${head.length} bytes`);
    }
    const view = viewOf(head);
    const length = view.getUint32(9, true);
    const parts: Uint8Array[] = [];
    let bytes = 0;
    for (let at = 0; at === 0 || bytes < length; at++) {
      const piece = this.#pieces[at];
      if (piece === undefined) return undefined;
      const part = at === 0 ? piece.subarray(HEAD_BYTES) : piece;
      if (at > 0 && part.length === 0) break;
      parts.push(part);
      bytes += part.length;
    }
    const payload = joinBytes(parts);
    const hash = parts.length > 1 ? hashBytes(payload) : 0;
    if (payload.length !== length || hash !== view.getUint32(13, true)) {
      throw new Error(
        `Cannot read entry ${this.#index}: it has ${payload.length} bytes, wanted ${length}, or other ones than written`,
      );
    }
    this.#pieces = [new Uint8Array(0)];
    const term = getU64(view, 1);
    const entry = entryFromPayload(head[0] ?? 0, term, this.#index, payload);
    return { entry, bytes: storedEntryBytes(entry) };
  }
}
