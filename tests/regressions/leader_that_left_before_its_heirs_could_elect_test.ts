/**
 * Symptom: a leader removed itself, named a successor and stopped. Of the two
 * voters that were left one had begun with an empty disk and had not got all
 * of the log yet: it elects nobody who has more (H80). Nobody ever led again,
 * though everybody who had a vote was alive.
 *
 * Cause: the leader looked for a successor that has the log, and did not ask
 * whether enough others have it to elect that one.
 *
 * Found by: the simulator, seed 19111.
 */
import { describe, it } from "node:test";
import { assertEquals } from "@std/assert";
import { Cluster } from "../core/cluster.ts";
import { leaders, Timeline } from "../core/timeline.ts";

/** Member 1 leads and has removed itself, without a word of it to member 3. */
function withRemovedLeader(): Cluster {
  const cluster = new Cluster(3);
  cluster.drop = ({ to, type }) =>
    to === 3 && (type === "appendEntries" || type === "requestVote");
  cluster.elect(1);
  new Timeline(cluster).pass(2);
  cluster.node(1).proposeConfChange({
    transition: "auto",
    steps: [{ type: "remove", node: 1 }],
  });
  cluster.settle();
  assertEquals(cluster.node(1).conf.voters, [2, 3]);
  return cluster;
}

describe("a leader that removed itself", () => {
  it("leads on until a quorum without it holds what is committed (§4.2.2)", () => {
    const cluster = withRemovedLeader();
    const time = new Timeline(cluster);
    assertEquals(cluster.node(3).lastIndex, 0);
    time.pass(4);
    assertEquals(leaders(cluster), [1]);
    cluster.drop = () => false;
    time.until(() => cluster.node(2).role === "leader", 10);
    time.until(() => cluster.node(1).removal !== null, 10);
    assertEquals(cluster.node(3).leader, 2);
  });

  it("does not wait for ever (H78)", () => {
    const cluster = withRemovedLeader();
    new Timeline(cluster).until(() => leaders(cluster).length === 0, 50);
  });
});
