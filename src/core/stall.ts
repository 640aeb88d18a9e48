/**
 * A member whose disk hangs: as leader it makes way, and it does not campaign
 * (H20). Heartbeats need no disk, so nobody else would notice.
 *
 * @module
 */
import type { Raft } from "./raft.ts";
import { isTransferable, transfer } from "./transfer.ts";
import type { NodeId } from "./types.ts";

/** Whether this member's writes get done. */
export class DiskWatch {
  /**
   * Whether a term is durable, so that a restarted member knows that it is
   * no new one. The first write that must be flushed tells one.
   */
  holdsTerm: boolean;
  /** Number of the first Ready that had to be flushed; 0 before there is one. */
  #first = 0;
  /** Number of the newest Ready that had to be flushed. */
  #awaited = 0;
  /** Number of the newest Ready that is durable. */
  #durable = 0;
  /** Ticks since a flush got done, while one is awaited; else 0. */
  ticks = 0;
  /** Whether this leader tried to hand over since the disk began to hang. */
  hasHandedOver = false;

  constructor(holdsTerm: boolean) {
    this.holdsTerm = holdsTerm;
  }

  /** A Ready was handed out that must be flushed. */
  handedOut(number: number): void {
    if (this.#first === 0) this.#first = number;
    this.#awaited = number;
  }

  /** Everything up to this Ready is durable. */
  flushed(number: number): void {
    this.#durable = number;
    if (this.#first > 0 && number >= this.#first) this.holdsTerm = true;
    this.ticks = 0;
    this.hasHandedOver = false;
  }

  /** A tick passes. */
  tick(): void {
    if (this.#awaited > this.#durable) this.ticks++;
  }
}

/** Whether writes have been getting nowhere for too long. */
export function isStalled(raft: Raft): boolean {
  const { stallTicks } = raft.config;
  return stallTicks > 0 && raft.disk.ticks >= stallTicks;
}

/**
 * A leader with a hanging disk hands over to whoever has most of the log; if
 * that fails, or nobody is fit, it steps down and lets the others elect.
 */
export function tickStall(raft: Raft): void {
  if (!isStalled(raft) || raft.transferTarget !== null) return;
  if (!hasHeirs(raft)) return;
  const heir = raft.disk.hasHandedOver ? null : findHeir(raft);
  raft.disk.hasHandedOver = true;
  if (heir === null) raft.becomeFollower(raft.term, null);
  else transfer(raft, heir);
}

/** Whether anybody else might lead at all. */
function hasHeirs(raft: Raft): boolean {
  return raft.tracker.members.some((id) => isTransferable(raft, id));
}

/** The live voter that holds most of the log. */
export function findHeir(raft: Raft): NodeId | null {
  const { members, progress } = raft.tracker;
  let best: NodeId | null = null;
  let most = -1;
  for (const id of members) {
    const record = progress.get(id);
    if (record === undefined || !isTransferable(raft, id)) continue;
    if (record.pace.silentTicks >= raft.config.electionTicks) continue;
    if (record.state !== "replicate" || record.matchIndex <= most) continue;
    best = id;
    most = record.matchIndex;
  }
  return best;
}
