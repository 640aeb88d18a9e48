import { describe, it } from "node:test";
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  recordTrace,
  replayTrace,
  simulate,
  TRACE_VERSION,
} from "../../src/sim/mod.ts";

const RUN = { seed: 6, overrides: { ticks: 300 } };

function record(): string[] {
  const lines: string[] = [];
  recordTrace(RUN, (line) => lines.push(line));
  return lines;
}

describe("recordTrace()", () => {
  it("writes the version first, then all options, events and the end", () => {
    const lines = record();
    const result = simulate(RUN);
    assertEquals(lines.length, result.steps + 2);
    assert(lines[0]?.startsWith(`{"version":${TRACE_VERSION},`));
    assertEquals(
      JSON.parse(lines[0] ?? "").options.faults,
      result.options.faults,
    );
    for (const line of lines.slice(1, -1)) {
      const { at, event, states } = JSON.parse(line);
      assert(Number.isSafeInteger(at) && typeof event.type === "string");
      for (const state of states) assertEquals(state.length, 7);
    }
    assertEquals(JSON.parse(lines[lines.length - 1] ?? ""), {
      hash: result.hash,
      verdict: result.failure?.kind ?? "ok",
      check: result.failure?.check ?? null,
    });
  });
});

describe("replayTrace()", () => {
  it("runs a record again, and it is the same run", () => {
    const { result, difference } = replayTrace(record());
    assertEquals(difference, undefined);
    assertEquals(result.hash, simulate(RUN).hash);
  });

  it("takes the options from the record, not from what the seed draws now", () => {
    const lines: string[] = [];
    const overrides = { ticks: 200, members: 2, groups: 2 };
    recordTrace({ seed: 6, overrides }, (line) => lines.push(line));
    const { result, difference } = replayTrace(lines);
    assertEquals(difference, undefined);
    assertEquals(result.options.members, 2);
  });

  it("tells the first event that differs", () => {
    const lines = record();
    const changed = lines.with(100, '{"at":0}').with(200, "{}");
    assertEquals(replayTrace(changed).difference, {
      line: 101,
      recorded: '{"at":0}',
      replayed: lines[100],
    });
  });

  it("tells a record that ends too early or too late", () => {
    const lines = record();
    const shorter = replayTrace(lines.slice(0, -1)).difference;
    assertEquals([shorter?.line, shorter?.recorded], [lines.length, undefined]);
    const longer = replayTrace([...lines, "more"]).difference;
    assertEquals(
      [longer?.line, longer?.replayed],
      [lines.length + 1, undefined],
    );
  });

  it("refuses what is no record of this version", () => {
    for (
      const [first, reason] of [
        ["", "is no JSON object"],
        ["[]", "is no JSON object"],
        ['{"version":99,"options":{"seed":1}}', "version of the trace is 99"],
        [`{"version":${TRACE_VERSION}}`, "does not name its seed"],
      ] as const
    ) {
      assertThrows(() => replayTrace([first]), TypeError, reason);
    }
  });
});
