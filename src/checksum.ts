/**
 * A fast 32-bit hash (MurmurHash3, x86 32 bit) in plain arithmetic, equal on
 * every runtime: guards snapshots against damage and compares replicas. It
 * finds accidents, not attackers.
 *
 * @module
 */

const C1 = 0xcc9e2d51;
const C2 = 0x1b873593;

/** One 32-bit word, stirred. */
function scramble(word: number): number {
  const product = Math.imul(word, C1);
  return Math.imul((product << 15) | (product >>> 17), C2);
}

/** Takes a stirred word into the hash. */
function absorb(hash: number, scrambled: number): number {
  const mixed = hash ^ scrambled;
  return (Math.imul((mixed << 13) | (mixed >>> 19), 5) + 0xe6546b64) | 0;
}

/** Spreads what is left over all bits; the result is unsigned. */
function finish(hash: number, length: number): number {
  let mixed = hash ^ length;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

/** Hash of bytes, an unsigned 32-bit integer. */
export function hashBytes(bytes: Uint8Array, seed = 0): number {
  const length = bytes.length;
  const whole = length & ~3;
  const view = new DataView(bytes.buffer, bytes.byteOffset, length);
  let hash = seed | 0;
  for (let at = 0; at < whole; at += 4) {
    hash = absorb(hash, scramble(view.getInt32(at, true)));
  }
  let rest = 0;
  for (let at = length - 1; at >= whole; at--) {
    rest = (rest << 8) | view.getUint8(at);
  }
  return finish(hash ^ scramble(rest), length);
}

/** Hash of a string's UTF-16 code units, an unsigned 32-bit integer. */
export function hashText(text: string, seed = 0): number {
  let hash = seed | 0;
  for (let at = 0; at < text.length; at++) {
    hash = absorb(hash, scramble(text.charCodeAt(at)));
  }
  return finish(hash, text.length);
}

/** Hash of a safe integer ≥ 0, an unsigned 32-bit integer. */
export function hashInteger(value: number, seed = 0): number {
  const high = Math.floor(value / 0x1_0000_0000);
  return finish(
    absorb(absorb(seed | 0, scramble(value | 0)), scramble(high)),
    8,
  );
}
