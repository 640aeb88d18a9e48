/**
 * Symptom: a founder lost its disk and got back a part of its log; then it was
 * cut off, and removed by the others. It followed the leader of that time for
 * ever, and its host never stopped it.
 *
 * Cause: a member whose empty disk is not full again does not campaign, for
 * what it has may be a time when it was the only voter (H80). So it called
 * nobody who could have told it. Others that never campaign ask, once they
 * hear of no leader; this one counted as somebody that campaigns.
 *
 * Found by: the simulator, seed 8947.
 */
import { describe, it } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { Cluster, log } from "../core/cluster.ts";
import { Timeline } from "../core/timeline.ts";

/** Member 3 has lost its disk and got back the first entry of three. */
function withHalfFilled(): { cluster: Cluster; time: Timeline } {
  const cluster = new Cluster(3, {
    logs: { 1: log(1, 1), 2: log(1, 1), 3: log(1, 1) },
    terms: { 1: 1, 2: 1, 3: 1 },
  });
  const time = new Timeline(cluster);
  cluster.elect(1);
  time.pass(2);
  const { term, commitIndex } = cluster.node(1);
  assertEquals({ term, commitIndex }, { term: 2, commitIndex: 3 });
  cluster.drop = ({ from, to }) => from === 3 || to === 3;
  cluster.member(3).wipe();
  cluster.node(3).step({
    type: "appendEntries",
    from: 1,
    to: 3,
    term,
    prevLogIndex: 0,
    prevLogTerm: 0,
    commitIndex,
    entries: log(1),
  });
  cluster.settle();
  assertEquals(cluster.node(3).lastIndex, 1);
  assert(cluster.node(3).status().fresh);
  return { cluster, time };
}

describe("a member whose lost disk is half full, with no leader (H80)", () => {
  it("learns that it was removed, without campaigning (§4.2.3, H79)", () => {
    const { cluster, time } = withHalfFilled();
    cluster.node(1).proposeConfChange({
      transition: "auto",
      steps: [{ type: "remove", node: 3 }],
    }, { force: true });
    time.pass(5);
    assertEquals(cluster.node(2).conf.voters, [1, 2]);
    cluster.network = [];
    cluster.drop = () => false;
    time.until(() => cluster.node(3).removal !== null, 40);
    assertEquals(cluster.node(3).removal, { reason: "removed", version: 1 });
    assertEquals(cluster.node(1).term, 2);
  });

  it("changes nothing by asking while it is a member", () => {
    const { cluster, time } = withHalfFilled();
    const asked: boolean[] = [];
    cluster.drop = ({ from, to, type }) => {
      if (from === 3 && type === "requestPreVote") asked.push(true);
      return to === 3;
    };
    time.pass(60);
    assert(asked.length > 0);
    assertEquals(cluster.node(3).role, "follower");
    assertEquals(cluster.node(1).role, "leader");
    for (const id of [1, 2, 3]) assertEquals(cluster.node(id).term, 2);
  });
});
