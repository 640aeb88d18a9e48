/**
 * Notices that the process slept: leases count a clock that slept with it.
 *
 * @module
 */

/**
 * Milliseconds by which the clocks may part within a window. A lease of the
 * defaults leaves 40 ms between what was promised and what is counted on.
 */
const MAX_PARTING_MS = 20;
/** Longer than a lease lasts; slow corrections of a clock stay within it. */
const WINDOW_MS = 1_000;

/**
 * Compares the monotonic clock with the wall clock. The former stands still
 * while a machine is suspended (H117), so a lease may have run out without
 * showing; the latter may be set at will (H118), so a difference means only
 * that nothing is known.
 */
export class LeaseGuard {
  /** When the window began, by the monotonic clock. */
  #since: number;
  /** How far the wall clock was ahead then. */
  #offset: number;

  constructor(now: number, wall: number) {
    this.#since = now;
    this.#offset = wall - now;
  }

  /** Whether the clocks have gone on together since the window began. */
  look(now: number, wall: number): boolean {
    const offset = wall - now;
    const agree = Math.abs(offset - this.#offset) <= MAX_PARTING_MS;
    if (!agree || now - this.#since >= WINDOW_MS) {
      this.#since = now;
      this.#offset = offset;
    }
    return agree;
  }
}
