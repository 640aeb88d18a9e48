/**
 * Coverage marks: what must have happened somewhere in a campaign, else its
 * green result means nothing (H138).
 *
 * @module
 */

/** Every mark, in the order in which reports list them. */
export const MARKS = [
  "leaderElected",
  "leaderOfLaterTerm",
  "candidateFailed",
  "splitVote",
  "leaderSteppedDown",
  "leaderLostQuorum",
  "preVoteGranted",
  "preVoteRejectedWhileLed",
  "preVoteRejected",
  "voteRejected",
  "voteRepeated",
  "priorTermEntriesAtElection",
  "shorterLogElected",
  "figure8Threat",
  "mixedFlags",
  "conflictTruncated",
  "fastBacktrack",
  "staleRejection",
  "staleAck",
  "oldTermMessage",
  "oldLifeMessage",
  "emptyAppend",
  "shortAppendAfterLonger",
  "appendWindowFull",
  "proposalRefusedForSize",
  "commitWithoutLeaderDisk",
  "commitByHeartbeat",
  "loadForFollower",
  "loadForApply",
  "loadFailed",
  "loadShort",
  "readysOverlapped",
  "readysJoined",
  "crashed",
  "leaderCrashed",
  "crashLostEntries",
  "crashKeptPrefix",
  "crashLostVote",
  "crashAfterSendBeforeFlush",
  "allCrashed",
  "bounced",
  "ambushed",
  "duelled",
  "restartedWithLog",
  "restartedFromTail",
  "restartedMachineAhead",
  "paused",
  "leaderPaused",
  "pausedLeaderReplaced",
  "frozenQueueFlushed",
  "diskHung",
  "packetLost",
  "packetDuplicated",
  "packetReplayedLate",
  "packetReordered",
  "packetCut",
  "packetClogged",
  "splitPartition",
  "isolatedLeader",
  "oneWayPartition",
  "bridgePartition",
  "chainPartition",
  "starPartition",
  "randomPartition",
  "swizzled",
  "writeAcknowledged",
  "writeThroughFollower",
  "writeOutcomeUnknown",
  "unknownWriteAppeared",
  "writeOverwritten",
  "writeDroppedNoLeader",
  "proposalRepeated",
  "readThroughLeader",
  "readThroughFollower",
  "readWaitedForApply",
  "readRetried",
  "readDropped",
  "tailWithQuorumOnly",
  "tailWithPartialLinks",
  "tailConverged",
  "suspended",
  "ticksLeftOut",
  "wallClockStepped",
  "leaderRefused",
  "severalGroups",
  "writesOfSeveralGroups",
  "tornTailCut",
  "stoppedByDisk",
  "rotted",
  "rotFound",
  "rotRefused",
  "tailWithHungLeader",
  "tickWhileAsleep",
  "snapshotRotted",
  "snapshotRotFound",
  "jointEntered",
  "jointCommit",
  "electedInJoint",
  "electedByOlderConf",
  "confsDiffer",
  "writeCoveredBySnapshot",
  "transferTriggered",
  "snapshotSent",
  "jointSnapshotSent",
  "removedTold",
  "voterAddProposed",
  "learnerAddProposed",
  "promotionProposed",
  "demotionProposed",
  "removalProposed",
  "leaderRemovalProposed",
  "addressChangeProposed",
  "replacementProposed",
  "narrowingProposed",
  "changePending",
  "rivalChanges",
  "hastyChangeProposed",
  "jointCrash",
  "explicitLeaveProposed",
  "removedStopped",
  "removedCampaigned",
  "learnerAskedToCampaign",
  "transferAsked",
  "leaderForgotten",
  "figure8Quorum",
  "figure8Played",
  "snapshotTaken",
  "jointSnapshotTaken",
  "snapshotOvertaken",
  "snapshotReportedWrongly",
  "snapshotReportedFailed",
  "snapshotInstalled",
  "snapshotInJoint",
  "snapshotLost",
  "snapshotDuplicated",
  "stagingAddProposed",
  "witnessAddProposed",
  "nonsenseProposed",
  "changeConflict",
  "changeInvalid",
  "changeAtRisk",
  "removedIdRefused",
  "removedGoesOn",
  "leaderWithoutVote",
  "stagingPromoted",
  "learnerPromoted",
  "voterDemoted",
  "witnessAdded",
  "memberRemoved",
  "downToOneVoter",
  "jointLeft",
  "jointLeftByAnother",
  "staleRead",
  "leaseRead",
  "leaseRefused",
  "leaseElsewhere",
  "leaseRanOut",
  "clockJumped",
  "leaderStranded",
  "strandedInJoint",
  "replacedInJointAsked",
  "replacedInRoundAsked",
  "foundingLearned",
  "diskEmptied",
  "diskTakenBack",
  "emptiedCampaigned",
  "replacedDiskRefused",
  "replacedDiskRefilled",
  "replacedDiskScrapped",
  "windowFullOfBytes",
  "witnessCounted",
  "laggardNotWaitedFor",
  "handedToPreferred",
  "handedToPreferredAgain",
  "preferredPassedOver",
  "preferredLeads",
  "sessionResent",
  "sessionCopyCommitted",
  "sessionAnsweredAgain",
  "sessionAnsweredElsewhere",
  "sessionAnswerFromSnapshot",
  "sessionRestored",
  "sessionReplayed",
  "sessionResultNotKept",
  "sessionRetired",
  "sessionReturned",
  "sessionExpired",
] as const;

/** The name of something that a run may reach. */
export type Mark = (typeof MARKS)[number];

/** How often each mark was reached. */
export type MarkCounts = Readonly<Record<Mark, number>>;

/** Counts marks during a run. */
export class MarkCounter {
  readonly #counts = new Map<Mark, number>();

  /** Counts one occurrence. */
  hit(mark: Mark): void {
    this.#counts.set(mark, (this.#counts.get(mark) ?? 0) + 1);
  }

  /** How often `mark` was reached so far. */
  count(mark: Mark): number {
    return this.#counts.get(mark) ?? 0;
  }

  /** All counts, in the order of {@linkcode MARKS}. */
  counts(): MarkCounts {
    return countsOf((mark) => this.count(mark));
  }
}

/** Sums the counts of several runs. */
export function addMarks(left: MarkCounts, right: MarkCounts): MarkCounts {
  return countsOf((mark) => left[mark] + right[mark]);
}

/** Counts of a campaign that has not begun. */
export function noMarks(): MarkCounts {
  return countsOf(() => 0);
}

function countsOf(count: (mark: Mark) => number): MarkCounts {
  const counts: Partial<Record<Mark, number>> = {};
  for (const mark of MARKS) counts[mark] = count(mark);
  return counts as MarkCounts; // every key of MARKS was just set
}
