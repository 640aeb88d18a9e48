/**
 * Symptom: none was seen; found by reading. A leader that forgets the commit
 * of a change in a crash can leave the group without a leader, so the commit
 * of a change is flushed (see demoted_voter_ahead_of_its_leader_test.ts).
 *
 * Cause: only changes that were appended in this life were known to need it,
 * not those that a restart found in the log, in memory or in storage.
 *
 * Why nothing noticed: the simulator's members seldom crash twice around the
 * same change.
 */
import { describe, it } from "node:test";
import { assert, assertEquals } from "@std/assert";
import {
  EMPTY_CONF,
  type Entry,
  RawNode,
  type Ready,
} from "../../src/core/mod.ts";

const ENTRIES: readonly Entry[] = [
  { type: "noop", term: 1, index: 1 },
  {
    type: "confChange",
    term: 1,
    index: 2,
    change: { transition: "auto", steps: [{ type: "remove", node: 2 }] },
  },
  { type: "noop", term: 1, index: 3 },
];

/** Member 1, restarted, and told that all of its log is committed. */
function told(tail: readonly Entry[]): RawNode {
  const node = new RawNode({
    id: 1,
    restored: {
      hardState: { term: 1, vote: 2, commit: 0 },
      snapshot: {
        index: 0,
        term: 0,
        conf: { ...EMPTY_CONF, voters: [1, 2] },
      },
      firstIndex: 1,
      lastIndex: 3,
      prevTerm: 0,
      termRuns: [{ term: 1, firstIndex: 1 }],
      tail,
      appliedIndex: 0,
    },
    random: () => 0.5,
  });
  node.step({
    type: "heartbeat",
    from: 2,
    to: 1,
    term: 1,
    commitIndex: 3,
    round: 0,
    sentAt: 0,
  });
  return node;
}

function next(node: RawNode): Ready {
  const ready = node.ready();
  node.persisted(ready.number);
  return ready;
}

describe("the commit of a membership change from before a restart", () => {
  it("is flushed, if the change is in memory", () => {
    const ready = next(told(ENTRIES));
    assertEquals(ready.committedEntries.length, 3);
    assert(ready.mustSync);
  });

  it("is flushed with the change, if that has to be loaded", () => {
    const node = told([]);
    const [load] = next(node).loads;
    assert(load !== undefined);
    node.entriesLoaded(load, ENTRIES);
    const ready = next(node);
    assertEquals(ready.committedEntries.length, 3);
    assert(ready.mustSync);
  });
});
