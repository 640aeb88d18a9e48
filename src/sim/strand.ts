/**
 * The hardest places for a leader to be in: with as many members as can be,
 * while just enough for a quorum are on the other side of a partition (H94,
 * H95, H100).
 *
 * @module
 */
import type { Message } from "../core/message.ts";
import type {
  ConfChange,
  ConfChangeStep,
  LogIndex,
  NodeId,
  Term,
} from "../core/types.ts";
import type { ConfRoles } from "./conf_model.ts";
import type { SimRandom } from "./prng.ts";

/** Two sides of a partition. */
export interface Sides {
  /** The leader, all who do not vote, and the voters that are left. */
  readonly inside: readonly NodeId[];
  /** A bare majority of one half of the configuration. */
  readonly outside: readonly NodeId[];
}

/** Draws the sides, or nothing if there is no majority without the leader. */
export function drawStranded(
  conf: ConfRoles,
  leader: NodeId,
  ids: readonly NodeId[],
  random: SimRandom,
): Sides | undefined {
  const { voters, votersOutgoing } = conf;
  const isOld = votersOutgoing.length > 0 && random.chance(500);
  const half = isOld ? votersOutgoing : voters;
  const outside = drawOutside(half, leader, random);
  if (outside === undefined) return undefined;
  return sidesOf(outside, ids);
}

/** Everybody there, in two parts. */
export function sidesOf(
  outside: readonly NodeId[],
  ids: readonly NodeId[],
): Sides {
  return { inside: ids.filter((id) => !outside.includes(id)), outside };
}

/** A change into a joint configuration, and who is to be cut off in it. */
export interface JointPlan {
  /** Gives the leader's side a majority of the new half. */
  readonly change: ConfChange;
  /** A bare majority of the voters before the change. */
  readonly outside: readonly NodeId[];
}

/**
 * Draws a change after which the leader has the whole new half with it, or
 * most of it, and the old half is outside. There nobody must hear that the
 * change is committed: then they elect by the configuration before it, as they
 * may (thesis §4.3), while the leader is in the joint one.
 */
export function drawJointPlan(
  conf: ConfRoles,
  leader: NodeId,
  freshIds: readonly NodeId[],
  random: SimRandom,
): JointPlan | undefined {
  const { voters, votersOutgoing, learners, witnesses } = conf;
  if (votersOutgoing.length > 0 || !voters.includes(leader)) return undefined;
  const outside = drawOutside(voters, leader, random);
  if (outside === undefined) return undefined;
  const ready = random.shuffle([...learners, ...freshIds]);
  const joining = ready.slice(0, random.below(ready.length + 1));
  const insideCount = voters.length - outside.length + joining.length;
  const stayingCount = random.below(Math.min(insideCount, outside.length));
  const steps: ConfChangeStep[] = joining.map((node) => (
    { type: "addVoter", node, address: `member-${node}:1` }
  ));
  for (const node of outside.slice(stayingCount)) {
    const isDemoted = !witnesses.includes(node) && random.chance(300);
    steps.push({ type: isDemoted ? "addLearner" : "remove", node });
  }
  const transition = random.pick(["implicit", "explicit"] as const);
  return { change: { transition, steps }, outside };
}

/** A plan whose change stands in the log of a leader. */
export interface JointTrap extends JointPlan {
  readonly leader: NodeId;
  readonly term: Term;
  /** Where the change is. */
  readonly index: LogIndex;
}

/** Whether a message is the first to tell that the change is committed. */
export function tellsOfCommit(trap: JointTrap, message: Message): boolean {
  if (message.from !== trap.leader || message.term !== trap.term) return false;
  switch (message.type) {
    case "appendEntries":
      return message.commitIndex >= trap.index;
    case "heartbeat":
      return (message.leaderCommit ?? message.commitIndex) >= trap.index;
    default:
      return false;
  }
}

/** A bare majority of some voters, the leader not among them. */
function drawOutside(
  voters: readonly NodeId[],
  leader: NodeId,
  random: SimRandom,
): NodeId[] | undefined {
  const others = voters.filter((id) => id !== leader);
  const needed = (voters.length >> 1) + 1;
  if (others.length < needed) return undefined;
  return random.shuffle(others).slice(0, needed);
}
