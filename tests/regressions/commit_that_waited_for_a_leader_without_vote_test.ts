/**
 * Symptom: the leader of two voters, whose disk was slow, removed itself. The
 * other one held everything, and alone was the quorum of the new
 * configuration; what had been proposed before the removal was applied stayed
 * uncommitted for as long as the leader kept its office.
 *
 * Cause: a leader counted again what a quorum holds after each change of the
 * voters, save after the one that took its own vote (H40).
 *
 * Found by: review.
 */
import { describe, it } from "node:test";
import { assertEquals } from "@std/assert";
import { bytes, Cluster } from "../core/cluster.ts";

/** What is committed once a leader with a slow disk lost its vote. */
function committed(stepDownOnRemoval: "handOver" | false): number {
  const cluster = new Cluster(2, { config: { stepDownOnRemoval } });
  cluster.elect(1);
  const leader = cluster.member(1);
  leader.node.proposeConfChange(
    { transition: "auto", steps: [{ type: "remove", node: 1 }] },
    { force: true },
  );
  leader.slowMachine = true;
  cluster.settle();
  leader.slowDisk = true;
  leader.node.propose([bytes("a"), bytes("b")]);
  cluster.settle();
  assertEquals([leader.node.commitIndex, leader.node.lastIndex], [2, 4]);
  leader.applyAll();
  leader.node.check();
  return leader.node.commitIndex;
}

describe("a leader that lost its vote", () => {
  it("commits at once what the voters left hold (H40, H78)", () => {
    assertEquals(committed("handOver"), 4);
  });

  it("does so too if it is to lead on", () => {
    assertEquals(committed(false), 4);
  });
});
