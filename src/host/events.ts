/**
 * Telling subscribers what happened, without ever waiting for them.
 *
 * @module
 */
import type { GroupEvent } from "../status.ts";

/** Events a subscriber may be behind before the oldest are left out. */
const MAX_QUEUED_EVENTS = 1_024;

/** Ends an iteration; a value of its own so that it is allocated once. */
const DONE: IteratorReturnResult<undefined> = { done: true, value: undefined };

/** Fans the events of one member out to any number of subscribers. */
export class GroupEvents {
  /** What a new subscriber is told first; set by the member. */
  readonly #current: () => readonly GroupEvent[];
  readonly #subscribers = new Set<Subscription>();
  #ended = false;

  constructor(current: () => readonly GroupEvent[]) {
    this.#current = current;
  }

  /** How many iterations are open. */
  get subscriberCount(): number {
    return this.#subscribers.size;
  }

  /** Hands an event to every subscriber's queue. */
  emit(event: GroupEvent): void {
    for (const subscriber of this.#subscribers) subscriber.push(event);
  }

  /** Emits the last event; every iteration ends behind it. */
  end(event: GroupEvent): void {
    this.emit(event);
    this.#ended = true;
    for (const subscriber of this.#subscribers) subscriber.end();
    this.#subscribers.clear();
  }

  /** Every iteration of the result is a subscription of its own. */
  iterable(signal: AbortSignal | undefined): AsyncIterable<GroupEvent> {
    return { [Symbol.asyncIterator]: () => this.#subscribe(signal) };
  }

  #subscribe(signal: AbortSignal | undefined): Subscription {
    const subscription = new Subscription((closed) => {
      this.#subscribers.delete(closed);
    }, signal);
    if (signal?.aborted === true) {
      subscription.close();
      return subscription;
    }
    for (const event of this.#current()) subscription.push(event);
    if (this.#ended) subscription.end();
    else this.#subscribers.add(subscription);
    return subscription;
  }
}

/** One iteration: a bounded queue and the calls that wait on it. */
class Subscription implements AsyncIterableIterator<GroupEvent> {
  /** At most `MAX_QUEUED_EVENTS`; empty while somebody waits. */
  #queue: GroupEvent[] = [];
  /** Calls of `next` with nothing to give; empty while events are queued. */
  readonly #waiting: ((result: IteratorResult<GroupEvent>) => void)[] = [];
  /** Events left out since the last one handed over. */
  #dropped = 0;
  /** Nothing more is queued; what is queued is still handed over. */
  #ended = false;
  readonly #onClose: (subscription: Subscription) => void;
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort = (): void => this.close();

  constructor(
    onClose: (subscription: Subscription) => void,
    signal: AbortSignal | undefined,
  ) {
    this.#onClose = onClose;
    this.#signal = signal;
    signal?.addEventListener("abort", this.#onAbort);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  push(event: GroupEvent): void {
    if (this.#ended) return;
    const waiting = this.#waiting.shift();
    if (waiting !== undefined) {
      waiting({ done: false, value: event });
      return;
    }
    if (this.#queue.length >= MAX_QUEUED_EVENTS) {
      this.#queue.shift();
      this.#dropped++;
    }
    this.#queue.push(event);
  }

  next(): Promise<IteratorResult<GroupEvent>> {
    if (this.#dropped > 0) {
      const count = this.#dropped;
      this.#dropped = 0;
      return Promise.resolve({
        done: false,
        value: { type: "dropped", count },
      });
    }
    const event = this.#queue.shift();
    if (event !== undefined) {
      return Promise.resolve({ done: false, value: event });
    }
    if (this.#ended) return Promise.resolve(DONE);
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  return(): Promise<IteratorResult<GroupEvent>> {
    this.close();
    return Promise.resolve(DONE);
  }

  /** Nothing follows what is queued. */
  end(): void {
    this.#ended = true;
    this.#signal?.removeEventListener("abort", this.#onAbort);
    for (const waiting of this.#waiting.splice(0)) waiting(DONE);
  }

  /** Ends at once, leaving out what is queued. */
  close(): void {
    this.#queue = [];
    this.#dropped = 0;
    this.end();
    this.#onClose(this);
  }
}
