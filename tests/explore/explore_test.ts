import { describe, it } from "node:test";
import { assert, assertEquals, assertThrows } from "@std/assert";
import type { Message } from "../../src/core/mod.ts";
import { readActions, writeActions } from "./actions.ts";
import { parseArguments } from "./arguments.ts";
import { type Bounds, DEFAULT_BOUNDS, scenarioOf } from "./bounds.ts";
import { memberKey } from "./canonical.ts";
import {
  type Hearing,
  hearingOf,
  isDeafTo,
  maySettle,
  representativeOf,
  settled,
} from "./deafness.ts";
import { BROKEN, FIRST_DELIVERY, type LocalStates } from "./local_states.ts";
import { PLANTED_BUGS } from "./planted.ts";
import { RankQueue } from "./queue.ts";
import { replay } from "./replay.ts";
import { explore } from "./search.ts";
import { messageKey } from "./stable.ts";
import { RowSet } from "./state_set.ts";

const NO_LIMITS = { maxStates: Infinity };

describe("everything that can happen within small bounds", () => {
  for (
    const bounds of [
      { ...DEFAULT_BOUNDS, entries: 1 },
      { ...DEFAULT_BOUNDS, terms: 1, entries: 0, crashes: 1, stalls: 1 },
      {
        ...DEFAULT_BOUNDS,
        members: 2,
        terms: 1,
        crashes: 1,
        stalls: 1,
        change: "add" as const,
      },
      { ...DEFAULT_BOUNDS, members: 2, change: "remove" as const },
      { ...DEFAULT_BOUNDS, members: 2, preVote: true },
    ]
  ) {
    it(`is safe: ${JSON.stringify(bounds)}`, () => {
      const result = explore(scenarioOf(bounds), NO_LIMITS);
      assertEquals(result.violation?.message, undefined);
      assert(result.complete);
      assert(result.states > 100, `only ${result.states} states`);
    });
  }
});

describe("a planted bug is found, and its actions repeat it (H140)", () => {
  for (const [name, bug] of Object.entries(PLANTED_BUGS)) {
    it(`${name}: ${bug.description}`, () => {
      const restore = bug.patch?.();
      try {
        const scenario = scenarioOf({ ...DEFAULT_BOUNDS, ...bug.bounds });
        const { violation } = explore(scenario, NO_LIMITS, bug.hooks);
        assert(violation !== undefined, "not found");
        const actions = readActions(writeActions(violation.actions));
        assertThrows(() => replay(scenario, actions, bug.hooks));
      } finally {
        restore?.();
      }
      // Without the bug the same actions are harmless, or impossible.
      const scenario = scenarioOf({ ...DEFAULT_BOUNDS, ...bug.bounds });
      const { violation } = explore(scenario, NO_LIMITS);
      assertEquals(violation?.message, undefined);
    });
  }
});

/** Every state of the first two members that a search reaches. */
function allLocalStates(
  bounds: Partial<Bounds>,
): readonly [LocalStates, LocalStates] {
  let locals: readonly LocalStates[] = [];
  explore(scenarioOf({ ...DEFAULT_BOUNDS, ...bounds }), {
    maxStates: Infinity,
    onEnd: (all) => {
      locals = all;
    },
  });
  const [first, second] = locals;
  assert(first !== undefined && second !== undefined);
  return [first, second];
}

