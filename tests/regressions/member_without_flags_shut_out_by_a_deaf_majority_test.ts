/**
 * Symptom: after a network fault one member campaigned for ever and never
 * rejoined a healthy group (simulator seed 11 of its first campaign).
 *
 * Cause: that member had neither pre-vote nor check-quorum, the others had
 * check-quorum. Its term had run ahead; they were deaf to its requests, since
 * they heard their leader, and it kept silent towards that leader's older
 * term, since only members with one of the flags answered there (H06).
 *
 * Why nothing noticed: every directed test gives all members the same flags.
 */
import { describe, it } from "node:test";
import { assertEquals } from "@std/assert";
import { Cluster } from "../core/cluster.ts";

describe("a member with neither pre-vote nor check-quorum", () => {
  for (const type of ["heartbeat", "appendEntries"] as const) {
    it(`without a leader answers an older ${type} with its term`, () => {
      const cluster = new Cluster(3, {
        config: { preVote: false, checkQuorum: false },
        terms: { 3: 7 },
      });
      const header = { from: 1, to: 3, term: 2, commitIndex: 0 };
      cluster.node(3).step(
        type === "heartbeat"
          ? { ...header, type, round: 0, sentAt: 0 }
          : { ...header, type, prevLogIndex: 0, prevLogTerm: 0, entries: [] },
      );
      cluster.process(3);
      assertEquals(
        cluster.network.map(({ to, term }) => [to, term]),
        [[1, 7]],
      );
    });
  }
});
