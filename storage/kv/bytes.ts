/**
 * Small things that are done with bytes: integers in both orders, comparison,
 * joining.
 *
 * @module
 */

const TWO_POW_32 = 0x1_0000_0000;

/** A view on the same bytes. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** Writes a safe integer ≥ 0, least significant byte first. */
export function setU64(view: DataView, at: number, value: number): void {
  view.setUint32(at, value % TWO_POW_32, true);
  view.setUint32(at + 4, Math.floor(value / TWO_POW_32), true);
}

/**
 * Reads an integer, least significant byte first.
 *
 * @throws {Error} If it is not a safe one.
 */
export function getU64(view: DataView, at: number): number {
  const low = view.getUint32(at, true);
  return requireSafe(view.getUint32(at + 4, true) * TWO_POW_32 + low);
}

/** Writes a safe integer ≥ 0, most significant byte first. */
export function setU64Be(view: DataView, at: number, value: number): void {
  view.setUint32(at, Math.floor(value / TWO_POW_32));
  view.setUint32(at + 4, value % TWO_POW_32);
}

/**
 * Reads an integer, most significant byte first.
 *
 * @throws {Error} If it is not a safe one.
 */
export function getU64Be(view: DataView, at: number): number {
  return requireSafe(view.getUint32(at) * TWO_POW_32 + view.getUint32(at + 4));
}

function requireSafe(value: number): number {
  if (Number.isSafeInteger(value)) return value;
  throw new Error(`Cannot read an integer: ${value} is not a safe one`);
}

/** Negative, 0 or positive, as `left` is before, equal to, behind `right`. */
export function compareBytes(left: Uint8Array, right: Uint8Array): number {
  const shared = Math.min(left.length, right.length);
  for (let at = 0; at < shared; at++) {
    const difference = (left[at] ?? 0) - (right[at] ?? 0);
    if (difference !== 0) return difference;
  }
  return left.length - right.length;
}

/** Whether two optional byte strings are the same. */
export function isSameBytes(
  left: Uint8Array | undefined,
  right: Uint8Array | undefined,
): boolean {
  if (left === undefined || right === undefined) return left === right;
  return left.length === right.length && compareBytes(left, right) === 0;
}

/** All parts in one array of their own. */
export function joinBytes(parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const joined = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}
