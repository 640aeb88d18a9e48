/**
 * The owner of all work that nobody awaits.
 *
 * @module
 */

/**
 * Work that runs beside the turns: writes, loads, asynchronous applies. Every
 * failure reaches a handler (H125), and whoever stops the host can wait for
 * the last of it.
 */
export class Tasks {
  /** Promises that have not settled; they never reject. */
  readonly #running = new Set<Promise<void>>();

  /** How many are under way. */
  get size(): number {
    return this.#running.size;
  }

  /** Takes over `work`; `onError` hears of its failure and must not throw. */
  start(work: Promise<void>, onError: (error: unknown) => void): void {
    const task: Promise<void> = work.catch(onError).then(() => {
      this.#running.delete(task);
    });
    this.#running.add(task);
  }

  /** Resolves once nothing runs, what starts meanwhile included. */
  async idle(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }
}
