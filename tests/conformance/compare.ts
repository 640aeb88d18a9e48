/**
 * Compares what a step did with what the kit expects, by level (section 5 of
 * `kit/README.md`): 1 state, 2 replication, 3 trace.
 *
 * @module
 */
import {
  type Difference,
  firstDifference,
  firstListedDifference,
  firstOf,
} from "./difference.ts";
import type {
  ById,
  KitExpectation,
  KitMessage,
  KitNode,
  KitProgress,
  Suite,
} from "./kit_types.ts";
import type { Trace } from "./world.ts";

/** How much is compared; each level holds those below it. */
export type Level = 1 | 2 | 3;

/** What is found after a step. */
export interface Found {
  readonly trace: Trace;
  /** Ids of all nodes that exist. */
  readonly ids: readonly number[];
  node(id: number): KitNode;
  progress(id: number): ById<KitProgress> | null;
}

/** What decides which comparisons are made. */
export interface Comparison {
  readonly level: Level;
  readonly suite: Suite;
  /** Whether what is not listed has not changed, or has not happened. */
  readonly isComplete: boolean;
}

/** Of a settled node, what binds every implementation. */
const STATE: readonly (keyof KitNode)[] = [
  "role",
  "term",
  "vote",
  "leader",
  "commit",
  "log",
  "conf",
  "transferee",
];

/** Of a peer's progress, what belongs to level 2. */
const REPLICATION: readonly (keyof KitProgress)[] = [
  "match",
  "next",
  "state",
  "learner",
];

/** Compares the steps of one scenario, in order. */
export class Comparer {
  readonly #comparison: Comparison;
  /** What was last listed of each node. */
  #nodes: ById<KitNode> = {};
  /** What was last listed of each leader. */
  #progress: ById<ById<KitProgress> | null> = {};

  constructor(comparison: Comparison) {
    this.#comparison = comparison;
  }

  /** The first difference after a step. */
  compare(expect: KitExpectation, found: Found): Difference | undefined {
    const { isComplete, level } = this.#comparison;
    const before = isComplete ? this.#nodes : {};
    this.#nodes = { ...before, ...expect.nodes };
    this.#progress = {
      ...(isComplete ? this.#progress : {}),
      ...expect.progress,
    };
    return firstOf([
      () => firstDifference("error", expect.error, found.trace.error),
      () => this.#happened("applied", expect, found),
      () => this.#happened("installed", expect, found),
      () => this.#happened("readStates", expect, found),
      () => this.#compareNodes(found),
      () => level >= 2 ? this.#compareProgress(found) : undefined,
      () => this.#compareSent(expect.sent, found.trace.sent),
      () => level >= 3 ? this.#compareCounts(expect, found) : undefined,
    ]);
  }

