/**
 * Members whose disk was replaced, by an empty one or by an older copy of
 * itself (H80).
 *
 * @module
 */
import type { Message, Removed } from "../core/message.ts";
import type { RawNode } from "../core/raw_node.ts";
import type { ProgressStatus } from "../core/status.ts";
import type { LogIndex, NodeId } from "../core/types.ts";
import type { CommittedLog } from "./committed_log.ts";
import { votesIn } from "./conf_model.ts";
import type { SimDisk } from "./disk.ts";
import type { MarkCounter } from "./marks.ts";
import { fail } from "./violation.ts";

/** How a disk was replaced. */
export type LossKind = "emptied" | "older";

/** A member as far as its disk goes. */
interface DiskOwner {
  readonly core: RawNode | undefined;
  readonly disk: SimDisk;
}

/** What became of a member's disk. */
export class DiskLoss {
  /** When its last disk was lost, in virtual milliseconds. */
  at: number = -Infinity;
  /** What the lost disk held: the member may be taken to hold it still. */
  heldThrough: LogIndex = 0;
  /** Whether it was told so and has stopped for good. */
  isTurnedAway = false;
  #kind: LossKind = "emptied";
  /** What it has to hold again to be whole; 0: it is. */
  #owed: LogIndex = 0;
  readonly #owner: DiskOwner;
  readonly #marks: MarkCounter;

  /** Of a member that has its disk. */
  constructor(owner: DiskOwner, marks: MarkCounter) {
    this.#owner = owner;
    this.#marks = marks;
  }

  /**
   * The disk is lost now; the group had committed through `committed`.
   *
   * The member owes what it may have acknowledged, that is what the disk held.
   * What others committed without it, it never stood for, and an older copy
   * may help to elect who lacks that, as the lost disk might have. An empty
   * disk may not: it counts for nothing until it has all that is committed.
   */
  happen(kind: LossKind, now: number, committed: LogIndex): void {
    const { durable } = this.#owner.disk;
    this.at = now;
    this.#kind = kind;
    this.heldThrough = Math.max(this.heldThrough, durable.lastIndex);
    this.#owed = kind === "older"
      ? durable.lastIndex
      : Math.max(committed, durable.lastIndex);
  }

  /** Whether it ever happened. */
  get hasHappened(): boolean {
    return this.at > -Infinity;
  }

  /** What the member lacks, or has not proved to hold again; 0 for nothing. */
  get owed(): LogIndex {
    const { core, disk } = this.#owner;
    const isWhole = core !== undefined && disk.durable.lastIndex >= this.#owed;
    if (this.#owed > 0 && isWhole && !core.status().fresh) {
      this.#owed = 0;
      this.#marks.hit("replacedDiskRefilled");
    }
    return this.#owed;
  }

  /** Whether nobody may count on the member, now or any more. */
  get isOpen(): boolean {
    return this.isTurnedAway || this.owed > 0;
  }

  /**
   * Whether a crash now makes it a member that nobody can tell from one that
   * merely lags: the guard does not outlast a second start.
   */
  get isHalfFilled(): boolean {
    return !this.isTurnedAway && this.#kind === "emptied" && this.owed > 0;
  }
}

/** A member of a group, its disk and what became of it. */
export interface LossyMember extends DiskOwner {
  readonly id: NodeId;
  readonly loss: DiskLoss;
}

/** What the watch over a group's disks needs. */
export interface LostDisksParts {
  /** Everybody who was ever started. */
  readonly members: readonly LossyMember[];
  readonly committed: CommittedLog;
  readonly marks: MarkCounter;
  /** Stops a member for good. */
  readonly retire: (id: NodeId) => void;
}

/** What hosts and checkers make of lost disks in one group. */
export class LostDisks {
  readonly #parts: LostDisksParts;

  /** Watches a group. */
  constructor(parts: LostDisksParts) {
    this.#parts = parts;
  }

  /** Whether somebody is left who lacks what it had. */
  get areOpen(): boolean {
    return this.#parts.members.some(({ loss }) =>
      !loss.isTurnedAway && loss.owed > 0
    );
  }

  /**
   * What the host of a leader tells those that deny what they acknowledged.
   * Nobody else may be taken for one of them.
   */
  notices(core: RawNode, progress: readonly ProgressStatus[]): Removed[] {
    return progress.flatMap(({ id: to, lostLog }): Removed[] => {
      if (!lostLog) return [];
      const { members } = this.#parts;
      if (members.find(({ id }) => id === to)?.loss.hasHappened !== true) {
        fail(
          "lostDisk",
          `Leader ${core.id} of term ${core.term} takes the disk of ${to} for lost, which it is not`,
        );
      }
      const { version } = core.conf;
      const header = { from: core.id, to, term: 0 };
      return [{ type: "removed", ...header, reason: "replacedDisk", version }];
    });
  }

  /** A member has taken a step: who was told of its disk stops. */
  stepped({ id, loss }: LossyMember, { removal }: RawNode): void {
    if (removal?.reason !== "replacedDisk" || loss.isTurnedAway) return;
    const { marks, retire } = this.#parts;
    marks.hit("replacedDiskRefused");
    loss.isTurnedAway = true;
    retire(id);
  }

  /**
   * A message leaves. A vote that was given for want of what the voter has
   * acknowledged might cost the group just that.
   */
  sees(message: Message): void {
    if (message.type !== "requestVoteResponse" || message.reject) return;
    const { from: voter, to: candidate } = message;
    const { members, committed } = this.#parts;
    const owed = members.find(({ id }) => id === voter)?.loss.owed ?? 0;
    const index = Math.min(owed, committed.lastIndex);
    if (index === 0 || !votesIn(committed.lastConf.conf, candidate)) return;
    const log = members.find(({ id }) => id === candidate)?.disk.durable;
    if (log?.digestAt(index) === committed.digestAt(index)) return;
    fail(
      "lostDisk",
      `Member ${voter}, whose disk was lost, votes for ${candidate}, which lacks the ${index} committed entries it stands for`,
    );
  }
}
