/**
 * Lines that strangers cause, kept to a bearable number.
 *
 * @module
 */

/** Lines written in one window; the rest is only counted. */
const MAX_LINES = 20;
/** How long a window is. */
const WINDOW_MS = 10_000;

/**
 * Writes so many lines per window and counts the rest: whoever can reach a
 * port must not be able to fill the disk with the log of it. How many were
 * left out is told with the first line of a later window.
 */
export class Throttle {
  readonly #write: (line: string) => void;
  readonly #now: () => number;
  #windowStart = -Infinity;
  /** Lines of the window, those left out included. */
  #count = 0;

  /** Writes by `write`; `now` tells the time in milliseconds. */
  constructor(
    write: (line: string) => void,
    now: () => number = () => performance.now(),
  ) {
    this.#write = write;
    this.#now = now;
  }

  /** Writes a line, or counts it. */
  line(text: string): void {
    const now = this.#now();
    if (now - this.#windowStart >= WINDOW_MS) {
      const leftOut = this.#count - MAX_LINES;
      if (leftOut > 0) this.#write(`left out ${leftOut} more such lines`);
      this.#windowStart = now;
      this.#count = 0;
    }
    this.#count += 1;
    if (this.#count <= MAX_LINES) this.#write(text);
  }
}
