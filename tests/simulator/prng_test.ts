import { describe, it } from "node:test";
import {
  assert,
  assertEquals,
  assertNotEquals,
  assertThrows,
} from "@std/assert";
import { SimRandom } from "../../src/sim/mod.ts";

function draw(random: SimRandom, count: number): number[] {
  return Array.from({ length: count }, () => random.next());
}

describe("SimRandom", () => {
  it("draws the same numbers on every runtime (H137)", () => {
    assertEquals(draw(new SimRandom(0), 3), [
      1_427_488_602,
      1_980_682_239,
      456_575_201,
    ]);
    assertEquals(draw(new SimRandom(2 ** 40 + 7), 3), [
      285_645_537,
      2_795_397_401,
      3_249_033_313,
    ]);
  });

  it("tells seeds apart that differ above 32 bits only", () => {
    assertNotEquals(
      draw(new SimRandom(1), 4),
      draw(new SimRandom(1 + 2 ** 32), 4),
    );
  });

  it("keeps to its bounds, and reaches them", () => {
    const random = new SimRandom(3);
    const seen = new Set<number>();
    for (let i = 0; i < 1_000; i++) seen.add(random.between(-2, 2));
    assertEquals([...seen].sort((a, b) => a - b), [-2, -1, 0, 1, 2]);
    assertEquals(random.below(0), 0);
    assertEquals(random.below(1), 0);
    for (let i = 0; i < 1_000; i++) {
      const value = random.float();
      assert(value >= 0 && value < 1);
    }
  });

  it("is true about as often as asked, and never or always at the ends", () => {
    const random = new SimRandom(4);
    let count = 0;
    for (let i = 0; i < 10_000; i++) if (random.chance(250)) count++;
    assert(count > 2_300 && count < 2_700);
    assert(!random.chance(0));
    assert(random.chance(1_000));
  });

  it("shuffles without losing, picks what is there", () => {
    const random = new SimRandom(5);
    const items = [1, 2, 3, 4, 5, 6, 7, 8];
    const shuffled = random.shuffle(items);
    assertNotEquals(shuffled, items);
    assertEquals([...shuffled].sort((a, b) => a - b), items);
    assert(items.includes(random.pick(items)));
    assertThrows(() => random.pick([]), RangeError, "there are 0 items");
  });

  it("forks by label, and draws from a fork leave the rest as it was", () => {
    const one = new SimRandom(6);
    const two = new SimRandom(6);
    const left = one.fork("network");
    draw(two.fork("network"), 100);
    assertEquals(draw(one, 5), draw(two, 5));
    const right = new SimRandom(6).fork("disk");
    assertNotEquals(draw(left, 5), draw(right, 5));
  });
});
