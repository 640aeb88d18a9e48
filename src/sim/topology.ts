/**
 * Shapes of partitions, from the clean split to links that work one way only.
 *
 * @module
 */
import type { NodeId } from "../core/types.ts";
import { type Link, linksBetween } from "./network.ts";
import type { PartitionShape } from "./options.ts";
import type { SimRandom } from "./prng.ts";

/** Draws the links that a partition of some shape cuts. */
export function drawPartition(
  shape: PartitionShape,
  ids: readonly NodeId[],
  random: SimRandom,
): Link[] {
  const order = random.shuffle(ids);
  switch (shape) {
    case "split": {
      const size = random.between(1, order.length - 1);
      return linksBetween(order.slice(0, size), order.slice(size));
    }
    case "oneWay":
      return oneWay(order, random);
    case "bridge": {
      const half = order.length >> 1;
      return linksBetween(order.slice(0, half), order.slice(half + 1));
    }
    case "chain":
      return allLinks(order).filter(({ from, to }) =>
        Math.abs(order.indexOf(from) - order.indexOf(to)) !== 1
      );
    case "star":
      return allLinks(order).filter(({ from, to }) =>
        from !== order[0] && to !== order[0]
      );
    case "random": {
      const permille = random.between(100, 600);
      return allLinks(order).filter(() => random.chance(permille));
    }
    default: {
      const unreachable: never = shape;
      return unreachable;
    }
  }
}

/** Every link to and from a member, for isolating it. */
export function linksOf(id: NodeId, ids: readonly NodeId[]): Link[] {
  return linksBetween([id], ids.filter((other) => other !== id));
}

/** Every link among `ids`. */
export function allLinks(ids: readonly NodeId[]): Link[] {
  return ids.flatMap((from) =>
    ids.flatMap((to) => from === to ? [] : [{ from, to }])
  );
}

/** Some members no longer hear the others, or are no longer heard. */
function oneWay(order: readonly NodeId[], random: SimRandom): Link[] {
  const size = random.between(1, order.length - 1);
  const deaf = order.slice(0, size);
  const rest = order.slice(size);
  return deaf.flatMap((to) => rest.map((from) => ({ from, to })));
}
