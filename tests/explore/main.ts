/**
 * `deno task explore`: searches everything that can happen within bounds.
 *
 * @module
 */
import { readFileSync, writeFileSync } from "node:fs";
import process from "node:process";
import { describeAction, readActions, writeActions } from "./actions.ts";
import { type ExploreArguments, parseArguments, USAGE } from "./arguments.ts";
import { type Bounds, DEFAULT_BOUNDS, scenarioOf, SUITE } from "./bounds.ts";
import type { Hooks } from "./member.ts";
import { PLANTED_BUGS } from "./planted.ts";
import { replay } from "./replay.ts";
import { explore, type SearchResult } from "./search.ts";

const EXIT = { ok: 0, violation: 1, incomplete: 2, usage: 64 } as const;

process.exitCode = main(process.argv.slice(2));

function main(words: readonly string[]): number {
  let args: ExploreArguments;
  try {
    args = parseArguments(words);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    console.error(`\n${USAGE}`);
    return EXIT.usage;
  }
  if (args.help) {
    console.log(USAGE);
    return EXIT.ok;
  }
  const bug = args.bug === undefined ? undefined : PLANTED_BUGS[args.bug];
  if (args.bug !== undefined && bug === undefined) {
    for (const [name, { description }] of Object.entries(PLANTED_BUGS)) {
      console.log(`${name}: ${description}`);
    }
    return args.bug === "list" ? EXIT.ok : EXIT.usage;
  }
  bug?.patch?.();
  const bounds = args.bounds ??
    (bug === undefined ? undefined : { ...DEFAULT_BOUNDS, ...bug.bounds });
  const hooks = bug?.hooks ?? {};
  if (args.replay !== undefined) {
    return replayFile(args.replay, bounds ?? DEFAULT_BOUNDS, hooks);
  }
  let exit: number = EXIT.ok;
  for (const one of bounds === undefined ? SUITE : [bounds]) {
    const result = search(one, hooks, args);
    if (result.violation !== undefined) return EXIT.violation;
    if (!result.complete) exit = EXIT.incomplete;
  }
  return exit;
}

function search(
  bounds: Bounds,
  hooks: Hooks,
  { maxStates, seconds, save }: ExploreArguments,
): SearchResult {
  console.log(describeBounds(bounds));
  const beganMs = performance.now();
  const elapsedMs = () => performance.now() - beganMs;
  const result = explore(scenarioOf(bounds), {
    maxStates,
    isOver: () => elapsedMs() > seconds * 1_000,
  }, hooks);
  const { violation } = result;
  console.log(
    `  ${result.states} states (${result.cores} without messages), ${result.transitions} transitions, depth ${result.depth}, ${result.localStates} states of single members, ${result.messages} messages, ${
      (elapsedMs() / 1_000).toFixed(1)
    } s: ${
      violation !== undefined
        ? "VIOLATION"
        : result.complete
        ? "complete"
        : "not complete"
    }`,
  );
  if (violation === undefined) return result;
  console.log(`  ${violation.message}`);
  for (const action of violation.actions) {
    console.log(`    ${describeAction(action)}`);
  }
  if (save !== undefined) writeFileSync(save, writeActions(violation.actions));
  return result;
}

function describeBounds(bounds: Bounds): string {
  const { change, preVote, ...counts } = bounds;
  const words = Object.entries(counts).map(([name, value]) =>
    `--${name} ${value}`
  );
  if (change !== "none") words.push(`--change ${change}`);
  if (preVote) words.push("--pre-vote");
  return words.join(" ");
}

function replayFile(path: string, bounds: Bounds, hooks: Hooks): number {
  const actions = readActions(readFileSync(path, "utf8"));
  try {
    replay(scenarioOf(bounds), actions, hooks, (action, facts) => {
      console.log(describeAction(action));
      for (const { node, term, leads, log, commit } of facts) {
        console.log(
          `    ${node}: term ${term}${leads ? ", leads" : ""}, log [${
            log.join(" ")
          }], commit ${commit}`,
        );
      }
    });
  } catch (error) {
    console.log(error instanceof Error ? error.message : error);
    return EXIT.violation;
  }
  console.log("no violation");
  return EXIT.ok;
}
