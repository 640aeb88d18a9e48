/**
 * Majorities and joint majorities (thesis §4.3). Knows nothing of messages.
 *
 * @module
 */
import type { LogIndex, NodeId } from "./types.ts";

/** What the answers so far say about a vote. */
export type VoteResult = "won" | "pending" | "lost";

/** Gives what a voter has acknowledged; `undefined` for nothing known. */
export type AckedIndex = (id: NodeId) => LogIndex | undefined;

/** Gives a voter's answer; `undefined` while there is none. */
export type VoteOf = (id: NodeId) => boolean | undefined;

/** Where indexes are sorted, reused so that counting allocates nothing. */
const scratch: LogIndex[] = [];

/** The smallest number of voters that is a majority. */
export function majority(voterCount: number): number {
  return Math.floor(voterCount / 2) + 1;
}

/**
 * The largest index that a majority of `voters` has acknowledged; `Infinity`
 * for no voters, so that an empty half of a joint configuration decides
 * nothing.
 */
export function majorityIndex(
  voters: readonly NodeId[],
  acked: AckedIndex,
): LogIndex {
  const count = voters.length;
  if (count === 0) return Infinity;
  for (let i = 0; i < count; i++) {
    insertSorted(scratch, i, acked(at(voters, i)) ?? 0);
  }
  return at(scratch, count - majority(count));
}

/** The largest index that both majorities have acknowledged. */
export function jointIndex(
  voters: readonly NodeId[],
  votersOutgoing: readonly NodeId[],
  acked: AckedIndex,
): LogIndex {
  return Math.min(
    majorityIndex(voters, acked),
    majorityIndex(votersOutgoing, acked),
  );
}

/** What a majority of `voters` says; `won` for no voters. */
export function majorityVote(
  voters: readonly NodeId[],
  voteOf: VoteOf,
): VoteResult {
  if (voters.length === 0) return "won";
  let granted = 0;
  let missing = 0;
  for (const id of voters) {
    const vote = voteOf(id);
    if (vote === undefined) missing++;
    else if (vote) granted++;
  }
  const needed = majority(voters.length);
  if (granted >= needed) return "won";
  return granted + missing >= needed ? "pending" : "lost";
}

/** What both majorities together say. */
export function jointVote(
  voters: readonly NodeId[],
  votersOutgoing: readonly NodeId[],
  voteOf: VoteOf,
): VoteResult {
  const incoming = majorityVote(voters, voteOf);
  const outgoing = majorityVote(votersOutgoing, voteOf);
  if (incoming === outgoing) return incoming;
  return incoming === "lost" || outgoing === "lost" ? "lost" : "pending";
}

/** Adds a value to the first `count`, which ascend; quorums are small. */
function insertSorted(
  values: LogIndex[],
  count: number,
  value: LogIndex,
): void {
  let i = count;
  for (; i > 0 && at(values, i - 1) > value; i--) values[i] = at(values, i - 1);
  values[i] = value;
}

function at(values: readonly number[], i: number): number {
  const value = values[i];
  if (value === undefined) throw new RangeError(`Cannot read element ${i}`);
  return value;
}
