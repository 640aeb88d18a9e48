/**
 * Snapshots on their way into a key-value storage, and out of it: pieces of
 * one size, numbered, under an id that is used once.
 *
 * @module
 */
import { hashInteger } from "../../src/checksum.ts";
import { copyBytes } from "../../src/codec.ts";
import { RaftError } from "../../src/errors.ts";
import type { SnapshotReader, SnapshotWriter } from "../../src/storage.ts";
import type { GroupId } from "../../src/core/types.ts";
import { Breather } from "./breather.ts";
import { viewOf } from "./bytes.ts";
import type { StoredSnapshot } from "./group.ts";
import { numberedKey, PART } from "./keys.ts";
import type { KvSet } from "./ordered_kv.ts";
import type { ReadSource } from "./reader.ts";
import type { SnapshotData } from "./state_row.ts";

/** Which pieces. */
export interface PieceSeries {
  readonly group: GroupId;
  readonly id: number;
  readonly pieceBytes: number;
}

/** What came of a snapshot so far. */
export interface PiecesSoFar {
  /** Whole pieces. */
  readonly count: number;
  /** Over the hashes of the whole pieces. */
  readonly hash: number;
  /** What came behind them. */
  readonly rest: Uint8Array;
}

/** Nothing came yet. */
export const NO_PIECES: PiecesSoFar = {
  count: 0,
  hash: 0,
  rest: new Uint8Array(0),
};

/** Where a snapshot goes. */
export interface SnapshotTarget {
  /** Stores a piece; resolves once it is durable. */
  readonly store: (piece: KvSet) => Promise<void>;
  /** Makes the whole durable and visible. */
  readonly add: (data: SnapshotData) => Promise<void>;
  /** Keeps what there is for later, if it can be found again. */
  readonly keep: () => Promise<void>;
  /** Removes what there is. Never rejects. */
  readonly drop: () => Promise<void>;
  /** Called once, whatever became of it. */
  readonly end: () => void;
}

/** Takes the chunks of one snapshot, and stores them in pieces. */
export class PieceWriter implements SnapshotWriter {
  readonly #source: ReadSource;
  readonly #series: PieceSeries;
  readonly #target: SnapshotTarget;
  /** The piece that is being filled, up to `#filled`. */
  readonly #piece: Uint8Array;
  #filled: number;
  /** Whole pieces that are stored. */
  #count: number;
  #hash: number;
  #offset: number;
  #isOver = false;
  /** Settles when no earlier call is at work: calls may overlap. */
  #queue: Promise<unknown> = Promise.resolve();

  /** Goes on behind what came so far. */
  constructor(
    source: ReadSource,
    series: PieceSeries,
    options: { readonly target: SnapshotTarget; readonly soFar: PiecesSoFar },
  ) {
    const { count, hash, rest } = options.soFar;
    this.#source = source;
    this.#series = series;
    this.#target = options.target;
    this.#piece = new Uint8Array(series.pieceBytes);
    this.#piece.set(rest);
    this.#filled = rest.length;
    this.#count = count;
    this.#hash = hash;
    this.#offset = count * series.pieceBytes + rest.length;
  }

  /** Bytes it has. */
  get offset(): number {
    return this.#offset;
  }

  /** See {@linkcode SnapshotWriter.write}. */
  write(chunk: Uint8Array, at?: number): Promise<boolean> {
    if (this.#isOver) return Promise.reject(overError());
    const own = copyBytes(chunk);
    return this.#enqueue(() => this.#write(own, at ?? this.#offset));
  }

  /** Makes it durable and visible. */
  commit(): Promise<void> {
    if (this.#isOver) return Promise.reject(overError());
    this.#isOver = true;
    return this.#enqueue(async () => {
      try {
        const bytes = this.#offset;
        if (this.#filled > 0) await this.#store();
        const { id, pieceBytes } = this.#series;
        await this.#target.add({ id, pieceBytes, bytes, hash: this.#hash });
      } finally {
        this.#target.end();
      }
    });
  }

  /** Throws it away. Harmless when it is over. */
  abort(): Promise<void> {
    if (this.#isOver) return Promise.resolve();
    this.#isOver = true;
    return this.#enqueue(async () => {
      await this.#target.drop();
      this.#target.end();
    });
  }

