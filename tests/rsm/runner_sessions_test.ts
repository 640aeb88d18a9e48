import { describe, it } from "node:test";
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  type ApplyOutcome,
  type MachineRunnerOptions,
  MAX_RESULT_BYTES,
} from "../../src/rsm/machine_runner.ts";
import { Journal } from "./journal.ts";
import {
  applyNow,
  brief,
  entriesFor,
  snapshotOf,
  type Spec,
  start,
} from "./runner_support.ts";
import { below, seededRandom } from "./support.ts";

describe("MachineRunner sessions", () => {
  it("apply a command once and give the first result again (H102)", () => {
    const journal = new Journal();
    const runner = start(journal);
    assertEquals(brief(applyNow(runner, ["a", "c/1"], ["b", "d/1"])), [
      { line: "1:a", count: 1 },
      { line: "2:b", count: 2 },
    ]);
    const repeats = applyNow(runner, ["a", "c/1"], ["x"], ["b", "d/1"]);
    assertEquals(brief(repeats), [
      { line: "1:a", count: 1 },
      { line: "4:x", count: 3 },
      { line: "2:b", count: 2 },
    ]);
    assertEquals(runner.query("lines"), ["1:a", "2:b", "4:x"]);
  });

  it("give a repeat within one batch the first one's result", () => {
    const runner = start();
    assertEquals(
      brief(applyNow(runner, ["a", "c/1"], ["b"], ["a", "c/1"], ["a", "c/1"])),
      [
        { line: "1:a", count: 1 },
        { line: "2:b", count: 2 },
        { line: "1:a", count: 1 },
        { line: "1:a", count: 1 },
      ],
    );
  });

  it("keep results that nobody else can change", () => {
    const runner = start();
    const [first] = applyNow(runner, ["a", "c/1"]);
    for (let count = 0; count < 2; count++) {
      const [repeat] = applyNow(runner, ["a", "c/1"]);
      assertEquals(repeat, {
        type: "result",
        result: { line: "1:a", count: 1 },
      });
      for (const outcome of [first, repeat]) {
        assert(outcome?.type === "result");
        Object.assign(outcome.result as object, { count: 99, more: true });
      }
    }
  });

  it("keep results of bytes, undefined and null alike", () => {
    const runner = start();
    for (const [at, text] of ["!bytes", "!undefined", "!null"].entries()) {
      const [first] = applyNow(runner, [text, `c/${at}`]);
      const [repeat] = applyNow(runner, [text, `c/${at}`]);
      assertEquals(repeat, first);
    }
    for (let count = 0; count < 2; count++) {
      const [repeat] = applyNow(runner, ["!bytes", "c/0"]);
      assert(repeat?.type === "result");
      const { bytes } = repeat.result as { bytes: Uint8Array };
      assertEquals(bytes, new Uint8Array([1, 2, 3]));
      bytes.fill(0xaa);
    }
  });

  it("refuse a sequence below the window, certainly unapplied now", () => {
    const runner = start(new Journal(), { maxResultsPerClient: 2 });
    const outcomes = applyNow(
      runner,
      ["a", "c/1"],
      ["b", "c/2"],
      ["c", "c/3"],
      ["a", "c/1"],
      ["b", "c/2"],
    );
    assertEquals(brief(outcomes).slice(3), [
      "sessionExpired",
      { line: "2:b", count: 2 },
    ]);
    const refused = outcomes[3];
    assert(refused?.type === "refused");
    assertEquals(refused.error.outcome, "unknown");
    assertEquals(
      refused.error.message,
      "Cannot apply a command of a session: sequence 1 of client c is not " +
        "above 1, up to which results are no longer kept",
    );
    assertEquals(runner.query("lines"), ["1:a", "2:b", "3:c"]);
  });

  it("refuse the repeat of a command whose result is too long to keep", () => {
    const runner = start();
    const long = `!repeat ${MAX_RESULT_BYTES}`;
    const short = `!repeat ${MAX_RESULT_BYTES - 10}`;
    applyNow(runner, [long, "c/1"], [short, "c/2"]);
    const [first, second] = applyNow(runner, [long, "c/1"], [short, "c/2"]);
    assert(first?.type === "refused" && second?.type === "result");
    assertEquals(first.error.code, "sessionExpired");
    assertEquals(Array.from(runner.query("lines") as string[]).length, 2);
  });

  it("decide alike in whatever batches the log comes (H103, H127)", async () => {
    for (let seed = 1; seed <= 20; seed++) {
      await compareBatchings(seed);
    }
  });

  it("validate their options", () => {
    const wrong: MachineRunnerOptions[] = [
      { maxClients: 0 },
      { maxClients: 1.5 },
      { maxRetiredClients: -1 },
      { maxResultsPerClient: 0 },
      { maxResultsPerClient: 10, maxResults: 9 },
      { maxResults: NaN },
    ];
    for (const options of wrong) {
      assertThrows(() => start(new Journal(), options), RangeError);
    }
    start(new Journal(), { maxClients: 1, maxRetiredClients: 0 });
  });
});

/** A random log with many repeats, applied whole, one by one, and in parts. */
async function compareBatchings(seed: number): Promise<void> {
  const random = seededRandom(seed);
  const options = {
    maxClients: 3,
    maxRetiredClients: 3,
    maxResultsPerClient: 3,
    maxResults: 7,
  };
  const specs = Array.from({ length: 300 }, (_, at): Spec => {
    const client = `c${below(random, 8)}`;
    const sequence = Math.floor(at / 60) + below(random, 4);
    return below(random, 5) === 0
      ? [`free ${at}`]
      : [`${client} ${sequence}`, `${client}/${sequence}`];
  });
  const whole = start(new Journal(), options);
  const entries = entriesFor(whole, specs);
  const wanted = await whole.apply(entries);
  const codes = brief(wanted);
  assert(codes.includes("sessionExpired"), "some sequences expire");
  for (const longest of [1, 7, 50]) {
    const runner = start(new Journal(), options);
    const found: ApplyOutcome<unknown>[] = [];
    for (let from = 0; from < entries.length;) {
      const size = 1 + below(random, longest);
      found.push(...await runner.apply(entries.slice(from, from + size)));
      from += size;
    }
    assertEquals(brief(found), codes, `seed ${seed}, up to ${longest}`);
    assertEquals(runner.query("lines"), whole.query("lines"));
    assertEquals(runner.sessionChecksum(), whole.sessionChecksum());
    assertEquals(await snapshotOf(runner), await snapshotOf(whole));
  }
}
