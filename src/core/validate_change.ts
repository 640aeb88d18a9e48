/**
 * What a leader asks of a membership change before it enters the log
 * (thesis §4; H84). Pure: the same question has the same answer.
 *
 * @module
 */
import { isJoint, leavesJoint, tryChange } from "./conf_change.ts";
import type { DropReason } from "./message.ts";
import { majorityVote } from "./quorum.ts";
import { allMembers } from "./tracker.ts";
import type {
  ConfChangeStep,
  ConfState,
  NodeId,
  ProposedChange,
} from "./types.ts";

/**
 * Members a configuration may have, both halves of a joint one together.
 * Every leader keeps a record and a window of messages for each.
 */
export const MAX_MEMBERS = 100;
/** UTF-16 units of an address. */
const MAX_ADDRESS_LENGTH = 512;
/** UTF-16 units of an incarnation. */
const MAX_INCARNATION_LENGTH = 128;

/**
 * Why a leader refuses a change of `conf`; `null` if it takes it.
 *
 * @param isLive Whether a voter of the result is known to live, and holds
 * enough of the log to acknowledge the next entries soon (H81).
 */
export function validateChange(
  conf: ConfState,
  proposed: ProposedChange,
  isLive: (id: NodeId) => boolean,
): DropReason | null {
  const { change, expect, force } = proposed;
  if (expect !== undefined && expect !== conf.version) return "conflict";
  if (isJoint(conf) !== leavesJoint(change)) {
    return isJoint(conf) ? "changePending" : "invalidChange";
  }
  if (leavesJoint(change)) return null;
  const refused = validateSteps(conf, change.steps);
  if (refused !== null) return refused;
  const result = tryChange(conf, change);
  if (typeof result === "string") return "invalidChange";
  if (allMembers(result).length > MAX_MEMBERS) return "invalidChange";
  if (sharesAddress(result, change.steps)) return "invalidChange";
  if (rolesKey(result) === rolesKey(conf)) return "invalidChange";
  if (force !== true && isAtRisk(conf, result, isLive)) return "quorumAtRisk";
  return null;
}

/** Each step by itself, in view of those before it. */
function validateSteps(
  conf: ConfState,
  steps: readonly ConfChangeStep[],
): DropReason | null {
  if (steps.length > 2 * MAX_MEMBERS) return "invalidChange";
  const removed = new Set(conf.removed);
  const known = new Set(allMembers(conf));
  const named = new Set<NodeId>();
  for (const step of steps) {
    const { node, type } = step;
    if (!isWellFormed(step)) return "invalidChange";
    if (removed.has(node)) return "removedMember";
    if (type === "update" || type === "bind") {
      if (!known.has(node)) return "unknownMember";
      continue;
    }
    // Two intentions for one member are one too many.
    if (named.has(node)) return "invalidChange";
    named.add(node);
    if (type === "remove" && !known.has(node)) return "unknownMember";
    // A voter that is to vote again once it has caught up never lost a vote.
    if (type === "addStaging" && conf.voters.includes(node)) {
      return "invalidChange";
    }
    known.add(node);
  }
  return null;
}

function isWellFormed(step: ConfChangeStep): boolean {
  const { node, type, address, incarnation } = step;
  return Number.isSafeInteger(node) && node > 0 &&
    (address === undefined ? type !== "update" : isText(
      address,
      MAX_ADDRESS_LENGTH,
    )) &&
    (type === "bind"
      ? isText(incarnation, MAX_INCARNATION_LENGTH)
      : incarnation === undefined);
}

function isText(text: string | undefined, maxLength: number): boolean {
  return text !== undefined && text.length > 0 && text.length <= maxLength;
}

/** Whether a member that is given an address would share it with another. */
function sharesAddress(
  result: ConfState,
  steps: readonly ConfChangeStep[],
): boolean {
  return steps.some(({ node, type, address }) =>
    type !== "remove" && address !== undefined &&
    result.addresses.some((other) =>
      other.id !== node && other.address === address
    )
  );
}

/** A text that is equal for configurations that come to the same. */
function rolesKey(conf: ConfState): string {
  const { voters, learners, learnersNext, staging, witnesses } = conf;
  const listeners = [...learners, ...learnersNext].sort((a, b) => a - b);
  const { addresses, incarnations } = conf;
  return JSON.stringify([
    voters,
    listeners,
    staging,
    witnesses,
    addresses.map(({ id, address }) => [id, address]),
    incarnations.map(({ id, incarnation }) => [id, incarnation]),
  ]);
}

/**
 * Whether other members vote than before, and too few of them live to commit
 * anything in the result, its outgoing half included.
 */
function isAtRisk(
  conf: ConfState,
  result: ConfState,
  isLive: (id: NodeId) => boolean,
): boolean {
  if (String(conf.voters) === String(result.voters)) return false;
  return majorityVote(result.voters, isLive) !== "won" ||
    majorityVote(result.votersOutgoing, isLive) !== "won";
}
