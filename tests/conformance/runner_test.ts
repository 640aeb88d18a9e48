import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { SimRandom } from "../../src/sim/prng.ts";
import { parseArguments } from "./arguments.ts";
import type { Level } from "./compare.ts";
import type { Deviation } from "./deviations.ts";
import { KitError, type KitFile, readKit } from "./kit_files.ts";
import { parseScenarioFile } from "./kit_schema.ts";
import type { ScenarioFile } from "./kit_types.ts";
import { type Outcome, runKit } from "./run_kit.ts";
import { runStatistics } from "./statistics.ts";
import { parseTxt } from "./txt.ts";

const KIT = "tests/conformance/kit";
const CONFIG = { electionTicks: 10, heartbeatTicks: 1 };

/** A leader of two, elected and at rest; `expect` is what the last step says. */
function election(expect: Record<string, unknown>): ScenarioFile {
  const steps = [
    { op: "start", nodes: [1, 2], config: CONFIG, conf: { voters: [1, 2] } },
    { op: "campaign", node: 1 },
    { op: "stabilize", expect },
  ];
  return parseScenarioFile({
    format: "raft-conformance/1",
    suite: "protocol",
    family: "elections",
    title: "Elections",
    source: {},
    scenarios: [{ name: "two nodes", description: "", steps }],
  });
}

function play(
  file: ScenarioFile,
  level: Level,
  deviations: readonly Deviation[] = [],
): string | undefined {
  const path = "elections.json";
  const files: KitFile[] = [{ path, type: "scenarios", file }];
  const [outcome, ...others] = runKit(files, { level, deviations });
  assertEquals(others, []);
  return outcome?.failure;
}

const LISTED: Deviation = {
  suite: "protocol",
  file: "elections.json",
  scenario: "two nodes",
  reason: "made up",
};

describe("the runner of scenarios", () => {
  it("names step, path, expected and found", () => {
    assertEquals(
      play(election({ nodes: { 1: { commit: 7 } } }), 1),
      "step 3 (stabilize), nodes.1.commit: expected 7, found 1",
    );
    assertEquals(
      play(election({ applied: {} }), 1)?.split(", found")[0],
      "step 3 (stabilize), applied.1: expected nothing",
    );
    assertEquals(
      play(election({ error: "proposal-dropped" }), 1),
      'step 3 (stabilize), error: expected "proposal-dropped", found nothing',
    );
  });

  it("compares the state from level 1 on, replication from 2, the trace at 3", () => {
    const leader = { match: 1, next: 2, state: "replicate" };
    const binding: readonly [Level, Record<string, unknown>][] = [
      [1, { nodes: { 1: { role: "follower" } } }],
      [1, { nodes: { 1: { log: { offset: 0, offsetTerm: 0, terms: [] } } } }],
      [1, { installed: { 2: { index: 1, term: 1, conf: { voters: [] } } } }],
      [1, { readStates: { 1: [] } }],
      [2, { progress: { 1: { 2: { ...leader, next: 9 } } } }],
      [2, { progress: { 1: null } }],
      [3, { progress: { 1: { 2: { ...leader, active: false } } } }],
      [3, { nodes: { 1: { settled: false, term: 9 } } }],
      [3, { nodes: { 1: { applied: 9 } } }],
      [3, { sent: [] }],
      [3, { delivered: 1 }],
      [3, { dropped: 1 }],
    ];
    for (const [least, expect] of binding) {
      for (const level of [1, 2, 3] as const) {
        const failure = play(election(expect), level);
        assertEquals(
          failure !== undefined,
          level >= least,
          `${JSON.stringify(expect)} at level ${level}: ${failure}`,
        );
      }
    }
  });

  it("holds a complete scenario to what it does not list", () => {
    const file = election({});
    const [scenario] = file.scenarios;
    assert(scenario !== undefined);
    const complete = { ...file, scenarios: [{ ...scenario, complete: true }] };
    assertEquals(
      play(complete, 1)?.split(": ")[0],
      "step 3 (stabilize), applied.1",
    );
  });

  it("reports what a core throws as a failure, not as its own", () => {
    const file = election({});
    const [scenario] = file.scenarios;
    assert(scenario !== undefined);
    const steps = [...scenario.steps, { op: "campaign", node: 9 } as const];
    const failure = play({ ...file, scenarios: [{ ...scenario, steps }] }, 1);
    assertEquals(failure?.slice(0, 28), "step 4 (campaign), operation");
  });
});

