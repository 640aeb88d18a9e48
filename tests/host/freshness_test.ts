import { describe, it } from "node:test";
import { assertEquals } from "@std/assert";
import type { Heartbeat } from "../../src/core/message.ts";
import { Freshness } from "../../src/host/freshness.ts";

function heartbeat(commitIndex: number, leaderCommit: number): Heartbeat {
  return {
    type: "heartbeat",
    from: 2,
    to: 1,
    term: 1,
    commitIndex,
    round: 0,
    sentAt: 0,
    leaderCommit,
  };
}

describe("the age of a stale read (C20)", () => {
  it("grows while entries are lost and heartbeats are not", () => {
    const freshness = new Freshness();
    freshness.heard(heartbeat(5, 5), 5, 1_000);
    assertEquals(freshness.staleMs(1_010), 10);
    // The follower has 5; the leader has committed 9 in the meantime.
    freshness.heard(heartbeat(5, 9), 5, 2_000);
    assertEquals(freshness.staleMs(2_010), 1_010);
    assertEquals(freshness.caughtUp(5), false);
    freshness.applied(9);
    assertEquals(freshness.staleMs(2_010), 10);
  });
});
