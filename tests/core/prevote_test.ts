import { describe, it } from "node:test";
import { assert, assertEquals } from "@std/assert";
import type { CoreConfig, Message, NodeId } from "../../src/core/mod.ts";
import { bytes, Cluster, log } from "./cluster.ts";
import { leaders, Timeline } from "./timeline.ts";

/** Loses everything but what travels on these links, both ways. */
function onlyLinks(...links: readonly (readonly [NodeId, NodeId])[]) {
  return ({ from, to }: Message): boolean =>
    !links.some((link) => link.includes(from) && link.includes(to));
}

/** Three flags, all their settings. */
function* flags(): Generator<Partial<CoreConfig>> {
  for (const preVote of [true, false]) {
    for (const checkQuorum of [true, false]) yield { preVote, checkQuorum };
  }
}

describe("pre-vote and check-quorum", () => {
  it("elect in time whatever flags members have, whatever their logs (H04, H06)", () => {
    for (const one of flags()) {
      for (const two of flags()) {
        for (const three of flags()) {
          const configs = { 1: one, 2: two, 3: three };
          // The longest log has the oldest term; one member is gone.
          const cluster = new Cluster(3, {
            configs,
            logs: { 1: log(1, 1, 1), 2: log(1), 3: log(1) },
            terms: { 1: 1, 2: 4, 3: 2 },
          });
          cluster.drop = onlyLinks([1, 2]);
          const time = new Timeline(cluster);
          const led = () => cluster.node(1).role === "leader";
          const ticks = time.until(led, 200);
          assert(ticks <= 120, `${JSON.stringify(configs)}: ${ticks} ticks`);
        }
      }
    }
  });

  it("a member that returns with a higher term joins, whatever the flags (H05, H06)", () => {
    for (const one of flags()) {
      for (const two of flags()) {
        const cluster = new Cluster(3, { configs: { 1: one, 2: two, 3: two } });
        cluster.elect(1);
        cluster.node(1).propose([bytes("a")]);
        cluster.settle();
        const time = new Timeline(cluster);
        cluster.drop = ({ from, to }) => from === 3 || to === 3;
        time.pass(60);
        cluster.drop = () => false;
        time.pass(120);
        const [leader] = leaders(cluster);
        assert(leader !== undefined, "nobody leads");
        for (const id of [1, 2, 3]) {
          assertEquals(cluster.node(id).leader, leader);
          assertEquals(
            cluster.node(id).commitIndex,
            cluster.node(leader).lastIndex,
          );
        }
      }
    }
  });

  it("followers of a leader that stepped down elect each other (H05)", () => {
    const cluster = new Cluster(3);
    cluster.elect(1);
    const time = new Timeline(cluster);
    time.pass(5);
    cluster.drop = ({ from, to }) => from === 1 || to === 1;
    // One of them has not heard of the leader for longer than the other.
    time.pass(6, [1, 2]);
    const next = () => leaders(cluster).some((id) => id !== 1);
    assert(time.until(next, 60) <= 40, "they waited for each other");
  });

  it("a leader that reaches a bridge only makes way for a clique (H10)", () => {
    const cluster = new Cluster(5);
    cluster.elect(1);
    const time = new Timeline(cluster);
    time.pass(5);
    // 1 reaches 3 only; 3, 4 and 5 reach each other; 2 reaches nobody.
    cluster.drop = onlyLinks([1, 3], [3, 4], [4, 5], [3, 5]);
    const served = () =>
      [3, 4, 5].some((id) => {
        const { role, committedInTerm } = cluster.node(id);
        return role === "leader" && committedInTerm;
      });
    time.until(served, 80);
    const [leader] = leaders(cluster);
    const { term } = cluster.node(leader ?? 3);
    time.pass(300);
    assertEquals(leaders(cluster), [leader]);
    assertEquals(cluster.node(leader ?? 3).term, term);
  });

  it("in a chain the middle leads or is led, and nobody disturbs (H10)", () => {
    const cluster = new Cluster(3);
    cluster.elect(1);
    const time = new Timeline(cluster);
    time.pass(5);
    cluster.drop = onlyLinks([1, 2], [2, 3]);
    time.pass(300);
    assertEquals(leaders(cluster), [1]);
    assertEquals(cluster.node(2).term, 1);
    cluster.node(1).propose([bytes("a")]);
    cluster.settle();
    assertEquals(cluster.node(1).commitIndex, 2);
  });

  it("a leader that is heard but hears nobody steps down, and is replaced (H10)", () => {
    for (const isDeaf of [true, false]) {
      const cluster = new Cluster(3);
      cluster.elect(1);
      const time = new Timeline(cluster);
      time.pass(5);
      cluster.drop = ({ from, to }) => isDeaf ? to === 1 : from === 1;
      const replaced = () =>
        leaders(cluster).some((id) =>
          id !== 1 && cluster.node(id).committedInTerm
        );
      time.until(replaced, 80);
      time.pass(100);
      assertEquals(leaders(cluster).filter((id) => id !== 1).length, 1);
    }
  });

  it("a voter that thinks it is a learner votes all the same (H11)", () => {
    const cluster = new Cluster(3);
    cluster.elect(1);
    const change = (type: "addLearner" | "addVoter") => {
      cluster.node(1).proposeConfChange({
        transition: "auto",
        steps: [{ type, node: 3 }],
      });
      cluster.settle();
    };
    change("addLearner");
    // Its promotion is committed by the others; it does not hear of it.
    cluster.drop = ({ from, to }) => from === 3 || to === 3;
    change("addVoter");
    new Timeline(cluster).pass(1);
    assertEquals(cluster.node(2).conf.voters, [1, 2, 3]);
    assertEquals(cluster.node(3).conf.learners, [3]);
    cluster.drop = ({ from, to }) => from === 1 || to === 1;
    new Timeline(cluster).until(
      () => cluster.node(2).role === "leader",
      60,
    );
    new Timeline(cluster).pass(2);
    assertEquals(cluster.node(3).conf.voters, [1, 2, 3]);
  });

  it("the leader itself may stand again while it is believed in (H07)", () => {
    const cluster = new Cluster(3);
    cluster.elect(1);
    const time = new Timeline(cluster);
    time.pass(3);
    // It restarts, while the others still count on it.
    cluster.member(1).restart();
    cluster.node(1).campaign();
    cluster.settle();
    assertEquals(leaders(cluster), [1]);
    assertEquals(cluster.node(1).term, 2);
  });

  it("every wait for a leader is drawn anew, from the whole range (H16, H109)", () => {
    const cluster = new Cluster(3);
    const node = cluster.node(2);
    const drawn = new Set<number>();
    for (let round = 0; round < 300; round++) {
      let ticks = 0;
      for (; node.role === "follower"; ticks++) node.tick();
      drawn.add(ticks);
      node.step({
        type: "heartbeat",
        from: 1,
        to: 2,
        term: 1,
        commitIndex: 0,
        round: 0,
        sentAt: 0,
      });
    }
    assertEquals(
      [...drawn].sort((a, b) => a - b),
      [10, 11, 12, 13, 14, 15, 16, 17, 18, 19],
    );
  });
});
