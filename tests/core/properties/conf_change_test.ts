/**
 * Configurations against a second implementation that knows no sets: one
 * record of flags per member, changed one by one (thesis §4).
 */
import { describe, it } from "node:test";
import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  applyChange,
  applySimple,
  enterJoint,
  isJoint,
  leaveJoint,
  tryChange,
} from "../../../src/core/conf_change.ts";
import {
  type ConfChange,
  type ConfChangeStep,
  type ConfState,
  EMPTY_CONF,
} from "../../../src/core/mod.ts";
import { property } from "./property.ts";

/** What a member is, flag by flag. */
interface Flags {
  incoming: boolean;
  outgoing: boolean;
  learner: boolean;
  learnerNext: boolean;
}

type Model = Readonly<Record<number, Flags>>;

interface ModelState {
  readonly members: Model;
  readonly removed: readonly number[];
  readonly autoLeave: boolean;
}

const START: ModelState = { members: {}, removed: [], autoLeave: false };
const NOBODY: Flags = {
  incoming: false,
  outgoing: false,
  learner: false,
  learnerNext: false,
};

type Command =
  | { readonly type: "simple"; readonly steps: readonly ConfChangeStep[] }
  | {
    readonly type: "enter";
    readonly steps: readonly ConfChangeStep[];
    readonly autoLeave: boolean;
  }
  | { readonly type: "leave" };

function ids(state: ModelState, flag: keyof Flags): number[] {
  return Object.entries(state.members).filter(([, flags]) => flags[flag])
    .map(([id]) => Number(id));
}

function isMember(flags: Flags): boolean {
  return Object.values(flags).includes(true);
}

/** Drops who is nothing any more, and remembers them. */
function settle(state: ModelState, left: readonly number[]): ModelState {
  const members = Object.fromEntries(
    Object.entries(state.members).filter(([, flags]) => isMember(flags)),
  );
  const gone = left.filter((id) => members[id] === undefined);
  const removed = [...state.removed, ...gone]
    .filter((id, i, all) => all.indexOf(id) === i && members[id] === undefined);
  return { ...state, members, removed: removed.sort((a, b) => a - b) };
}

function modelStep(state: ModelState, step: ConfChangeStep): ModelState {
  const { type, node } = step;
  if (node === 0 || type === "update") return state;
  const known = state.members[node];
  const flags: Flags = { ...known ?? NOBODY };
  if (type === "addVoter") {
    flags.incoming = true;
    flags.learner = false;
    flags.learnerNext = false;
  } else if (type === "addLearner") {
    if (flags.learner) return state;
    flags.incoming = false;
    flags.learnerNext = flags.outgoing;
    flags.learner = !flags.outgoing;
  } else {
    flags.incoming = false;
    flags.learner = false;
    flags.learnerNext = false;
  }
  const members = { ...state.members, [node]: flags };
  return settle({ ...state, members }, known === undefined ? [] : [node]);
}

/** The state after a command, or `undefined` if it does not fit. */
function modelCommand(
  state: ModelState,
  command: Command,
): ModelState | undefined {
  const joint = ids(state, "outgoing").length > 0;
  if (command.type === "leave") {
    if (!joint) return undefined;
    const left = ids(state, "outgoing");
    const members = Object.fromEntries(
      Object.entries(state.members).map(([id, flags]) => [id, {
        ...flags,
        outgoing: false,
        learner: flags.learner || flags.learnerNext,
        learnerNext: false,
      }]),
    );
    return settle({ ...state, members, autoLeave: false }, left);
  }
  if (joint) return undefined;
  let next = state;
  if (command.type === "enter") {
    if (ids(state, "incoming").length === 0) return undefined;
    const members = Object.fromEntries(
      Object.entries(state.members).map(([id, flags]) => [
        id,
        { ...flags, outgoing: flags.incoming },
      ]),
    );
    next = { ...state, members, autoLeave: command.autoLeave };
  }
  for (const step of command.steps) next = modelStep(next, step);
  const after = ids(next, "incoming");
  if (after.length === 0) return undefined;
  if (command.type === "simple") {
    const before = ids(state, "incoming");
    const changed = after.filter((id) => !before.includes(id)).length +
      before.filter((id) => !after.includes(id)).length;
    if (changed > 1) return undefined;
  }
  return next;
}

function realCommand(
  conf: ConfState,
  command: Command,
): ConfState | undefined {
  const result = command.type === "leave"
    ? leaveJoint(conf)
    : command.type === "simple"
    ? applySimple(conf, command.steps)
    : enterJoint(conf, command.steps, command.autoLeave);
  return typeof result === "string" ? undefined : result;
}

const plainStep = fc.record({
  type: fc.constantFrom("addVoter", "addLearner", "remove", "update"),
  node: fc.integer({ min: 0, max: 6 }),
});
const command: fc.Arbitrary<Command> = fc.oneof(
  fc.record({
    type: fc.constant("simple" as const),
    steps: fc.array(plainStep, { maxLength: 3 }),
  }),
  fc.record({
    type: fc.constant("enter" as const),
    steps: fc.array(plainStep, { maxLength: 6 }),
    autoLeave: fc.boolean(),
  }),
  fc.constant({ type: "leave" as const }),
);

