/**
 * Time and turns: the one place where a host touches timers.
 *
 * @module
 */

/**
 * What a host needs of time. Tests hand in one they move by hand; everybody
 * else uses {@linkcode systemClock}.
 *
 * To be correct, a clock keeps to this list:
 *
 * 1. `now` never goes backwards (H118).
 * 2. Every callback runs on its own, never inside the call that asked for it.
 * 3. Callbacks given to `schedule` run in order, in a later macrotask, so
 *    that what the network has ready is delivered together.
 * 4. A timer fires at most once and never early; late is tolerated (H119).
 */
export interface Clock {
  /** A monotonic reading in milliseconds, with a fraction if available. */
  now(): number;
  /**
   * The wall clock in milliseconds, which may be set at will (H118). Serves
   * only to notice that the other one stood still (H117).
   */
  wallNow(): number;
  /** Calls back once, `delayMs` or more milliseconds from now. */
  setTimer(callback: () => void, delayMs: number): number;
  /** Forgets a timer; harmless if it has fired. */
  clearTimer(timer: number): void;
  /** Calls back as soon as the current macrotask is over. */
  schedule(callback: () => void): void;
}

/** Beyond this `setTimeout` fires at once (H119). */
const MAX_TIMER_MS = 2_147_483_647;

/**
 * The clock of the runtime: `performance.now`, `setTimeout`, and
 * `setImmediate` or, where that is missing, a message channel.
 */
export function systemClock(): Clock {
  return new SystemClock();
}

class SystemClock implements Clock {
  /** Timers that have not fired, by the number given out for them. */
  readonly #timers = new Map<number, ReturnType<typeof setTimeout>>();
  readonly #schedule: (callback: () => void) => void = scheduler();
  /** Numbers are never used twice. */
  #lastTimer = 0;

  now(): number {
    return performance.now();
  }

  wallNow(): number {
    return Date.now();
  }

  setTimer(callback: () => void, delayMs: number): number {
    const timer = ++this.#lastTimer;
    const fire = () => {
      this.#timers.delete(timer);
      callback();
    };
    const delay = Math.min(Math.max(delayMs, 0), MAX_TIMER_MS);
    this.#timers.set(timer, setTimeout(fire, delay));
    return timer;
  }

  clearTimer(timer: number): void {
    const handle = this.#timers.get(timer);
    if (handle === undefined) return;
    this.#timers.delete(timer);
    clearTimeout(handle);
  }

  schedule(callback: () => void): void {
    this.#schedule(callback);
  }
}

/**
 * `setImmediate` runs right after the sockets were polled, which is what
 * makes a turn see everything that arrived; it is no web standard, so it is
 * looked up rather than named.
 */
function scheduler(): (callback: () => void) => void {
  const immediate: unknown = Reflect.get(globalThis, "setImmediate");
  if (typeof immediate === "function") {
    return (callback) => {
      immediate(callback);
    };
  }
  return channelScheduler();
}

/** The same by a message channel, for browsers and workers. */
function channelScheduler(): (callback: () => void) => void {
  const { port1, port2 } = new MessageChannel();
  const waiting: (() => void)[] = [];
  port1.onmessage = () => waiting.shift()?.();
  return (callback) => {
    waiting.push(callback);
    port2.postMessage(null);
  };
}
