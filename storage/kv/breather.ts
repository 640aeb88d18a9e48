/**
 * Lets the event loop have its turn. Synchronous engines never wait, and
 * promises alone would keep timers and sockets out for as long as there is
 * something to write (H74).
 *
 * @module
 */

/** Longest time without a turn, in milliseconds: a fraction of a heartbeat. */
const MAX_BURST_MS = 8;

/** Counts how long the event loop has been kept waiting. */
export class Breather {
  #lastTurnMs = 0;

  /** Waits for a turn of the event loop if the last one was long ago. */
  async breathe(): Promise<void> {
    if (performance.now() - this.#lastTurnMs < MAX_BURST_MS) return;
    await turn();
    this.#lastTurnMs = performance.now();
  }
}

/** Resolves behind what the event loop has to do already. */
function turn(): Promise<void> {
  const immediate: unknown = Reflect.get(globalThis, "setImmediate");
  return new Promise((resolve) => {
    if (typeof immediate === "function") {
      Reflect.apply(immediate, globalThis, [resolve]);
    } else setTimeout(resolve, 0);
  });
}
