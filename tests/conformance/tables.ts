/**
 * `tables/*.json`: pure functions of the core, row by row (section 9 of
 * `kit/README.md`). They are inner functions, bound here by hand.
 *
 * @module
 */
import * as z from "zod";
import {
  EMPTY_CONF,
  type Entry,
  InvariantError,
  type TermRun,
} from "../../src/core/mod.ts";
import { DEFAULT_CONFIG } from "../../src/core/config.ts";
import { Progress } from "../../src/core/progress.ts";
import { Raft } from "../../src/core/raft.ts";
import { RaftLog } from "../../src/core/raft_log.ts";
import { TermRuns } from "../../src/core/term_runs.ts";
import { type Difference, firstListedDifference } from "./difference.ts";

const n = z.int().min(0);
const state = z.enum(["probe", "replicate", "snapshot"]);
const entries = z.array(z.object({ index: n, term: n }));
const progress = z.object({
  state,
  match: n,
  next: n,
  pendingSnapshot: n,
});

/** A row's outputs, computed by the core from its inputs. */
type Function = (row: unknown) => object;

function bind<T>(inputs: z.ZodType<T>, compute: (row: T) => object): Function {
  return (row) => compute(inputs.parse(row));
}

const FUNCTIONS: Readonly<Record<string, Function>> = {
  "log/find-conflict": bind(
    z.object({ log: z.array(n), entries }),
    ({ log, entries }) => {
      const own = logOf(log, 0);
      const conflict = entries.find((entry) => !own.matches(entry));
      return { conflict: conflict?.index ?? 0 };
    },
  ),
  "log/find-conflict-by-term": bind(
    z.object({
      offset: n,
      offsetTerm: n,
      terms: z.array(n),
      index: n,
      term: n,
    }),
    ({ offset, offsetTerm, terms, index, term }) => {
      const runs = new TermRuns(
        { term: offsetTerm, index: offset },
        offset + terms.length,
        runsOf(terms, offset),
      );
      const found = runs.findConflictByTerm(index, term);
      return { foundIndex: found.index, foundTerm: found.term };
    },
  ),
  "log/up-to-date": bind(
    z.object({ log: z.array(n), lastIndex: n, lastTerm: n }),
    ({ log, lastIndex, lastTerm }) => ({
      upToDate: logOf(log, 0).isUpToDate({ term: lastTerm, index: lastIndex }),
    }),
  ),
  "log/maybe-append": bind(
    z.object({
      log: z.array(n),
      commit: n,
      prevIndex: n,
      prevTerm: n,
      leaderCommit: n,
      entries,
    }),
    maybeAppend,
  ),
  "commit/leader-commit": bind(
    z.object({ matches: z.array(n), log: z.array(n), term: n }),
    leaderCommit,
  ),
  "progress/is-paused": bind(
    z.object({ state, flowPaused: z.boolean() }),
    ({ state, flowPaused }) => {
      const one = progressOf({ state, match: 0, next: 1 });
      one.flowPaused = flowPaused;
      return { paused: one.paused };
    },
  ),
  "progress/become-probe": bind(
    z.object({ before: progress }),
    ({ before }) => after(before, (one) => one.becomeProbe()),
  ),
  "progress/become-replicate": bind(
    z.object({ before: progress }),
    ({ before }) => after(before, (one) => one.becomeReplicate()),
  ),
  "progress/become-snapshot": bind(
    z.object({ before: progress, snapshot: n }),
    ({ before, snapshot }) =>
      after(before, (one) => one.becomeSnapshot(snapshot)),
  ),
  "progress/acknowledge": bind(
    z.object({ match: n, next: n, index: n }),
    ({ match, next, index }) => {
      const one = progressOf({ state: "probe", match, next });
      const changed = one.maybeUpdate(index);
      return { newMatch: one.matchIndex, newNext: one.nextIndex, changed };
    },
  ),
  "progress/refuse": bind(
    z.object({ state, match: n, next: n, rejected: n, hint: n }),
    ({ state, match, next, rejected, hint }) => {
      const one = progressOf({ state, match, next });
      const changed = one.maybeDecrement(rejected, hint);
      // A refusal ends streaming: then next lies behind what is known.
      return { changed, newNext: one.nextIndex };
    },
  ),
};

/** Names of the tables that can be run: file, slash, table. */
export const TABLE_NAMES: readonly string[] = Object.keys(FUNCTIONS);

