import { assertEquals } from "@std/assert";
import { it, mock } from "node:test";

it("the README's counter counts to 42 by itself and ends", async () => {
  const log = mock.method(console, "log", () => {});
  try {
    await import("../../examples/counter.ts");
    assertEquals(log.mock.calls.map((call) => call.arguments), [[42]]);
  } finally {
    log.mock.restore();
  }
});
