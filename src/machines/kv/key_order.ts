/**
 * Keys in the order of their UTF-8 bytes, which is the order of their code
 * points, equal on every runtime and in every locale (H127).
 *
 * JavaScript compares strings by UTF-16 code units, which differs where
 * surrogates meet U+E000 to U+FFFF. So the map holds *sort keys*: these two
 * ranges of code units are swapped, after which `<` is the wanted order.
 * Keys without such units, nearly all, are their own sort keys.
 *
 * @module
 */
import { MAX_KEY_BYTES } from "./types.ts";

/** Any code unit at which the two orders can differ. */
const HIGH_UNITS = /[\ud800-\uffff]/;

/** The sort key of a key or prefix; its code units correspond one to one. */
export function toSortKey(key: string): string {
  return HIGH_UNITS.test(key) ? mapUnits(key, raiseSurrogate) : key;
}

/** The inverse of {@linkcode toSortKey}. */
export function fromSortKey(sortKey: string): string {
  return HIGH_UNITS.test(sortKey) ? mapUnits(sortKey, lowerSurrogate) : sortKey;
}

/** U+D800–DFFF above U+E000–FFFF: to F800–FFFF, those down to D800–F7FF. */
function raiseSurrogate(unit: number): number {
  if (unit < 0xd800) {
    return unit;
  }
  return unit < 0xe000 ? unit + 0x2000 : unit - 0x800;
}

function lowerSurrogate(unit: number): number {
  if (unit < 0xd800) {
    return unit;
  }
  return unit < 0xf800 ? unit + 0x800 : unit - 0x2000;
}

function mapUnits(text: string, map: (unit: number) => number): string {
  let mapped = "";
  for (let at = 0; at < text.length; at++) {
    mapped += String.fromCharCode(map(text.charCodeAt(at)));
  }
  return mapped;
}

/** Length of well-formed text in bytes of UTF-8. */
export function utf8Length(text: string): number {
  let bytes = text.length;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (unit >= 0x80) {
      // A surrogate is half of a code point that takes four bytes.
      bytes += unit < 0x800 || (unit >= 0xd800 && unit < 0xe000) ? 1 : 2;
    }
  }
  return bytes;
}

/** Whether `key` is well-formed and 1 to {@linkcode MAX_KEY_BYTES} long. */
export function isKvKey(key: string): boolean {
  return key.length > 0 && key.length <= MAX_KEY_BYTES && key.isWellFormed() &&
    (key.length * 3 <= MAX_KEY_BYTES || utf8Length(key) <= MAX_KEY_BYTES);
}
