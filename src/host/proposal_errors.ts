/**
 * What proposers are told when it does not work out.
 *
 * @module
 */
import type { DropReason } from "../core/message.ts";
import type { EntryId, NodeId } from "../core/types.ts";
import type { RaftErrorCode } from "../errors.ts";
import { RaftError } from "../errors.ts";
import type { ProposalStage } from "./proposal.ts";

/** Whether a reason goes away by itself. */
export function isPassing(reason: DropReason): boolean {
  return reason === "noLeader" || reason === "notLeader" ||
    reason === "transferring" || reason === "changePending";
}

/** Makes the error for a reason that does not go away. */
export function dropError(
  reason: DropReason,
  leader: NodeId | null,
): () => RaftError {
  switch (reason) {
    case "forwardingDisabled":
      return () => notLeader(leader);
    case "notMember":
      return () =>
        notAppended("notMember", "this member was removed from the group");
    case "tooLarge":
      return () =>
        notAppended("tooLarge", "the leader refuses commands of this size");
    case "uncommittedLimit":
      return () =>
        notAppended(
          "overloaded",
          "the leader holds too many bytes that are not committed",
        );
    case "conflict":
    case "invalidChange":
    case "quorumAtRisk":
    case "removedMember":
    case "unknownMember":
      return () => notAppended(reason, "the leader refuses the change");
    case "noLeader":
    case "notLeader":
    case "transferring":
    case "changePending":
      return () => notAppended(reason, "the leader takes none at present");
    default: {
      const unreachable: never = reason;
      return unreachable;
    }
  }
}

/** The command is in no log and never will be. */
export function notAppended(code: RaftErrorCode, why: string): RaftError {
  return new RaftError(code, `Cannot propose: ${why}`, {
    outcome: "notAppended",
  });
}

/** Another member leads, and the caller wanted no forwarding. */
export function notLeader(leader: NodeId | null): RaftError {
  return new RaftError(
    "notLeader",
    `Cannot propose: member ${leader} leads, and forwarding is off`,
    { outcome: "notAppended", leader },
  );
}

/** A later leader put another entry where this one was to be. */
export function overwritten(entry: EntryId): RaftError {
  return new RaftError(
    "leadershipLost",
    `Cannot commit the proposal: its leader of term ${entry.term} was replaced and another entry took its place`,
    { outcome: "notAppended" },
  );
}

/** The leader it was sent to fell silent and was replaced. */
export function unanswered(): RaftError {
  return new RaftError(
    "leadershipLost",
    "Cannot tell what became of the proposal: the leader it was sent to was replaced before it answered",
    { outcome: "unknown" },
  );
}

/** It was committed, but its result is remembered no longer. */
export function resultGone(entry: EntryId): RaftError {
  return new RaftError(
    "timeout",
    `Cannot tell the result of the proposal: entry ${entry.index} is applied, what it came to is not remembered here`,
    { outcome: "unknown" },
  );
}

/** The wait is over. */
export function expired(
  proposal: { readonly stage: ProposalStage },
  leader: NodeId | null,
): RaftError {
  if (proposal.stage !== "queued") {
    return new RaftError(
      "timeout",
      "Cannot tell what became of the proposal: its deadline passed before it was applied",
      { outcome: "unknown", leader },
    );
  }
  return leader === null
    ? notAppended("noLeader", "no leader was elected before the deadline")
    : notAppended("timeout", "the leader took it not before the deadline");
}
