/**
 * Virtual time: what is to happen, ordered by (time, order of scheduling).
 *
 * @module
 */

/** Longest virtual time of a run, 2^23 ms: keys stay exact below it. */
export const MAX_TIME_MS = 8_388_608;

const MAX_EVENTS = 2 ** 30;

/**
 * A queue of events in virtual time. Two events of the same millisecond come
 * in the order in which they were scheduled, so a run has one order only.
 */
export class EventQueue<T> {
  /** A binary heap of `time * 2^30 + sequence`; unique, so never tied. */
  readonly #keys: number[] = [];
  readonly #events: T[] = [];
  #sequence = 0;
  #now = 0;

  /** The time of the last event taken, in virtual milliseconds. */
  get now(): number {
    return this.#now;
  }

  /** How many events wait. */
  get size(): number {
    return this.#keys.length;
  }

  /** When the next event happens; `Infinity` if none waits. */
  get nextTime(): number {
    const key = this.#keys[0];
    return key === undefined ? Infinity : Math.floor(key / MAX_EVENTS);
  }

  /** Lets time pass, up to the next event at most. */
  advanceTo(time: number): void {
    this.#now = Math.max(this.#now, Math.min(time, this.nextTime));
  }

  /**
   * Schedules `event` after `delayMs` whole milliseconds.
   *
   * @throws {RangeError} If the queue would lose its order: a negative or
   * broken delay, or more time or events than a key can tell apart.
   */
  schedule(delayMs: number, event: T): void {
    const time = this.#now + delayMs;
    if (!Number.isSafeInteger(time) || delayMs < 0 || time >= MAX_TIME_MS) {
      throw new RangeError(
        `Cannot schedule an event: its time is ${time} ms, wanted a whole number from ${this.#now} to ${MAX_TIME_MS}`,
      );
    }
    if (this.#sequence >= MAX_EVENTS) {
      throw new RangeError(
        `Cannot schedule an event: ${this.#sequence} were scheduled, wanted fewer`,
      );
    }
    this.#push(time * MAX_EVENTS + this.#sequence++, event);
  }

  /** Takes the next event, or `undefined` if none waits. */
  next(): T | undefined {
    const key = this.#keys[0];
    const event = this.#events[0];
    if (key === undefined) return undefined;
    this.#now = Math.floor(key / MAX_EVENTS);
    this.#removeFirst();
    return event;
  }

  #push(key: number, event: T): void {
    const keys = this.#keys;
    const events = this.#events;
    let at = keys.length;
    keys.push(key);
    events.push(event);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const parentKey = keys[parent];
      const parentEvent = events[parent];
      if (parentKey === undefined || parentKey < key) break;
      keys[at] = parentKey;
      if (parentEvent !== undefined) events[at] = parentEvent;
      at = parent;
    }
    keys[at] = key;
    events[at] = event;
  }

  #removeFirst(): void {
    const keys = this.#keys;
    const events = this.#events;
    const key = keys.pop();
    const event = events.pop();
    if (key === undefined || event === undefined || keys.length === 0) return;
    let at = 0;
    while (true) {
      let child = 2 * at + 1;
      const left = keys[child];
      if (left === undefined) break;
      const right = keys[child + 1];
      if (right !== undefined && right < left) child++;
      const childKey = keys[child];
      const childEvent = events[child];
      if (childKey === undefined || key < childKey) break;
      keys[at] = childKey;
      if (childEvent !== undefined) events[at] = childEvent;
      at = child;
    }
    keys[at] = key;
    events[at] = event;
  }
}
