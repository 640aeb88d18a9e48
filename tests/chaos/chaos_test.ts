import { assertEquals, assertGreater } from "@std/assert";
import { describe, it } from "node:test";
import { describeReport, runChaos } from "./chaos.ts";
import { ownProgram } from "./program.ts";

describe("a cluster of processes, killed under load", () => {
  for (const transport of ["tcp", "http"] as const) {
    const hasSmallLogs = transport === "tcp";
    const how = hasSmallLogs ? ", while logs are cut (H54)" : "";
    it(`loses, doubles and invents no write over ${transport} (H102, H104)${how}`, async () => {
      const lines: string[] = [];
      const report = await runChaos({
        program: ownProgram(),
        transport,
        hasSmallLogs,
        // What hangs on a dead leader is given up sooner than by default.
        flags: ["--timeout", "2s"],
        seed: 7,
        clients: 8,
        leaderKills: 2,
        followerKills: 1,
        fullKills: 1,
        calms: 0,
        report: (line) => lines.push(line),
      });
      const story = [...lines, describeReport(report)].join("\n");
      assertEquals(report.violations, [], story);
      // A run in which nothing was written or cut off would prove nothing.
      assertGreater(report.acknowledged, 100, story);
      assertEquals(report.reads, 3 * report.acknowledged);
      assertEquals(report.leaderMs.length, 2);
      if (hasSmallLogs) assertEquals(report.cutLogs, 3, story);
    });
  }
});
