/**
 * Waiting, with a way out.
 *
 * @module
 */

/** Growing, jittered pauses. Invariant: after `reset` there is none. */
export class Backoff {
  readonly #minMs: number;
  readonly #maxMs: number;
  readonly #random: () => number;
  /** Upper end of the next pause; 0 after success. */
  #ceilingMs = 0;

  /** Pauses grow from `minMs` to `maxMs`; `random` is uniform in `[0, 1)`. */
  constructor(
    range: { readonly minMs: number; readonly maxMs: number },
    random: () => number,
  ) {
    this.#minMs = range.minMs;
    this.#maxMs = range.maxMs;
    this.#random = random;
  }

  /** The next pause in milliseconds: from half of the ceiling up to it. */
  next(): number {
    // Doubling a clamped number cannot overflow (H120).
    this.#ceilingMs = Math.min(
      this.#maxMs,
      Math.max(this.#minMs, 2 * this.#ceilingMs),
    );
    return this.#ceilingMs * (0.5 + 0.5 * this.#random());
  }

  /** Forgets all failures (H33). */
  reset(): void {
    this.#ceilingMs = 0;
  }
}

/** A pause that {@linkcode Pause.cut} can end early. */
export class Pause {
  #timer: ReturnType<typeof setTimeout> | undefined;
  #finish: (() => void) | undefined;

  /** Resolves after `ms` or when cut. One at a time. */
  wait(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#finish = resolve;
      this.#timer = setTimeout(() => this.cut(), ms);
    });
  }

  /** Ends the pause now, if there is one. */
  cut(): void {
    clearTimeout(this.#timer);
    this.#finish?.();
    this.#finish = undefined;
  }
}

/** Calls `run` every `ms` until stopped; a late call moves the later ones. */
export class Ticker {
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** Starts at once; the first call comes after `ms`. */
  constructor(ms: number, run: () => void) {
    // Not setInterval: after a stall it would catch up in a burst (H116).
    const arm = () => {
      this.#timer = setTimeout(() => {
        arm();
        run();
      }, ms);
    };
    arm();
  }

  /** Ends the calls. */
  stop(): void {
    clearTimeout(this.#timer);
  }
}

/**
 * Runs `task` with a signal that is aborted after `ms` or with `outer`.
 * Resolves or rejects as the task does; the task must heed the signal.
 */
export async function withDeadline<T>(
  { ms, outer }: { readonly ms: number; readonly outer: AbortSignal },
  task: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const abort = () => controller.abort(outer.reason);
  const timer = setTimeout(() => {
    controller.abort(new Error(`Cannot connect: timed out after ${ms} ms`));
  }, ms);
  outer.addEventListener("abort", abort);
  if (outer.aborted) abort();
  try {
    return await task(controller.signal);
  } catch (error) {
    throw controller.signal.aborted ? controller.signal.reason : error;
  } finally {
    clearTimeout(timer);
    outer.removeEventListener("abort", abort);
  }
}

/** Owns work that nobody awaits: the one place where promises are let go. */
export class Tasks {
  readonly #running = new Set<Promise<void>>();
  readonly #failed: (error: unknown) => void;

  /** Errors that escape a task go to `failed` (H125). */
  constructor(failed: (error: unknown) => void) {
    this.#failed = failed;
  }

  /** Takes over a promise. */
  run(task: Promise<void>): void {
    const guarded = task.catch(this.#failed).finally(() => {
      this.#running.delete(guarded);
    });
    this.#running.add(guarded);
  }

  /** Resolves when nothing runs any more. */
  async settle(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }
}

/** What an error says. */
export function describeError(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
