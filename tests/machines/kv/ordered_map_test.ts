import { describe, it } from "node:test";
import { assertEquals, assertThrows } from "@std/assert";
import { OrderedMap } from "../../../src/machines/kv/ordered_map.ts";
import { below, seededRandom } from "../../rsm/support.ts";

/** The same map as one sorted list. */
class NaiveMap {
  readonly #entries = new Map<string, number>();

  get size(): number {
    return this.#entries.size;
  }

  set(key: string, value: number): number | undefined {
    const before = this.#entries.get(key);
    this.#entries.set(key, value);
    return before;
  }

  delete(key: string): number | undefined {
    const before = this.#entries.get(key);
    this.#entries.delete(key);
    return before;
  }

  from(key: string): [string, number][] {
    return Array.from(this.#entries)
      .filter(([each]) => each >= key)
      .sort(([left], [right]) => (left < right ? -1 : 1));
  }
}

/** How a run draws its keys. */
interface KeyPlan {
  readonly name: string;
  draw(random: () => number, step: number): string;
}

const plans: readonly KeyPlan[] = [
  { name: "few keys", draw: (random) => `${below(random, 50)}` },
  { name: "many keys", draw: (random) => `${below(random, 100_000)}` },
  {
    name: "ascending keys",
    draw: (_, step) => `${step}`.padStart(8, "0"),
  },
  {
    name: "descending keys",
    draw: (_, step) => `${1e7 - step}`.padStart(8, "0"),
  },
  {
    name: "a dense cluster",
    draw: (random, step) => `m${"x".repeat(step % 7)}${below(random, 400)}`,
  },
  {
    name: "hostile keys (H133)",
    draw: (random) =>
      ["__proto__", "constructor", "", "\u0000", "toString", "valueOf"][
        below(random, 6)
      ] ?? "",
  },
];

function compareWithNaive(plan: KeyPlan, seed: number): void {
  const random = seededRandom(seed);
  const map = new OrderedMap<number>();
  const naive = new NaiveMap();
  // A wave: grow, then shrink to nearly nothing, then grow again.
  for (let step = 0; step < 3_000; step++) {
    const known = naive.from(plan.draw(random, step))[0]?.[0];
    const deleting = below(random, 100) < (step % 1_500 > 800 ? 80 : 20);
    const key = deleting && known !== undefined
      ? known
      : plan.draw(random, step);
    const where = `${plan.name}, seed ${seed}, step ${step}`;
    if (deleting) {
      assertEquals(map.delete(key), naive.delete(key), where);
    } else {
      assertEquals(map.set(key, step), naive.set(key, step), where);
    }
    assertEquals(map.size, naive.size, where);
    if (step % 100 === 0) {
      map.check();
      const from = plan.draw(random, step);
      assertEquals(Array.from(map.from(from)), naive.from(from), where);
      for (const [each, value] of naive.from(from).slice(0, 20)) {
        assertEquals(map.get(each), value, where);
      }
    }
  }
  map.check();
  assertEquals(Array.from(map.from("")), naive.from(""));
}

describe("OrderedMap", () => {
  for (const plan of plans) {
    it(`agrees with a sorted list: ${plan.name}`, () => {
      for (let seed = 1; seed <= 3; seed++) {
        compareWithNaive(plan, seed);
      }
    });
  }

  it("answers for keys that are not there", () => {
    const map = new OrderedMap<number>();
    assertEquals(map.get("a"), undefined);
    assertEquals(map.delete("a"), undefined);
    assertEquals(Array.from(map.from("")), []);
    map.set("b", 1);
    for (const key of ["a", "c", ""]) {
      assertEquals(map.get(key), undefined);
      assertEquals(map.delete(key), undefined);
    }
    assertEquals(map.size, 1);
  });

  it("shrinks to nothing and starts again", () => {
    const map = new OrderedMap<number>();
    for (let round = 0; round < 3; round++) {
      for (let at = 0; at < 1_000; at++) {
        map.set(`${at}`, at);
      }
      for (let at = 0; at < 1_000; at++) {
        map.delete(`${(at * 7) % 1_000}`);
        map.check();
      }
      assertEquals(map.size, 0);
      assertEquals(Array.from(map.from("")), []);
    }
  });
});

describe("OrderedMap.capture()", () => {
  it("stays as it is under any change, for every capture (H68)", () => {
    const random = seededRandom(7);
    const map = new OrderedMap<number>();
    const taken: {
      readonly capture: ReturnType<OrderedMap<number>["capture"]>;
      readonly entries: readonly [string, number][];
    }[] = [];
    for (let step = 0; step < 6_000; step++) {
      const key = `${below(random, 2_000)}`;
      if (below(random, 3) === 0) {
        map.delete(key);
      } else {
        map.set(key, step);
      }
      if (step % 300 === 0) {
        const entries = Array.from(map.from(""));
        taken.push({ capture: map.capture(), entries });
      }
    }
    map.check();
    for (const { capture, entries } of taken) {
      assertEquals(Array.from(capture.entries()), entries);
      assertEquals(capture.size, entries.length);
    }
  });

  it("can be read while the map changes", () => {
    const map = new OrderedMap<number>();
    for (let at = 0; at < 1_000; at++) {
      map.set(`${at}`.padStart(4, "0"), at);
    }
    const found: number[] = [];
    for (const [key, value] of map.capture().entries()) {
      found.push(value);
      map.delete(key);
      map.set(`x${key}`, -1);
    }
    assertEquals(found, Array.from({ length: 1_000 }, (_, at) => at));
  });
});

describe("OrderedMap.check()", () => {
  it("finds keys that are not in order", () => {
    const map = new OrderedMap<number>();
    // A key that changes its place behind the map's back.
    const drifting = { toString: () => "5" };
    map.set("1", 1);
    map.set(drifting as unknown as string, 2);
    map.set("9", 3);
    map.check();
    drifting.toString = () => "0";
    assertThrows(() => map.check(), Error, "Cannot trust the ordered map");
  });
});
