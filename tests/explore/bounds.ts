/**
 * What an exploration explores, and how far.
 *
 * @module
 */
import {
  type ConfChange,
  type ConfState,
  type CoreConfig,
  EMPTY_CONF,
  type NodeId,
} from "../../src/core/mod.ts";

/** The membership change that may happen once. */
export type ChangeKind = "none" | "add" | "remove" | "replace" | "demote";

/**
 * `add`: one more voter. `remove`: the last voter goes. `replace`: both at
 * once, by a joint configuration. `demote`: the last voter becomes a learner.
 */
export const CHANGE_KINDS: readonly ChangeKind[] = [
  "none",
  "add",
  "remove",
  "replace",
  "demote",
];

/**
 * Limits of a search, each over a whole run. Losses, repetitions and
 * reorderings of messages have none: a message that was sent may be delivered
 * at any later time, any number of times, or never.
 */
export interface Bounds {
  /** Voters at the start. */
  readonly members: number;
  /** Nobody campaigns for a term above this one. */
  readonly terms: number;
  /** Commands proposed. */
  readonly entries: number;
  /** Members that stop, lose what is not durable, and start again. */
  readonly crashes: number;
  /**
   * Times that a disk falls behind: from then on, until it has caught up or
   * its member crashes, each write is durable arbitrarily late.
   */
  readonly stalls: number;
  /** Rounds of heartbeats. */
  readonly heartbeats: number;
  /** The membership change that is proposed, at most once. */
  readonly change: ChangeKind;
  /** Whether campaigns begin with a pre-vote (thesis §9.6). */
  readonly preVote: boolean;
}

/** The bounds of a search where nothing else is said. */
export const DEFAULT_BOUNDS: Bounds = {
  members: 3,
  terms: 2,
  entries: 1,
  crashes: 0,
  stalls: 0,
  heartbeats: 0,
  change: "none",
  preVote: false,
};

/** The searches made where no bounds are given; each takes to its end. */
export const SUITE: readonly Bounds[] = [
  { ...DEFAULT_BOUNDS, entries: 2, crashes: 1 },
  { ...DEFAULT_BOUNDS, crashes: 1, stalls: 1 },
  { ...DEFAULT_BOUNDS, entries: 0, heartbeats: 1, preVote: true },
  {
    ...DEFAULT_BOUNDS,
    members: 2,
    entries: 2,
    crashes: 1,
    stalls: 1,
    heartbeats: 0,
  },
  ...CHANGE_KINDS.filter((change) => change !== "none").map((change) => ({
    ...DEFAULT_BOUNDS,
    members: 2,
    crashes: 1,
    change,
  })),
];

/** What all members of a search start from. */
export interface Scenario {
  readonly bounds: Bounds;
  /** Everybody who may take part, joiners included; ascending. */
  readonly ids: readonly NodeId[];
  /** The configuration at index 0. */
  readonly conf: ConfState;
  /** What is proposed once; `undefined` without a membership change. */
  readonly change: ConfChange | undefined;
  readonly config: Partial<CoreConfig>;
}

/** Sets up a search. */
export function scenarioOf(bounds: Bounds): Scenario {
  const voters = Array.from({ length: bounds.members }, (_, i) => i + 1);
  const last = bounds.members;
  const joins = bounds.change === "add" || bounds.change === "replace";
  return {
    bounds,
    ids: joins ? [...voters, last + 1] : voters,
    conf: { ...EMPTY_CONF, voters },
    change: changeOf(bounds.change, last),
    config: {
      // Timeouts are actions of the search: no count of ticks leads to one.
      electionTicks: 1_000,
      heartbeatTicks: 1,
      preVote: bounds.preVote,
      checkQuorum: false,
      adaptiveFlow: false,
      fastFailover: false,
      stallTicks: 0,
    },
  };
}

function changeOf(kind: ChangeKind, last: NodeId): ConfChange | undefined {
  switch (kind) {
    case "none":
      return undefined;
    case "add":
      return {
        transition: "auto",
        steps: [{ type: "addVoter", node: last + 1 }],
      };
    case "remove":
      return { transition: "auto", steps: [{ type: "remove", node: last }] };
    case "replace":
      return {
        transition: "implicit",
        steps: [
          { type: "addVoter", node: last + 1 },
          { type: "remove", node: last },
        ],
      };
    case "demote":
      return {
        transition: "auto",
        steps: [{ type: "addLearner", node: last }],
      };
  }
}
