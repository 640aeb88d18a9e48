/**
 * How much of the bounds a run has used up, in one number.
 *
 * @module
 */
import { PLAIN_INPUTS, type PlainInput } from "./actions.ts";
import type { Bounds } from "./bounds.ts";

/** Bits of each count. */
const BITS = 6;
const MASK = (1 << BITS) - 1;
/** How many counts there are. */
const COUNTS = 5;
/** The highest bound there may be. */
export const MAX_BOUND: number = MASK;

/** What an input uses up: one of its kind, or nothing. */
export const INPUT_COST: Readonly<Record<PlainInput["type"], number>> = {
  campaign: 0,
  persist: 0,
  propose: 1,
  crash: 1 << BITS,
  heartbeat: 1 << 2 * BITS,
  change: 1 << 3 * BITS,
};

/** What it uses up that a disk falls behind. */
export const STALL_COST: number = 1 << 4 * BITS;

/** Whether a plain input is within the bounds, given what was used up. */
export function isAffordable(
  input: number,
  used: number,
  bounds: Bounds,
): boolean {
  switch (PLAIN_INPUTS[input]?.type) {
    case "propose":
      return (used & MASK) < bounds.entries;
    case "crash":
      return (used >>> BITS & MASK) < bounds.crashes;
    case "heartbeat":
      return (used >>> 2 * BITS & MASK) < bounds.heartbeats;
    case "change":
      return bounds.change !== "none" && (used >>> 3 * BITS & MASK) < 1;
    default:
      return true;
  }
}

/** Whether one more disk may fall behind. */
export function mayStall(used: number, bounds: Bounds): boolean {
  return (used >>> 4 * BITS & MASK) < bounds.stalls;
}

/** Whether no count of `used` is above that of `limit`. */
export function isWithin(used: number, limit: number): boolean {
  if (used === limit) return true;
  for (let place = 0; place < COUNTS; place++) {
    const shift = place * BITS;
    if ((used >>> shift & MASK) > (limit >>> shift & MASK)) return false;
  }
  return true;
}

/** How many uses there were, of whatever kind. */
export function usedInAll(used: number): number {
  let sum = 0;
  for (let place = 0; place < COUNTS; place++) {
    sum += used >>> place * BITS & MASK;
  }
  return sum;
}
