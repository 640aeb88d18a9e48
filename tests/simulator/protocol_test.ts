import { describe, it } from "node:test";
import { assert, assertEquals } from "@std/assert";
import {
  drawOptions,
  type Mark,
  type SimResult,
  simulate,
} from "../../src/sim/mod.ts";
import type { ProtocolFaultKind } from "../../src/sim/options_protocol.ts";

/** What each action leads to, if it does what its name says. */
const REACHED: Readonly<Record<ProtocolFaultKind, readonly Mark[]>> = {
  addVoter: ["voterAddProposed"],
  addLearner: ["learnerAddProposed"],
  addStaging: ["stagingAddProposed", "stagingPromoted"],
  addWitness: ["witnessAddProposed", "witnessAdded"],
  promote: ["promotionProposed", "learnerPromoted"],
  demote: ["demotionProposed", "voterDemoted"],
  remove: ["removalProposed", "memberRemoved", "removedTold"],
  removeLeader: ["leaderRemovalProposed", "leaderWithoutVote"],
  update: ["addressChangeProposed"],
  replace: ["replacementProposed", "jointEntered", "jointLeft"],
  narrow: ["narrowingProposed", "voterDemoted", "learnerPromoted"],
  nonsense: ["changeInvalid"],
  rivalChanges: ["rivalChanges", "changePending"],
  hastyChange: ["hastyChangeProposed"],
  jointCrash: ["jointCrash"],
  installCrash: ["snapshotInstalled"],
  transfer: ["transferAsked", "transferTriggered"],
  forgetLeader: ["leaderForgotten"],
  campaign: ["learnerAskedToCampaign"],
  snapshot: ["snapshotTaken"],
  figureEight: ["figure8Quorum"],
  strandLeader: ["leaderStranded", "replacedInRoundAsked"],
  strandInJoint: ["strandedInJoint", "replacedInJointAsked"],
};

/** What an action needs to have something to act on. */
const COMPANY: Readonly<
  Partial<Record<ProtocolFaultKind, readonly ProtocolFaultKind[]>>
> = {
  promote: ["addLearner"],
  demote: ["addLearner", "promote"],
  remove: ["addLearner", "promote"],
  removeLeader: ["addLearner", "promote"],
  jointCrash: ["replace"],
  campaign: ["addLearner", "demote"],
};

const SEEDS = 15;

function run(seed: number, kind: ProtocolFaultKind): SimResult {
  const isInstall = kind === "installCrash";
  return simulate({
    seed,
    overrides: {
      members: 3,
      groups: 1,
      ticks: 1_500,
      core: { maxAppendBytes: 0 },
      faults: { kinds: isInstall ? ["crash"] : ["pause"], gapMs: 3_000 },
      protocol: {
        kinds: [kind, ...COMPANY[kind] ?? []],
        gapMs: 800,
        maxMembers: 7,
        maxIds: 11,
        snapshots: {
          everyCount: isInstall ? 3 : 0,
          trailingCount: 0,
          storeMs: 20,
          sendMs: 100,
          wrongReportPermille: 0,
          reportMs: 0,
        },
      },
    },
  });
}

describe("what is asked of the protocol", () => {
  for (const [name, marks] of Object.entries(REACHED)) {
    const kind = Object.keys(REACHED).find((one): one is ProtocolFaultKind =>
      one === name
    );
    assert(kind !== undefined);
    it(`${kind} reaches ${marks.join(", ")}`, () => {
      const missing = new Set(marks);
      for (let seed = 1; seed <= SEEDS && missing.size > 0; seed++) {
        const result = run(seed, kind);
        assertEquals(result.failure, undefined, `seed ${seed}`);
        for (const mark of marks) {
          if (result.marks[mark] > 0) missing.delete(mark);
        }
      }
      assertEquals([...missing], [], `not reached in ${SEEDS} seeds`);
    });
  }

  it("is drawn anew by every seed, each action by some (H138)", () => {
    const kinds = new Set<string>();
    let calm = 0;
    for (let seed = 1; seed <= 60; seed++) {
      const { protocol } = drawOptions(seed);
      for (const kind of protocol.kinds) kinds.add(kind);
      if (protocol.kinds.length === 0) calm++;
    }
    assertEquals([...kinds].sort(), Object.keys(REACHED).sort());
    assert(calm < 20);
  });
});
