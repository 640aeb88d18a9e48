/**
 * Notices that the process slept: leases count a clock that slept with it.
 *
 * @module
 */

/** Milliseconds by which two clocks may differ between two looks. */
const MAX_JUMP_MS = 100;

/**
 * Compares the monotonic clock with the wall clock. The former stands still
 * while a machine is suspended (H117), so a lease may have run out without
 * showing; the latter may be set at will (H118), so a difference means only
 * that nothing is known.
 */
export class LeaseGuard {
  #lastNow: number;
  #lastWall: number;

  constructor(now: number, wall: number) {
    this.#lastNow = now;
    this.#lastWall = wall;
  }

  /** Whether the clocks went on together since the last look. */
  look(now: number, wall: number): boolean {
    const drift = (wall - this.#lastWall) - (now - this.#lastNow);
    this.#lastNow = now;
    this.#lastWall = wall;
    return Math.abs(drift) <= MAX_JUMP_MS;
  }
}
