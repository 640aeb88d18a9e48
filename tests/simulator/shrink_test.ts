import { describe, it } from "node:test";
import { assert, assertEquals } from "@std/assert";
import {
  shrink,
  type SimHooks,
  type SimOverrides,
  simulate,
} from "../../src/sim/mod.ts";

/** Entries are handed out twice; some applied index gives it away. */
const BROKEN: SimHooks = {
  onReady: (_, ready) => ({
    ...ready,
    committedEntries: [...ready.committedEntries, ...ready.committedEntries],
  }),
};

function run(overrides: SimOverrides, hooks: SimHooks = {}) {
  return simulate({ seed: 4, overrides, hooks });
}

describe("shrink()", () => {
  it("finds a run that fails in the same way, with less in it", () => {
    const overrides = { ticks: 600, members: 5, groups: 3 };
    const whole = run(overrides, BROKEN);
    assert(whole.failure !== undefined);
    const sizes: number[] = [];
    const found = shrink({
      run: (tried) => run(tried, BROKEN),
      overrides,
      maxRuns: 60,
      onProgress: ({ steps }) => sizes.push(steps),
    });
    assert(found !== undefined && found.runs <= 60 && sizes.length > 0);
    const { options, failure, steps } = found.result;
    assertEquals(failure?.check, whole.failure.check);
    assertEquals(failure?.kind, whole.failure.kind);
    assert(steps < whole.steps);
    assertEquals([options.members, options.groups], [1, 1]);
    assert(options.ticks < 600);
    assertEquals(options.faults.kinds.length, 1);
  });

  it("what it returns repeats the failure, event for event", () => {
    const found = shrink({ run: (tried) => run(tried, BROKEN), maxRuns: 20 });
    assert(found !== undefined);
    const again = run(found.overrides, BROKEN);
    assertEquals(again.hash, found.result.hash);
    assertEquals(again.failure?.message, found.result.failure?.message);
  });

  it("has nothing to do with a run that does not fail", () => {
    let runs = 0;
    const found = shrink({
      run: (tried) => {
        runs++;
        return run({ ...tried, ticks: 200 });
      },
    });
    assertEquals([found, runs], [undefined, 1]);
  });
});
