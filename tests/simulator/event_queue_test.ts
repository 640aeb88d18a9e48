import { describe, it } from "node:test";
import { assertEquals, assertThrows } from "@std/assert";
import { EventQueue, MAX_TIME_MS } from "../../src/sim/event_queue.ts";
import { SimRandom } from "../../src/sim/mod.ts";

describe("EventQueue", () => {
  it("orders by time, then by the order of scheduling", () => {
    const queue = new EventQueue<string>();
    queue.schedule(5, "c");
    queue.schedule(0, "a");
    queue.schedule(5, "d");
    queue.schedule(0, "b");
    const order = [queue.next(), queue.next(), queue.next(), queue.next()];
    assertEquals(order, ["a", "b", "c", "d"]);
    assertEquals(queue.now, 5);
    assertEquals(queue.next(), undefined);
  });

  it("agrees with a sorted list, whatever is put in between", () => {
    const random = new SimRandom(1);
    const queue = new EventQueue<number>();
    let model: { time: number; id: number }[] = [];
    for (let id = 0; id < 3_000; id++) {
      if (random.chance(600)) {
        const delay = random.below(50);
        queue.schedule(delay, id);
        model.push({ time: queue.now + delay, id });
        continue;
      }
      model.sort((a, b) => a.time - b.time || a.id - b.id);
      const [first, ...rest] = model;
      model = rest;
      assertEquals(queue.nextTime, first?.time ?? Infinity);
      assertEquals(queue.next(), first?.id);
      assertEquals(queue.size, model.length);
    }
  });

  it("lets time pass without events, but never past one", () => {
    const queue = new EventQueue<string>();
    queue.schedule(10, "later");
    queue.advanceTo(4);
    assertEquals(queue.now, 4);
    queue.advanceTo(40);
    assertEquals(queue.now, 10);
  });

  it("refuses what would lose the order", () => {
    const queue = new EventQueue<string>();
    for (const delay of [-1, 0.5, NaN, Infinity, MAX_TIME_MS]) {
      assertThrows(() => queue.schedule(delay, "x"), RangeError, "its time is");
    }
    assertEquals(queue.size, 0);
  });
});
