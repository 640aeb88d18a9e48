import { describe, it } from "node:test";
import { assertEquals } from "@std/assert";
import { LeaseGuard } from "../../src/host/lease_guard.ts";

/** Looks at both clocks every 50 ms; the wall gains `gain` ms each time. */
function firstDoubt(gain: number, looks: number): number | null {
  const guard = new LeaseGuard(0, 1_000_000);
  for (let look = 1; look <= looks; look++) {
    const now = 50 * look;
    if (!guard.look(now, 1_000_000 + now + gain * look)) return look;
  }
  return null;
}

describe("LeaseGuard", () => {
  it("doubts a clock that stood still, and believes it again (H117)", () => {
    const guard = new LeaseGuard(0, 500);
    assertEquals(guard.look(50, 550), true);
    assertEquals(guard.look(60, 660), false);
    assertEquals(guard.look(110, 710), true);
  });

  it("doubts a wall clock that was set back (H118)", () => {
    const guard = new LeaseGuard(0, 500);
    assertEquals(guard.look(50, 449), false);
  });

  it("adds up naps that are too short to be seen alone", () => {
    assertEquals(firstDoubt(15, 100), 2);
    assertEquals(firstDoubt(3, 100), 7);
  });

  it("lets the wall clock be corrected slowly", () => {
    assertEquals(firstDoubt(0.5, 2_000), null);
  });
});
