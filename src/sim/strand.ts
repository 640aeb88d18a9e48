/**
 * The hardest place for a leader to be in: with as many members as can be,
 * while just enough for a quorum are on the other side of a partition (H94,
 * H95, H100).
 *
 * @module
 */
import type { NodeId } from "../core/types.ts";
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
  const others = half.filter((id) => id !== leader);
  const needed = (half.length >> 1) + 1;
  if (others.length < needed) return undefined;
  const outside = random.shuffle(others).slice(0, needed);
  return { inside: ids.filter((id) => !outside.includes(id)), outside };
}
