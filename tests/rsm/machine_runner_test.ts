import { describe, it } from "node:test";
import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { encodeCbor } from "../../src/codec.ts";
import { RaftError } from "../../src/errors.ts";
import { Journal, type Line } from "./journal.ts";
import {
  applyNow,
  assertCode,
  brief,
  entriesFor,
  start,
} from "./runner_support.ts";
import { commandEntry, hex, inPieces, metaAt } from "./support.ts";
import type { Entry } from "../../src/core/types.ts";

describe("MachineRunner.apply()", () => {
  it("gives one outcome per entry, without a promise if the machine does", () => {
    const runner = start();
    const [first, second] = entriesFor(runner, [["a"], ["b"]], 1);
    assert(first !== undefined && second !== undefined);
    const conf: Entry = {
      type: "confChange",
      term: 2,
      index: 4,
      change: { transition: "auto", steps: [] },
    };
    const outcomes = runner.apply([
      { type: "noop", term: 1, index: 1 },
      first,
      second,
      conf,
    ]);
    assert(!(outcomes instanceof Promise));
    assertEquals(outcomes, [
      { type: "none" },
      { type: "result", result: { line: "2:a", count: 1 } },
      { type: "result", result: { line: "3:b", count: 2 } },
      { type: "none" },
    ]);
    assertEquals(runner.appliedIndex, 4);
  });

  it("gives the machine a batch in one call, repeats left out", () => {
    const journal = new Journal();
    const runner = start(journal);
    applyNow(runner, ["a"], ["b", "c/1"], ["b", "c/1"], ["d"]);
    assertEquals(journal.calls, [["a", "b", "d"]]);
  });

  it("asks the machine nothing for a batch without commands", () => {
    const journal = new Journal();
    const runner = start(journal);
    assertEquals(runner.apply([]), []);
    assertEquals(runner.apply([{ type: "noop", term: 1, index: 1 }]), [
      { type: "none" },
    ]);
    assertEquals(journal.calls, []);
    assertEquals(runner.appliedIndex, 1);
  });

  it("refuses entries that do not follow, and changes nothing", () => {
    const runner = start();
    applyNow(runner, ["a"]);
    for (const after of [0, 2]) {
      const entries = entriesFor(runner, [["x"]], after);
      assertCode(
        assertThrows(() => runner.apply(entries), RaftError),
        "invariantBroken",
      );
    }
    const [one, two] = entriesFor(runner, [["x"], ["y"]]);
    assert(one !== undefined && two !== undefined);
    assertThrows(() => runner.apply([two, one]), RaftError);
    assertThrows(() => runner.apply([one, one]), RaftError);
    assertEquals(brief(applyNow(runner, ["b"])), [{ line: "2:b", count: 2 }]);
  });

  it("names the entry that it cannot decode, and fails for good", () => {
    const runner = start();
    const bad = commandEntry(1, encodeCbor([1, 2]));
    const error = assertCode(
      assertThrows(() => runner.apply([bad]), RaftError),
      "machineFailed",
    );
    assertStringIncludes(error.message, "Cannot apply entry 1: ");
    assertEquals(assertThrows(() => applyNow(runner, ["a"])), error);
    assertEquals(assertThrows(() => runner.query("lines")), error);
    assertEquals(assertThrows(() => runner.snapshot()), error);
    assertEquals(runner.appliedIndex, 0);
  });

  it("names the entries at which the machine threw, and the cause", () => {
    const runner = start();
    applyNow(runner, ["a"]);
    const error = assertCode(
      assertThrows(() => applyNow(runner, ["b"], ["!throw"]), RaftError),
      "machineFailed",
    );
    assertEquals(
      error.message,
      "Cannot apply entries 2 to 3: Told to throw",
    );
    assert(error.cause instanceof Error);
    assertEquals(runner.appliedIndex, 1);
  });

  it("fails if the machine gives too few or too many results", () => {
    for (const surplus of [-1, 1]) {
      const runner = start(new Journal({ surplus }));
      const error = assertThrows(() => applyNow(runner, ["a"], ["b"]));
      assert(error instanceof RaftError);
      assertStringIncludes(
        error.message,
        `The machine returned ${2 + surplus} results for 2 commands`,
      );
    }
  });

  it("waits for a machine that is asynchronous", async () => {
    const journal = new Journal({ async: true });
    const runner = start(journal);
    const applied = runner.apply(entriesFor(runner, [["a", "c/1"]]));
    assert(applied instanceof Promise);
    assertEquals(runner.appliedIndex, 0);
    const entries = entriesFor(runner, [["b"]], 1);
    for (
      const early of [() => runner.apply(entries), () => runner.snapshot()]
    ) {
      assertCode(assertThrows(early, RaftError), "invariantBroken");
    }
    assertCode(
      await assertRejects(
        () => runner.restore(metaAt(9), inPieces(new Uint8Array(0))),
        RaftError,
      ),
      "invariantBroken",
    );
    const answer = runner.query("lines");
    journal.release();
    assertEquals(brief(await applied), [{ line: "1:a", count: 1 }]);
    assertEquals(await answer, ["1:a"]);
    const repeat = runner.apply(entriesFor(runner, [["a", "c/1"]]));
    assertEquals(brief(await repeat), [{ line: "1:a", count: 1 }]);
    assertEquals(runner.appliedIndex, 2);
  });

  it("fails if an asynchronous machine rejects", async () => {
    const journal = new Journal({ async: true });
    const runner = start(journal);
    const applied = runner.apply(entriesFor(runner, [["!throw"]]));
    journal.release();
    const error = assertCode(
      await assertRejects(() => Promise.resolve(applied), RaftError),
      "machineFailed",
    );
    assertEquals(error.message, "Cannot apply entry 1: Told to throw");
    assertEquals(assertThrows(() => applyNow(runner, ["a"])), error);
  });

  it("gives commands that share no memory with the log (H121)", () => {
    const journal = new Journal();
    const runner = start(journal);
    const entries = entriesFor(runner, [["a"]]);
    runner.apply(entries);
    entries[0]?.data.fill(0xaa);
    assertEquals(runner.query("lines"), ["1:a"]);
  });
});

describe("MachineRunner.query()", () => {
  it("reports what the machine threw, and goes on", async () => {
    for (const journal of [new Journal(), new Journal({ async: true })]) {
      const runner = start(journal);
      const wrong = "nonsense" as "lines";
      const error = await assertRejects(
        async () => await runner.query(wrong),
        RaftError,
      );
      assertEquals(error.message, "Cannot answer a query: No such query");
      assertEquals(await runner.query("lines"), []);
    }
  });

  it("passes on a typed error of the machine", () => {
    const own = new RaftError("tooLarge", "Cannot list: too much");
    const runner = start(new Journal({ queryError: own }));
    assertEquals(assertThrows(() => runner.query("lines")), own);
  });
});

describe("MachineRunner.encode()", () => {
  it("checks by the machine's schema", () => {
    const wrong = { text: 7 } as unknown as Line;
    const error = assertThrows(() => start().encode(wrong), RaftError);
    assertCode(error, "invalidCommand");
    assertEquals(error.outcome, "notAppended");
    assertEquals(hex(start().encode({ text: "a" })), "81a164746578746161");
  });
});
