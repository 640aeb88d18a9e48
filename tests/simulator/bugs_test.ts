import { describe, it } from "node:test";
import { assert, assertEquals, assertThrows } from "@std/assert";
import type { FailureKind } from "../../src/sim/mod.ts";
import { BUGS, startBug } from "./bugs.ts";
import { runSeed } from "./campaign.ts";

/** Every bug is found with far less than the 500 seeds that it may take. */
const SEED_BUDGET = 60;
const TICKS = 3_000;

/** How the first seeds failed, until one did as wanted. */
function failuresUntil(bug: string, wanted: FailureKind): FailureKind[] {
  const kinds: FailureKind[] = [];
  for (let seed = 1; seed <= SEED_BUDGET; seed++) {
    const result = runSeed(seed, { overrides: { ticks: TICKS }, bug });
    if (result.failure !== undefined) kinds.push(result.failure.kind);
    if (result.failure?.kind === wanted) break;
  }
  return kinds;
}

describe("the simulator is able to fail (H140)", () => {
  for (const [name, { description, breaks }] of Object.entries(BUGS)) {
    it(`${name}: ${description}`, () => {
      const kinds = failuresUntil(name, breaks);
      assert(kinds.includes(breaks), `${SEED_BUDGET} seeds came to "${kinds}"`);
    });
  }

  it("a bug is gone when it is switched off", () => {
    for (const name of Object.keys(BUGS)) startBug(name).stop();
    for (let seed = 1; seed <= 5; seed++) {
      assertEquals(
        runSeed(seed, { overrides: { ticks: 1_000 }, bug: undefined }).failure,
        undefined,
      );
    }
  });

  it("an unknown bug is refused by name", () => {
    for (const name of ["", "nonsense", "toString"]) {
      assertThrows(() => startBug(name), RangeError, `the bug "${name}"`);
    }
  });
});