describe("the expectations of the kit", () => {
  it("all count: whichever is changed, its scenario fails at level 3", async () => {
    const random = new SimRandom(3);
    let changed = 0;
    for (const file of await readKit(KIT)) {
      if (file.type !== "scenarios") continue;
      for (const scenario of file.file.scenarios) {
        const copy = structuredClone(scenario);
        const what = spoil(copy.steps.map(({ expect }) => expect), random);
        if (what === undefined) continue;
        changed++;
        const failure = play({ ...file.file, scenarios: [copy] }, 3);
        assert(
          failure !== undefined,
          `${file.path} [${scenario.name}] passes with another ${what}`,
        );
      }
    }
    assert(changed > 100);
  });
});

/** Changes one of the values in a tree. @returns Its path, if there is any. */
function spoil(tree: object, random: SimRandom): string | undefined {
  const leaves: (() => string)[] = [];
  const walk = (node: object, path: string) => {
    for (const [key, value] of Object.entries(node)) {
      const at = `${path}/${key}`;
      if (typeof value === "object" && value !== null) walk(value, at);
      else if (value !== undefined) {
        leaves.push(() => {
          Object.assign(node, { [key]: other(value) });
          return at;
        });
      }
    }
  };
  walk(tree, "");
  return leaves.length === 0 ? undefined : random.pick(leaves)();
}

function other(value: unknown): unknown {
  switch (typeof value) {
    case "number":
      return value + 1;
    case "boolean":
      return !value;
    case "string":
      return `${value}?`;
    default:
      return {};
  }
}

describe("the list of deviations", () => {
  const trace = election({ sent: [] });
  const state = election({ nodes: { 1: { commit: 7 } } });

  it("lets the trace differ at level 3", () => {
    assert(play(trace, 3) !== undefined);
    assertEquals(play(trace, 3, [LISTED]), undefined);
  });

  it("does not let the state differ, at any level", () => {
    for (const level of [1, 2, 3] as const) {
      assert(play(state, level, [LISTED]) !== undefined);
    }
  });

  it("must not hold what does not differ any more", () => {
    assertEquals(
      play(election({}), 3, [LISTED]),
      "listed as a deviation: expected a difference, found none",
    );
    assertEquals(play(election({}), 2, [LISTED]), undefined);
  });
});

describe("the runner of txt files and tables", () => {
  it("finds every output that was changed, and no other", async () => {
    for (const file of await readKit(KIT)) {
      if (file.type !== "quorum" && file.type !== "confchange") continue;
      const cases = file.cases.map((one, i) =>
        i % 2 === 0 ? one : { ...one, expected: `${one.expected} ` }
      );
      const options = { level: 1, deviations: [] } as const;
      const outcomes = [...runKit([{ ...file, cases }], options)];
      assertEquals(
        outcomes.map(({ failure }) => failure !== undefined),
        cases.map((_, i) => i % 2 === 1),
      );
    }
  });

  it("finds every wrong output of a table", async () => {
    const outcomes: Outcome[] = [];
    for (const file of await readKit(KIT)) {
      if (file.type !== "tables") continue;
      const tables = file.file.tables.map((table) => ({
        ...table,
        rows: table.rows.map(withWrongOutput),
      }));
      const changed = { ...file, file: { ...file.file, tables } };
      outcomes.push(...runKit([changed], { level: 1, deviations: [] }));
    }
    assert(outcomes.length > 50);
    assertEquals(outcomes.filter(({ failure }) => failure === undefined), []);
  });

  it("says when a quorum case has too few values", () => {
    const text = "vote cfg=(1,2) votes=(y)\n----\nVoteWon\n";
    const file: KitFile = {
      path: "quorum/vote.txt",
      type: "quorum",
      cases: parseTxt(text),
    };
    const [outcome] = runKit([file], { level: 1, deviations: [] });
    assert(outcome?.failure?.includes('found "error: mismatched input'));
  });
});

