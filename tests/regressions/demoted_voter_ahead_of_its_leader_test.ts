/**
 * Symptom: of two voters one was demoted. The other committed that, went on to
 * write, lost its power before anything of it was on its disk, and came back
 * as one of two voters with the shorter log: the demoted one refused its vote
 * for the log, and did not campaign, being none any more. Nobody ever led.
 *
 * Cause: appends travel while the leader's own disk works, and a commit index
 * is stored without a flush. Each is harmless; together with a configuration
 * that takes effect when it is applied they are not.
 *
 * Found by: the simulator, seeds 717 and 801.
 */
import { describe, it } from "node:test";
import { assert, assertEquals } from "@std/assert";
import {
  EMPTY_CONF,
  type Entry,
  RawNode,
  type Ready,
} from "../../src/core/mod.ts";
import { bytes } from "../core/cluster.ts";

const DEMOTION = {
  transition: "auto",
  steps: [{ type: "addLearner", node: 2 }],
} as const;

/** Leads two voters; the opening entry is committed. */
function leader(): RawNode {
  const conf = { ...EMPTY_CONF, voters: [1, 2] };
  const node = new RawNode({
    id: 1,
    config: { preVote: false },
    restored: {
      hardState: { term: 1, vote: null, commit: 1 },
      snapshot: { index: 0, term: 0, conf },
      firstIndex: 1,
      lastIndex: 1,
      prevTerm: 0,
      termRuns: [{ term: 1, firstIndex: 1 }],
      tail: [{ type: "noop", term: 1, index: 1 }],
      appliedIndex: 1,
    },
    random: () => 0.5,
  });
  node.campaign();
  flush(node, node.ready());
  const answer = { from: 2, to: 1, term: 2 } as const;
  node.step({ ...answer, type: "requestVoteResponse", reject: false });
  flush(node, node.ready());
  acknowledge(node, 2);
  flush(node, node.ready());
  return node;
}

/** Writes a Ready and applies what it commits. */
function flush(node: RawNode, ready: Ready): void {
  node.persisted(ready.number);
  apply(node, ready);
}

function apply(node: RawNode, { committedEntries }: Ready): void {
  for (const entry of committedEntries) {
    if (entry.type === "confChange") {
      node.applyConfChange(entry.change, entry.index);
    }
    node.applied(entry.index);
  }
}

function acknowledge(node: RawNode, index: number): void {
  node.step({
    type: "appendEntriesResponse",
    from: 2,
    to: 1,
    term: 2,
    reject: false,
    index,
    hintIndex: 0,
    hintTerm: 0,
  });
}

function sentTo2({ messages }: Ready): Entry[] {
  return messages.flatMap((message) =>
    message.type === "appendEntries" ? [...message.entries] : []
  );
}

describe("behind a change whose commit is not on the leader's disk", () => {
  it("nothing is sent that is not there either", () => {
    const node = leader();
    const outcome = node.proposeConfChange(DEMOTION, { force: true });
    assertEquals(outcome.type, "appended");
    const proposed = node.ready();
    assertEquals(sentTo2(proposed).map(({ type }) => type), ["confChange"]);
    flush(node, proposed);
    acknowledge(node, 3);
    const committed = node.ready();
    assert(committed.mustSync);
    apply(node, committed);
    assertEquals(node.conf.voters, [1]);
    node.propose([bytes("lost in a crash")]);
    const written = node.ready();
    assertEquals(sentTo2(written), []);
    node.persisted(written.number);
    assertEquals(sentTo2(node.ready()).map(({ index }) => index), [4]);
  });
});
