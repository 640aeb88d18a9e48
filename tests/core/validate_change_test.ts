import { describe, it } from "node:test";
import { assertEquals } from "@std/assert";
import {
  type ConfChange,
  type ConfChangeStep,
  type ConfState,
  type DropReason,
  EMPTY_CONF,
  MAX_MEMBERS,
  type NodeId,
  type ProposedChange,
  validateChange,
} from "../../src/core/mod.ts";

const CONF: ConfState = {
  ...EMPTY_CONF,
  version: 5,
  voters: [1, 2, 3],
  learners: [4],
  removed: [9],
  addresses: [{ id: 1, address: "a:1" }, { id: 4, address: "d:1" }],
  incarnations: [{ id: 2, incarnation: "aa" }],
};
const WITH_WITNESS: ConfState = {
  ...EMPTY_CONF,
  voters: [1, 2, 3],
  witnesses: [3],
};

function verdict(
  steps: readonly ConfChangeStep[],
  options: Partial<ProposedChange> & {
    readonly conf?: ConfState;
    readonly live?: readonly NodeId[];
    readonly transition?: ConfChange["transition"];
  } = {},
): DropReason | null {
  const { conf = CONF, live = [1, 2, 3, 4], transition = "auto" } = options;
  const change = options.change ?? { transition, steps };
  return validateChange(
    conf,
    { ...options, change },
    (id) => live.includes(id),
  );
}