/** The last key of a row is an output. */
function withWrongOutput(
  row: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const key = Object.keys(row).at(-1) ?? "";
  const value = row[key];
  return { ...row, [key]: typeof value === "boolean" ? !value : -1 };
}

describe("the statistics", () => {
  it("fail for timeouts that are always the same", () => {
    const failures = [...runStatistics(() => 0.5)]
      .filter(({ failure }) => failure !== undefined);
    assertEquals(failures.length, 4);
  });
});

describe("reading a kit", () => {
  const broken: Readonly<Record<string, string>> = {
    "no JSON": "{",
    "another format": `{"format":"raft-conformance/2"}`,
    "no object": "[]",
    "no scenario": JSON.stringify({
      ...election({}),
      source: {},
      scenarios: [],
    }),
    "an unknown key": JSON.stringify({ ...election({}), source: {}, extra: 1 }),
    "an unknown operation": JSON.stringify({
      ...election({}),
      source: {},
      scenarios: [{ name: "a", description: "", steps: [{ op: "explode" }] }],
    }),
  };
  for (const [what, text] of Object.entries(broken)) {
    it(`refuses a file with ${what}`, async () => {
      await withFolder({ "sub/bad.json": text }, async (folder) => {
        await assertRejects(() => readKit(folder), KitError, "sub/bad.json");
      });
    });
  }

  for (
    const text of ["boom\n----\n", "vote cfg=(1)\nVoteWon\n", "# only this\n"]
  ) {
    it(`refuses the txt file ${JSON.stringify(text)}`, async () => {
      await withFolder({ "bad.txt": text }, async (folder) => {
        await assertRejects(() => readKit(folder), KitError, "bad.txt");
      });
    });
  }

  it("refuses a folder that is none, or holds no kit", async () => {
    await assertRejects(() => readKit(`${KIT}/nothing`), KitError, "no folder");
    await assertRejects(() => readKit(`${KIT}/README.md`), KitError);
    await withFolder({ "README.md": "" }, async (folder) => {
      await assertRejects(() => readKit(folder), KitError, "no kit files");
    });
  });

  it("refuses two scenarios of the same name", () => {
    const { scenarios, ...file } = election({});
    assertThrows(
      () =>
        parseScenarioFile({
          ...file,
          source: {},
          scenarios: [...scenarios, ...scenarios],
        }),
      TypeError,
      "two nodes",
    );
  });
});

async function withFolder(
  files: Readonly<Record<string, string>>,
  use: (folder: string) => Promise<void>,
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "balsa-kit-"));
  try {
    await mkdir(join(folder, "sub"));
    for (const [path, text] of Object.entries(files)) {
      await writeFile(join(folder, path), text);
    }
    await use(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

describe("the command line", () => {
  it("takes a folder and a level, in any order", () => {
    assertEquals(parseArguments([]), { folder: undefined, level: 3 });
    assertEquals(parseArguments(["--level", "1", "a"]), {
      folder: "a",
      level: 1,
    });
    assertEquals(parseArguments(["a", "--level=2"]), { folder: "a", level: 2 });
  });

  it("refuses what it does not know", () => {
    for (const words of [["--level"], ["--level=4"], ["a", "b"], ["--fast"]]) {
      assertThrows(() => parseArguments(words), TypeError);
    }
  });
});
