import { describe, it } from "node:test";
import { assertEquals, assertThrows } from "@std/assert";
import { MARKS, noMarks } from "../../src/sim/mod.ts";
import { parseArguments } from "./arguments.ts";
import { type SeedReport, summarize } from "./campaign.ts";

describe("parseArguments()", () => {
  it("reads one seed, a range, or a file", () => {
    assertEquals(parseArguments(["--seed", "7"]).seeds, {
      type: "one",
      seed: 7,
    });
    assertEquals(parseArguments(["--seeds=1..20"]).seeds, {
      type: "range",
      from: 1,
      through: 20,
    });
    assertEquals(parseArguments(["--list", "x.txt"]).seeds, {
      type: "file",
      path: "x.txt",
    });
    assertEquals(parseArguments(["--replay", "x.jsonl"]).seeds, {
      type: "trace",
      path: "x.jsonl",
    });
    assertEquals(parseArguments(["--seed", "1"]).shrink, false);
    assertEquals(parseArguments(["--shrink", "--seed", "1"]).shrink, true);
    assertEquals(parseArguments(["--help"]).seeds.type, "help");
    assertEquals(parseArguments(["--bug", "list"]).seeds.type, "bugs");
  });

  it("reads what replaces the options of a seed", () => {
    const read = (...words: string[]) =>
      parseArguments(["--seed", "1", ...words]).overrides;
    assertEquals(read(), {});
    assertEquals(read("--ticks", "9"), { ticks: 9 });
    const options = {
      members: 2,
      faults: { kinds: ["crash" as const], gapMs: 4 },
    };
    assertEquals(read("--options", JSON.stringify(options)), options);
    for (const wrong of ["", "{", "[]", '{"memers":1}', '{"faults":{"x":1}}']) {
      assertThrows(
        () => read("--options", wrong),
        TypeError,
        "Cannot read --options",
      );
    }
  });

  it("refuses everything else, and says what is wrong", () => {
    for (
      const [words, reason] of [
        [[], "0 of --seed"],
        [["--seed", "1", "--seeds", "1..2"], "2 of --seed"],
        [["--seed"], "its value is missing"],
        [["--seed", "-1"], 'the seed "-1"'],
        [["--seed", "1e3"], 'the seed "1e3"'],
        [["--seeds", "3"], 'the seed ""'],
        [["--seeds", "3..1"], "the end is below"],
        [["--seeds", "1..2..3"], "wanted A..B"],
        [["--ticks", "0", "--seed", "1"], "--ticks"],
        [["--workers", "two", "--seeds", "1..2"], "--workers"],
        [["--nonsense", "1"], "no such option"],
        [["seed"], "no such option"],
      ] as const
    ) {
      assertThrows(() => parseArguments(words), TypeError, reason);
    }
  });
});

describe("summarize()", () => {
  const marks = { ...noMarks(), crashed: 2 };
  const report = (seed: number): SeedReport => ({
    seed,
    hash: `${seed}`.padStart(16, "0"),
    steps: 10,
    committedCount: 3,
    okCount: 2,
    unknownCount: 1,
    marks,
    failure: undefined,
  });

  it("does not depend on the order in which workers report", () => {
    const reports = [1, 2, 3, 4].map(report);
    const summary = summarize(reports);
    assertEquals(summarize([...reports].reverse()), summary);
    assertEquals(summary.steps, 40);
    assertEquals(summary.marks.crashed, 8);
  });

  it("needs all marks only of campaigns that are long enough (H138)", () => {
    const summaryOf = (seeds: number) =>
      summarize(Array.from({ length: seeds }, (_, i) => report(i)));
    assertEquals(summaryOf(1_999).needsAllMarks, false);
    assertEquals(summaryOf(2_000).needsAllMarks, true);
    assertEquals(summaryOf(1).missingMarks.length, MARKS.length - 1);
  });

  it("lists failures in the order of their seeds", () => {
    const failure = {
      kind: "safety",
      check: "logMatching",
      message: "x",
    } as const;
    const summary = summarize([
      { ...report(9), failure },
      report(4),
      { ...report(2), failure },
    ]);
    assertEquals(summary.failures.map(({ seed }) => seed), [2, 9]);
  });
});
