/**
 * What every storage checks of a batch before it changes anything, in one
 * place: a storage that took a hole or a foreign id once could not undo it.
 *
 * @module
 */
import type { Entry, LogIndex, NodeId, Term, TermRun } from "./core/types.ts";
import type { GroupWrite } from "./storage.ts";

/** As much of a group as the next write to it has to fit. */
export interface LogBounds {
  readonly node: NodeId;
  readonly firstIndex: LogIndex;
  /** `firstIndex - 1` for an empty log. */
  readonly lastIndex: LogIndex;
  /** Term of the entry before `firstIndex`. */
  readonly prevTerm: Term;
  /** Terms of the entries; never changed, only replaced. */
  readonly termRuns: readonly TermRun[];
}

const NO_RUNS: readonly TermRun[] = [];

/**
 * Checks one group write against what the group holds, and returns what it
 * holds afterwards. `current` is `undefined` for a group that does not exist.
 *
 * @throws {RangeError} If the group is missing or already there, an id, term
 * or index is out of range, or the entries leave a hole.
 */
export function checkGroupWrite(
  write: GroupWrite,
  current: LogBounds | undefined,
): LogBounds {
  checkInteger(write, "group", write.group, 1);
  const bounds = checkCreate(write, current);
  if (write.hardState !== undefined) checkHardState(write);
  if (write.conf !== undefined) {
    checkInteger(write, "conf.index", write.conf.index, 0);
  }
  return checkEntries(write, checkSnapshot(write, bounds));
}

function checkCreate(
  write: GroupWrite,
  current: LogBounds | undefined,
): LogBounds {
  if (write.create === undefined) {
    if (current !== undefined) return current;
    throw new RangeError(
      `Cannot write to group ${write.group}: it does not exist, and the write does not create it`,
    );
  }
  const { node, snapshot } = write.create;
  const isEmpty = current?.lastIndex === 0 && current.node === node;
  if (current !== undefined && !(isEmpty && snapshot.index === 0)) {
    throw new RangeError(
      `Cannot create group ${write.group}: it exists, as member ${current.node}, and its log ends at ${current.lastIndex}`,
    );
  }
  checkInteger(write, "create.node", node, 1);
  checkInteger(write, "create.snapshot.index", snapshot.index, 0);
  checkInteger(write, "create.snapshot.term", snapshot.term, 0);
  const lastIndex = snapshot.index;
  return {
    node,
    firstIndex: lastIndex + 1,
    lastIndex,
    prevTerm: snapshot.term,
    termRuns: NO_RUNS,
  };
}

function checkHardState(write: GroupWrite): void {
  if (write.hardState === undefined) return;
  const { term, vote, commit } = write.hardState;
  checkInteger(write, "hardState.term", term, 0);
  if (vote !== null) checkInteger(write, "hardState.vote", vote, 1);
  checkInteger(write, "hardState.commit", commit, 0);
}

/**
 * A snapshot replaces the log up to its index. What is above stays if the log
 * holds the snapshot's last entry, and goes if it does not (thesis §5.3).
 */
function checkSnapshot(write: GroupWrite, bounds: LogBounds): LogBounds {
  if (write.snapshot === undefined) return bounds;
  const { index, term } = write.snapshot;
  checkInteger(write, "snapshot.index", index, 1);
  checkInteger(write, "snapshot.term", term, 1);
  if (index < bounds.firstIndex - 1) {
    throw new RangeError(
      `Cannot write to group ${write.group}: its snapshot at ${index} is older than the log, which starts at ${bounds.firstIndex}`,
    );
  }
  const isHeld = index <= bounds.lastIndex && termAt(bounds, index) === term;
  return dropThrough(bounds, {
    index,
    term,
    lastIndex: isHeld ? bounds.lastIndex : index,
  });
}