/**
 * Runs one row.
 *
 * @returns Where the outputs differ; `undefined` if they are right.
 * @throws {TypeError} If there is no such table, or the row does not fit it.
 */
export function runRow(
  name: string,
  row: Readonly<Record<string, unknown>>,
): Difference | undefined {
  const compute = FUNCTIONS[name];
  if (compute === undefined) throw new TypeError(`there is no table ${name}`);
  const found = new Map(Object.entries(compute(row)));
  // What the function does not give is an input, and equals itself.
  return firstListedDifference("row", row, {
    ...row,
    ...Object.fromEntries(found),
  });
}

function maybeAppend(row: {
  readonly log: readonly number[];
  readonly commit: number;
  readonly prevIndex: number;
  readonly prevTerm: number;
  readonly leaderCommit: number;
  readonly entries: readonly { index: number; term: number }[];
}): object {
  const log = logOf(row.log, row.commit);
  const prev = { term: row.prevTerm, index: row.prevIndex };
  let lastNewIndex: number | undefined;
  try {
    lastNewIndex = log.maybeAppend(prev, row.entries.map(noop));
  } catch (error) {
    if (error instanceof InvariantError) return { fatal: true };
    throw error;
  }
  if (lastNewIndex !== undefined) {
    log.commitTo(Math.min(row.leaderCommit, lastNewIndex));
  }
  return {
    accepted: lastNewIndex !== undefined,
    lastNewIndex: lastNewIndex ?? 0,
    newCommit: log.commitIndex,
  };
}

function leaderCommit(row: {
  readonly matches: readonly number[];
  readonly log: readonly number[];
  readonly term: number;
}): object {
  const voters = row.matches.map((_, i) => i + 1);
  const raft = new Raft({
    id: 1,
    random: () => 0,
    restored: {
      hardState: { term: row.term, vote: null, commit: 0 },
      snapshot: { index: 0, term: 0, conf: { ...EMPTY_CONF, voters } },
      firstIndex: 1,
      lastIndex: row.log.length,
      prevTerm: 0,
      termRuns: runsOf(row.log, 0),
      tail: row.log.map((term, i) => noop({ term, index: i + 1 })),
      appliedIndex: 0,
    },
  });
  row.matches.forEach((match, i) => {
    raft.tracker.progress.get(i + 1)?.maybeUpdate(match);
  });
  raft.maybeCommit();
  return { commit: raft.log.commitIndex };
}

interface ProgressInput {
  readonly state: "probe" | "replicate" | "snapshot";
  readonly match: number;
  readonly next: number;
  readonly pendingSnapshot?: number;
}

function progressOf(input: ProgressInput): Progress {
  const { state, match, next, pendingSnapshot = 0 } = input;
  const one = new Progress({
    matchIndex: match,
    nextIndex: next,
    config: DEFAULT_CONFIG,
    learner: false,
  });
  one.state = state;
  one.pendingSnapshotIndex = pendingSnapshot;
  return one;
}

function after(
  before: ProgressInput,
  become: (one: Progress) => void,
): object {
  const one = progressOf(before);
  become(one);
  return {
    after: {
      state: one.state,
      match: one.matchIndex,
      next: one.nextIndex,
      pendingSnapshot: one.pendingSnapshotIndex,
    },
  };
}

function noop({ term, index }: { term: number; index: number }): Entry {
  return { type: "noop", term, index };
}

function runsOf(terms: readonly number[], offset: number): TermRun[] {
  const runs: TermRun[] = [];
  terms.forEach((term, i) => {
    if (runs.at(-1)?.term === term) return;
    runs.push({ term, firstIndex: offset + i + 1 });
  });
  return runs;
}

function logOf(terms: readonly number[], commit: number): RaftLog {
  return new RaftLog({
    hardState: { term: terms.at(-1) ?? 0, vote: null, commit },
    snapshot: { index: 0, term: 0, conf: EMPTY_CONF },
    firstIndex: 1,
    lastIndex: terms.length,
    prevTerm: 0,
    termRuns: runsOf(terms, 0),
    tail: terms.map((term, i) => noop({ term, index: i + 1 })),
    appliedIndex: 0,
  }, {
    maxTailBytes: Number.MAX_SAFE_INTEGER,
    maxCommittedBytes: Number.MAX_SAFE_INTEGER,
    asyncStorageWrites: false,
  });
}
