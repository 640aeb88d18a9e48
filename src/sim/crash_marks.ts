/**
 * Marks for what a crash took.
 *
 * @module
 */
import type { RawNode } from "../core/raw_node.ts";
import type { Ready } from "../core/ready.ts";
import type { CrashLoss } from "./device.ts";
import type { SimDisk } from "./disk.ts";
import type { MarkCounter } from "./marks.ts";

/** A member at the moment of its crash. */
export interface Crash {
  readonly core: RawNode;
  /** As it was left. */
  readonly disk: SimDisk;
  readonly loss: CrashLoss;
  /** Readys whose writes were under way. */
  readonly unwritten: readonly Ready[];
}

/** Notes what was lost and what was not. */
export function markCrash(
  marks: MarkCounter,
  { core, disk, loss, unwritten }: Crash,
): void {
  const before = disk.hardState;
  if (loss.kept.length > 0) marks.hit("crashKeptPrefix");
  for (const { write: { entries, hardState } } of loss.lost) {
    if (entries.length > 0) marks.hit("crashLostEntries");
    const { term = 0, vote = null } = hardState ?? {};
    if (vote !== null && (term !== before.term || vote !== before.vote)) {
      marks.hit("crashLostVote");
    }
  }
  if (core.role === "leader") marks.hit("leaderCrashed");
  if (unwritten.some(({ messages }) => messages.length > 0)) {
    marks.hit("crashAfterSendBeforeFlush");
  }
}
