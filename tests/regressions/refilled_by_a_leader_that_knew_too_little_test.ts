/**
 * Symptom: a founder whose disk had been replaced by an empty one helped to
 * elect a member that lacked what the founder had acknowledged before.
 *
 * Cause: it took a leader at its word that it had got everything that was
 * committed. The commit index of a new leader may lie far behind what is
 * committed, and so may the snapshot that it sends (thesis §6.4).
 *
 * Found by: reasoning about what the simulator may do to disks.
 */
import { describe, it } from "node:test";
import { assert, assertEquals } from "@std/assert";
import {
  EMPTY_CONF,
  INITIAL_HARD_STATE,
  type Message,
  RawNode,
} from "../../src/core/mod.ts";
import { log } from "../core/cluster.ts";

const FOUNDERS = { ...EMPTY_CONF, voters: [1, 2, 3] };

/** A founder with an empty disk. */
function founder(): RawNode {
  return new RawNode({
    id: 3,
    random: () => 0.5,
    restored: {
      hardState: INITIAL_HARD_STATE,
      snapshot: { index: 0, term: 0, conf: FOUNDERS },
      firstIndex: 1,
      lastIndex: 0,
      prevTerm: 0,
      termRuns: [],
      tail: [],
      appliedIndex: 0,
    },
  });
}

/** Carries out what is ready; returns what is sent. */
function work(node: RawNode): Message[] {
  const sent: Message[] = [];
  while (node.hasReady()) {
    const ready = node.ready();
    node.persisted(ready.number);
    for (const entry of ready.committedEntries) {
      if (entry.type === "confChange") {
        node.applyConfChange(entry.change, entry.index);
      }
      node.applied(entry.index);
    }
    sent.push(...ready.messages, ...ready.messagesAfterPersist);
  }
  return sent;
}

/** Gives a message to the member; returns what it sends. */
function give(node: RawNode, message: Message): Message[] {
  node.step(message);
  return work(node);
}

/** Whether the member would vote for one whose log ends at (index, term). */
function votesFor(node: RawNode, index: number, term: number): boolean {
  node.forgetLeader();
  const [answer] = give(node, {
    type: "requestPreVote",
    from: 2,
    to: 3,
    term: 99,
    lastLogIndex: index,
    lastLogTerm: term,
  });
  assert(answer?.type === "requestPreVoteResponse");
  return !answer.reject;
}

describe("a founder with an empty disk (H80)", () => {
  it("needs more than what a leader knows to be committed at first", () => {
    const node = founder();
    // 1 leads term 2; of its five entries it knows two to be committed.
    const header = { from: 1, to: 3, term: 2 };
    give(node, {
      type: "appendEntries",
      ...header,
      prevLogIndex: 0,
      prevLogTerm: 0,
      entries: log(1, 1, 1),
      commitIndex: 2,
    });
    assert(!votesFor(node, 4, 1));
    give(node, {
      type: "appendEntries",
      ...header,
      prevLogIndex: 3,
      prevLogTerm: 1,
      entries: log(1, 1, 1, 1, 1, 2).slice(3),
      commitIndex: 2,
    });
    // An entry of its own term has everything before it that there was.
    assert(votesFor(node, 6, 2));
    assert(!votesFor(node, 4, 1));
  });

  it("needs more than a snapshot", () => {
    const node = founder();
    give(node, {
      type: "installSnapshot",
      from: 1,
      to: 3,
      term: 2,
      snapshot: { index: 3, term: 1, conf: { ...FOUNDERS, version: 0 } },
    });
    assertEquals(node.lastIndex, 3);
    assert(!votesFor(node, 4, 1));
    give(node, {
      type: "appendEntries",
      from: 1,
      to: 3,
      term: 2,
      prevLogIndex: 3,
      prevLogTerm: 1,
      entries: log(1, 1, 1, 2).slice(3),
      commitIndex: 4,
    });
    assert(votesFor(node, 4, 2));
  });

  it("does not lead by a configuration of the past in which it was alone", () => {
    const node = founder();
    const steps = [1, 2].map((id) => ({ type: "remove", node: id } as const));
    const changes = [
      { transition: "implicit", steps } as const,
      { transition: "auto", steps: [] } as const,
    ].map((change, i) =>
      ({ type: "confChange", term: 1, index: i + 1, change }) as const
    );
    node.step({
      type: "appendEntries",
      from: 4,
      to: 3,
      term: 2,
      prevLogIndex: 0,
      prevLogTerm: 0,
      entries: changes,
      commitIndex: 9,
    });
    work(node);
    assertEquals(node.conf.voters, [3]);
    for (let tick = 0; tick < 100; tick++) node.tick();
    work(node);
    node.campaign();
    work(node);
    assertEquals([node.role, node.term], ["follower", 2]);
  });
});
