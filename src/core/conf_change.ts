/**
 * Computes configurations from changes (thesis §4). Works on copies: a change
 * that is refused leaves nothing behind.
 *
 * @module
 */
import { assertInvariant } from "./invariant.ts";
import type {
  ConfChange,
  ConfChangeStep,
  ConfState,
  MemberAddress,
  NodeId,
} from "./types.ts";

/** A configuration in the making. */
interface Draft {
  version: number;
  voters: Set<NodeId>;
  outgoing: Set<NodeId>;
  learners: Set<NodeId>;
  learnersNext: Set<NodeId>;
  witnesses: Set<NodeId>;
  removed: Set<NodeId>;
  addresses: Map<NodeId, string>;
  autoLeave: boolean;
}

/** Whether a change leaves a joint configuration. */
export function leavesJoint(change: ConfChange): boolean {
  return change.transition === "auto" && change.steps.length === 0;
}

/** Whether a configuration is joint. */
export function isJoint(conf: ConfState): boolean {
  return conf.votersOutgoing.length > 0;
}

/**
 * The configuration that a change makes of `conf`.
 *
 * @throws {InvariantError} If the change does not fit: it enters a joint
 * configuration from one, leaves none, or leaves no voter.
 */
export function applyChange(conf: ConfState, change: ConfChange): ConfState {
  if (leavesJoint(change)) return leaveJoint(conf);
  const { steps, transition } = change;
  const joint = transition === "auto"
    ? steps.length > 1
    : transition !== "simple";
  return joint
    ? enterJoint(conf, change.steps, change.transition !== "explicit")
    : applySimple(conf, change.steps);
}

/** Applies steps of which at most one voter changes (thesis §4.1). */
export function applySimple(
  conf: ConfState,
  steps: readonly ConfChangeStep[],
): ConfState {
  assertInvariant(
    !isJoint(conf),
    "simple membership change in a joint configuration",
  );
  const draft = draftOf(conf);
  applySteps(draft, steps);
  assertInvariant(
    differences(conf.voters, draft.voters) <= 1,
    "more than one voter changed without a joint configuration",
  );
  return confOf(draft);
}

/** Enters a joint configuration (thesis §4.3). */
export function enterJoint(
  conf: ConfState,
  steps: readonly ConfChangeStep[],
  autoLeave: boolean,
): ConfState {
  assertInvariant(!isJoint(conf), "joint configuration entered twice");
  assertInvariant(
    conf.voters.length > 0,
    "joint configuration entered without voters",
  );
  const draft = draftOf(conf);
  draft.outgoing = new Set(conf.voters);
  applySteps(draft, steps);
  draft.autoLeave = autoLeave;
  return confOf(draft);
}

/** Leaves a joint configuration. */
export function leaveJoint(conf: ConfState): ConfState {
  assertInvariant(isJoint(conf), "no joint configuration to leave");
  const draft = draftOf(conf);
  for (const id of draft.learnersNext) draft.learners.add(id);
  draft.learnersNext.clear();
  for (const id of draft.outgoing) {
    if (!draft.voters.has(id) && !draft.learners.has(id)) {
      draft.addresses.delete(id);
      draft.witnesses.delete(id);
      draft.removed.add(id);
    }
  }
  draft.outgoing.clear();
  draft.autoLeave = false;
  return confOf(draft);
}

function applySteps(draft: Draft, steps: readonly ConfChangeStep[]): void {
  for (const step of steps) {
    // Id 0 stands for a step that was refused after it was proposed.
    if (step.node === 0) continue;
    applyStep(draft, step);
    if (step.address !== undefined && isMember(draft, step.node)) {
      draft.addresses.set(step.node, step.address);
    }
  }
  assertInvariant(draft.voters.size > 0, "all voters removed");
}

function applyStep(draft: Draft, step: ConfChangeStep): void {
  const { node } = step;
  switch (step.type) {
    case "addVoter":
    case "addWitness":
      draft.learners.delete(node);
      draft.learnersNext.delete(node);
      draft.removed.delete(node);
      draft.voters.add(node);
      if (step.type === "addWitness") draft.witnesses.add(node);
      else draft.witnesses.delete(node);
      return;
    case "addLearner":
      addLearner(draft, node);
      return;
    case "remove":
      remove(draft, node);
      return;
    case "update":
    case "bind":
      return;
    case "addStaging":
      addLearner(draft, node);
      return;
    default: {
      const unreachable: never = step.type;
      return unreachable;
    }
  }
}

/** A voter of the outgoing half becomes a learner only on leaving it. */
function addLearner(draft: Draft, node: NodeId): void {
  if (draft.learners.has(node)) return;
  draft.voters.delete(node);
  draft.witnesses.delete(node);
  draft.learnersNext.delete(node);
  draft.removed.delete(node);
  if (draft.outgoing.has(node)) draft.learnersNext.add(node);
  else draft.learners.add(node);
}

function remove(draft: Draft, node: NodeId): void {
  if (!isMember(draft, node)) return;
  draft.voters.delete(node);
  draft.learners.delete(node);
  draft.learnersNext.delete(node);
  if (draft.outgoing.has(node)) return;
  draft.witnesses.delete(node);
  draft.addresses.delete(node);
  draft.removed.add(node);
}

function isMember(draft: Draft, node: NodeId): boolean {
  return draft.voters.has(node) || draft.outgoing.has(node) ||
    draft.learners.has(node) || draft.learnersNext.has(node);
}

function draftOf(conf: ConfState): Draft {
  return {
    version: conf.version,
    voters: new Set(conf.voters),
    outgoing: new Set(conf.votersOutgoing),
    learners: new Set(conf.learners),
    learnersNext: new Set(conf.learnersNext),
    witnesses: new Set(conf.witnesses),
    removed: new Set(conf.removed),
    addresses: new Map(
      conf.addresses.map(({ id, address }) => [id, address]),
    ),
    autoLeave: conf.autoLeave,
  };
}

function confOf(draft: Draft): ConfState {
  return {
    version: draft.version + 1,
    voters: sorted(draft.voters),
    votersOutgoing: sorted(draft.outgoing),
    learners: sorted(draft.learners),
    learnersNext: sorted(draft.learnersNext),
    staging: [],
    witnesses: sorted(draft.witnesses),
    autoLeave: draft.autoLeave,
    removed: sorted(draft.removed),
    addresses: [...draft.addresses]
      .map(([id, address]): MemberAddress => ({ id, address }))
      .sort((a, b) => a.id - b.id),
    incarnations: [],
  };
}

function sorted(ids: ReadonlySet<NodeId>): NodeId[] {
  return [...ids].sort((a, b) => a - b);
}

function differences(
  before: readonly NodeId[],
  after: ReadonlySet<NodeId>,
): number {
  const old = new Set(before);
  let count = 0;
  for (const id of after) if (!old.has(id)) count++;
  for (const id of old) if (!after.has(id)) count++;
  return count;
}
