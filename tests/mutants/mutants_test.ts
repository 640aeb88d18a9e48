import { readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { describe, it } from "node:test";
import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { parseArguments } from "./arguments.ts";
import type { Verdict } from "./campaign.ts";
import { MUTANTS } from "./catalogue/mod.ts";
import {
  chooseMutants,
  type Mutant,
  patchedFiles,
  StalePatchError,
} from "./mutant.ts";
import { describeSum, describeTable, reportJson } from "./report.ts";

function readSource(file: string): string {
  return readFileSync(join(process.cwd(), file), "utf8");
}

function mutantOf(patches: readonly (readonly [string, string])[]): Mutant {
  return {
    id: "example",
    hazard: "H140",
    what: "replaces some text",
    patches: patches.map(([find, replace]) => ({ file: "a", find, replace })),
  };
}

describe("the catalogue of mutants (H140)", () => {
  it("every patch occurs exactly once in the present sources", () => {
    for (const mutant of MUTANTS) {
      const files = patchedFiles(mutant, readSource);
      assert(files.size > 0, mutant.id);
    }
  });

  it("patches nothing but the core and the sessions", () => {
    for (const { id, patches } of MUTANTS) {
      for (const { file } of patches) {
        assertMatch(file, /^src\/(core|rsm)\/[a-z_]+\.ts$/, id);
      }
    }
  });

  it("names every mutant once, and the rule that each one breaks", () => {
    const ids = MUTANTS.map(({ id }) => id);
    assertEquals(new Set(ids).size, ids.length);
    for (const { id, hazard, what } of MUTANTS) {
      assertMatch(id, /^[a-z]+(-[a-z]+)+$/);
      assertMatch(hazard, /^(H\d+|C\d+|§\d+(\.\d+)*)(, (H\d+|§\d+(\.\d+)*))*$/);
      assert(what.length > 20, id);
    }
  });

  it("holds no mutant twice", () => {
    const bugs = MUTANTS.map(({ patches }) => JSON.stringify(patches));
    assertEquals(new Set(bugs).size, bugs.length);
  });
});

describe("patchedFiles()", () => {
  it("replaces every text of a mutant, one behind the other", () => {
    const mutant = mutantOf([["one", "1"], ["two", "$& two"]]);
    assertEquals(
      patchedFiles(mutant, () => "one, two, three"),
      new Map([["a", "1, $& two, three"]]),
    );
  });

  it("refuses a text that is missing, occurs twice, or stays the same", () => {
    const read = () => "one, two, two";
    for (
      const [find, replace, count] of [
        ["three", "3", 0],
        ["two", "2", 2],
        ["one", "one", 1],
      ] as const
    ) {
      assertThrows(
        () => patchedFiles(mutantOf([[find, replace]]), read),
        StalePatchError,
        `in a its text occurs ${count} times`,
      );
    }
  });
});

describe("chooseMutants()", () => {
  it("takes those that are named, and all for no names", () => {
    assertEquals(chooseMutants(MUTANTS, []), [...MUTANTS]);
    const [first] = MUTANTS;
    assertEquals(chooseMutants(MUTANTS, [first?.id ?? ""]), [first]);
    assertThrows(() => chooseMutants(MUTANTS, ["none"]), RangeError, `"none"`);
  });
});

describe("the command line of the mutants", () => {
  it("has defaults that mean: all of them, thoroughly", () => {
    assertEquals(parseArguments([]), {
      ids: [],
      seeds: 2000,
      workers: 2,
      by: "first",
      json: undefined,
      checkTypes: false,
      onlyStaleCheck: false,
      help: false,
    });
  });

  it("reads names and options in any order", () => {
    const words = "a --seeds 10 --by=simulator b --json out --only-stale-check";
    assertEquals(parseArguments(words.split(" ")), {
      ids: ["a", "b"],
      seeds: 10,
      workers: 2,
      by: "simulator",
      json: "out",
      checkTypes: false,
      onlyStaleCheck: true,
      help: false,
    });
  });

  it("refuses what it does not know", () => {
    for (const text of ["--nope", "--seeds", "--seeds 0", "--by luck"]) {
      assertThrows(() => parseArguments(text.split(" ")), TypeError);
    }
  });
});

describe("the report on mutants", () => {
  const caught = {
    hunter: "simulator",
    by: "logMatching",
    message: "two logs differ",
    seeds: 7,
  } as const;
  const verdicts: Verdict[] = [
    {
      mutant: mutantOf([]),
      outcome: "killed",
      caught,
      problem: "",
      seconds: 1.26,
    },
    {
      mutant: mutantOf([]),
      outcome: "survived",
      caught: undefined,
      problem: "",
      seconds: 90,
    },
  ];

  it("tells mutant, rule, who caught it and after how many seeds", () => {
    assertEquals(describeTable(verdicts).split("\n").slice(2), [
      "| example | H140 | replaces some text | simulator: logMatching | 7     |",
      "| example | H140 | replaces some text | survived               |       |",
    ]);
  });

  it("ends with the sum", () => {
    assertEquals(describeSum(verdicts), "1 killed, 1 survived");
    const broken = { ...verdicts[1], outcome: "broken" } as Verdict;
    assertEquals(describeSum([broken]), "0 killed, 0 survived, 1 broken");
  });

  it("is also written for programs", () => {
    const [first] = JSON.parse(reportJson(verdicts));
    assertEquals(first, {
      id: "example",
      hazard: "H140",
      what: "replaces some text",
      outcome: "killed",
      caught,
      problem: "",
      seconds: 1.3,
    });
  });
});
