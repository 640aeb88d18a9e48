/**
 * How far a member that does not lead knows itself to be up to date.
 *
 * @module
 */
import type { Message } from "../core/message.ts";
import type { LogIndex } from "../core/types.ts";

/** Watches what leaders say is committed against what is applied. */
export class Freshness {
  /** The highest commit index a leader told. */
  #leaderCommit: LogIndex = 0;
  /** When a leader was last heard; `null` if never. */
  #leaderAt: number | null = null;
  /** The last moment at which everything known committed was applied. */
  #upToDateAt: number | null = null;

  /** Takes in a message the core accepted. */
  heard(message: Message, appliedIndex: LogIndex, now: number): void {
    if (message.type !== "appendEntries" && message.type !== "heartbeat") {
      return;
    }
    this.#leaderAt = now;
    // A heartbeat's own commit index is cut to what this member has.
    const committed = message.type === "heartbeat"
      ? message.leaderCommit ?? message.commitIndex
      : message.commitIndex;
    this.#leaderCommit = Math.max(this.#leaderCommit, committed);
    this.applied(appliedIndex);
  }

  /** More was applied. */
  applied(appliedIndex: LogIndex): void {
    if (this.caughtUp(appliedIndex)) this.#upToDateAt = this.#leaderAt;
  }

  /** Whether everything a leader told of is applied. */
  caughtUp(appliedIndex: LogIndex): boolean {
    return this.#leaderAt !== null && appliedIndex >= this.#leaderCommit;
  }

  /** Milliseconds since this member was up to date; `null` if never. */
  staleMs(now: number): number | null {
    return this.#upToDateAt === null ? null : now - this.#upToDateAt;
  }
}
