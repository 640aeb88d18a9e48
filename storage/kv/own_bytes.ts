/**
 * Bytes that an engine hands out, whatever it wraps them in.
 *
 * @module
 */
import { copyBytes } from "../../src/codec.ts";
import { RaftError } from "../../src/errors.ts";

/**
 * A plain array of bytes that belongs to nobody else.
 *
 * @throws {RaftError} `corrupt` if they are no bytes: the data of this name
 * holds nothing else.
 */
export function toOwnBytes(name: string, value: unknown): Uint8Array {
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  if (value instanceof Uint8Array) {
    const isPlain = Object.getPrototypeOf(value) === Uint8Array.prototype &&
      value.byteLength === value.buffer.byteLength;
    return isPlain ? value : copyBytes(value);
  }
  throw new RaftError(
    "corrupt",
    `Cannot trust "${name}": a row holds a ${typeof value}, wanted bytes`,
    { file: name, offset: 0 },
  );
}
