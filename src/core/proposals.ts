/**
 * Proposals: what a leader takes, and what becomes of the rest.
 *
 * @module
 */
import { isHandingOver } from "./departure.ts";
import { proposeChange } from "./membership.ts";
import type { DropReason, Propose } from "./message.ts";
import type { Raft } from "./raft.ts";
import { broadcastAppend } from "./replication.ts";
import type { StepResult } from "./step.ts";
import type { EntryId, LogIndex, NodeId, Term } from "./types.ts";

/** What became of a proposal at this node. */
export type ProposeOutcome =
  | {
    /** In this leader's log, from `index` on; not yet committed. */
    readonly type: "appended";
    readonly term: Term;
    readonly index: LogIndex;
  }
  | {
    /** Sent to the leader; it answers with the ticket, or is lost. */
    readonly type: "forwarded";
    readonly to: NodeId;
  }
  | {
    /** In no log, for certain. */
    readonly type: "dropped";
    readonly reason: DropReason;
  };

/** An answer to a forwarded proposal. */
export interface ProposeAnswer {
  /** The ticket given to `propose`. */
  readonly ticket: number;
  /** What the leader made of it. */
  readonly outcome: Exclude<ProposeOutcome, { type: "forwarded" }>;
}

/** What this member itself proposes: commands, or a membership change. */
export type Proposal = Pick<Propose, "ticket" | "commands" | "change">;

/** Appends a proposal of this member's, or passes it on to the leader. */
export function submit(raft: Raft, proposal: Proposal): ProposeOutcome {
  if (raft.role === "leader") {
    const result = takeProposal(raft, proposal);
    return typeof result === "string"
      ? { type: "dropped", reason: result }
      : { type: "appended", term: result.term, index: result.index };
  }
  const { leader } = raft;
  if (raft.role !== "follower" || leader === null) {
    return { type: "dropped", reason: "noLeader" };
  }
  if (!raft.config.forwardProposals) {
    return { type: "dropped", reason: "forwardingDisabled" };
  }
  raft.send({
    type: "propose",
    from: raft.id,
    to: leader,
    term: 0,
    ...proposal,
  });
  return { type: "forwarded", to: leader };
}

/** A leader takes or refuses a proposal, its own or one passed on to it. */
export function takeProposal(
  raft: Raft,
  { commands, change }: Proposal,
): EntryId | DropReason {
  return change === null
    ? appendProposal(raft, commands)
    : proposeChange(raft, change);
}

/**
 * Appends commands to a leader's log and sends them out; all or none.
 *
 * @returns Where the first one is, or why none was appended.
 */
function appendProposal(
  raft: Raft,
  commands: readonly Uint8Array[],
): EntryId | DropReason {
  const { config } = raft;
  if (raft.transferTarget !== null || isHandingOver(raft)) {
    return "transferring";
  }
  if (!raft.tracker.progress.has(raft.id)) return "notMember";
  let bytes = 0;
  for (const command of commands) {
    if (command.length > config.maxEntryBytes) return "tooLarge";
    bytes += command.length;
  }
  // One proposal is always let through when nothing is uncommitted, or a
  // large one could never be made (C23).
  if (
    bytes > 0 && raft.uncommittedBytes > 0 &&
    raft.uncommittedBytes + bytes > config.maxUncommittedBytes
  ) return "uncommittedLimit";
  const first = raft.appendCommands(commands, bytes);
  broadcastAppend(raft);
  return first;
}

/** Tells who forwarded a proposal what became of it, if it asked. */
export function answerProposal(
  raft: Raft,
  message: Propose,
  outcome: EntryId | DropReason,
): StepResult {
  const dropped = typeof outcome === "string" ? outcome : null;
  if (message.ticket !== 0 && message.from !== raft.id) {
    raft.send({
      type: "proposeResponse",
      from: raft.id,
      to: message.from,
      term: 0,
      ticket: message.ticket,
      dropped,
      index: typeof outcome === "string" ? 0 : outcome.index,
      entryTerm: typeof outcome === "string" ? 0 : outcome.term,
    });
  }
  return dropped === null ? "accepted" : "proposalDropped";
}
