/**
 * Why a member stopped, for people and for callers.
 *
 * @module
 */
import type { Removal } from "../core/departure.ts";
import type { GroupId, NodeId } from "../core/types.ts";
import { isRaftError } from "../errors.ts";
import type { StopReason } from "../status.ts";

/** What an error that a member cannot survive comes to. */
export function stopReasonOf(error: unknown): StopReason {
  const message = error instanceof Error ? error.message : String(error);
  return {
    code: isRaftError(error) ? error.code : "invariantBroken",
    message,
  };
}

/** What callers of a stopped or stopping member are told. */
export function stopErrorMessage(
  group: GroupId,
  node: NodeId,
  reason: StopReason | null,
): string {
  const who = `member ${node} of group ${group}`;
  return reason === null
    ? `Cannot go on: ${who} is stopping`
    : `Cannot go on: ${who} has stopped: ${reason.message}`;
}

/** What others said that ends a membership for good. */
export function removalReason(
  group: GroupId,
  { reason, version }: Removal,
): StopReason {
  return {
    code: reason,
    message: reason === "removed"
      ? `It was removed from group ${group} by version ${version} of the configuration`
      : `Its data directory is not the one that group ${group} knows it by: it lacks what it has promised. Remove the member and add it under a new id, or bring the old directory back`,
  };
}
