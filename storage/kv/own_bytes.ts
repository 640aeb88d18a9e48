/**
 * Bytes that an engine hands out, whatever it wraps them in.
 *
 * @module
 */
import { copyBytes } from "../../src/codec.ts";

/**
 * A plain array of bytes that belongs to nobody else.
 *
 * @throws {TypeError} If they are no bytes.
 */
export function toOwnBytes(value: unknown): Uint8Array {
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  if (value instanceof Uint8Array) {
    const isPlain = Object.getPrototypeOf(value) === Uint8Array.prototype &&
      value.byteLength === value.buffer.byteLength;
    return isPlain ? value : copyBytes(value);
  }
  throw new TypeError(`Cannot read a row: ${typeof value}, wanted bytes`);
}
