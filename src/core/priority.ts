/**
 * Preferred leaders: whoever leads hands over to a voter of higher priority,
 * once that one has been fit to lead for a while. Elections know nothing of
 * priorities, so a preference never costs a vote or a term.
 *
 * @module
 */
import type { HeartbeatResponse } from "./message.ts";
import type { Progress } from "./progress.ts";
import type { Raft } from "./raft.ts";
import { isTransferable, transfer } from "./transfer.ts";
import type { NodeId } from "./types.ts";

/** Bound of the factor by which failures lengthen the wait (H120). */
const MAX_BACK_OFF = 64;

/** A leader's search for somebody preferred. Initial unless leader. */
export class Preference {
  /** Whether a member of higher priority has been heard of in this term. */
  isSought = false;
  /** The preferred voter that was fit at the last tick; `null` for none. */
  target: NodeId | null = null;
  /** Ticks for which `target` has been fit. */
  fitTicks = 0;
  /** Doubles with each attempt that failed, up to the bound. */
  backOff = 1;
  /** Last index of the log at the last tick. */
  lastIndex = 0;

  /** The term is over. */
  reset(): void {
    this.isSought = false;
    this.target = null;
    this.fitTicks = 0;
    this.backOff = 1;
    this.lastIndex = 0;
  }

  /** The search begins anew. */
  restart(): void {
    this.target = null;
    this.fitTicks = 0;
  }
}

/** A leader learns how much a member is preferred. */
export function takePriority(
  raft: Raft,
  progress: Progress,
  message: HeartbeatResponse,
): void {
  progress.priority = message.priority;
  if (message.priority > raft.config.priority) raft.preference.isSought = true;
}

/** A tick passes for a leader: maybe somebody else is to lead. */
export function tickPriority(raft: Raft): void {
  const { preference } = raft;
  if (!preference.isSought) return;
  const target = raft.transferTarget === null ? findPreferred(raft) : null;
  preference.lastIndex = raft.log.lastIndex;
  if (target === null || target !== preference.target) preference.restart();
  preference.target = target;
  if (target === null) return;
  preference.fitTicks++;
  const { priorityTicks } = raft.config;
  if (preference.fitTicks < priorityTicks * preference.backOff) return;
  preference.fitTicks = 0;
  transfer(raft, target);
}

/** A transfer ended, and this member still leads: ask less often. */
export function notePriorityFailure(raft: Raft, target: NodeId): void {
  const { preference } = raft;
  const wanted = raft.tracker.progress.get(target)?.priority ?? 0;
  if (wanted <= raft.config.priority) return;
  preference.backOff = Math.min(2 * preference.backOff, MAX_BACK_OFF);
  preference.restart();
}

/**
 * The most preferred live voter that lags less than a tick: it has all that the log
 * held at the last one. Writes that go on would keep it from ever holding the
 * very last entry.
 */
function findPreferred(raft: Raft): NodeId | null {
  if (!raft.committedInTerm) return null;
  let best: NodeId | null = null;
  let highest = raft.config.priority;
  for (const id of raft.tracker.members) {
    const progress = raft.tracker.progress.get(id);
    if (progress === undefined || progress.priority <= highest) continue;
    if (!isTransferable(raft, id)) continue;
    if (progress.matchIndex < raft.preference.lastIndex) continue;
    if (progress.pace.silentTicks >= raft.config.electionTicks) continue;
    best = id;
    highest = progress.priority;
  }
  return best;
}
