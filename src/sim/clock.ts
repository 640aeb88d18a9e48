/**
 * The clocks of a host: a monotonic one with a rate of its own, which stands
 * still while the machine is suspended (H117), and the wall clock, which does
 * not, and which somebody may set.
 *
 * @module
 */

/** What a process on some host reads; all in whole milliseconds. */
export class SimClock {
  /** Rate in thousandths; 1000 is exact. */
  readonly ratePermille: number;
  /** Virtual time spent in suspension that has ended. */
  #suspendedMs = 0;
  /** When the present suspension began. */
  #suspendedSince: number | undefined;
  /** By how much the wall clock was set forward. */
  #wallOffsetMs = 0;

  /** Makes a clock that starts at 0 with virtual time. */
  constructor(ratePermille: number) {
    this.ratePermille = ratePermille;
  }

  /** The monotonic clock at virtual time `now`; never decreases. */
  mono(now: number): number {
    const awakeUntil = this.#suspendedSince ?? now;
    const awakeMs = awakeUntil - this.#suspendedMs;
    return Math.floor(awakeMs * this.ratePermille / 1000);
  }

  /** The wall clock at virtual time `now`; may jump either way. */
  wall(now: number): number {
    return Math.floor(now * this.ratePermille / 1000) + this.#wallOffsetMs;
  }

  /**
   * The first virtual time from `now` on at which the monotonic clock shows
   * `mono`, if the machine is not suspended.
   */
  timeOf(mono: number, now: number): number {
    const awakeMs = Math.ceil(mono * 1000 / this.ratePermille);
    return Math.max(now, awakeMs + this.#suspendedMs);
  }

  /** The machine sleeps: the monotonic clock stands still. */
  suspend(now: number): void {
    this.#suspendedSince ??= now;
  }

  /** The machine is awake again. */
  wake(now: number): void {
    if (this.#suspendedSince === undefined) return;
    this.#suspendedMs += now - this.#suspendedSince;
    this.#suspendedSince = undefined;
  }

  /** Somebody sets the wall clock. */
  step(byMs: number): void {
    this.#wallOffsetMs += byMs;
  }
}
