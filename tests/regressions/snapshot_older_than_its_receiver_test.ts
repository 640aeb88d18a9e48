/**
 * Symptom: a member that was added never got anything: its leader had
 * compacted its log, and the newest snapshot was older than the change that
 * added the member. The member ignored it, the leader sent it again for ever,
 * until somebody wrote enough for another snapshot.
 *
 * Cause: a snapshot was only restored by members of its configuration. The
 * reference does the same and makes a new snapshot for each transfer; here the
 * stored one is sent.
 *
 * Found by: the simulator, seed 1 of the first runs with membership changes
 * and snapshots: "The members did not become equal without a write".
 */
import { describe, it } from "node:test";
import { assertEquals } from "@std/assert";
import { EMPTY_CONF, INITIAL_HARD_STATE, RawNode } from "../../src/core/mod.ts";

const CONF = { ...EMPTY_CONF, voters: [1, 2] };

describe("a snapshot taken before its receiver became a member", () => {
  it("is installed, and the change that adds the member follows it (H69)", () => {
    const node = new RawNode({
      id: 3,
      restored: {
        hardState: INITIAL_HARD_STATE,
        snapshot: { index: 0, term: 0, conf: CONF },
        firstIndex: 1,
        lastIndex: 0,
        prevTerm: 0,
        termRuns: [],
        tail: [],
        appliedIndex: 0,
      },
      random: () => 0.5,
    });
    const header = { from: 1, to: 3, term: 2 } as const;
    const snapshot = { index: 5, term: 1, conf: CONF };
    node.step({ ...header, type: "installSnapshot", snapshot });
    const installed = node.ready();
    assertEquals(installed.snapshot, snapshot);
    node.persisted(installed.number);
    node.step({
      ...header,
      type: "appendEntries",
      prevLogIndex: 5,
      prevLogTerm: 1,
      commitIndex: 6,
      entries: [{
        type: "confChange",
        index: 6,
        term: 2,
        change: {
          transition: "auto",
          steps: [{ type: "addVoter", node: 3, address: "c:1" }],
        },
      }],
    });
    const appended = node.ready();
    node.persisted(appended.number);
    const [entry] = node.ready().committedEntries;
    if (entry?.type === "confChange") {
      node.applyConfChange(entry.change, entry.index);
    }
    node.applied(6);
    assertEquals(node.conf.voters, [1, 2, 3]);
  });
});
