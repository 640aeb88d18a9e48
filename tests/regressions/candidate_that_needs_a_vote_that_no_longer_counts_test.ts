/**
 * Symptom: two of three voters were made learners, and the change was over for
 * them. The one voter that was left had the entry that ended it, but had not
 * heard that it was committed, when all were restarted. By what it knew it
 * needed another vote: one of the former voters was gone, the other one held
 * an uncommitted entry more and refused. Nobody ever led.
 *
 * Cause: configurations take effect when they are applied, and only leaders
 * told of commits.
 *
 * Found by: the simulator, seeds 1033, 1193 and 2153.
 */
import { describe, it } from "node:test";
import { assertEquals } from "@std/assert";
import {
  type ConfState,
  EMPTY_CONF,
  type Entry,
  type Message,
  RawNode,
} from "../../src/core/mod.ts";
import { bytes } from "../core/cluster.ts";

const FOUNDERS: ConfState = { ...EMPTY_CONF, voters: [1, 2, 3] };

const LOG: readonly Entry[] = [
  { type: "noop", term: 1, index: 1 },
  {
    type: "confChange",
    term: 1,
    index: 2,
    change: {
      transition: "implicit",
      steps: [
        { type: "addLearner", node: 1 },
        { type: "addLearner", node: 3 },
      ],
    },
  },
  {
    type: "confChange",
    term: 1,
    index: 3,
    change: { transition: "auto", steps: [] },
  },
  { type: "command", term: 1, index: 4, data: bytes("uncommitted") },
];

/** A member that has that many entries, so many of them committed. */
function restarted(
  id: number,
  options: { length: number; commit: number; tellCommit: boolean },
): RawNode {
  const { length, commit, tellCommit } = options;
  const node = new RawNode({
    id,
    config: { tellCommit },
    restored: {
      hardState: { term: 1, vote: 1, commit },
      snapshot: { index: 0, term: 0, conf: FOUNDERS },
      firstIndex: 1,
      lastIndex: length,
      prevTerm: 0,
      termRuns: [{ term: 1, firstIndex: 1 }],
      tail: LOG.slice(0, length),
      appliedIndex: 0,
    },
    random: () => 0,
  });
  return node;
}

/** Carries out what is ready; gives what is sent. */
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

/** Whether the voter that is left ever leads, with one other one up. */
function isLed(tellCommit: boolean): boolean {
  const voter = restarted(2, { length: 3, commit: 2, tellCommit });
  const former = restarted(1, { length: 4, commit: 3, tellCommit });
  work(voter);
  work(former);
  for (let tick = 0; tick < 100; tick++) {
    for (const node of [voter, former]) node.tick();
    for (let round = 0; round < 5; round++) {
      for (const [from, to] of [[voter, former], [former, voter]] as const) {
        for (const message of work(from)) {
          if (message.to === to.id) to.step(message);
        }
      }
    }
  }
  return voter.role === "leader";
}

describe("the only voter left of three", () => {
  it("learns from a refusal that it needs no other vote (H77)", () => {
    assertEquals(isLed(true), true);
  });

  it("waits for ever if nobody tells it", () => {
    assertEquals(isLed(false), false);
  });
});
