import { describe, it } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { SimRandom, simulate } from "../../src/sim/mod.ts";
import { SimClock } from "../../src/sim/clock.ts";
import { RawNode, type RawNodeOptions } from "../../src/core/raw_node.ts";

describe("SimClock", () => {
  it("runs at its own rate", () => {
    assertEquals(new SimClock(1000).mono(1_000), 1_000);
    assertEquals(new SimClock(900).mono(1_000), 900);
    assertEquals(new SimClock(1100).wall(1_000), 1_100);
  });

  it("stands still while the machine sleeps; the wall clock goes on (H117)", () => {
    const clock = new SimClock(1000);
    clock.suspend(1_000);
    assertEquals(clock.mono(5_000), 1_000);
    assertEquals(clock.wall(5_000), 5_000);
    clock.wake(5_000);
    assertEquals(clock.mono(5_500), 1_500);
    assertEquals(clock.wall(5_500), 5_500);
  });

  it("somebody sets the wall clock, nobody the other one (H118)", () => {
    const clock = new SimClock(1000);
    clock.step(-700);
    assertEquals([clock.wall(1_000), clock.mono(1_000)], [300, 1_000]);
  });

  it("never goes back, and timeOf() is the first time that shows a reading", () => {
    const random = new SimRandom(1);
    for (const rate of [900, 999, 1000, 1001, 1100]) {
      const clock = new SimClock(rate);
      let now = 0;
      let last = 0;
      for (let i = 0; i < 500; i++) {
        now += random.below(40);
        if (random.chance(50)) clock.suspend(now);
        if (random.chance(100)) clock.wake(now);
        const mono = clock.mono(now);
        assert(mono >= last);
        last = mono;
      }
      clock.wake(now);
      const wanted = clock.mono(now) + 17;
      const time = clock.timeOf(wanted, now);
      assert(clock.mono(time) >= wanted && clock.mono(time - 1) < wanted);
    }
  });
});

/** When each member was ticked, by its own clock and in the order of calls. */
function ticksOf(overrides: {
  jitterMs?: number;
  ratePermille?: number[];
}): Map<number, number[]> {
  const ticks = new Map<number, number[]>();
  class Watched extends RawNode {
    override tick(now: number): void {
      const own = ticks.get(this.id) ?? [];
      ticks.set(this.id, own);
      own.push(now);
      super.tick(now);
    }
  }
  const { failure } = simulate({
    seed: 3,
    overrides: {
      members: 3,
      groups: 1,
      ticks: 400,
      tail: "all",
      core: { quiesceTicks: 0 },
      clock: { tickMs: 50, ...overrides },
      faults: { kinds: ["clog"] },
    },
    hooks: { createCore: (options: RawNodeOptions) => new Watched(options) },
  });
  assertEquals(failure, undefined);
  return ticks;
}

describe("ticks of a host", () => {
  it("come as often as its clock says, fast or slow (H118)", () => {
    const rates = [900, 1000, 1100];
    const ticks = ticksOf({ jitterMs: 0, ratePermille: rates });
    const counts = rates.map((_, i) => ticks.get(i + 1)?.length ?? 0);
    const [slow = 0, exact = 0, fast = 0] = counts;
    assert(slow < exact && exact < fast, `${counts}`);
    assert(Math.abs(fast / slow - 1100 / 900) < 0.02, `${counts}`);
  });

  it("late ones bunch, but no point of their grid has two (H116)", () => {
    const ticks = ticksOf({ jitterMs: 120, ratePermille: [1000, 1000, 1000] });
    for (const own of ticks.values()) {
      const gaps = own.slice(1).map((at, i) => at - (own[i] ?? 0));
      assert(gaps.some((gap) => gap < 25), "some come close together");
      assert(gaps.some((gap) => gap > 100), "some are left out");
      for (let i = 2; i < own.length; i++) {
        const span = (own[i] ?? 0) - (own[i - 2] ?? 0);
        assert(span > 50, `three ticks within ${span} ms`);
      }
    }
  });
});