  /** See {@linkcode SnapshotWriter.suspend}. Harmless when it is over. */
  suspend(): Promise<void> {
    if (this.#isOver) return Promise.resolve();
    this.#isOver = true;
    return this.#enqueue(async () => {
      try {
        if (this.#filled > 0) await this.#store();
        await this.#target.keep();
      } finally {
        this.#target.end();
      }
    });
  }

  #enqueue<T>(action: () => Promise<T>): Promise<T> {
    const done = this.#queue.then(action);
    this.#queue = done.catch(() => {});
    return done;
  }

  async #write(chunk: Uint8Array, at: number): Promise<boolean> {
    if (at > this.#offset) return false;
    let rest = chunk.subarray(this.#offset - at);
    while (rest.length > 0) {
      const room = this.#piece.length - this.#filled;
      const part = rest.subarray(0, room);
      this.#piece.set(part, this.#filled);
      this.#filled += part.length;
      this.#offset += part.length;
      rest = rest.subarray(part.length);
      if (this.#filled === this.#piece.length) await this.#store();
    }
    return true;
  }

  async #store(): Promise<void> {
    const { group, id } = this.#series;
    const key = numberedKey(group, PART.snapshots, id, this.#count);
    const body = this.#piece.subarray(0, this.#filled);
    const row = this.#source.codec.set(key, body);
    await this.#target.store(row);
    this.#hash = addHash(this.#hash, row.value);
    this.#count++;
    this.#filled = 0;
  }
}

/** Whole and intact pieces from the first one on, and what is behind them. */
export async function readSoFar(
  { kv, codec }: ReadSource,
  { group, id, pieceBytes }: PieceSeries,
): Promise<PiecesSoFar> {
  let count = 0;
  let hash = 0;
  for (;;) {
    const key = numberedKey(group, PART.snapshots, id, count);
    const value = await kv.get(key);
    if (value === undefined || !codec.isIntact(key, value)) break;
    const rest = codec.body(key, value);
    if (rest.length !== pieceBytes) return { count, hash, rest };
    hash = addHash(hash, value);
    count++;
  }
  return { ...NO_PIECES, count, hash };
}

/** Who must not lose a snapshot while somebody reads it. */
export interface ReaderPins {
  readonly token: string;
  /** Whether its pieces are still there. */
  readonly isKept: () => boolean;
  readonly release: () => void;
}

/** A reader of a stored snapshot. */
export function pieceReader(
  source: ReadSource,
  group: GroupId,
  stored: StoredSnapshot & { readonly pins: ReaderPins },
): SnapshotReader {
  const { meta, data, pins } = stored;
  return {
    meta: structuredClone(meta),
    bytes: data.bytes,
    token: pins.token,
    chunks: (fromOffset = 0) => readPieces(source, group, stored, fromOffset),
    release: pins.release,
  };
}

async function* readPieces(
  { kv, codec }: ReadSource,
  group: GroupId,
  stored: StoredSnapshot & { readonly pins: ReaderPins },
  fromOffset: number,
): AsyncGenerator<Uint8Array> {
  const { id, bytes, pieceBytes, hash: wanted } = stored.data;
  const first = Math.floor(fromOffset / pieceBytes);
  const breather = new Breather();
  let hash = 0;
  for (let at = first; at * pieceBytes < bytes; at++) {
    await breather.breathe();
    const key = numberedKey(group, PART.snapshots, id, at);
    const value = await kv.get(key);
    if (value === undefined && !stored.pins.isKept()) {
      throw new RaftError(
        "compacted",
        `Cannot read the snapshot of group ${group} at ${stored.meta.index}: a newer one has replaced it`,
      );
    }
    const body = codec.body(key, value);
    if (body.length !== Math.min(pieceBytes, bytes - at * pieceBytes)) {
      throw codec.corrupt(key, `it has ${body.length} bytes`);
    }
    hash = addHash(hash, value ?? body);
    const isLast = (at + 1) * pieceBytes >= bytes;
    if (isLast && first === 0 && hash !== wanted) {
      throw codec.corrupt(key, "the snapshot is not the one that was stored");
    }
    const skipped = Math.max(0, fromOffset - at * pieceBytes);
    if (skipped < body.length) yield copyBytes(body.subarray(skipped));
  }
}

/** The hash over pieces once one more is there. */
function addHash(hash: number, value: Uint8Array): number {
  return hashInteger(viewOf(value).getUint32(0, true), hash);
}

function overError(): RangeError {
  return new RangeError(
    "Cannot write to the snapshot: it was committed, suspended or thrown away",
  );
}
