/**
 * Proposals: what a leader takes, and what becomes of the rest.
 *
 * @module
 */
import type { DropReason, Propose } from "./message.ts";
import type { Raft } from "./raft.ts";
import { broadcastAppend } from "./replication.ts";
import type { StepResult } from "./step.ts";
import type { EntryId } from "./types.ts";

/**
 * Appends commands to a leader's log and sends them out; all or none.
 *
 * @returns Where the first one is, or why none was appended.
 */
export function appendProposal(
  raft: Raft,
  commands: readonly Uint8Array[],
): EntryId | DropReason {
  const { config } = raft;
  if (!raft.tracker.progress.has(raft.id)) return "notMember";
  if (raft.transferTarget !== null) return "transferring";
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
