/**
 * Ends sessions from outside their own callbacks.
 *
 * @module
 */

/** The part of a session or stream that ending needs. */
export interface Destroyable {
  readonly destroyed: boolean;
  destroy(): unknown;
  once(event: "close", listener: () => void): unknown;
}

/** A session that does not say that it is closed is given up on. */
const PATIENCE_MS = 1_000;

/**
 * Destroys sessions a moment later. Within a callback of the session, or a
 * microtask of one, it would crash the process on Deno 2.9: the session's
 * memory goes while the code that called back still uses it.
 */
export class Teardown {
  readonly #pending = new Map<Destroyable, Promise<void>>();

  /** Destroys `session`, and `stream` before it. Idempotent. */
  end(session: Destroyable, stream?: Destroyable): void {
    if (this.#pending.has(session)) return;
    const ended = new Promise<void>((resolve) => {
      setTimeout(() => destroyBoth(session, stream, resolve), 0);
    });
    this.#pending.set(session, ended);
    ended.then(() => this.#pending.delete(session));
  }

  /** Resolves once everything that was to end has ended. */
  async settle(): Promise<void> {
    while (this.#pending.size > 0) await Promise.all(this.#pending.values());
  }
}

function destroyBoth(
  session: Destroyable,
  stream: Destroyable | undefined,
  done: () => void,
): void {
  stream?.destroy();
  if (session.destroyed) return done();
  const timer = setTimeout(done, PATIENCE_MS);
  session.once("close", () => {
    clearTimeout(timer);
    done();
  });
  session.destroy();
}
