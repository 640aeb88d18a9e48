import { describe, it } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { applyChange, tryChange } from "../../src/core/conf_change.ts";
import type {
  ConfChange,
  ConfChangeStep,
  ConfState,
  NodeId,
} from "../../src/core/types.ts";
import { EMPTY_CONF } from "../../src/core/types.ts";
import {
  isQuorum,
  quorumsOverlap,
  rolesAfter,
  rolesKey,
} from "../../src/sim/conf_model.ts";
import { SimRandom } from "../../src/sim/prng.ts";

const TRANSITIONS = ["auto", "simple", "implicit", "explicit"] as const;
const TYPES = [
  "addVoter",
  "addLearner",
  "addStaging",
  "addWitness",
  "remove",
] as const;

function conf(voters: NodeId[], votersOutgoing: NodeId[] = []): ConfState {
  return { ...EMPTY_CONF, voters, votersOutgoing };
}

function drawChange(random: SimRandom): ConfChange {
  const steps = Array.from(
    { length: random.below(4) },
    (): ConfChangeStep => ({
      type: random.pick(TYPES),
      node: random.between(1, 7),
    }),
  );
  return { transition: random.pick(TRANSITIONS), steps };
}

describe("configurations, computed a second time", () => {
  it("are those of the core, over thousands of changes that fit (H84)", () => {
    const random = new SimRandom(11);
    let fitting = 0;
    for (let walk = 0; walk < 60; walk++) {
      let current = conf([1, 2, 3]);
      for (let i = 0; i < 200; i++) {
        const change = drawChange(random);
        const named = change.steps.map(({ node }) => node);
        // The core refuses to log these; what would become of them is open.
        if (new Set(named).size < named.length) continue;
        if (typeof tryChange(current, change) === "string") continue;
        const expected = rolesAfter(current, change);
        current = applyChange(current, change);
        assertEquals(rolesKey(current), rolesKey(expected));
        fitting++;
      }
    }
    assert(fitting > 1_000, `${fitting} changes fitted`);
  });
});

describe("quorumsOverlap()", () => {
  it("holds for one voter more or less, and not for two (thesis §4.1)", () => {
    assert(quorumsOverlap(conf([1, 2, 3]), conf([1, 2, 3, 4])));
    assert(quorumsOverlap(conf([1, 2, 3]), conf([1, 2])));
    assert(!quorumsOverlap(conf([1, 2, 3]), conf([1, 2, 3, 4, 5])));
    assert(!quorumsOverlap(conf([1, 2, 3]), conf([1, 4, 5])));
    assert(!quorumsOverlap(conf([1]), conf([2])));
  });

  it("holds between a joint configuration and each of its halves (§4.3)", () => {
    const joint = conf([4, 5, 6], [1, 2, 3]);
    assert(quorumsOverlap(joint, conf([1, 2, 3])));
    assert(quorumsOverlap(joint, conf([4, 5, 6])));
    assert(!quorumsOverlap(joint, conf([7])));
  });

  it("is what no two disjoint sets of voters say otherwise", () => {
    const random = new SimRandom(5);
    const draw = () => random.shuffle([1, 2, 3, 4, 5]).slice(random.below(4));
    for (let i = 0; i < 200; i++) {
      const [left, right] = [conf(draw()), conf(draw())];
      const splits = Array.from(
        { length: 32 },
        (_, set) => (id: NodeId) => ((set >> id - 1) & 1) === 1,
      );
      const disjoint = splits.some((isIn) =>
        isQuorum(left, isIn) && isQuorum(right, (id) => !isIn(id))
      );
      assertEquals(quorumsOverlap(left, right), !disjoint);
    }
  });
});
