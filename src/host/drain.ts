/**
 * Waiting for what is pending, but not for ever.
 *
 * @module
 */

/** One wait until nothing is pending or a deadline passes. */
export class Drain {
  #deadline = 0;
  /** Set while somebody waits. */
  #pass: (() => void) | null = null;

  /** Resolves at the deadline, or before by {@linkcode check}. */
  until(deadline: number): Promise<void> {
    this.#deadline = deadline;
    return new Promise((pass) => {
      this.#pass = pass;
    });
  }

  /** Ends the wait if it is time. */
  check(pendingCount: number, now: number): void {
    if (pendingCount === 0 || now >= this.#deadline) this.end();
  }

  /** Ends the wait. */
  end(): void {
    const pass = this.#pass;
    this.#pass = null;
    pass?.();
  }
}
