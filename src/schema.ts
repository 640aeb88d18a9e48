/**
 * The shapes of everything that comes from outside, as zod schemas. The only
 * import of zod in the library's own code; only `parse…` functions leave.
 *
 * @module
 */
import * as z from "zod";
import type { ConfChange, ConfState } from "./core/types.ts";

const MAX_MEMBERS = 1_000;

const id = z.int().min(1);
const ids = z.array(id).max(MAX_MEMBERS);
const address = z.string().min(1).max(512);

const confStep = z.union([
  z.tuple([
    z.enum(["addVoter", "addLearner", "addWitness", "remove", "update"]),
    id,
  ]),
  z.tuple([
    z.enum(["addVoter", "addLearner", "addWitness", "remove", "update"]),
    id,
    address,
  ]),
]);

const confChange = z.tuple([
  z.enum(["auto", "implicit", "explicit"]),
  z.array(confStep).max(MAX_MEMBERS),
]);

const confState = z.tuple([
  ids,
  ids,
  ids,
  ids,
  ids,
  z.boolean(),
  z.array(id).max(1_000_000),
  z.array(z.tuple([id, address])).max(2 * MAX_MEMBERS),
]);

/** Checks a decoded membership change. */
export function parseConfChange(input: unknown): ConfChange {
  const [transition, steps] = confChange.parse(input);
  return {
    transition,
    steps: steps.map(([type, node, at]) =>
      at === undefined ? { type, node } : { type, node, address: at }
    ),
  };
}

/** Checks a decoded configuration. */
export function parseConfState(input: unknown): ConfState {
  const [
    voters,
    votersOutgoing,
    learners,
    learnersNext,
    witnesses,
    autoLeave,
    removed,
    addresses,
  ] = confState.parse(input);
  return {
    voters,
    votersOutgoing,
    learners,
    learnersNext,
    witnesses,
    autoLeave,
    removed,
    addresses: addresses.map(([node, at]) => ({ id: node, address: at })),
  };
}
