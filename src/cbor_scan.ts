/**
 * Walks over CBOR from outside before anything decodes it: bounds depth and
 * count, and lets only the forms pass that Balsa itself writes (H134).
 *
 * @module
 */

/** What one CBOR item from outside may hold. */
export interface CborLimits {
  /** Arrays within arrays; 1 for a flat array. */
  readonly maxDepth: number;
  /** Items altogether, arrays included. */
  readonly maxItems: number;
}

/** What a scan found. */
export interface CborScan {
  /** Whether there are byte strings that are not empty. */
  readonly hasBytes: boolean;
}

const HAS_BYTES: CborScan = { hasBytes: true };
const NO_BYTES: CborScan = { hasBytes: false };

/**
 * Checks that `bytes` is exactly one CBOR item made of unsigned safe integers
 * (H122), byte and text strings of known length, booleans, null and arrays
 * within the limits. Maps (H133), tags, floats and indefinite lengths are
 * refused. Allocates nothing that depends on the input but one small stack,
 * recurses never, and reads each head once.
 *
 * @throws {Error} If not; the message says where.
 */
export function scanCbor(bytes: Uint8Array, limits: CborLimits): CborScan {
  const end = bytes.length;
  // Items still to come in each open array; the outermost "array" is the
  // input, which holds exactly one.
  const open: number[] = [1];
  let remaining = 1;
  let items = 0;
  let hasBytes = false;
  let at = 0;
  for (;;) {
    while (remaining === 0) {
      open.pop();
      const outer = open.length;
      if (outer === 0) {
        if (at !== end) fail(`${end - at} bytes follow the item`, at);
        return hasBytes ? HAS_BYTES : NO_BYTES;
      }
      remaining = open[outer - 1] ?? 0;
    }
    remaining--;
    if (at >= end) fail("it ends inside an item", at);
    if (++items > limits.maxItems) {
      fail(`more than ${limits.maxItems} items`, at);
    }
    const head = bytes[at] ?? 0;
    const major = head >> 5;
    if (major === 7) {
      if (head < 0xf4 || head > 0xf6) fail("a float or unknown simple", at);
      at++;
      continue;
    }
    if (major === 1 || major > 4) fail(`items of type ${major}`, at);
    const width = headBytes(head);
    if (width === 0 || at + width > end) fail("a head is damaged", at);
    const value = width === 1 ? head & 31 : argument(bytes, at, width);
    if (value > Number.MAX_SAFE_INTEGER) fail("an integer above 2^53-1", at);
    at += width;
    if (major === 0) continue;
    // Each item takes at least a byte: a count beyond the rest is a lie.
    if (value > end - at) fail("a length beyond the end", at);
    if (major !== 4) {
      if (major === 2 && value > 0) hasBytes = true;
      at += value;
      continue;
    }
    if (open.length > limits.maxDepth) fail("arrays nest too deep", at);
    open[open.length - 1] = remaining;
    open.push(value);
    remaining = value;
  }
}

/** Length of a head with its argument; 0 for forms that are not allowed. */
function headBytes(head: number): number {
  const low = head & 31;
  if (low < 24) return 1;
  return low > 27 ? 0 : 1 + (1 << (low - 24));
}

function argument(bytes: Uint8Array, at: number, width: number): number {
  let value = 0;
  for (let i = at + 1; i < at + width; i++) {
    value = value * 256 + (bytes[i] ?? 0);
  }
  return value;
}

function fail(what: string, at: number): never {
  throw new Error(`Cannot decode CBOR: ${what}, at byte ${at}`);
}
