/**
 * CRC-32 (IEEE 802.3) in plain JavaScript, for runtimes without zlib.
 *
 * @module
 */

const TABLE: Uint32Array = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) {
    value = (value >>> 1) ^ (value & 1 ? 0xedb8_8320 : 0);
  }
  return value;
});

/** The checksum of what `previous` covers followed by `bytes`, unsigned. */
export function crc32(bytes: Uint8Array, previous = 0): number {
  let value = ~previous;
  for (let at = 0; at < bytes.length; at++) {
    const index = (value ^ (bytes[at] ?? 0)) & 0xff;
    value = (value >>> 8) ^ (TABLE[index] ?? 0);
  }
  return ~value >>> 0;
}
