/**
 * Symptom: a leader whose log was compacted while old entries were read back
 * for a slow follower stopped with "storage returned entry 1 of term 1 for
 * 1", or, when the read found them gone, gave up its leadership.
 *
 * Cause: the answer was checked against a log that reached that far no more,
 * and a read refused for that reason was taken for a damaged disk (H42).
 *
 * Why nothing noticed: loads are answered at once in the tests of the core.
 */
import { describe, it } from "node:test";
import { assert, assertEquals } from "@std/assert";
import type { Load } from "../../src/core/mod.ts";
import { EMPTY_CONF } from "../../src/core/mod.ts";
import { bytes, Cluster, type Member } from "../core/cluster.ts";

/** A leader that compacts while a load for follower 3 is under way. */
function compactedWhileLoading(): {
  readonly cluster: Cluster;
  readonly leader: Member;
  readonly load: Load;
} {
  const cluster = new Cluster(3, { config: { maxTailBytes: 0 } });
  const leader = cluster.member(1);
  cluster.drop = ({ from, to }) => from === 3 || to === 3;
  cluster.elect(1);
  for (const text of ["a", "b", "c"]) leader.node.propose([bytes(text)]);
  cluster.settle();
  const loads: Load[] = [];
  leader.load = (load) => loads.push(load);
  cluster.drop = () => false;
  cluster.tick(1, 1);
  cluster.settle();
  const [load] = loads;
  assert(load !== undefined && load.purpose === 3);
  const index = leader.node.appliedIndex;
  const term = leader.node.termAt(index) ?? 0;
  const conf = { ...EMPTY_CONF, voters: [1, 2, 3] };
  leader.node.compact({ index, term, conf }, index);
  return { cluster, leader, load };
}

describe("a load for a follower, answered after the log was compacted", () => {
  const answers = {
    "with the entries": ({ node, disk }: Member, load: Load) =>
      node.entriesLoaded(
        load,
        disk.entries.slice(load.from - 1, load.through),
      ),
    "with a failure": ({ node }: Member, load: Load) => node.loadFailed(load),
  };
  for (const [what, answer] of Object.entries(answers)) {
    it(`${what}, leads to a snapshot instead`, () => {
      const { cluster, leader, load } = compactedWhileLoading();
      answer(leader, load);
      const sent: string[] = [];
      cluster.drop = ({ type, to }) => {
        if (to === 3) sent.push(type);
        return to === 3;
      };
      cluster.process(1);
      assertEquals(leader.node.role, "leader");
      assertEquals(sent, ["installSnapshot"]);
    });
  }
});
