/**
 * One lazy timer for all groups of a host.
 *
 * @module
 */
import type { Clock } from "./clock.ts";

/** How ticks are made. */
export interface TickerOptions {
  readonly clock: Clock;
  readonly tickMs: number;
  /** Uniform in [0, 1): hosts started together tick apart (H16). */
  readonly random: () => number;
  readonly onTick: () => void;
}

/**
 * Calls `onTick` at the points of a fixed grid. Points that were slept
 * through are left out, never made up for; and after a long sleep the network
 * is read before the tick, since what looks like silence may be a full socket
 * buffer (H116).
 */
export class Ticker {
  readonly #options: TickerOptions;
  /** When the grid begins. */
  readonly #origin: number;
  /** The grid point the timer is set for; meaningful while it runs. */
  #nextAt = 0;
  #timer: number | null = null;
  /** The network was given its turn since the timer fired late. */
  #drained = false;

  constructor(options: TickerOptions) {
    this.#options = options;
    const { clock, random, tickMs } = options;
    this.#origin = clock.now() + random() * tickMs;
  }

  /** Starts to tick, unless it does. */
  start(): void {
    if (this.#timer === null) this.#arm(this.#options.clock.now());
  }

  /** Stops to tick. */
  stop(): void {
    if (this.#timer === null) return;
    this.#options.clock.clearTimer(this.#timer);
    this.#timer = null;
  }

  #arm(now: number): void {
    const { tickMs } = this.#options;
    const passed = Math.floor((now - this.#origin) / tickMs);
    this.#nextAt = this.#origin + (passed + 1) * tickMs;
    this.#wait(this.#nextAt - now);
  }

  #wait(delayMs: number): void {
    this.#timer = this.#options.clock.setTimer(() => this.#fire(), delayMs);
  }

  #fire(): void {
    const { clock, onTick, tickMs } = this.#options;
    const now = clock.now();
    if (now < this.#nextAt) {
      this.#wait(this.#nextAt - now);
      return;
    }
    if (now - this.#nextAt > tickMs && !this.#drained) {
      this.#drained = true;
      this.#wait(1);
      return;
    }
    this.#drained = false;
    this.#arm(now);
    onTick();
  }
}
