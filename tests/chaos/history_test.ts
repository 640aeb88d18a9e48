import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "node:test";
import { History, type Item, type Outcome, valueOf } from "./history.ts";

/** What a member holds, by key and revision, with the right values. */
function held(...items: [string, number][]): Map<string, Item> {
  return new Map(
    items.map(([key, revision]) => [key, { value: valueOf(key), revision }]),
  );
}

function history(outcomes: Record<string, Outcome>): History {
  const made = new History();
  for (const [key, outcome] of Object.entries(outcomes)) {
    made.record(key, outcome);
  }
  return made;
}

const OUTCOMES: Record<string, Outcome> = {
  a: { type: "acknowledged", revision: 1 },
  b: { type: "unknown" },
  c: { type: "notAppended" },
  d: { type: "acknowledged", revision: 2 },
};

describe("History.checkContents()", () => {
  const right: readonly [string, Map<string, Item>][] = [
    ["an unknown write that is missing", held(["a", 1], ["d", 2])],
    ["an unknown write that is there", held(["a", 1], ["b", 3], ["d", 2])],
  ];
  for (const [what, contents] of right) {
    it(`accepts ${what}`, () => {
      const made = history(OUTCOMES);
      made.checkContents(1, contents);
      assertEquals(made.violations, []);
    });
  }

  const wrong: readonly [string, Map<string, Item>, string][] = [
    [
      "a lost write",
      held(["a", 1]),
      "member 1 holds d at revision undefined, acknowledged was 2",
    ],
    [
      "a write at another revision than was acknowledged",
      held(["a", 2], ["d", 1]),
      "member 1 holds a at revision 2, acknowledged was 1",
    ],
    [
      "an acknowledged write that was applied twice",
      held(["a", 1], ["d", 3]),
      "member 1 has no key at revision 2 of 2: a write was applied twice",
    ],
    [
      "an unknown write that was applied twice",
      held(["a", 1], ["d", 2], ["b", 4]),
      "member 1 has no key at revision 3 of 3: a write was applied twice",
    ],
    [
      "a write that was not appended",
      held(["a", 1], ["d", 2], ["c", 3]),
      "member 1 holds c, which was not appended",
    ],
    [
      "a key that nobody wrote",
      held(["a", 1], ["d", 2], ["e", 3]),
      "member 1 holds e, which was never written",
    ],
    [
      "a value that nobody wrote",
      new Map([...held(["a", 1]), ["d", { value: "?", revision: 2 }]]),
      "member 1 holds d with a wrong value",
    ],
  ];
  for (const [what, contents, message] of wrong) {
    it(`finds ${what}`, () => {
      const made = history(OUTCOMES);
      made.checkContents(1, contents);
      assertEquals(
        made.violations.includes(message),
        true,
        `${made.violations.join("\n")}`,
      );
    });
  }
});

describe("History.record()", () => {
  it("takes one outcome per key, or the checks would mean nothing", () => {
    const made = history(OUTCOMES);
    assertThrows(() => made.record("a", { type: "unknown" }), Error, "before");
    assertEquals(made.counts, { acknowledged: 2, notAppended: 1, unknown: 1 });
  });
});
