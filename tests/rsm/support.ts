/**
 * What the tests of machines share.
 *
 * @module
 */
import { EMPTY_CONF } from "../../src/core/types.ts";
import type { CommandEntry, SnapshotMeta } from "../../src/core/types.ts";
import type { SnapshotSource } from "../../src/state_machine.ts";

/** A generator of numbers in [0, 1), equal for equal seeds. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
  };
}

/** An integer in [0, bound). */
export function below(random: () => number, bound: number): number {
  return Math.floor(random() * bound);
}

/** A committed command. */
export function commandEntry(index: number, data: Uint8Array): CommandEntry {
  return { type: "command", term: 1, index, data };
}

/** Identity of a snapshot at `index`. */
export function metaAt(index: number): SnapshotMeta {
  return { index, term: 1, conf: EMPTY_CONF };
}

/** All bytes of a snapshot. */
export async function readAll(source: SnapshotSource): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of source.chunks()) {
    chunks.push(new Uint8Array(chunk));
  }
  source.release?.();
  return join(chunks);
}

/** One array of many. */
export function join(chunks: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(
    chunks.reduce((length, chunk) => length + chunk.length, 0),
  );
  let filled = 0;
  for (const chunk of chunks) {
    whole.set(chunk, filled);
    filled += chunk.length;
  }
  return whole;
}

/**
 * The bytes in pieces of `size`, each overwritten once the reader asks for the
 * next one: what the reader keeps, it must have copied (H121).
 */
export async function* inPieces(
  bytes: Uint8Array,
  size: number = bytes.length,
): AsyncGenerator<Uint8Array, void, undefined> {
  for (let from = 0; from < bytes.length; from += Math.max(size, 1)) {
    const piece = bytes.slice(from, from + Math.max(size, 1));
    yield piece;
    piece.fill(0xaa);
  }
}

/** Bytes of text. */
export function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** Hexadecimal digits of bytes. */
export function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0"))
    .join("");
}
