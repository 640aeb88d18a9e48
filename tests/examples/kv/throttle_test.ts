import { assertEquals } from "@std/assert";
import { describe, it } from "node:test";
import { Throttle } from "../../../examples/kv/throttle.ts";

describe("Throttle", () => {
  it("writes a few lines per window, then counts (H126)", () => {
    const lines: string[] = [];
    let now = 0;
    const throttle = new Throttle((line) => lines.push(line), () => now);
    for (let i = 0; i < 1_000; i += 1) throttle.line(`a${i}`);
    assertEquals(lines, Array.from({ length: 20 }, (_, i) => `a${i}`));
    now = 9_999;
    throttle.line("still the first window");
    assertEquals(lines.length, 20);
    now = 10_000;
    throttle.line("b");
    assertEquals(lines.slice(20), ["left out 981 more such lines", "b"]);
  });

  it("leaves nothing out, and says nothing, while lines are few", () => {
    const lines: string[] = [];
    let now = 0;
    const throttle = new Throttle((line) => lines.push(line), () => now);
    for (let i = 0; i < 60; i += 1) {
      throttle.line(`${i}`);
      now += 500;
    }
    assertEquals(lines, Array.from({ length: 60 }, (_, i) => `${i}`));
  });
});