function dropThrough(
  bounds: LogBounds,
  to: { readonly index: LogIndex; term: Term; lastIndex: LogIndex },
): LogBounds {
  const { node, termRuns } = bounds;
  const firstIndex = to.index + 1;
  const rest = { node, firstIndex, lastIndex: to.lastIndex, prevTerm: to.term };
  if (to.lastIndex < firstIndex) return { ...rest, termRuns: NO_RUNS };
  let at = termRuns.length - 1;
  while (at > 0 && (termRuns[at]?.firstIndex ?? 0) > firstIndex) at--;
  const kept = termRuns.slice(Math.max(0, at)).map((run) => ({
    term: run.term,
    firstIndex: Math.max(run.firstIndex, firstIndex),
  }));
  return { ...rest, termRuns: kept };
}

/**
 * The bounds once entries through `index`, which the log holds, are dropped.
 *
 * @throws {RangeError} If the log does not reach that far.
 */
export function compactBounds(bounds: LogBounds, index: LogIndex): LogBounds {
  const term = termAt(bounds, index);
  const { lastIndex } = bounds;
  return dropThrough(bounds, { index, term, lastIndex });
}

/**
 * Term of an entry of `[firstIndex - 1, lastIndex]`.
 *
 * @throws {RangeError} If `index` lies outside.
 */
export function termAt(bounds: LogBounds, index: LogIndex): Term {
  if (index < bounds.firstIndex - 1 || index > bounds.lastIndex) {
    throw new RangeError(
      `Cannot tell the term of entry ${index}: the log is ${bounds.firstIndex} to ${bounds.lastIndex}`,
    );
  }
  // The wanted one is nearly always the last.
  for (let i = bounds.termRuns.length - 1; i >= 0; i--) {
    const run = bounds.termRuns[i];
    if (run !== undefined && run.firstIndex <= index) return run.term;
  }
  return bounds.prevTerm;
}

function checkEntries(write: GroupWrite, bounds: LogBounds): LogBounds {
  const { entries } = write;
  const first = entries[0];
  if (first === undefined) return bounds;
  checkInteger(write, "index", first.index, 1);
  if (first.index < bounds.firstIndex || first.index > bounds.lastIndex + 1) {
    throw new RangeError(
      `Cannot write to group ${write.group}: its entries start at ${first.index}, wanted one of ${bounds.firstIndex} to ${
        bounds.lastIndex + 1
      }`,
    );
  }
  let term = termAt(bounds, first.index - 1);
  const kept = cutRuns(bounds.termRuns, first.index);
  const added: TermRun[] = [];
  for (let i = 0; i < entries.length; i++) {
    const entry = entries[i];
    if (entry === undefined) break;
    if (entry.index !== first.index + i || !(entry.term >= term)) {
      throw new RangeError(
        `Cannot write to group ${write.group}: the entry after ${
          first.index + i - 1
        } of term ${term} is ${entry.index} of term ${entry.term}`,
      );
    }
    if (entry.term === term && kept.length + added.length > 0) continue;
    term = entry.term;
    checkInteger(write, "term", term, 1);
    added.push({ term, firstIndex: entry.index });
  }
  const lastIndex = first.index + entries.length - 1;
  checkInteger(write, "index", lastIndex, 1);
  const { node, firstIndex, prevTerm } = bounds;
  const termRuns = added.length === 0 ? kept : [...kept, ...added];
  return { node, firstIndex, lastIndex, prevTerm, termRuns };
}

/** The runs that start before `index`; the same array if that is all. */
function cutRuns(
  runs: readonly TermRun[],
  index: LogIndex,
): readonly TermRun[] {
  let count = runs.length;
  while (count > 0 && (runs[count - 1]?.firstIndex ?? 0) >= index) count--;
  return count === runs.length ? runs : runs.slice(0, count);
}

function checkInteger(
  write: GroupWrite,
  name: string,
  value: number,
  least: number,
): void {
  if (Number.isSafeInteger(value) && value >= least) return;
  throw new RangeError(
    `Cannot write to group ${write.group}: ${name} is ${value}, wanted a safe integer of at least ${least}`,
  );
}

/** Size of an entry for byte limits; the same measure as the core's. */
export function storedEntryBytes(entry: Entry): number {
  switch (entry.type) {
    case "command":
      return 32 + entry.data.length;
    case "noop":
    case "omitted":
      return 32;
    case "confChange":
      return 32 + 48 * (1 + entry.change.steps.length);
    default: {
      const unreachable: never = entry;
      return unreachable;
    }
  }
}