  #happened(
    key: "applied" | "installed" | "readStates",
    expect: KitExpectation,
    { trace }: Found,
  ): Difference | undefined {
    const expected = expect[key];
    if (expected === undefined && !this.#comparison.isComplete) return;
    return firstDifference(key, expected ?? {}, trace[key]);
  }

  #compareNodes(found: Found): Difference | undefined {
    const listed = Object.entries(this.#nodes);
    return firstOf(listed.map(([id, expected]) => () => {
      if (!this.#isBinding(expected)) return undefined;
      const node = this.#comparison.level >= 3
        ? expected
        : pick(expected, STATE);
      return firstListedDifference(`nodes.${id}`, node, found.node(Number(id)));
    }));
  }

  /** Whether a node is compared below level 3: only once it has settled. */
  #isBinding({ settled }: KitNode): boolean {
    const { level, isComplete } = this.#comparison;
    return level >= 3 || (isComplete ? settled === true : settled !== false);
  }

  #compareProgress(found: Found): Difference | undefined {
    const { isComplete, level } = this.#comparison;
    const listed = new Map(Object.entries(this.#progress));
    // A complete scenario lists every leader.
    const ids = isComplete ? found.ids.map(String) : [...listed.keys()];
    return firstOf(ids.map((id) => () => {
      const expected = listed.get(id) ?? null;
      const node = this.#nodes[id];
      if (level < 3 && isComplete && node?.settled !== true) return undefined;
      const path = `progress.${id}`;
      const peers = found.progress(Number(id));
      return expected === null || peers === null
        ? firstDifference(path, expected, peers)
        : this.#comparePeers(path, expected, peers);
    }));
  }

  #comparePeers(
    path: string,
    expected: ById<KitProgress>,
    found: ById<KitProgress>,
  ): Difference | undefined {
    const { isComplete, level } = this.#comparison;
    const compare = isComplete ? firstDifference : firstListedDifference;
    const keys = isComplete
      ? new Set([...Object.keys(expected), ...Object.keys(found)])
      : new Set(Object.keys(expected));
    return firstOf([...keys].map((peer) => () => {
      const [wanted, seen] = [expected[peer], found[peer]];
      const at = `${path}.${peer}`;
      return wanted === undefined || seen === undefined
        ? firstDifference(at, wanted, seen)
        : compare(at, only(wanted, level), only(seen, level));
    }));
  }

  #compareSent(
    expected: readonly KitMessage[] | undefined,
    found: readonly KitMessage[],
  ): Difference | undefined {
    const { level, suite, isComplete } = this.#comparison;
    if (level < (suite === "paper" ? 2 : 3)) return undefined;
    if (expected === undefined && !isComplete) return undefined;
    const wanted = groupByRoute(expected ?? []);
    const sent = groupByRoute(found);
    const routes = [...new Set([...wanted.keys(), ...sent.keys()])];
    return firstOf(routes.map((route) => () =>
      compareGroup(
        `sent.${route}`,
        wanted.get(route) ?? [],
        sent.get(route) ?? [],
      )
    ));
  }

  #compareCounts(
    expect: KitExpectation,
    { trace }: Found,
  ): Difference | undefined {
    const { isComplete } = this.#comparison;
    const { delivered, dropped, stepErrors } = expect;
    const isListed = (value: unknown) => isComplete || value !== undefined;
    return firstOf([
      () =>
        isListed(delivered)
          ? firstDifference("delivered", delivered ?? 0, trace.delivered)
          : undefined,
      () =>
        isListed(dropped)
          ? firstDifference("dropped", dropped ?? 0, trace.dropped)
          : undefined,
      () =>
        isListed(stepErrors)
          ? firstDifference("stepErrors", stepErrors ?? [], trace.stepErrors)
          : undefined,
    ]);
  }
}

/** Groups messages by sender and receiver, each in order of sending. */
function groupByRoute(
  messages: readonly KitMessage[],
): Map<string, KitMessage[]> {
  const groups = new Map<string, KitMessage[]>();
  for (const message of messages) {
    const route = `${message.from}->${message.to}`;
    const group = groups.get(route);
    if (group === undefined) groups.set(route, [message]);
    else group.push(message);
  }
  return groups;
}

function compareGroup(
  path: string,
  expected: readonly KitMessage[],
  found: readonly KitMessage[],
): Difference | undefined {
  const count = Math.max(expected.length, found.length);
  return firstOf(Array.from({ length: count }, (_, i) => () => {
    const [wanted, sent] = [expected[i], found[i]];
    return wanted === undefined || sent === undefined
      ? { path: `${path}.${i}`, expected: wanted, found: sent }
      : firstListedDifference(`${path}.${i}`, wanted, sent);
  }));
}

/** The part of a progress that a level compares. */
function only(progress: KitProgress, level: Level): Partial<KitProgress> {
  return level >= 3 ? progress : pick(progress, REPLICATION);
}

function pick<T extends object>(
  from: T,
  keys: readonly (keyof T)[],
): Partial<T> {
  const picked: Partial<T> = {};
  for (const key of keys) {
    if (from[key] !== undefined) picked[key] = from[key];
  }
  return picked;
}