describe("what the search takes for granted", () => {
  it("a message that a member is deaf to changes nothing, ever", () => {
    const [locals] = allLocalStates({ members: 2, crashes: 1, stalls: 1 });
    let deafCount = 0;
    for (let number = 0; number < locals.size; number++) {
      const state = locals.at(number);
      for (let i = 0; i < locals.messageCount; i++) {
        const input = locals.inputOf(FIRST_DELIVERY + i);
        if (input.type !== "deliver") continue;
        if (!isDeafTo(state.hearing, input.message)) continue;
        deafCount++;
        const member = locals.rebuild(number);
        const before = memberKey(member);
        member.perform(input, "works");
        assertEquals(memberKey(member), before);
        assertEquals(member.takeSent(), []);
        for (const next of state.successors) {
          if (next < 0 || next === BROKEN) continue;
          assert(
            isDeafTo(locals.at(next).hearing, input.message),
            `${JSON.stringify([state.hearing, input.message])} then ${
              JSON.stringify(locals.at(next).hearing)
            }`,
          );
        }
      }
      if (deafCount > 4_000) break;
    }
    assert(deafCount > 1_000, `only ${deafCount} cases`);
  });

  it("what stands for a message has the same effect", () => {
    const [locals, others] = allLocalStates({ members: 2, crashes: 1 });
    const senders = new Map<number, Hearing>();
    for (let i = 0; i < others.size; i++) {
      const { hearing } = others.at(i);
      senders.set(hearing.id, hearing);
    }
    const after = (number: number, message: Message) => {
      const member = locals.rebuild(number);
      member.perform({ type: "deliver", message }, "works");
      return { key: memberKey(member), sent: member.takeSent() };
    };
    let cases = 0;
    for (let number = 0; number < locals.size; number += 3) {
      const { hearing } = locals.at(number);
      for (let i = 0; i < locals.messageCount; i++) {
        const input = locals.inputOf(FIRST_DELIVERY + i);
        if (input.type !== "deliver") continue;
        const { message } = input;
        const alike = representativeOf(hearing, message);
        if (messageKey(alike) !== messageKey(message)) {
          cases++;
          assertEquals(after(number, alike), after(number, message));
        }
        if (!maySettle(hearing, message)) continue;
        for (const sender of [...senders.values()].slice(0, 20)) {
          const left = settled(hearing, sender, message, 2);
          if (left === message) continue;
          cases++;
          const { key } = after(number, message);
          assertEquals(
            left === undefined
              ? memberKey(locals.rebuild(number))
              : after(number, left).key,
            key,
            `${JSON.stringify([message, left, hearing, sender])}`,
          );
        }
      }
      if (cases > 3_000) break;
    }
    assert(cases > 1_000, `only ${cases} cases`);
  });

  it("members with equal keys go on alike", () => {
    const [locals] = allLocalStates({ entries: 0, crashes: 1, terms: 2 });
    let otherWays = 0;
    for (let number = 0; number < locals.size && otherWays < 300; number++) {
      const { successors } = locals.at(number);
      for (const [step, next] of successors.entries()) {
        // Another way to a state than the one it is known by.
        if (next <= 0 || next === number) continue;
        const known = locals.at(next);
        if (known.parent === number && known.step === step) continue;
        otherWays++;
        for (const [further, wanted] of known.successors.entries()) {
          if (wanted < 0) continue;
          const member = locals.rebuild(number);
          for (const one of [step, further]) {
            member.perform(
              locals.inputOf(one >> 1),
              one % 2 === 1 ? "stalls" : "works",
            );
          }
          assertEquals(
            memberKey(member),
            memberKey(locals.rebuild(wanted)),
          );
          assertEquals(
            JSON.stringify(hearingOf(member)),
            JSON.stringify({ ...locals.at(wanted).hearing, id: undefined }),
          );
        }
      }
    }
    assert(otherWays > 50, `only ${otherWays} cases`);
  });
});

describe("the parts of the search", () => {
  it("RowSet numbers each row once, through growth", () => {
    const rows = new RowSet(2);
    for (let round = 0; round < 2; round++) {
      for (let i = 0; i < 10_000; i++) {
        assertEquals(rows.numberOf(Uint32Array.of(i % 100, i)), i);
      }
    }
    assertEquals(rows.size, 10_000);
  });

  it("RankQueue gives the least rank first, then what came first", () => {
    const queue = new RankQueue();
    const ranks = [5, 3, 5, 1, 4, 3, 1, 9, 2];
    for (const [index, rank] of ranks.entries()) queue.push(index, rank);
    const taken: number[] = [];
    for (let i = queue.pop(); i !== undefined; i = queue.pop()) taken.push(i);
    assertEquals(taken, [3, 6, 8, 1, 5, 4, 0, 2, 7]);
  });

  it("a message that nobody sent cannot be replayed", () => {
    const scenario = scenarioOf(DEFAULT_BOUNDS);
    const message = {
      type: "requestVoteResponse",
      from: 2,
      to: 1,
      term: 1,
      reject: false,
    } as const;
    assertThrows(
      () =>
        replay(scenario, [
          { node: 1, input: { type: "campaign" }, disk: "works" },
          { node: 1, input: { type: "deliver", message }, disk: "works" },
        ]),
      TypeError,
      "nobody sent",
    );
  });

  it("arguments that make no sense are refused", () => {
    for (
      const words of [["--entries", "x"], ["--nonsense"], ["--terms"], [
        "--change",
        "everything",
      ], ["--crashes", "64"]]
    ) assertThrows(() => parseArguments(words), TypeError);
    assertEquals(parseArguments(["--terms", "3"]).bounds?.terms, 3);
    assertEquals(parseArguments(["--seconds", "3"]).bounds, undefined);
  });
});
