/**
 * Symptom: of two voters one was removed, told so, and stopped. The other lost
 * its power and came back as one of two voters, with the removal in its log
 * and no knowledge that it was committed: nobody could ever lead again.
 *
 * Cause: a commit index is stored without a flush, as a hint; the notice to
 * the removed member did not wait for it.
 *
 * Found by: the simulator, seeds 130 and 236 of the first runs in which
 * removed members stop once they are told (H78).
 */
import { describe, it } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { EMPTY_CONF, RawNode } from "../../src/core/mod.ts";

const CHANGE = {
  transition: "auto",
  steps: [{ type: "remove", node: 2 }],
} as const;

/** Member 1, which has applied the removal of member 2. */
function remaining(): RawNode {
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
      lastIndex: 1,
      prevTerm: 0,
      termRuns: [{ term: 1, firstIndex: 1 }],
      tail: [{ type: "confChange", term: 1, index: 1, change: CHANGE }],
      appliedIndex: 0,
    },
    random: () => 0.5,
  });
  const header = { from: 2, to: 1, term: 1 } as const;
  node.step({
    ...header,
    type: "heartbeat",
    commitIndex: 1,
    round: 0,
    sentAt: 0,
  });
  const ready = node.ready();
  assertEquals(ready.hardState?.commit, 1);
  node.persisted(ready.number);
  node.applyConfChange(CHANGE, 1);
  node.applied(1);
  return node;
}

describe("the notice that a member was removed", () => {
  it("waits for a flush, and so for the commit of the removal (H78)", () => {
    const node = remaining();
    node.step({
      type: "requestPreVote",
      from: 2,
      to: 1,
      term: 2,
      lastLogIndex: 1,
      lastLogTerm: 1,
    });
    const ready = node.ready();
    const [notice] = ready.messagesAfterPersist;
    assertEquals(notice?.type, "removed");
    assertEquals(ready.messages.length, 0);
    assert(ready.mustSync);
  });
});
