import { describe, it } from "node:test";
import { assertEquals } from "@std/assert";
import {
  EMPTY_CONF,
  type Entry,
  INITIAL_HARD_STATE,
  RawNode,
} from "../../src/core/mod.ts";

const LOG: readonly Entry[] = [1, 2, 3, 4].map((index) => ({
  type: "command",
  term: 1,
  index,
  data: new Uint8Array(100),
}));

function restarted(maxTailBytes: number, commit: number): RawNode {
  return new RawNode({
    id: 1,
    config: { maxTailBytes },
    restored: {
      hardState: { ...INITIAL_HARD_STATE, term: 1, commit },
      snapshot: { index: 0, term: 0, conf: { ...EMPTY_CONF, voters: [1, 2] } },
      firstIndex: 1,
      lastIndex: LOG.length,
      prevTerm: 0,
      termRuns: [{ term: 1, firstIndex: 1 }],
      tail: LOG,
      appliedIndex: 0,
    },
    random: () => 0,
  });
}

/** What a restarted member has to read back before it applies anything. */
function readBack(maxTailBytes: number, commit: number): unknown {
  const { loads } = restarted(maxTailBytes, commit).ready();
  return loads.map(({ from, through }) => [from, through]);
}

describe("the tail a member starts with (H36)", () => {
  it("is cut to its limit, whatever storage hands out", () => {
    assertEquals(readBack(1 << 20, 4), []);
    assertEquals(readBack(0, 4), [[1, 4]]);
    assertEquals(readBack(2 * 132, 4), [[1, 2]]);
  });

  it("keeps what is not committed", () => {
    assertEquals(readBack(0, 2), [[1, 2]]);
  });
});
