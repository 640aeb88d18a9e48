/**
 * What a campaign against mutants came to, for people and for programs.
 *
 * @module
 */
import type { Verdict } from "./campaign.ts";

/** One line for a mutant, as it is decided. */
export function describeVerdict(verdict: Verdict): string {
  const { mutant, outcome, caught, problem, seconds } = verdict;
  const time = `${seconds.toFixed(1)} s`;
  switch (outcome) {
    case "killed":
      return `killed   ${mutant.id} by ${describeCatch(caught)} (${time})`;
    case "survived":
      return `SURVIVED ${mutant.id}: ${mutant.what} (${time})`;
    case "broken":
      return `BROKEN   ${mutant.id}: ${problem}`;
  }
}

/** The table of all mutants, in Markdown. */
export function describeTable(verdicts: readonly Verdict[]): string {
  const rows = verdicts.map(({ mutant, outcome, caught }) => [
    mutant.id,
    mutant.hazard,
    mutant.what,
    outcome === "killed" ? `${caught?.hunter}: ${caught?.by}` : outcome,
    caught?.hunter === "simulator" ? `${caught.seeds}` : "",
  ]);
  const head = ["mutant", "rule", "what it does", "caught by", "seeds"];
  const widths = head.map((title, i) =>
    Math.max(title.length, ...rows.map((row) => row[i]?.length ?? 0))
  );
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join(" | ")} |`;
  return [
    line(head),
    `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`,
    ...rows.map(line),
  ].join("\n");
}

/** The last line: `N killed, M survived`. */
export function describeSum(verdicts: readonly Verdict[]): string {
  const count = (outcome: Verdict["outcome"]) =>
    verdicts.filter((verdict) => verdict.outcome === outcome).length;
  const broken = count("broken");
  return `${count("killed")} killed, ${count("survived")} survived${
    broken > 0 ? `, ${broken} broken` : ""
  }`;
}

/** The report as JSON. */
export function reportJson(verdicts: readonly Verdict[]): string {
  const rows = verdicts.map((verdict) => {
    const { mutant, outcome, caught, problem, seconds } = verdict;
    const { id, hazard, what } = mutant;
    return {
      ...{ id, hazard, what, outcome },
      caught: caught ?? null,
      problem,
      seconds: Math.round(seconds * 10) / 10,
    };
  });
  return `${JSON.stringify(rows, null, 1)}\n`;
}

function describeCatch(caught: Verdict["caught"]): string {
  if (caught === undefined) return "nobody";
  const { hunter, by, seeds, message } = caught;
  const when = seeds > 0 ? ` at seed ${seeds}` : "";
  return `${hunter}${when}, ${by}: ${message.slice(0, 160)}`;
}
