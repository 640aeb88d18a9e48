import { describe, it } from "node:test";
import { assertEquals } from "@std/assert";
import type { Load } from "../../src/core/ready.ts";
import type { Entry } from "../../src/core/types.ts";
import { Loads } from "../../src/host/loads.ts";
import { Tasks } from "../../src/host/tasks.ts";

/** What loading some entries came to, told in words. */
async function outcome(
  load: Load,
  options: { readonly appliedIndex: number; readonly fails: boolean },
): Promise<string[]> {
  const told: string[] = [];
  const tasks = new Tasks();
  const loads = new Loads({
    group: 1,
    core: {
      appliedIndex: options.appliedIndex,
      entriesLoaded: (_: Load, entries: readonly Entry[]) =>
        told.push(`loaded ${entries.length}`),
      loadFailed: () => told.push("load failed"),
    },
    storage: {
      read: ({ from, through }) =>
        options.fails
          ? Promise.reject(new Error("It is gone"))
          : Promise.resolve(
            Array.from({ length: through - from + 1 }, (_, at) => ({
              type: "noop" as const,
              term: 1,
              index: from + at,
            })),
          ),
    },
    tasks,
    onFailure: () => told.push("the member fails"),
    inTurn: (work) => work(),
  });
  loads.start(load);
  await tasks.idle();
  return told;
}

const APPLY: Load = {
  id: 1,
  purpose: "apply",
  from: 5,
  through: 9,
  maxBytes: 100,
};
const SEND: Load = { ...APPLY, purpose: 2 };

describe("Loads", () => {
  it("hand the core what it asked for", async () => {
    const options = { appliedIndex: 4, fails: false };
    assertEquals(await outcome(APPLY, options), ["loaded 5"]);
    assertEquals(await outcome(SEND, options), ["loaded 5"]);
  });

  it("stop a member that cannot read what it has to apply (H42)", async () => {
    const options = { appliedIndex: 4, fails: true };
    assertEquals(await outcome(APPLY, options), ["the member fails"]);
    assertEquals(await outcome(SEND, options), ["load failed"]);
  });

  it("that fail because a snapshot took the entries' place harm nobody", async () => {
    const options = { appliedIndex: 20, fails: true };
    assertEquals(await outcome(APPLY, options), []);
  });
});
