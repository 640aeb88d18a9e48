import { describe, it } from "node:test";
import { assertEquals, assertMatch } from "@std/assert";
import { type CampaignOptions, runCampaign } from "../../mutants/campaign.ts";
import { MUTANTS } from "../../mutants/catalogue/mod.ts";
import { chooseMutants, type Mutant } from "../../mutants/mutant.ts";

function optionsFor(mutants: readonly Mutant[]): CampaignOptions {
  return {
    root: ".",
    mutants,
    seeds: 3,
    workers: 2,
    by: "first",
    checkTypes: false,
    onVerdict: () => {},
  };
}

describe("a campaign against mutants (H140)", () => {
  it("kills bugs, tells who found them, and spares what is no bug", async () => {
    const ids = ["commit-of-earlier-term", "candidacy-before-durable"];
    const harmless: Mutant = {
      id: "harmless",
      hazard: "H140",
      what: "reads a number that is never used",
      patches: [{
        file: "src/core/election.ts",
        find: `raft.vote = message.from;`,
        replace: `raft.vote = message.from + 0;`,
      }],
    };
    const broken: Mutant = {
      id: "broken",
      hazard: "H140",
      what: "is no program at all",
      patches: [{
        file: "src/core/election.ts",
        find: `raft.vote = message.from;`,
        replace: `raft.vote = ;`,
      }],
    };
    const verdicts = await runCampaign(
      optionsFor([...chooseMutants(MUTANTS, ids), harmless, broken]),
    );
    assertEquals(
      verdicts.map(({ mutant, outcome, caught }) => [
        mutant.id,
        outcome,
        caught?.hunter,
      ]),
      [
        ["commit-of-earlier-term", "killed", "conformance"],
        ["candidacy-before-durable", "killed", "simulator"],
        ["harmless", "survived", undefined],
        ["broken", "broken", undefined],
      ],
    );
    assertMatch(verdicts[0]?.caught?.by ?? "", /^\d+ of \d+ cases$/);
    assertEquals(verdicts[1]?.caught?.by, "durableBeforeSent");
  });
});
