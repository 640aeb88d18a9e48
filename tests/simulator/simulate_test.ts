import { describe, it } from "node:test";
import {
  assert,
  assertEquals,
  assertNotEquals,
  assertThrows,
} from "@std/assert";
import {
  drawOptions,
  MARKS,
  type SimResult,
  simulate,
} from "../../src/sim/mod.ts";

const TICKS = 1_500;

/**
 * Hashes of whole runs. They change with the protocol and with the
 * simulator: look at what changed, then take the new ones from the failure.
 * That every runtime computes the same ones is the point.
 */
const RECORDED: [seed: number, hash: string][] = [
  [1, "cfd2e1778e424ebf"],
  [2, "18afd904f639a568"],
  [3, "2aeef0dc73d971fe"],
];

function run(seed: number, overrides = {}): SimResult {
  return simulate({ seed, overrides: { ticks: TICKS, ...overrides } });
}

describe("simulate()", () => {
  it("one seed is one run, bit for bit, on every runtime (H137)", () => {
    const hashAll = () =>
      RECORDED.map(([seed]): [number, string] => [seed, run(seed).hash]);
    const hashes = hashAll();
    const again = hashAll();
    assertEquals(hashes, again);
    assertEquals(hashes, RECORDED);
  });

  it("looking on changes nothing", () => {
    let events = 0;
    const watched = simulate({
      seed: 5,
      overrides: { ticks: TICKS },
      onEvent: () => events++,
    });
    assertEquals(watched.hash, run(5).hash);
    assertEquals(watched.steps, events);
  });

  it("different seeds draw different clusters, faults and runs", () => {
    assertNotEquals(run(1).hash, run(2).hash);
    const sizes = new Set<number>();
    const kinds = new Set<string>();
    const tails = new Set<string>();
    for (let seed = 0; seed < 80; seed++) {
      const { members, faults, tail } = drawOptions(seed);
      sizes.add(members);
      tails.add(tail);
      for (const kind of faults.kinds) kinds.add(kind);
    }
    assertEquals([...sizes].sort(), [1, 2, 3, 4, 5, 6, 7]);
    assertEquals([...tails].sort(), ["all", "clique", "hungLeader", "quorum"]);
    assertEquals(kinds.size, 20);
  });

  it("holds for clusters of 1, 2, 4 and 7 members too (H19)", () => {
    for (const members of [1, 2, 4, 7]) {
      for (let seed = 1; seed <= 4; seed++) {
        const { failure, okCount } = run(seed, { members });
        assertEquals(failure, undefined, `seed ${seed} of ${members}`);
        assert(okCount > 0);
      }
    }
  });

  it("holds for a few dozen fresh seeds, and reaches most marks (H138)", () => {
    const reached = new Set<string>();
    for (let seed = 100; seed < 130; seed++) {
      const { failure, marks } = run(seed);
      assertEquals(failure, undefined, `seed ${seed}`);
      for (const mark of MARKS) if (marks[mark] > 0) reached.add(mark);
    }
    assert(reached.size > 0.9 * MARKS.length, `${reached.size} marks`);
  });

  it("refuses seeds that are none", () => {
    for (const seed of [-1, 0.5, NaN, 2 ** 53]) {
      assertThrows(() => simulate({ seed }), RangeError, "the seed is");
    }
  });
});
