import { describe, it } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { checkConf } from "../../src/core/check_conf.ts";
import { applyChange, tryChange } from "../../src/core/conf_change.ts";
import {
  type ConfChange,
  type ConfChangeStep,
  type ConfState,
  EMPTY_CONF,
} from "../../src/core/mod.ts";

const THREE: ConfState = { ...EMPTY_CONF, voters: [1, 2, 3] };
const LEAVE: ConfChange = { transition: "auto", steps: [] };

/** The configuration after steps, each change by itself. */
function after(
  conf: ConfState,
  ...changes: readonly (readonly ConfChangeStep[])[]
): ConfState {
  let result = conf;
  for (const steps of changes) {
    result = applyChange(result, { transition: "auto", steps });
    checkConf(result);
  }
  return result;
}

describe("applyChange()", () => {
  it("counts every applied change, also one that does not fit (H84, H90)", () => {
    const fits = after(THREE, [{ type: "addLearner", node: 4 }]);
    assertEquals(fits.version, 1);
    // Removing the last voter would leave nobody to change anything.
    const lone = { ...EMPTY_CONF, voters: [1] };
    const none = after(lone, [{ type: "remove", node: 1 }]);
    assertEquals(none, { ...lone, version: 1 });
  });

  it("is total: changes out of order change nothing (H84)", () => {
    assertEquals(applyChange(THREE, LEAVE), { ...THREE, version: 1 });
    const joint = applyChange(THREE, {
      transition: "explicit",
      steps: [{ type: "remove", node: 3 }],
    });
    assertEquals(
      applyChange(joint, {
        transition: "simple",
        steps: [{ type: "addLearner", node: 9 }],
      }),
      { ...joint, version: 2 },
    );
    const two: ConfChange = {
      transition: "simple",
      steps: [{ type: "addVoter", node: 4 }, { type: "addVoter", node: 5 }],
    };
    assertEquals(applyChange(THREE, two), { ...THREE, version: 1 });
  });

  it("promotion and removal end staging", () => {
    const staged = after(THREE, [{ type: "addStaging", node: 4 }], [{
      type: "addStaging",
      node: 5,
    }]);
    assertEquals([staged.learners, staged.staging], [[4, 5], [4, 5]]);
    const promoted = after(staged, [{ type: "addVoter", node: 4 }]);
    assertEquals([promoted.voters, promoted.staging], [[1, 2, 3, 4], [5]]);
    const removed = after(staged, [{ type: "remove", node: 4 }]);
    assertEquals([removed.learners, removed.staging], [[5], [5]]);
    const plain = after(staged, [{ type: "addLearner", node: 4 }]);
    assertEquals([plain.learners, plain.staging], [[4, 5], [5]]);
  });

  it("keeps address and data directory until the member has left for good", () => {
    const bound = after(
      THREE,
      [{ type: "update", node: 3, address: "c:1" }],
      [{ type: "bind", node: 3, incarnation: "aa" }],
    );
    assertEquals(bound.addresses, [{ id: 3, address: "c:1" }]);
    assertEquals(bound.incarnations, [{ id: 3, incarnation: "aa" }]);
    const leaving = applyChange(bound, {
      transition: "implicit",
      steps: [{ type: "remove", node: 3 }],
    });
    // It still votes in the outgoing half, and is still sent to (H79).
    assertEquals(leaving.addresses, bound.addresses);
    assertEquals(leaving.incarnations, bound.incarnations);
    assertEquals(leaving.removed, []);
    const gone = applyChange(leaving, LEAVE);
    checkConf(gone);
    assertEquals([gone.addresses, gone.incarnations, gone.removed], [[], [], [
      3,
    ]]);
  });

  it("ties a member to one data directory only (H80)", () => {
    const bound = after(THREE, [{ type: "bind", node: 2, incarnation: "aa" }]);
    const again = after(bound, [{ type: "bind", node: 2, incarnation: "bb" }]);
    assertEquals(again, { ...bound, version: 2 });
    const other: ConfChange = {
      transition: "auto",
      steps: [{ type: "bind", node: 2, incarnation: "bb" }],
    };
    assertEquals(tryChange(bound, other), "rebound");
  });

  it("never lets witnesses be a quorum by themselves (§11.7.2)", () => {
    const one = after(THREE, [{ type: "addWitness", node: 4 }]);
    assertEquals(one.witnesses, [4]);
    const pair: ConfState = { ...EMPTY_CONF, voters: [1] };
    const refused: ConfChange = {
      transition: "auto",
      steps: [{ type: "addWitness", node: 2 }, { type: "addWitness", node: 3 }],
    };
    assertEquals(tryChange(pair, refused), "witness");
    // Nor by way of those who leave.
    const five = {
      ...EMPTY_CONF,
      voters: [1, 2, 3, 4, 5],
      witnesses: [4, 5],
    };
    const shrink: ConfChange = {
      transition: "auto",
      steps: [{ type: "remove", node: 1 }, { type: "remove", node: 2 }],
    };
    assertEquals(tryChange(five, shrink), "witness");
  });

  it("never turns a witness into a data member, nor back (H89)", () => {
    const conf = after(THREE, [{ type: "addWitness", node: 4 }]);
    for (const type of ["addVoter", "addLearner", "addStaging"] as const) {
      for (const transition of ["auto", "implicit"] as const) {
        const change = { transition, steps: [{ type, node: 4 }] };
        assertEquals(tryChange(conf, change), "witness");
      }
    }
    const change: ConfChange = {
      transition: "auto",
      steps: [{ type: "addWitness", node: 3 }],
    };
    assertEquals(tryChange(conf, change), "witness");
  });

  it("keeps every configuration well-formed, whatever is logged", () => {
    const types: readonly ConfChangeStep["type"][] = [
      "addVoter",
      "addLearner",
      "addStaging",
      "addWitness",
      "remove",
      "update",
      "bind",
    ];
    const transitions = ["auto", "simple", "implicit", "explicit"] as const;
    let seed = 7;
    const draw = (below: number): number => {
      seed = (seed * 48_271) % 2_147_483_647;
      return seed % below;
    };
    let changed = 0;
    for (let run = 0; run < 300; run++) {
      let conf: ConfState = { ...EMPTY_CONF, voters: [1, 2, 3] };
      for (let i = 0; i < 20; i++) {
        const steps = Array.from({ length: draw(4) }, (): ConfChangeStep => ({
          type: types[draw(types.length)] ?? "update",
          node: draw(8),
          address: draw(2) === 0 ? undefined : `a${draw(5)}`,
          incarnation: draw(2) === 0 ? undefined : `i${draw(2)}`,
        }));
        const transition = transitions[draw(4)] ?? "auto";
        const next = applyChange(conf, { transition, steps });
        checkConf(next);
        assertEquals(next.version, conf.version + 1);
        if (String(next.voters) !== String(conf.voters)) changed++;
        conf = next;
      }
    }
    assert(changed > 300, `only ${changed} changes of voters`);
  });
});
