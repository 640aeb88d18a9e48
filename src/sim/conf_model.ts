/**
 * Configurations computed a second time, in another way than the core does,
 * and whether two of them can be in force side by side.
 *
 * @module
 */
import type {
  ConfChange,
  ConfChangeStep,
  ConfState,
  NodeId,
} from "../core/types.ts";

/** What the checkers compare: who counts and how, in order of application. */
export type ConfRoles = Omit<ConfState, "addresses" | "incarnations">;

/** What a member is in a configuration. */
interface Part {
  /** In the new half, or in the only one. */
  incoming: "voter" | "learner" | "none";
  /** Whether it votes in the old half. */
  outgoing: boolean;
  witness: boolean;
  staging: boolean;
}

/**
 * The roles after a change: one row per member, the lists are read off at the
 * end.
 */
export function rolesAfter(before: ConfRoles, change: ConfChange): ConfRoles {
  const parts = partsOf(before);
  const { transition, steps } = change;
  const leaves = transition === "auto" && steps.length === 0;
  const isForced = before.witnesses.length > 0 &&
    before.voters.some((id) =>
      !before.witnesses.includes(id) && isDemoted(id, steps)
    );
  const enters = !leaves && transition !== "simple" &&
    (transition !== "auto" || steps.length > 1 || isForced);
  if (leaves) { for (const part of parts.values()) part.outgoing = false; }
  if (enters) {
    for (const part of parts.values()) {
      part.outgoing = part.incoming === "voter";
    }
  }
  for (const { type, node } of steps) {
    const part = parts.get(node) ?? newPart();
    if (type === "addVoter" || type === "addWitness") {
      parts.set(node, part);
      part.incoming = "voter";
      part.witness = type === "addWitness";
      part.staging = false;
    } else if (type === "addLearner" || type === "addStaging") {
      parts.set(node, part);
      part.incoming = "learner";
      part.staging = type === "addStaging";
    } else if (type === "remove") {
      part.incoming = "none";
      part.staging = false;
    }
  }
  const autoLeave = enters && transition !== "explicit";
  return rolesOf(parts, before, autoLeave);
}

/** A text that is equal for equal roles. */
export function rolesKey(conf: ConfRoles): string {
  const known = KEYS.get(conf);
  if (known !== undefined) return known;
  const key =
    `${conf.version}:${conf.voters}/${conf.votersOutgoing}/${conf.learners}/${conf.learnersNext}/${conf.staging}/${conf.witnesses}/${conf.removed}/${
      conf.autoLeave ? 1 : 0
    }`;
  KEYS.set(conf, key);
  return key;
}

const KEYS = new WeakMap<ConfRoles, string>();

/**
 * The same once the staging members for whom `isChosen` holds got their votes:
 * a leader promotes them of its own accord (thesis §4.2.1).
 */
export function rolesPromoted(
  conf: ConfRoles,
  isChosen: (id: NodeId) => boolean,
): ConfRoles {
  const voters = [...conf.voters, ...conf.staging.filter(isChosen)];
  return { ...conf, voters };
}

/** Whether those of whom `has` is true are a quorum: of both halves, if two. */
export function isQuorum(
  conf: ConfRoles,
  has: (id: NodeId) => boolean,
): boolean {
  return isMajority(conf.voters, has) &&
    (conf.votersOutgoing.length === 0 || isMajority(conf.votersOutgoing, has));
}

/** Whether more than half of `ids` have something. */
export function isMajority(
  ids: readonly NodeId[],
  has: (id: NodeId) => boolean,
): boolean {
  let count = 0;
  for (const id of ids) if (has(id)) count++;
  return 2 * count > ids.length;
}

/**
 * Whether every quorum of `left` has a member in common with every one of
 * `right`: tried out, for all sets of voters.
 */
export function quorumsOverlap(left: ConfRoles, right: ConfRoles): boolean {
  const ids = [
    ...new Set([
      ...left.voters,
      ...left.votersOutgoing,
      ...right.voters,
      ...right.votersOutgoing,
    ]),
  ];
  const position = new Map(ids.map((id, i) => [id, i]));
  for (let set = 0; set < 2 ** ids.length; set++) {
    const isIn = (id: NodeId) => ((set >> (position.get(id) ?? 0)) & 1) === 1;
    if (isQuorum(left, isIn) && isQuorum(right, (id) => !isIn(id))) {
      return false;
    }
  }
  return true;
}

/** Whether a member votes in the configuration. */
export function votesIn(conf: ConfRoles, id: NodeId): boolean {
  return conf.voters.includes(id) || conf.votersOutgoing.includes(id);
}

/** Everybody who is to receive the log. */
export function membersOf(conf: ConfRoles): NodeId[] {
  const { voters, votersOutgoing, learners, learnersNext } = conf;
  const all = [...voters, ...votersOutgoing, ...learners, ...learnersNext];
  return [...new Set(all)].sort((left, right) => left - right);
}

/** Whether the last step that says whether a member votes says no. */
function isDemoted(
  id: NodeId,
  steps: readonly ConfChangeStep[],
): boolean {
  const verdicts = steps.filter(({ node, type }) =>
    node === id && type !== "update" && type !== "bind"
  );
  const last = verdicts[verdicts.length - 1]?.type;
  return last !== undefined && last !== "addVoter" && last !== "addWitness";
}

function newPart(): Part {
  return { incoming: "none", outgoing: false, witness: false, staging: false };
}

function partsOf(conf: ConfRoles): Map<NodeId, Part> {
  const parts = new Map<NodeId, Part>();
  const of = (id: NodeId): Part => {
    const part = parts.get(id) ?? newPart();
    parts.set(id, part);
    return part;
  };
  for (const id of conf.voters) of(id).incoming = "voter";
  for (const id of conf.votersOutgoing) of(id).outgoing = true;
  for (const id of [...conf.learners, ...conf.learnersNext]) {
    of(id).incoming = "learner";
  }
  for (const id of conf.staging) of(id).staging = true;
  for (const id of conf.witnesses) of(id).witness = true;
  return parts;
}

function rolesOf(
  parts: ReadonlyMap<NodeId, Part>,
  before: ConfRoles,
  autoLeave: boolean,
): ConfRoles {
  const where = (is: (part: Part) => boolean): NodeId[] =>
    [...parts].filter(([, part]) => is(part)).map(([id]) => id)
      .sort((left, right) => left - right);
  const isNone = ({ incoming, outgoing }: Part) =>
    incoming === "none" && !outgoing;
  const back = new Set(where((part) => !isNone(part)));
  const removed = [...before.removed, ...where(isNone)]
    .filter((id) => !back.has(id));
  return {
    version: before.version + 1,
    voters: where(({ incoming }) => incoming === "voter"),
    votersOutgoing: where(({ outgoing }) => outgoing),
    learners: where(({ incoming, outgoing }) =>
      incoming === "learner" && !outgoing
    ),
    learnersNext: where(({ incoming, outgoing }) =>
      incoming === "learner" && outgoing
    ),
    staging: where(({ staging, outgoing, incoming }) =>
      staging && incoming === "learner" && !outgoing
    ),
    witnesses: where((part) => part.witness && !isNone(part)),
    removed: [...new Set(removed)].sort((left, right) => left - right),
    autoLeave,
  };
}
