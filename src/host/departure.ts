/**
 * Leaving in an orderly way: what is pending may finish, and somebody else
 * leads before this member goes.
 *
 * @module
 */
import type { Clock } from "./clock.ts";
import { Drain } from "./drain.ts";
import type { Transfers } from "./transfers.ts";

/** What leaving needs. */
export interface DepartureOptions {
  readonly clock: Clock;
  readonly transfers: Transfers;
  /** Milliseconds of the shortest election timeout. */
  readonly electionMs: number;
  /** Whether the member takes part no longer. */
  readonly isStopped: () => boolean;
  /** How many proposals are not settled. */
  readonly proposalCount: () => number;
}

/** The way out for one member. */
export class Departure {
  readonly #options: DepartureOptions;
  readonly #drain: Drain = new Drain();

  constructor(options: DepartureOptions) {
    this.#options = options;
  }

  /**
   * Lets pending proposals finish, then hands the leadership over, each for
   * about an election timeout at most.
   */
  async prepare(): Promise<void> {
    const { clock, electionMs, isStopped, proposalCount } = this.#options;
    if (isStopped()) return;
    if (proposalCount() > 0) {
      await this.#drain.until(clock.now() + electionMs);
    }
    await this.#handOver();
  }

  /** Ends the wait for proposals if it is time. */
  check(now: number): void {
    this.#drain.check(this.#options.proposalCount(), now);
  }

  /** Nobody waits any longer. */
  end(): void {
    this.#drain.end();
  }

  /** Goes on without a leader gap, if somebody can take over soon. */
  async #handOver(): Promise<void> {
    const { clock, electionMs, isStopped, transfers } = this.#options;
    if (isStopped() || transfers.successor() === undefined) return;
    try {
      const deadline = clock.now() + 2 * electionMs;
      await transfers.request(undefined, deadline, undefined);
    } catch {
      // An election will find a leader as well, if later.
    }
  }
}
