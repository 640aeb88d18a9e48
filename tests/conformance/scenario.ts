/**
 * Plays one scenario against real cores.
 *
 * @module
 */
import { Comparer, type Level } from "./compare.ts";
import { describeDifference } from "./difference.ts";
import type { Scenario, Suite } from "./kit_types.ts";
import { observeNode, observeProgress } from "./observe.ts";
import { perform } from "./operations.ts";
import { StorageWork } from "./storage_work.ts";
import { World } from "./world.ts";

/**
 * Plays a scenario.
 *
 * @returns Where it first differs from what is expected; `undefined` if it
 * passes.
 */
export function playScenario(
  scenario: Scenario,
  suite: Suite,
  level: Level,
): string | undefined {
  const world = new World();
  const work = new StorageWork(world);
  const isComplete = scenario.complete ?? false;
  const comparer = new Comparer({ level, suite, isComplete });
  for (const [i, step] of scenario.steps.entries()) {
    const where = `step ${i + 1} (${step.op})`;
    world.beginStep();
    try {
      perform(world, work, step);
      checkCores(world);
    } catch (error) {
      return `${where}, ${describeThrown(error)}`;
    }
    const difference = comparer.compare(step.expect ?? {}, {
      trace: world.trace,
      ids: world.ids,
      node: (id) => observeNode(world, work, id),
      progress: (id) => observeProgress(world, id),
    });
    if (difference !== undefined) {
      return `${where}, ${describeDifference(difference)}`;
    }
  }
  return undefined;
}

/**
 * Every invariant of every core, after every step. Nodes that the kit starts
 * from a snapshot and no hard state have a log that ends above their term, as
 * no real member ever has; they are left alone until they hear of a term.
 */
function checkCores(world: World): void {
  for (const { node } of world.members.values()) {
    if (node.status().lastTerm <= node.term) node.check();
  }
}

function describeThrown(error: unknown): string {
  const text = error instanceof Error
    ? `${error.name}: ${error.message}`
    : String(error);
  return `operation: expected no exception, found ${JSON.stringify(text)}`;
}
