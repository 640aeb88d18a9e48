/**
 * What must hold in every state. Nothing here asks the core: majorities and
 * comparisons are made anew, in the plainest way.
 *
 * @module
 */
import type { ConfState, NodeId, Term } from "../../src/core/mod.ts";
import { describeEntry } from "./actions.ts";
import { entriesOf } from "./canonical.ts";
import type { Decision, Member } from "./member.ts";
import { Violation } from "./violation.ts";

/** What the checks look at; logs are lists of described entries. */
export interface Facts {
  /** Names equal facts. */
  readonly id: number;
  readonly node: NodeId;
  /** The log in memory. */
  readonly log: readonly string[];
  /** The log on the disk. */
  readonly durable: readonly string[];
  /** Highest index known to be committed, in this life. */
  readonly commit: number;
  /** Entries ever seen committed, from index 1 on. */
  readonly decided: readonly string[];
  readonly term: Term;
  readonly leads: boolean;
  /** The terms led so far. */
  readonly led: readonly Term[];
  readonly decision: Decision | undefined;
}

/** What the checks need to know of a member. */
export function factsOf(member: Member): Omit<Facts, "id"> {
  const { id, node, raft, entries, decided, led, decision } = member;
  return {
    node: id,
    log: entriesOf(raft).map(describeEntry),
    durable: entries.map(describeEntry),
    commit: node.commitIndex,
    decided: [...decided],
    term: node.term,
    leads: node.role === "leader",
    led: [...led],
    decision,
  };
}

/** Checks what one member shows by itself. */
export function checkMember(facts: Omit<Facts, "id">): void {
  const { node, decided, log, commit } = facts;
  for (let i = 0; i < commit; i++) {
    if (log[i] === decided[i]) continue;
    throw new Violation(
      `Committed entries changed: member ${node} holds ${log[i]} at ${
        i + 1
      }, committed was ${decided[i]}`,
    );
  }
}

/** Checks all members together. */
export function checkAll(members: readonly Facts[]): void {
  for (const [i, a] of members.entries()) {
    for (const b of members.slice(i + 1)) {
      checkElections(a, b);
      checkMatching(a, b);
      checkDecided(a, b);
    }
    for (const b of members) checkCompleteness(a, b);
    checkDecision(a, members);
  }
}

/** At most one leader per term (thesis §3.4). */
function checkElections(a: Facts, b: Facts): void {
  for (const term of a.led) {
    if (!b.led.includes(term)) continue;
    throw new Violation(
      `Election safety: members ${a.node} and ${b.node} both led term ${term}`,
    );
  }
}

/** Logs that agree in an entry agree in all before it (thesis §3.5). */
function checkMatching(a: Facts, b: Facts): void {
  const shorter = Math.min(a.log.length, b.log.length);
  let differs = 0;
  for (let i = 0; i < shorter; i++) {
    if (a.log[i] !== b.log[i]) {
      differs ||= i + 1;
      if (termOf(a.log[i]) !== termOf(b.log[i])) continue;
    } else if (differs === 0) continue;
    throw new Violation(
      `Log matching: members ${a.node} and ${b.node} hold [${a.log.join()}] and [${b.log.join()}]`,
    );
  }
}

/** No two members see different entries committed (thesis §3.6.3). */
function checkDecided(a: Facts, b: Facts): void {
  const shorter = Math.min(a.decided.length, b.decided.length);
  for (let i = 0; i < shorter; i++) {
    const [left, right] = [a.decided[i], b.decided[i]];
    if (left === right) continue;
    throw new Violation(
      `State machine safety: at index ${
        i + 1
      } member ${a.node} committed ${left}, member ${b.node} ${right}`,
    );
  }
}

/**
 * A leader holds whatever was committed in terms up to its own: what it did
 * not commit itself, it held when it was elected (thesis §3.6.3).
 */
function checkCompleteness(leader: Facts, other: Facts): void {
  if (!leader.leads || other.term > leader.term) return;
  for (const [i, entry] of other.decided.entries()) {
    if (leader.log[i] === entry) continue;
    throw new Violation(
      `Leader completeness: member ${leader.node} leads term ${leader.term} without entry ${
        i + 1
      } ${entry}, which member ${other.node} saw committed`,
    );
  }
}

/**
 * What a leader committed is on the disks of a majority of the configuration
 * it was committed in; of both halves of a joint one (thesis §3.8, §4.3).
 */
function checkDecision(leader: Facts, members: readonly Facts[]): void {
  const { decision } = leader;
  if (decision === undefined) return;
  const { index, entry, conf } = decision;
  const holders = members
    .filter(({ durable }) => durable[index - 1] === entry)
    .map(({ node }) => node);
  if (hasMajorities(conf, holders)) return;
  throw new Violation(
    `Durability: member ${leader.node} committed ${entry} at ${index}, but of ${
      JSON.stringify([conf.voters, conf.votersOutgoing])
    } only [${holders.join()}] hold it on disk`,
  );
}

function hasMajorities(conf: ConfState, holders: readonly NodeId[]): boolean {
  return [conf.voters, conf.votersOutgoing].every((voters) =>
    voters.length === 0 ||
    2 * voters.filter((id) => holders.includes(id)).length > voters.length
  );
}

function termOf(entry: string | undefined): string | undefined {
  return entry?.split(":")[0];
}
