/**
 * Time that stands still until a test moves it.
 *
 * @module
 */
import type { Clock } from "../../../src/host/clock.ts";

interface Timer {
  readonly id: number;
  readonly at: number;
  readonly callback: () => void;
}

/** A clock for any number of hosts; callbacks run when the test says so. */
export class ManualClock implements Clock {
  #now = 0;
  #lastId = 0;
  #timers: Timer[] = [];
  #scheduled: (() => void)[] = [];

  /** By how much the wall clock is ahead; a test may set it. */
  wallOffset = 1_000_000;

  now(): number {
    return this.#now;
  }

  wallNow(): number {
    return this.#now + this.wallOffset;
  }

  setTimer(callback: () => void, delayMs: number): number {
    const id = ++this.#lastId;
    this.#timers.push({ id, at: this.#now + Math.max(delayMs, 0), callback });
    return id;
  }

  clearTimer(id: number): void {
    this.#timers = this.#timers.filter((timer) => timer.id !== id);
  }

  schedule(callback: () => void): void {
    this.#scheduled.push(callback);
  }

  get timerCount(): number {
    return this.#timers.length;
  }

  get scheduledCount(): number {
    return this.#scheduled.length;
  }

  /** Runs what was scheduled before the call; whether anything was. */
  runScheduled(): boolean {
    const callbacks = this.#scheduled;
    this.#scheduled = [];
    for (const callback of callbacks) callback();
    return callbacks.length > 0;
  }

  /** Time passes without any timer firing, as in a stall. */
  skip(ms: number): void {
    this.#now += ms;
  }

  /** Fires the next timer due by `limit`, at its time; whether there was. */
  fireNext(limit: number): boolean {
    const [next] = this.#timers.filter((timer) => timer.at <= limit).sort(
      (a, b) => a.at - b.at || a.id - b.id,
    );
    if (next === undefined) {
      this.#now = Math.max(this.#now, limit);
      return false;
    }
    this.clearTimer(next.id);
    this.#now = Math.max(this.#now, next.at);
    next.callback();
    return true;
  }
}