const anyStep: fc.Arbitrary<ConfChangeStep> = fc.record({
  type: fc.constantFrom(
    "addVoter",
    "addLearner",
    "addStaging",
    "addWitness",
    "remove",
    "update",
    "bind",
  ),
  node: fc.integer({ min: 0, max: 6 }),
  address: fc.option(fc.constantFrom("a:1", "b:2"), { nil: undefined }),
  incarnation: fc.constantFrom("0".repeat(32), "f".repeat(32)),
});
const anyChange: fc.Arbitrary<ConfChange> = fc.record({
  transition: fc.constantFrom("auto", "implicit", "explicit"),
  steps: fc.array(anyStep, { maxLength: 4 }),
});

const changeList = fc.array(anyChange, { maxLength: 10 });
const voters = fc.constantFrom([1], [1, 2], [1, 2, 3]);

function subsetsOverHalf(voters: readonly number[]): number[][] {
  const found: number[][] = [];
  for (let bits = 0; bits < 1 << voters.length; bits++) {
    const subset = voters.filter((_, i) => (bits >> i & 1) === 1);
    if (2 * subset.length > voters.length) found.push(subset);
  }
  return found;
}

/** Sets of members that decide alone, each a quorum of both halves. */
function quorums(conf: ConfState): number[][] {
  const incoming = subsetsOverHalf(conf.voters);
  if (!isJoint(conf)) return incoming;
  const outgoing = subsetsOverHalf(conf.votersOutgoing);
  return incoming.flatMap((left) =>
    outgoing.map((right) => [...new Set([...left, ...right])])
  );
}

function assertOverlap(before: ConfState, after: ConfState): void {
  const others = quorums(after);
  for (const one of quorums(before)) {
    for (const other of others) {
      assert(
        one.some((id) => other.includes(id)),
        `${one} of ${JSON.stringify(before)} misses ${other}`,
      );
    }
  }
}

function assertConsistent(conf: ConfState): void {
  const { voters, votersOutgoing, learners, learnersNext, staging } = conf;
  const lists = [voters, votersOutgoing, learners, learnersNext, staging];
  for (const list of [...lists, conf.witnesses, conf.removed]) {
    assertEquals([...new Set(list)].sort((a, b) => a - b), [...list]);
  }
  const isVoter = (id: number) =>
    voters.includes(id) || votersOutgoing.includes(id);
  assert(!learners.some(isVoter), "a learner votes");
  assert(learnersNext.every((id) => votersOutgoing.includes(id)));
  assert(staging.every((id) => learners.includes(id)));
  assert(isJoint(conf) || !conf.autoLeave);
  const members = new Set(lists.flat());
  assert(!conf.removed.some((id) => members.has(id)), "a removed member");
  for (const { id } of [...conf.addresses, ...conf.incarnations]) {
    assert(members.has(id), `${id} is no member and has an attribute`);
  }
  for (const half of [voters, votersOutgoing]) {
    if (half.length === 0) continue;
    const data = half.filter((id) => !conf.witnesses.includes(id));
    for (const quorum of subsetsOverHalf(half)) {
      assert(quorum.some((id) => data.includes(id)), "a quorum of witnesses");
    }
  }
}

describe("configurations", () => {
  it("are what flags changed one by one give, refusals too (H84)", () => {
    property(fc.property(fc.array(command, { maxLength: 12 }), (commands) => {
      let conf = EMPTY_CONF;
      let model = START;
      for (const one of commands) {
        const wanted = modelCommand(model, one);
        const found = realCommand(conf, one);
        assertEquals(found !== undefined, wanted !== undefined);
        if (found === undefined || wanted === undefined) continue;
        conf = found;
        model = wanted;
        assertEquals(conf.voters, ids(model, "incoming"));
        assertEquals(conf.votersOutgoing, ids(model, "outgoing"));
        assertEquals(conf.learners, ids(model, "learner"));
        assertEquals(conf.learnersNext, ids(model, "learnerNext"));
        assertEquals(conf.removed, model.removed);
        assertEquals(conf.autoLeave, model.autoLeave);
      }
    }));
  });

  it("that follow each other have overlapping quorums, whatever is applied (§4.3)", () => {
    property(
      fc.property(voters, changeList, (voters, changes) => {
        let conf: ConfState = { ...EMPTY_CONF, voters };
        for (const change of changes) {
          const next = applyChange(conf, change);
          assertEquals(next.version, conf.version + 1);
          assertConsistent(next);
          assertOverlap(conf, next);
          conf = next;
        }
      }),
      500,
    );
  });

  it("stay as they are when a change does not fit (H84)", () => {
    property(
      fc.property(voters, changeList, (voters, changes) => {
        let conf: ConfState = { ...EMPTY_CONF, voters };
        for (const change of changes) {
          const copy = structuredClone(conf);
          const result = tryChange(conf, change);
          assertEquals(conf, copy);
          const wanted = typeof result === "string"
            ? { ...conf, version: conf.version + 1 }
            : result;
          conf = applyChange(conf, change);
          assertEquals(conf, wanted);
        }
      }),
    );
  });
});
