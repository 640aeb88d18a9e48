import { describe, it } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { SimRandom } from "../../src/sim/prng.ts";
import { readDeviations } from "./deviations.ts";
import { readKit } from "./kit_files.ts";
import { type Outcome, runKit } from "./run_kit.ts";
import { runStatistics } from "./statistics.ts";

const KIT = "tests/conformance/kit";
const DEVIATIONS = "tests/conformance/deviations.json";

/** Scenarios, rows and txt cases of the copied kit; it must not shrink. */
const SCENARIOS = 162;
const CASES = 358;

describe("the conformance kit of the etcd Raft library", () => {
  for (const level of [1, 2, 3] as const) {
    it(`passes at level ${level}`, async () => {
      const files = await readKit(KIT);
      const deviations = await readDeviations(DEVIATIONS);
      const outcomes = [...runKit(files, { level, deviations })];
      assertEquals(failuresOf(outcomes), []);
      assertEquals(outcomes.length, CASES);
    });
  }

  it("is answered differently on purpose in one scenario of twenty at most", async () => {
    const names = (await readKit(KIT)).flatMap((file) =>
      file.type === "scenarios"
        ? file.file.scenarios.map(({ name }) => `${file.path} ${name}`)
        : []
    );
    assertEquals(names.length, SCENARIOS);
    const deviations = await readDeviations(DEVIATIONS);
    assert(deviations.length * 20 <= names.length);
    for (const { suite, file, scenario } of deviations) {
      assert(names.includes(`scenarios/${suite}/${file} ${scenario}`));
    }
  });

  it("finds election timeouts spread as the paper wants them (§9.3, H16)", () => {
    const random = new SimRandom(1).float;
    const outcomes = [...runStatistics(random)];
    assertEquals(outcomes.length, 4);
    assertEquals(failuresOf(outcomes), []);
  });
});

function failuresOf(outcomes: readonly Outcome[]): string[] {
  return outcomes.flatMap(({ path, name, failure }) =>
    failure === undefined ? [] : [`${path} [${name}] ${failure}`]
  );
}
