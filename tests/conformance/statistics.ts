/**
 * The two facts of the paper that no table can hold (section 8 of
 * `kit/README.md`): how election timeouts are spread.
 *
 * @module
 */
import { EMPTY_CONF, INITIAL_HARD_STATE, RawNode } from "../../src/core/mod.ts";
import type { Outcome } from "./run_kit.ts";

const ELECTION_TICKS = 10;
const RESTARTS = 500;
const ROUNDS = 1_000;
const MAX_COLLISIONS = 300;
const MEMBERS = [1, 2, 3, 4, 5];

/** Whose timer is looked at. */
type Role = "follower" | "candidate";

/** Draws timeouts from a source of randomness, and looks at their spread. */
export function* runStatistics(random: () => number): Iterable<Outcome> {
  for (const role of ["follower", "candidate"] as const) {
    yield {
      path: "statistics",
      name: `timeouts of a ${role}`,
      failure: checkSpread(role, random),
    };
    yield {
      path: "statistics",
      name: `collisions of ${role}s`,
      failure: checkCollisions(role, random),
    };
  }
}

/** Every timeout from once to twice `electionTicks`, and no other. */
function checkSpread(
  role: Role,
  random: () => number,
): string | undefined {
  const seen = new Set<number>();
  const node = startNode(1, random);
  for (let i = 0; i < RESTARTS; i++) seen.add(ticksUntilTimeout(node, role));
  const found = [...seen].sort((a, b) => a - b);
  const expected = Array.from(
    { length: ELECTION_TICKS },
    (_, i) => ELECTION_TICKS + i,
  );
  return found.join() === expected.join()
    ? undefined
    : `expected ${expected.join()}, found ${found.join()}`;
}

/** Two of five time out first, and together, in few rounds. */
function checkCollisions(
  role: Role,
  random: () => number,
): string | undefined {
  const nodes = MEMBERS.map((id) => startNode(id, random));
  let collisions = 0;
  for (let i = 0; i < ROUNDS; i++) {
    const ticks = nodes.map((node) => ticksUntilTimeout(node, role));
    const first = Math.min(...ticks);
    if (ticks.filter((each) => each === first).length > 1) collisions++;
  }
  return collisions <= MAX_COLLISIONS
    ? undefined
    : `expected at most ${MAX_COLLISIONS} of ${ROUNDS}, found ${collisions}`;
}

/** Ticks from a fresh timer until the node begins another election. */
function ticksUntilTimeout(node: RawNode, role: Role): number {
  // A leader of the next term makes it a follower again; a candidate's timer
  // is fresh when its own election begins.
  if (role === "follower") hearLeader(node);
  else if (node.role !== "candidate") node.campaign();
  const { term } = node;
  for (let ticks = 1; ticks <= 4 * ELECTION_TICKS; ticks++) {
    node.tick();
    if (node.term > term) return ticks;
  }
  return Infinity;
}

function hearLeader(node: RawNode): void {
  const from = node.id === 1 ? 2 : 1;
  node.step({
    type: "heartbeat",
    from,
    to: node.id,
    term: node.term + 1,
    commitIndex: 0,
    round: 0,
    sentAt: 0,
  });
}

function startNode(id: number, random: () => number): RawNode {
  return new RawNode({
    id,
    random,
    config: {
      electionTicks: ELECTION_TICKS,
      preVote: false,
      checkQuorum: false,
    },
    restored: {
      hardState: INITIAL_HARD_STATE,
      snapshot: { index: 0, term: 0, conf: { ...EMPTY_CONF, voters: MEMBERS } },
      firstIndex: 1,
      lastIndex: 0,
      prevTerm: 0,
      termRuns: [],
      tail: [],
      appliedIndex: 0,
    },
  });
}
