/**
 * Symptom: a newcomer that was told twice that its group began with nobody
 * stopped with a broken invariant; one that was told how it began, and sent a
 * snapshot before it had stored that, was to store both; and a member that
 * was told of the last term there is voted twice in the one after it.
 *
 * Cause: messages that no member sends, or not in that order, were trusted.
 *
 * Found by: review, with random messages.
 */
import { describe, it } from "node:test";
import { assertEquals } from "@std/assert";
import { type ConfState, EMPTY_CONF, RawNode } from "../../src/core/mod.ts";

const VOTERS: ConfState = { ...EMPTY_CONF, voters: [1, 2, 3] };

/** A member with an empty disk. */
function member(
  id: number,
  { conf = EMPTY_CONF, preVote = true } = {},
): RawNode {
  return new RawNode({
    id,
    config: { preVote },
    restored: {
      hardState: { term: 0, vote: null, commit: 0 },
      snapshot: { index: 0, term: 0, conf },
      firstIndex: 1,
      lastIndex: 0,
      prevTerm: 0,
      termRuns: [],
      tail: [],
      appliedIndex: 0,
    },
    random: () => 0,
  });
}

/** Tells a newcomer what its group began with. */
function tellFounding(newcomer: RawNode, founding: ConfState): void {
  newcomer.step({
    type: "appendEntries",
    from: 1,
    to: newcomer.id,
    term: 1,
    prevLogIndex: 0,
    prevLogTerm: 0,
    commitIndex: 0,
    entries: [],
    founding,
  });
}

describe("a newcomer", () => {
  it("does not believe that nobody founded its group", () => {
    const newcomer = member(4);
    tellFounding(newcomer, EMPTY_CONF);
    tellFounding(newcomer, EMPTY_CONF);
    assertEquals(newcomer.ready().founding, undefined);
    tellFounding(newcomer, VOTERS);
    assertEquals(newcomer.ready().founding, VOTERS);
  });

  it("stores nothing of the beginning once a snapshot took its place", () => {
    const newcomer = member(4);
    tellFounding(newcomer, VOTERS);
    const conf = { ...VOTERS, version: 1, learners: [4] };
    const snapshot = { index: 7, term: 1, conf };
    newcomer.step({
      type: "installSnapshot",
      from: 1,
      to: 4,
      term: 1,
      snapshot,
    });
    const ready = newcomer.ready();
    assertEquals(ready.founding, undefined);
    assertEquals(ready.snapshot, snapshot);
  });
});

describe("the last term there is", () => {
  it("is not followed by another one", () => {
    for (const preVote of [true, false]) {
      const node = member(1, { conf: VOTERS, preVote });
      const term = Number.MAX_SAFE_INTEGER;
      node.step({
        type: "heartbeat",
        from: 2,
        to: 1,
        term,
        commitIndex: 0,
        round: 0,
        sentAt: 0,
      });
      for (let i = 0; i < 50; i++) node.tick();
      node.campaign();
      const state = [node.role, node.term, node.status().vote];
      assertEquals(state, ["follower", term, null]);
    }
  });
});
