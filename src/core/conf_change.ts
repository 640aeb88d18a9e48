/**
 * Computes configurations from changes (thesis §4). Works on copies: a change
 * that is refused leaves nothing behind.
 *
 * @module
 */
import { majority } from "./quorum.ts";
import type {
  ConfChange,
  ConfChangeStep,
  ConfState,
  MemberAddress,
  MemberIncarnation,
  NodeId,
} from "./types.ts";

/**
 * Why a change does not fit a configuration. `joint`: it begins in a joint
 * one; `notJoint`: there is none to leave; `zeroVoters`: nobody votes before,
 * `noVoters`: or after it; `manyVoters`: more than one voter changes outside
 * of a joint configuration; `witness`: too many witnesses, or a member changes
 * between witness and data member; `rebound`: a member is tied to a second
 * data directory.
 */
export type ConfMisfit =
  | "joint"
  | "notJoint"
  | "zeroVoters"
  | "noVoters"
  | "manyVoters"
  | "witness"
  | "rebound";

/** A configuration in the making. */
interface Draft {
  version: number;
  voters: Set<NodeId>;
  outgoing: Set<NodeId>;
  learners: Set<NodeId>;
  learnersNext: Set<NodeId>;
  staging: Set<NodeId>;
  witnesses: Set<NodeId>;
  removed: Set<NodeId>;
  addresses: Map<NodeId, string>;
  incarnations: Map<NodeId, string>;
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
 * The configuration that is in force once a logged change is applied. Total:
 * what does not fit changes nothing but the version, on every member alike
 * (H84). Whether a change should be logged is for the leader to say.
 */
export function applyChange(conf: ConfState, change: ConfChange): ConfState {
  const result = tryChange(conf, change);
  return typeof result === "string"
    ? { ...conf, version: conf.version + 1 }
    : result;
}

/** The configuration that a change makes of `conf`, or why it does not fit. */
export function tryChange(
  conf: ConfState,
  change: ConfChange,
): ConfState | ConfMisfit {
  if (leavesJoint(change)) return leaveJoint(conf);
  const { steps, transition } = change;
  const joint = transition === "auto"
    ? steps.length > 1 || takesVoteBesideWitness(conf, steps)
    : transition !== "simple";
  return joint
    ? enterJoint(conf, steps, transition !== "explicit")
    : applySimple(conf, steps);
}

/** Applies steps of which at most one voter changes (thesis §4.1). */
export function applySimple(
  conf: ConfState,
  steps: readonly ConfChangeStep[],
): ConfState | ConfMisfit {
  if (isJoint(conf)) return "joint";
  const draft = draftOf(conf);
  const misfit = applySteps(draft, steps) ?? witnessMisfit(conf, draft);
  if (misfit !== undefined) return misfit;
  if (differences(conf.voters, draft.voters) > 1) return "manyVoters";
  if (takesVoteBesideWitness(conf, steps)) return "witness";
  return confOf(draft);
}

/**
 * Whether a data member loses its vote while witnesses vote. That needs a
 * joint configuration: a quorum before such a change and one after it may have
 * but a witness in common, and what was committed would be left with nobody
 * who may lead. A joint configuration is only left once a data voter of the
 * new half holds it all.
 */
function takesVoteBesideWitness(
  conf: ConfState,
  steps: readonly ConfChangeStep[],
): boolean {
  return conf.witnesses.length > 0 &&
    steps.some(({ type, node }) =>
      (type === "remove" || type === "addLearner" || type === "addStaging") &&
      conf.voters.includes(node) && !conf.witnesses.includes(node)
    );
}

/** Enters a joint configuration (thesis §4.3). */
export function enterJoint(
  conf: ConfState,
  steps: readonly ConfChangeStep[],
  autoLeave: boolean,
): ConfState | ConfMisfit {
  if (isJoint(conf)) return "joint";
  if (conf.voters.length === 0) return "zeroVoters";
  const draft = draftOf(conf);
  draft.outgoing = new Set(conf.voters);
  const misfit = applySteps(draft, steps) ?? witnessMisfit(conf, draft);
  if (misfit !== undefined) return misfit;
  draft.autoLeave = autoLeave;
  return confOf(draft);
}

/** Leaves a joint configuration. */
export function leaveJoint(conf: ConfState): ConfState | ConfMisfit {
  if (!isJoint(conf)) return "notJoint";
  const draft = draftOf(conf);
  for (const id of draft.learnersNext) draft.learners.add(id);
  draft.learnersNext.clear();
  const leavers = [...draft.outgoing];
  draft.outgoing.clear();
  for (const id of leavers) if (!isMember(draft, id)) forget(draft, id);
  draft.autoLeave = false;
  return confOf(draft);
}

function applySteps(
  draft: Draft,
  steps: readonly ConfChangeStep[],
): ConfMisfit | undefined {
  for (const step of steps) {
    // Id 0 stands for a step that was refused after it was proposed.
    if (step.node === 0) continue;
    applyStep(draft, step);
    if (step.type === "remove" || !isMember(draft, step.node)) continue;
    if (step.address !== undefined) {
      draft.addresses.set(step.node, step.address);
    }
    if (step.type === "bind" && step.incarnation !== undefined) {
      const known = draft.incarnations.get(step.node) ?? step.incarnation;
      if (known !== step.incarnation) return "rebound";
      draft.incarnations.set(step.node, known);
    }
  }
  return draft.voters.size === 0 ? "noVoters" : undefined;
}

function applyStep(draft: Draft, step: ConfChangeStep): void {
  const { node } = step;
  switch (step.type) {
    case "addVoter":
    case "addWitness":
      draft.learners.delete(node);
      draft.learnersNext.delete(node);
      draft.staging.delete(node);
      draft.removed.delete(node);
      draft.voters.add(node);
      if (step.type === "addWitness") draft.witnesses.add(node);
      else draft.witnesses.delete(node);
      return;
    case "addLearner":
    case "addStaging":
      addLearner(draft, node);
      if (step.type === "addLearner") draft.staging.delete(node);
      else if (draft.learners.has(node)) draft.staging.add(node);
      return;
    case "remove":
      remove(draft, node);
      return;
    case "update":
    case "bind":
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

/** A voter of the outgoing half is a member until that half is left. */
function remove(draft: Draft, node: NodeId): void {
  if (!isMember(draft, node)) return;
  draft.voters.delete(node);
  draft.learners.delete(node);
  draft.learnersNext.delete(node);
  draft.staging.delete(node);
  if (!draft.outgoing.has(node)) forget(draft, node);
}

function forget(draft: Draft, node: NodeId): void {
  draft.witnesses.delete(node);
  draft.addresses.delete(node);
  draft.incarnations.delete(node);
  draft.removed.add(node);
}

/**
 * Every quorum must hold a data member, and a log with payloads cannot become
 * one without, nor the other way round (thesis §11.7.2; docs/protocol.md).
 */
function witnessMisfit(before: ConfState, draft: Draft): "witness" | undefined {
  let count = 0;
  for (const id of draft.voters) if (draft.witnesses.has(id)) count++;
  if (count >= majority(draft.voters.size)) return "witness";
  const old = draftOf(before);
  for (const id of new Set([...old.witnesses, ...draft.witnesses])) {
    if (!isMember(old, id) || !isMember(draft, id)) continue;
    if (old.witnesses.has(id) !== draft.witnesses.has(id)) return "witness";
  }
  return undefined;
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
    staging: new Set(conf.staging),
    witnesses: new Set(conf.witnesses),
    removed: new Set(conf.removed),
    addresses: new Map(
      conf.addresses.map(({ id, address }) => [id, address]),
    ),
    incarnations: new Map(
      conf.incarnations.map(({ id, incarnation }) => [id, incarnation]),
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
    staging: sorted(draft.staging),
    witnesses: sorted(draft.witnesses),
    autoLeave: draft.autoLeave,
    removed: sorted(draft.removed),
    addresses: [...draft.addresses]
      .map(([id, address]): MemberAddress => ({ id, address }))
      .sort((a, b) => a.id - b.id),
    incarnations: [...draft.incarnations]
      .map(([id, incarnation]): MemberIncarnation => ({ id, incarnation }))
      .sort((a, b) => a.id - b.id),
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
