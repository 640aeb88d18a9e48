/**
 * Messages that no longer matter: whatever else happens, delivering them
 * changes nothing and has nothing sent. States that differ in such messages
 * only are one state. `explore_test.ts` verifies the rules against the core.
 *
 * @module
 */
import type {
  AppendEntries,
  LogIndex,
  Message,
  NodeId,
  Role,
  Term,
} from "../../src/core/mod.ts";
import type { Member } from "./member.ts";

/** What of a member decides which messages it is deaf to. */
export interface Hearing {
  /** Names equal ones. */
  readonly id: number;
  /** Not undone by a crash; nor is the next. */
  readonly durableTerm: Term;
  readonly durableCommit: LogIndex;
  /** The terms of the log on the disk, from index 1 on. */
  readonly durableTerms: readonly Term[];
  readonly role: Role;
  readonly term: Term;
  /** Voters whose answer is counted. */
  readonly counted: readonly NodeId[];
  /** What a leader knows of each member. */
  readonly match: readonly (readonly [NodeId, LogIndex])[];
}

function matchOf({ match }: Hearing, id: NodeId): LogIndex {
  return match.find(([member]) => member === id)?.[1] ?? 0;
}

/** What a member hears. */
export function hearingOf(
  { raft, hardState, entries }: Member,
): Omit<Hearing, "id"> {
  const { tracker, role, term } = raft;
  const isLeader = role === "leader";
  return {
    durableTerm: hardState.term,
    durableCommit: Math.min(hardState.commit, entries.length),
    durableTerms: entries.map((entry) => entry.term),
    role,
    term,
    counted: role === "candidate" ? [...tracker.votes.keys()] : [],
    match: isLeader
      ? [...tracker.progress].map(([id, { matchIndex }]) => [id, matchIndex])
      : [],
  };
}

/** Whether a message has no effect on a member any more, ever. */
export function isDeafTo(hearing: Hearing, message: Message): boolean {
  const { durableTerm, role, term, counted } = hearing;
  // Terms never go back below what is on the disk.
  const isPast = message.term < durableTerm;
  const isPresent = message.term === durableTerm && term === durableTerm;
  // Whoever neither stands nor leads in a term never will; nor will they who
  // have left it, for if they forget that by a crash, they come back to it as
  // followers.
  const isOut = message.term === durableTerm &&
    (term > durableTerm || role === "follower" || role === "preCandidate");
  switch (message.type) {
    case "requestVote":
      return isPast;
    case "requestVoteResponse":
      // It may tell what is committed, in whatever term it comes.
      if ((message.committed?.index ?? 0) > hearing.durableCommit) return false;
      return isPast || isOut || isPresent &&
          (role !== "candidate" || counted.includes(message.from));
    case "appendEntriesResponse":
      return isPast || isOut || isPresent && role === "leader" &&
          message.index < matchOf(hearing, message.from);
    case "heartbeatResponse":
      return isPast || isOut;
    default:
      return false;
  }
}

/**
 * What stands for a message: one that has the same effect, now and whatever
 * else happens.
 */
export function representativeOf(hearing: Hearing, message: Message): Message {
  const { durableTerm, durableCommit, term } = hearing;
  const isPresent = message.term === durableTerm && term === durableTerm;
  const effective = (index: LogIndex) => index <= durableCommit ? 0 : index;
  switch (message.type) {
    case "heartbeat":
      return message.term < durableTerm
        ? emptyAppend(message)
        : { ...message, commitIndex: effective(message.commitIndex) };
    case "appendEntries": {
      const { prevLogIndex } = message;
      // Of a past term: may be answered, with no more than the present term.
      // Committed already: is answered with the commit index.
      const isOld = message.term < durableTerm ||
        isPresent && prevLogIndex < durableCommit;
      if (isOld) return emptyAppend(message);
      const commitIndex = effective(message.commitIndex);
      return { ...message, commitIndex };
    }
    case "appendEntriesResponse": {
      const match = matchOf(hearing, message.from);
      // The leader goes on behind what it knows to match, whatever the hint.
      const isVain = isPresent && hearing.role === "leader" &&
        message.reject && message.hintIndex <= match;
      return isVain ? { ...message, hintIndex: 0, hintTerm: 0 } : message;
    }
    default:
      return message;
  }
}

/** An append that has nothing to tell but that its sender leads. */
function emptyAppend({ from, to, term }: Message): AppendEntries {
  return {
    type: "appendEntries",
    from,
    to,
    term,
    prevLogIndex: 0,
    prevLogTerm: 0,
    commitIndex: 0,
    entries: [],
  };
}

/** Of an append whose entries are there: what it tells of the commit index. */
function commitOnly(
  { durableTerms }: Hearing,
  message: AppendEntries,
): Message {
  const { prevLogIndex, commitIndex, entries } = message;
  if (commitIndex > prevLogIndex) {
    // Tells nothing once its first entry is committed: it keeps that.
    const kept = entries.slice(0, commitIndex - prevLogIndex);
    return { ...message, entries: kept };
  }
  return {
    ...emptyAppend(message),
    prevLogIndex: commitIndex,
    prevLogTerm: durableTerms[commitIndex - 1] ?? 0,
    commitIndex,
  };
}

/**
 * Whether a message may turn out to be settled, once its sender is deaf to
 * what can come of it.
 */
export function maySettle(hearing: Hearing, message: Message): boolean {
  const { durableTerm, durableTerms, term } = hearing;
  const isPresent = message.term === durableTerm && term === durableTerm;
  switch (message.type) {
    case "heartbeat":
      return message.term < durableTerm;
    case "appendEntries": {
      if (message.term < durableTerm) return true;
      const { prevLogIndex, prevLogTerm, entries } = message;
      const isThere = (index: LogIndex, ofTerm: Term) =>
        durableTerms[index - 1] === ofTerm;
      return isPresent && prevLogIndex + entries.length > 0 &&
        (prevLogIndex === 0 || isThere(prevLogIndex, prevLogTerm)) &&
        entries.every((entry) => isThere(entry.index, entry.term));
    }
    default:
      return false;
  }
}

/**
 * What is left of a message of which {@linkcode maySettle} holds, when its
 * sender is in a certain state.
 *
 * @param terms The highest term there will be.
 */
export function settled(
  hearing: Hearing,
  sender: Hearing,
  message: Message,
  terms: Term,
): Message | undefined {
  const header = { from: message.to, to: message.from };
  const hears = (term: Term, index: LogIndex) =>
    !isDeafTo(sender, {
      type: "appendEntriesResponse",
      ...header,
      term,
      reject: false,
      index,
      hintIndex: 0,
      hintTerm: 0,
    });
  if (message.term < hearing.durableTerm) {
    for (let term = hearing.durableTerm; term <= terms; term++) {
      if (hears(term, 0)) return message;
    }
    return undefined;
  }
  if (message.type !== "appendEntries") return message;
  const matched = message.prevLogIndex + message.entries.length;
  // The sender knows already that all of it is there: what the message says
  // besides is what is committed.
  if (hears(message.term, matched - 1)) return message;
  const isNewest = hears(message.term, matched);
  return !isNewest || matchOf(sender, message.to) === matched
    ? commitOnly(hearing, message)
    : message;
}
