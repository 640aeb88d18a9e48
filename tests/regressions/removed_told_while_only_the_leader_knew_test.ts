/**
 * Symptom: one of four voters was removed, told so, and stopped; then the
 * leader was lost. The two others were a quorum of the three that were left,
 * and had the removal in their logs, but did not know that it was committed:
 * by their own configuration they needed a third vote, for ever.
 *
 * Cause: the leader told as soon as it had applied the removal itself, when
 * nobody but the removed member needed to know of it. That the commit was on
 * the leader's disk was no help to those who lost the leader.
 *
 * Found by: the simulator, seed 5857, with a bare quorum alive at the end.
 */
import { describe, it } from "node:test";
import { assert, assertEquals } from "@std/assert";
import type { NodeId } from "../../src/core/mod.ts";
import { Cluster } from "../core/cluster.ts";
import { Timeline } from "../core/timeline.ts";

/**
 * Member 4 is removed with its own help, while member 3 hears nothing and
 * member 2 nothing but the removal itself.
 */
function withRemoval(): Cluster {
  const cluster = new Cluster(4);
  cluster.elect(1);
  new Timeline(cluster).pass(2);
  cluster.drop = (message) =>
    message.to === 3 ||
    message.to === 2 && message.type === "appendEntries" &&
      message.commitIndex >= 2;
  cluster.node(1).proposeConfChange({
    transition: "auto",
    steps: [{ type: "remove", node: 4 }],
  });
  cluster.settle();
  assertEquals(cluster.node(1).conf.voters, [1, 2, 3]);
  assertEquals(cluster.node(2).conf.voters, [1, 2, 3, 4]);
  return cluster;
}

/** Members 2, 3 and 4 go on alone for a while; who was told stops. */
function passWithoutLeader(cluster: Cluster): void {
  const time = new Timeline(cluster);
  const isDead = (id: NodeId) => id === 1 || cluster.node(id).removal !== null;
  cluster.network = [];
  cluster.drop = ({ from, to }) => isDead(from) || isDead(to);
  for (let i = 0; i < 150; i++) {
    time.pass(1, [2, 3, 4].filter((id) => !isDead(id)));
  }
}

describe("a removal that only the leader and the removed member know of", () => {
  it("outlives the leader: nobody was sent home (H77, H79)", () => {
    const cluster = withRemoval();
    passWithoutLeader(cluster);
    assert([2, 3].some((id) => cluster.node(id).role === "leader"));
    for (const id of [2, 3]) {
      assertEquals(cluster.node(id).conf.voters, [1, 2, 3]);
    }
    assertEquals(cluster.node(4).removal, { reason: "removed", version: 1 });
  });

  it("is told without any write once another voter has it too (§4.2.3)", () => {
    const cluster = withRemoval();
    cluster.drop = ({ to }) => to === 3;
    new Timeline(cluster).until(() => cluster.node(4).removal !== null, 2);
    assertEquals(cluster.node(2).conf.voters, [1, 2, 3]);
    passWithoutLeader(cluster);
    assert([2, 3].some((id) => cluster.node(id).role === "leader"));
  });

  it("is no answer yet to the removed member's campaign", () => {
    const cluster = withRemoval();
    cluster.node(1).step({
      type: "requestPreVote",
      from: 4,
      to: 1,
      term: 2,
      lastLogIndex: 2,
      lastLogTerm: 1,
    });
    cluster.settle();
    assertEquals(cluster.node(4).removal, null);
    assertEquals(cluster.node(1).role, "leader");
  });
});
