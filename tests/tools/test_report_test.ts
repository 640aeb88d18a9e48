import { describe, it } from "node:test";
import { assertEquals, assertStringIncludes } from "@std/assert";
import { describeVerdict, failures, readVerdict } from "./test_report.ts";
import type { Runtime } from "./test_report.ts";

interface Report {
  readonly runtime: Runtime;
  readonly good: string;
  readonly bad: string;
}

const reports: readonly Report[] = [
  {
    runtime: "deno",
    good: "ok | 12 passed (30 steps) | 0 failed | 1 ignored (1 step) (5ms)\n",
    bad: "d ... FAILED\n\n ERRORS \n\nd => ./x_test.ts\nerror: boom\n\n" +
      "FAILED | 12 passed (30 steps) | 1 failed (2 steps) | " +
      "1 ignored (1 step) (576ms)\n\nerror: Test failed\n",
  },
  {
    runtime: "node",
    good: "ℹ tests 44\nℹ pass 42\nℹ fail 0\nℹ cancelled 0\nℹ skipped 2\n",
    bad: "ℹ tests 47\nℹ pass 42\nℹ fail 2\nℹ cancelled 1\nℹ skipped 2\n\n" +
      "✖ failing tests:\n\n✖ boom\n",
  },
  {
    runtime: "bun",
    good: "(pass) a\n\n 42 pass\n 2 skip\n 0 fail\nRan 44 tests\n",
    bad: "(pass) a\nerror: boom\n(fail) b\n\n 42 pass\n 2 skip\n 2 fail\n" +
      " 1 error\nRan 46 tests\n",
  },
];

describe("readVerdict()", () => {
  for (const { runtime, good, bad } of reports) {
    it(`counts what ${runtime} passed and skipped`, () => {
      assertEquals(readVerdict(runtime, good, true), {
        runtime,
        passed: true,
        passedCount: 42,
        failedCount: 0,
        skippedCount: 2,
      });
    });

    it(`counts failures, cancellations and errors of ${runtime}`, () => {
      assertEquals(readVerdict(runtime, bad, false), {
        runtime,
        passed: false,
        passedCount: 42,
        failedCount: 3,
        skippedCount: 2,
      });
    });

    it(`does not believe ${runtime} when its exit code says otherwise`, () => {
      const verdict = readVerdict(runtime, good, false);
      assertEquals(verdict.passed, false);
      assertEquals(verdict.failedCount, 1);
    });

    it(`takes a report of ${runtime} without a summary for a failure`, () => {
      const verdict = readVerdict(runtime, "Killed\n", true);
      assertEquals(verdict.passed, false);
      assertEquals(verdict.failedCount, 1);
    });

    it(`shows what ${runtime} said of a failure`, () => {
      assertStringIncludes(failures(runtime, bad), "boom");
    });
  }
});

describe("failures()", () => {
  it("leaves out what passed on Bun, and files that only passed", () => {
    const text = "a_test.js:\n(pass) a\n\nb_test.js:\nerror: boom\n(fail) b\n" +
      "\nc_test.js:\n(pass) c\n\nd_test.js:\n(pass) d\n\n 3 pass\n 1 fail\n";
    assertEquals(
      failures("bun", text),
      "b_test.js:\nerror: boom\n(fail) b\nd_test.js:\n 3 pass\n 1 fail",
    );
  });
});

describe("describeVerdict()", () => {
  it("gives the counts in words that can be added up", () => {
    const verdict = readVerdict("node", reports[1]?.good ?? "", true);
    assertEquals(
      describeVerdict(verdict, 1.25),
      "ok     Node 42 passed, 0 failed, 2 skipped (1.3 s)",
    );
  });
});
