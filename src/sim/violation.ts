/**
 * How a run fails.
 *
 * @module
 */

/** What a run may violate. Each is checked after every step it can change. */
export type CheckName =
  | "electionSafety"
  | "oneVotePerTerm"
  | "leaderAppendOnly"
  | "logMatching"
  | "leaderCompleteness"
  | "stateMachineSafety"
  | "commitMonotonic"
  | "committedForever"
  | "commitOnQuorum"
  | "commitOfOwnTerm"
  | "durableBeforeSent"
  | "committedNotPopped"
  | "entryIds"
  | "currentIndex"
  | "logAccuracy"
  | "monotonicTerm"
  | "readyContract"
  | "messageTruth"
  | "readIndex"
  | "acknowledgedDurable"
  | "linearizability"
  | "boundedQueues"
  | "coreInvariant"
  | "confAgreement"
  | "changeRules"
  | "leaseSafety"
  | "configurationSafety"
  | "electionQuorum"
  | "leaderEligible"
  | "snapshotTruth"
  | "witnessPayload"
  | "witnessOrder"
  | "preference"
  | "exactlyOnce"
  | "sessionAgreement"
  | "lostDisk"
  | "convergence"
  | "progress";

/** Kinds of failure; a command line gives each an exit code of its own. */
export type FailureKind = "safety" | "liveness" | "crash";

/** Thrown by a checker; ends the run. */
export class Violation extends Error {
  /** The property that does not hold. */
  readonly check: CheckName;

  /** Makes a violation of `check`, explained by `message`. */
  constructor(check: CheckName, message: string) {
    super(message);
    this.name = "Violation";
    this.check = check;
  }
}

/** Ends the run with a {@linkcode Violation}. */
export function fail(check: CheckName, message: string): never {
  throw new Violation(check, message);
}
