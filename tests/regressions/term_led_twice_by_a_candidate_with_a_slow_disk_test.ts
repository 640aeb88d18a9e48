/**
 * Symptom: one member led the same term in two lives, with different entries
 * at the same index and term (simulator seed 259 of its first campaign).
 *
 * Cause: a candidate asked for votes before its own term and vote were
 * durable. The others sufficed to elect it; it crashed, had forgotten the
 * term, campaigned for it again and got the same votes again (H14).
 *
 * Why nothing noticed: tests that held a disk back looked at voters, never at
 * the candidate (H01 speaks of replies).
 */
import { describe, it } from "node:test";
import { assertEquals } from "@std/assert";
import { bytes, Cluster, commands } from "../core/cluster.ts";

describe("a candidate with a slow disk", () => {
  it("asks nobody before its term and vote are durable (§3.8, H01)", () => {
    const cluster = new Cluster(3, { config: { preVote: false } });
    cluster.member(1).slowDisk = true;
    cluster.node(1).campaign();
    cluster.process(1);
    assertEquals(cluster.network, []);
    cluster.flush(1);
    assertEquals(
      cluster.network.map(({ type, to }) => [type, to]),
      [["requestVote", 2], ["requestVote", 3]],
    );
  });

  it("leads no term twice, so that no two entries share term and index", () => {
    const cluster = new Cluster(3, { config: { preVote: false } });
    const candidate = cluster.member(1);
    candidate.slowDisk = true;
    cluster.node(1).campaign();
    cluster.settle();
    cluster.node(1).propose([bytes("first life")]);
    cluster.drop = ({ to }) => to === 3;
    cluster.settle();
    cluster.network = [];
    candidate.restart();
    candidate.slowDisk = false;
    cluster.drop = ({ from, to }) => from === 2 || to === 2;
    cluster.elect(1);
    cluster.node(1).propose([bytes("second life")]);
    cluster.settle();
    cluster.drop = () => false;
    cluster.tick(1, 1);
    cluster.settle();
    for (const id of [1, 2, 3]) {
      const applied = commands(cluster.member(id).applied);
      assertEquals(applied, ["second life"]);
    }
  });
});
