/**
 * Draws membership changes that fit a configuration, and some that do not.
 *
 * @module
 */
import type { ConfChange, ConfChangeStep, NodeId } from "../core/types.ts";
import { type ConfRoles, membersOf } from "./conf_model.ts";
import type { ChangeKind } from "./options_protocol.ts";
import type { SimRandom } from "./prng.ts";

/** What a change is drawn from. */
export interface ChangeInputs {
  readonly random: SimRandom;
  /** The configuration of whoever is asked. */
  readonly conf: ConfRoles;
  /** Who is asked. */
  readonly leader: NodeId;
  /** Most members afterwards. */
  readonly maxMembers: number;
  /** Ids that no member had before; they are used up from the front. */
  readonly freshIds: readonly NodeId[];
}

const TRANSITIONS = ["auto", "auto", "simple", "implicit", "explicit"] as const;
const JOINT_TRANSITIONS = ["auto", "implicit", "explicit"] as const;

/** Leaves a joint configuration that waits to be left. */
export const LEAVE_JOINT: ConfChange = { transition: "auto", steps: [] };

/** A change of some kind; `undefined` if the configuration has no room. */
export function drawChange(
  kind: ChangeKind,
  inputs: ChangeInputs,
): ConfChange | undefined {
  const { random } = inputs;
  if (kind === "replace") return drawReplacement(inputs);
  if (kind === "narrow") return narrowed(inputs);
  if (kind === "nonsense") return drawNonsense(inputs);
  const step = drawStep(kind, inputs);
  if (step === undefined) return undefined;
  return { transition: random.pick(TRANSITIONS), steps: [step] };
}

function drawStep(
  kind: Exclude<ChangeKind, "replace" | "narrow" | "nonsense">,
  { random, conf, leader, maxMembers, freshIds }: ChangeInputs,
): ConfChangeStep | undefined {
  const members = membersOf(conf);
  const [fresh] = freshIds;
  const hasRoom = members.length < maxMembers && fresh !== undefined;
  const isLast = conf.voters.length <= 1;
  switch (kind) {
    case "addVoter":
    case "addLearner":
    case "addStaging":
    case "addWitness":
      return hasRoom ? joining(kind, fresh) : undefined;
    case "promote":
      return pickOf(random, conf.learners, "addVoter");
    case "demote":
      return isLast ? undefined : pickOf(random, conf.voters, "addLearner");
    case "remove":
      return isLast
        ? pickOf(random, conf.learners, "remove")
        : pickOf(random, members, "remove");
    case "removeLeader":
      return isLast ? undefined : { type: "remove", node: leader };
    case "update": {
      const step = pickOf(random, members, "update");
      return step && { ...step, address: `moved-${random.below(1000)}:1` };
    }
    default: {
      const unreachable: never = kind;
      return unreachable;
    }
  }
}

/** Several members at once; at least one voter is left of the old ones. */
function drawReplacement(inputs: ChangeInputs): ConfChange | undefined {
  const { random, conf, maxMembers, freshIds } = inputs;
  const steps: ConfChangeStep[] = [];
  const voters = random.shuffle(conf.voters);
  const leaving = random.between(0, Math.min(2, voters.length - 1));
  for (const node of voters.slice(0, leaving)) {
    const type = random.chance(700) ? "remove" : "addLearner";
    steps.push({ type, node });
  }
  for (const node of conf.learners) {
    if (random.chance(400)) steps.push({ type: "addVoter", node });
  }
  const room = maxMembers - membersOf(conf).length + leaving;
  const joiners = random.between(0, Math.max(0, Math.min(room, 2)));
  for (const node of freshIds.slice(0, joiners)) {
    const type = random.chance(800) ? "addVoter" : "addLearner";
    steps.push(joining(type, node));
  }
  if (steps.length === 0) return undefined;
  return { transition: random.pick(JOINT_TRANSITIONS), steps };
}

/** Down to a single voter, who has everything, or from there to all. */
function narrowed({ conf, leader }: ChangeInputs): ConfChange | undefined {
  const { voters, learners, witnesses } = conf;
  if (witnesses.length > 0 || !voters.includes(leader)) return undefined;
  const others = voters.filter((id) => id !== leader);
  const steps = others.length > 0
    ? others.map((node): ConfChangeStep => ({ type: "addLearner", node }))
    : learners.map((node): ConfChangeStep => ({ type: "addVoter", node }));
  if (steps.length === 0) return undefined;
  return { transition: "auto", steps };
}

/** Steps that belong together by nobody's intention (H84). */
function drawNonsense(inputs: ChangeInputs): ConfChange {
  const { random, conf, freshIds } = inputs;
  const ids = [...membersOf(conf), ...conf.removed, ...freshIds, 0, 60];
  const types = [
    "addVoter",
    "addLearner",
    "addStaging",
    "addWitness",
    "remove",
    "update",
    "bind",
  ] as const;
  const steps = Array.from({ length: random.below(5) }, (): ConfChangeStep => ({
    type: random.pick(types),
    node: random.pick(ids),
  }));
  return { transition: random.pick(TRANSITIONS), steps };
}

function joining(
  type: "addVoter" | "addLearner" | "addStaging" | "addWitness",
  node: NodeId,
): ConfChangeStep {
  return { type, node, address: `member-${node}:1` };
}

function pickOf(
  random: SimRandom,
  ids: readonly NodeId[],
  type: "addVoter" | "addLearner" | "remove" | "update",
): ConfChangeStep | undefined {
  return ids.length === 0 ? undefined : { type, node: random.pick(ids) };
}
