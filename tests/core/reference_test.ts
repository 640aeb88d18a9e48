import { describe, it } from "node:test";
import { assertEquals } from "@std/assert";
import { Cluster } from "./cluster.ts";

describe("where random histories differed from the reference", () => {
  it("a leader that names itself gives up the transfer it began (§3.10)", () => {
    const cluster = new Cluster(3);
    cluster.elect(1);
    cluster.drop = ({ type }) => type === "timeoutNow";
    cluster.node(1).transferLeadership(2);
    cluster.settle();
    assertEquals(cluster.node(1).status().transferTarget, 2);
    assertEquals(cluster.node(1).transferLeadership(1), "refused");
    assertEquals(cluster.node(1).status().transferTarget, null);
    assertEquals(cluster.node(1).propose([new Uint8Array(1)]).type, "appended");
  });

  it("a follower that forgot its leader takes the hand-over of its term, and no other's (H115)", () => {
    for (const [from, role] of [[1, "candidate"], [3, "follower"]] as const) {
      const cluster = new Cluster(3);
      cluster.elect(1);
      const { term } = cluster.node(2);
      if (from === 1) cluster.node(2).forgetLeader();
      cluster.node(2).step({ type: "timeoutNow", from, to: 2, term });
      assertEquals(cluster.node(2).role, role);
    }
  });

  it("without fast failover a follower is deaf to its own leader too (§4.2.3, H07)", () => {
    for (const fastFailover of [true, false]) {
      const cluster = new Cluster(3, {
        config: { fastFailover, preVote: false },
      });
      cluster.elect(1);
      cluster.node(2).step({
        type: "requestVote",
        from: 1,
        to: 2,
        term: 2,
        lastLogIndex: 1,
        lastLogTerm: 1,
        transfer: false,
      });
      assertEquals(cluster.node(2).term, fastFailover ? 2 : 1);
    }
  });

  it("among equal settings a candidate without flags leaves old leaders alone (H06)", () => {
    for (const mixedSettings of [true, false]) {
      const cluster = new Cluster(3, {
        config: { mixedSettings, preVote: false, checkQuorum: false },
      });
      cluster.elect(1);
      cluster.drop = ({ type }) => type === "requestVote";
      cluster.elect(3);
      assertEquals(cluster.node(3).term, 2);
      cluster.tick(1, 1);
      cluster.settle();
      assertEquals(cluster.node(1).term, mixedSettings ? 2 : 1);
    }
  });

  it("the answer to a read tells the term in which it was confirmed (§6.4)", () => {
    const cluster = new Cluster(3);
    cluster.elect(2);
    const terms: number[] = [];
    cluster.drop = (message) => {
      if (message.type === "readIndexResponse") terms.push(message.term);
      return false;
    };
    cluster.node(1).readIndex(7);
    cluster.settle();
    assertEquals(terms, [cluster.node(2).term]);
    assertEquals(cluster.member(1).readStates, [{ context: 7, index: 1 }]);
  });
});
