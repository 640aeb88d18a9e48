/**
 * Symptom: a leader of one voter promoted its only learner and crashed; it
 * campaigned for ever and never got that member's vote (simulator seed 226,
 * with groups that may sleep).
 *
 * Cause: the learner, which could not campaign, pinged its leader after each
 * election timeout, in case it slept, and began to count anew. A member whose
 * timeout was drawn as the shortest one therefore never had been without its
 * leader for a whole election timeout, and stayed deaf to candidates.
 *
 * Why nothing noticed: tests of sleep have no learners, or let the leader
 * answer the ping.
 */
import { describe, it } from "node:test";
import { assertEquals } from "@std/assert";
import {
  EMPTY_CONF,
  INITIAL_HARD_STATE,
  type Message,
  RawNode,
} from "../../src/core/mod.ts";
import { restored } from "../core/cluster.ts";

const ELECTION_TICKS = 10;

function newLearner(): RawNode {
  const conf = { ...EMPTY_CONF, voters: [1], learners: [2] };
  const disk = { hardState: INITIAL_HARD_STATE, entries: [] };
  return new RawNode({
    id: 2,
    config: {
      electionTicks: ELECTION_TICKS,
      quiesceTicks: 20,
      fastFailover: false,
    },
    // The shortest timeout there is.
    random: () => 0,
    restored: restored(disk, conf),
  });
}

/** What the learner sends, once its term and vote are stored. */
function sent(core: RawNode): Message[] {
  const messages: Message[] = [];
  while (core.hasReady()) {
    const ready = core.ready();
    core.persisted(ready.number);
    messages.push(...ready.messages, ...ready.messagesAfterPersist);
  }
  return messages;
}

describe("a learner in a group that may sleep", () => {
  it("hears candidates after an election timeout without its leader", () => {
    const core = newLearner();
    core.step({
      type: "heartbeat",
      from: 1,
      to: 2,
      term: 1,
      commitIndex: 0,
      round: 0,
      sentAt: 0,
    });
    sent(core);
    const pings: number[] = [];
    for (let tick = 1; tick <= 3 * ELECTION_TICKS; tick++) {
      core.tick();
      if (sent(core).length > 0) pings.push(tick);
    }
    assertEquals(pings, [10, 20, 30]);
    core.step({
      type: "requestVote",
      from: 1,
      to: 2,
      term: 5,
      lastLogIndex: 0,
      lastLogTerm: 0,
      transfer: false,
    });
    const votes = sent(core).filter(({ type }) =>
      type === "requestVoteResponse"
    );
    assertEquals(votes, [{
      type: "requestVoteResponse",
      from: 2,
      to: 1,
      term: 5,
      reject: false,
    }]);
  });
});
