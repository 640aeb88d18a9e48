/**
 * What a seed decides about the protocol itself: memberships, leaderships,
 * snapshots, and the consistency of reads. Times are virtual milliseconds,
 * shares are in thousandths.
 *
 * @module
 */
import type { SnapshotOptions } from "./snapshots.ts";

/**
 * Every kind of membership change. Of one member: `addVoter`, `addLearner`,
 * `addStaging`, `addWitness`, `promote`, `demote`, `remove`, `removeLeader`,
 * `update`. Of several at once: `replace`, by joint consensus, and `nonsense`,
 * steps by chance (H84).
 */
export const CHANGE_KINDS = [
  "addVoter",
  "addLearner",
  "addStaging",
  "addWitness",
  "promote",
  "demote",
  "remove",
  "removeLeader",
  "update",
  "replace",
  "nonsense",
] as const;

/**
 * What kind of change is wanted: one of {@linkcode CHANGE_KINDS}, or `narrow`:
 * the leader remains as the only voter, the others become learners; where it
 * is the only one, all learners become voters (H80).
 */
export type ChangeKind = (typeof CHANGE_KINDS)[number] | "narrow";

/**
 * One thing that may be asked of a group: a change of its membership, or one
 * of these. `rivalChanges` are changes at everybody who believes to lead
 * (H90). `hastyChange` waits for an election and proposes
 * a change at once (H76), `jointCrash` for a change of several members, and
 * crashes the leader (H82), `installCrash` for a snapshot and crashes its
 * receiver. `transfer` and `forgetLeader` are asked of anybody; `campaign` too,
 * of learners and removed members as well (H09, H12). `snapshot` takes one
 * now; `figureEight` plays the schedule of the thesis, figure 3.7 (H21).
 * `strandLeader` cuts a bare quorum off from the leader and all others, and
 * lets it elect somebody in haste (H94, H95). `strandInJoint` does it to a
 * leader that has just entered a joint configuration with the new half of it,
 * so that the old half may elect by itself (H30, §4.3).
 */
export type ProtocolFaultKind =
  | ChangeKind
  | "rivalChanges"
  | "hastyChange"
  | "jointCrash"
  | "installCrash"
  | "transfer"
  | "forgetLeader"
  | "campaign"
  | "snapshot"
  | "figureEight"
  | "strandLeader"
  | "strandInJoint";

/** What is asked of a group besides reads and writes. */
export interface ProtocolOptions {
  /** What may happen; all equally likely. None: nothing does. */
  readonly kinds: readonly ProtocolFaultKind[];
  /** Longest time between two of them. */
  readonly gapMs: number;
  /** Most members at a time, learners included. */
  readonly maxMembers: number;
  /** Most members over the whole run. */
  readonly maxIds: number;
  /** Share of the removed members that go on running and disturb (H09). */
  readonly disturberPermille: number;
  /** Share of the queries that a lease may answer (thesis §6.4.1). */
  readonly leasePermille: number;
  /** Share of the other queries that take what the member asked has. */
  readonly stalePermille: number;
  /** How members get from logs to snapshots. */
  readonly snapshots: SnapshotOptions;
}
