/**
 * How much goes to the core in one call.
 *
 * @module
 */
import type { Proposal } from "./proposal.ts";

/** Commands handed to the core in one call, at most. */
const MAX_CHUNK_COUNT = 1_024;
/** Bytes of commands handed to the core in one call; one always fits. */
const MAX_CHUNK_BYTES = 1 << 20;

/** Whether a chunk has no room for a proposal and those that leave with it. */
export function isFull<R>(
  chunk: readonly Proposal<R>[],
  bytes: number,
  { bytes: own, unit }: Proposal<R>,
): boolean {
  if (chunk.length === 0) return false;
  if (unit === null) {
    return chunk.length >= MAX_CHUNK_COUNT || bytes + own > MAX_CHUNK_BYTES;
  }
  let total = bytes;
  for (const proposal of unit) total += proposal.bytes;
  return chunk.length + unit.length > MAX_CHUNK_COUNT ||
    total > MAX_CHUNK_BYTES;
}
