/**
 * Captures of the machine for those who ask for one, and the owner of their
 * promises: each is settled by its deadline (H124).
 *
 * @module
 */
import type { RaftErrorCode } from "../errors.ts";
import { RaftError } from "../errors.ts";
import type { Capture } from "./snapshot_taker.ts";

/** Somebody who waits for a capture. */
interface Waiting {
  readonly deadline: number;
  readonly resolve: (capture: Capture) => void;
  readonly reject: (error: unknown) => void;
}

/** Whom captures are made for, and how. */
export interface CapturesOptions {
  /** The state as of the last apply; `null` while there is none to take. */
  readonly capture: () => Capture | null;
  /** Runs `work` within a turn. */
  readonly inTurn: (work: () => void) => void;
}

/** Captures asked for on one member. */
export class Captures {
  readonly #options: CapturesOptions;
  /** Not settled yet. */
  readonly #waiting = new Set<Waiting>();

  constructor(options: CapturesOptions) {
    this.#options = options;
  }

  /** How many promises are unsettled. */
  get pendingCount(): number {
    return this.#waiting.size;
  }

  /** A capture of what is applied, as soon as nothing is half applied. */
  request(
    deadline: number,
    signal: AbortSignal | undefined,
  ): Promise<Capture> {
    if (signal?.aborted === true) return Promise.reject(signal.reason);
    return new Promise((resolve, reject) => {
      const onAbort = () => waiting.reject(signal?.reason);
      const settle = () => {
        signal?.removeEventListener("abort", onAbort);
        this.#waiting.delete(waiting);
      };
      const waiting: Waiting = {
        deadline,
        resolve: (capture) => {
          settle();
          resolve(capture);
        },
        reject: (error) => {
          settle();
          reject(error);
        },
      };
      signal?.addEventListener("abort", onAbort);
      this.#waiting.add(waiting);
      this.#options.inTurn(() => this.look());
    });
  }

  /** Serves who waits, if it can be done now. */
  look(): void {
    for (const waiting of this.#waiting) {
      try {
        const capture = this.#options.capture();
        if (capture === null) return;
        waiting.resolve(capture);
      } catch (error) {
        waiting.reject(error);
      }
    }
  }

  /** Rejects what has waited long enough. */
  tick(now: number): void {
    for (const waiting of this.#waiting) {
      if (waiting.deadline > now) continue;
      waiting.reject(
        new RaftError(
          "timeout",
          "Cannot capture the state: the machine did not come to rest before the deadline",
        ),
      );
    }
  }

  /** Rejects everything; the member takes part no longer. */
  stop(code: RaftErrorCode, message: string): void {
    for (const { reject } of this.#waiting) {
      reject(new RaftError(code, message));
    }
  }
}