describe("validateChange()", () => {
  it("takes changes that fit", () => {
    const fit: readonly (readonly ConfChangeStep[])[] = [
      [{ type: "addVoter", node: 4 }],
      [{ type: "addLearner", node: 5, address: "e:1" }],
      [{ type: "addStaging", node: 5 }],
      [{ type: "addWitness", node: 5 }],
      [{ type: "remove", node: 3 }],
      [{ type: "addLearner", node: 3 }],
      [{ type: "update", node: 4, address: "d:2" }],
      [{ type: "bind", node: 1, incarnation: "bb" }],
      [
        { type: "addVoter", node: 4 },
        { type: "remove", node: 3 },
        { type: "addLearner", node: 5 },
        { type: "bind", node: 5, incarnation: "cc" },
      ],
    ];
    for (const steps of fit) assertEquals(verdict(steps), null);
  });

  it("refuses ids that were removed, for ever and in every step (C16)", () => {
    const types = ["addVoter", "addLearner", "addWitness", "remove"] as const;
    for (const type of types) {
      assertEquals(verdict([{ type, node: 9 }]), "removedMember");
    }
    assertEquals(
      verdict([{ type: "update", node: 9, address: "x:1" }]),
      "removedMember",
    );
  });

  it("refuses to remove, update or bind a stranger", () => {
    assertEquals(verdict([{ type: "remove", node: 7 }]), "unknownMember");
    assertEquals(
      verdict([{ type: "update", node: 7, address: "x:1" }]),
      "unknownMember",
    );
    assertEquals(
      verdict([{ type: "bind", node: 7, incarnation: "cc" }]),
      "unknownMember",
    );
  });

  it("refuses a change meant for another configuration (H90)", () => {
    const steps: ConfChangeStep[] = [{ type: "remove", node: 3 }];
    assertEquals(verdict(steps, { expect: 4 }), "conflict");
    assertEquals(verdict(steps, { expect: 5 }), null);
  });

  it("lets a joint configuration only be left, and nothing else", () => {
    const joint: ConfState = { ...CONF, votersOutgoing: [1, 2, 3] };
    const step: ConfChangeStep = { type: "addLearner", node: 5 };
    assertEquals(verdict([step], { conf: joint }), "changePending");
    assertEquals(verdict([], { conf: joint, live: [1] }), null);
    assertEquals(verdict([]), "invalidChange");
  });

  it("refuses what is no id, no address, no data directory (H15)", () => {
    for (const node of [0, -1, 1.5, 2 ** 53]) {
      assertEquals(verdict([{ type: "addLearner", node }]), "invalidChange");
    }
    const bad: readonly ConfChangeStep[] = [
      { type: "update", node: 4 },
      { type: "update", node: 4, address: "" },
      { type: "update", node: 4, address: "x".repeat(600) },
      { type: "bind", node: 4 },
      { type: "addLearner", node: 5, incarnation: "cc" },
    ];
    for (const step of bad) assertEquals(verdict([step]), "invalidChange");
  });

  it("refuses absurd results (H84)", () => {
    const all: ConfChangeStep[] = [1, 2, 3].map((node) => ({
      type: "remove",
      node,
    }));
    assertEquals(verdict(all, { force: true }), "invalidChange");
    const many: ConfChangeStep[] = Array.from(
      { length: MAX_MEMBERS },
      (_, i) => ({ type: "addLearner", node: 100 + i }),
    );
    assertEquals(verdict(many), "invalidChange");
    assertEquals(
      verdict([{ type: "addVoter", node: 4 }, { type: "remove", node: 2 }], {
        transition: "simple",
        force: true,
      }),
      "invalidChange",
    );
  });

  it("refuses what changes nothing", () => {
    const idle: readonly ConfChangeStep[] = [
      { type: "addVoter", node: 2 },
      { type: "addLearner", node: 4 },
      { type: "update", node: 4, address: "d:1" },
      { type: "bind", node: 2, incarnation: "aa" },
    ];
    for (const step of idle) {
      assertEquals(verdict([step]), "invalidChange");
      assertEquals(
        verdict([step], { transition: "explicit" }),
        "invalidChange",
      );
    }
  });

  it("refuses two intentions for one member, and staging for a voter", () => {
    assertEquals(
      verdict([{ type: "remove", node: 3 }, { type: "addVoter", node: 3 }]),
      "invalidChange",
    );
    assertEquals(verdict([{ type: "addStaging", node: 3 }]), "invalidChange");
  });

  it("refuses to give one address to two members (H88)", () => {
    assertEquals(
      verdict([{ type: "addLearner", node: 5, address: "a:1" }]),
      "invalidChange",
    );
    assertEquals(
      verdict([{ type: "update", node: 2, address: "d:1" }]),
      "invalidChange",
    );
    // Addresses may be exchanged in one change.
    assertEquals(
      verdict([
        { type: "update", node: 1, address: "d:1" },
        { type: "update", node: 4, address: "a:1" },
      ]),
      null,
    );
  });

  it("keeps witnesses witnesses, and a data member in every quorum (H89)", () => {
    const conf = WITH_WITNESS;
    const bad: readonly ConfChangeStep[] = [
      { type: "addVoter", node: 3 },
      { type: "addLearner", node: 3 },
      { type: "addWitness", node: 2 },
    ];
    for (const step of bad) {
      assertEquals(verdict([step], { conf, force: true }), "invalidChange");
    }
    const crowd = { ...conf, voters: [1, 2, 3, 4], witnesses: [3, 4] };
    assertEquals(
      verdict([{ type: "remove", node: 2 }], { conf: crowd, force: true }),
      "invalidChange",
    );
    assertEquals(verdict([{ type: "addVoter", node: 4 }], { conf }), null);
  });

  it("refuses to change voters when too few of the result live", () => {
    const remove: ConfChangeStep[] = [{ type: "remove", node: 2 }];
    assertEquals(verdict(remove, { live: [1, 2] }), "quorumAtRisk");
    assertEquals(verdict(remove, { live: [1, 2], force: true }), null);
    assertEquals(verdict(remove, { live: [1, 3] }), null);
    // A newcomer that has not caught up is one that does not live (H81).
    const lone: ConfState = { ...EMPTY_CONF, voters: [1] };
    const add: ConfChangeStep[] = [{ type: "addVoter", node: 2 }];
    assertEquals(verdict(add, { conf: lone, live: [1] }), "quorumAtRisk");
    assertEquals(verdict(add, { conf: lone, live: [1, 2] }), null);
    // Who only listens puts nothing at risk.
    const learn: ConfChangeStep[] = [{ type: "addLearner", node: 5 }];
    assertEquals(verdict(learn, { live: [1] }), null);
  });

  it("asks for live quorums of both halves", () => {
    const five: ConfState = { ...EMPTY_CONF, voters: [1, 2, 3, 4, 5] };
    const steps: ConfChangeStep[] = [
      { type: "remove", node: 3 },
      { type: "remove", node: 4 },
      { type: "remove", node: 5 },
    ];
    assertEquals(verdict(steps, { conf: five, live: [1, 2] }), "quorumAtRisk");
    assertEquals(verdict(steps, { conf: five, live: [1, 2, 3] }), null);
  });
});
