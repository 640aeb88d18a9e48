/**
 * How a member keeps up with its leader, counted in the leader's ticks.
 *
 * @module
 */
import type { LogIndex } from "./types.ts";

/**
 * A leader's watch of one member. Only ticks count, so a clock that steps does
 * not matter; a new leader knows nothing and starts anew.
 */
export class Pace {
  /** Ticks since the member last answered; `Infinity` before it did. */
  silentTicks: number = Infinity;
  /** Ticks for which it has lacked entries and not taken any. */
  lagTicks = 0;
  /**
   * Whether the newest round of replication was shorter than an election
   * timeout (thesis §4.2.1): what came in during it is then a small lag.
   */
  isCaughtUp = false;
  /** What it had at the last tick. */
  #matchIndex: LogIndex = 0;
  /** Last index of the log when the present round began; -1 before the first. */
  #roundEnd: LogIndex = -1;
  /** Ticks since the present round began. */
  #roundTicks = 0;

  /** The member answered something. */
  heard(): void {
    this.silentTicks = 0;
  }

  /**
   * A tick passes.
   *
   * @param matchIndex What the member holds for certain.
   * @param lastIndex Last index of the leader's log.
   * @param electionTicks Length of an election timeout.
   */
  tick(
    matchIndex: LogIndex,
    lastIndex: LogIndex,
    electionTicks: number,
  ): void {
    this.silentTicks++;
    const moves = matchIndex > this.#matchIndex || matchIndex >= lastIndex;
    this.lagTicks = moves ? 0 : this.lagTicks + 1;
    this.#matchIndex = matchIndex;
    this.#tickRound(matchIndex, lastIndex, electionTicks);
  }

  #tickRound(
    matchIndex: LogIndex,
    lastIndex: LogIndex,
    electionTicks: number,
  ): void {
    if (this.#roundEnd < 0) {
      this.#roundEnd = lastIndex;
      return;
    }
    this.#roundTicks++;
    if (this.#roundTicks >= electionTicks) this.isCaughtUp = false;
    if (matchIndex < this.#roundEnd) return;
    this.isCaughtUp = this.#roundTicks < electionTicks;
    this.#roundEnd = lastIndex;
    this.#roundTicks = 0;
  }
}
