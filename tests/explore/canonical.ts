/**
 * Keys: two members with equal keys behave alike for ever, and the checks see
 * no difference between them. A test holds the core to that.
 *
 * @module
 */
import type { Entry, NodeId } from "../../src/core/mod.ts";
import type { Progress } from "../../src/core/progress.ts";
import type { Raft } from "../../src/core/raft.ts";
import { describeEntry } from "./actions.ts";
import type { Member, Write } from "./member.ts";
import { stable } from "./stable.ts";

/**
 * Fields of the core that do not get into keys as they are: `log` and
 * `tracker` have encodings of their own; counts of ticks lead to nothing here,
 * where an election timeout is longer than any search; and the configuration
 * of a search switches off what the others serve. Any other field does get in.
 */
const LEFT_OUT: ReadonlySet<string> = new Set([
  "id",
  "config",
  "log",
  "tracker",
  "electionElapsed",
  "heartbeatElapsed",
  "electionTimeout",
  // No reads, stalls, sleep, priorities, witnesses.
  "readOnly",
  "disk",
  "rest",
  "preference",
  "omission",
]);

/** The same for what a leader knows of a member. */
const LEFT_OUT_OF_PROGRESS: ReadonlySet<string> = new Set([
  // Only whether the window is full matters: it never is.
  "inflights",
  // No adaptive batches, check of the quorum, or care for silent members.
  "batch",
  "recentActive",
  "pace",
]);

/** Everything of a member but what it has sent. */
export function memberKey(member: Member): string {
  const { hardState, entries, writes, decided, led, decision } = member;
  return JSON.stringify([
    raftKey(member.raft),
    [hardState.term, hardState.vote, hardState.commit, logKey(entries)],
    writes.map(writeKey),
    decided.join(),
    led,
    decision,
  ]);
}

function writeKey({ hardState, entries, messages, own }: Write): unknown {
  return [
    hardState === undefined
      ? 0
      : [hardState.term, hardState.vote, hardState.commit],
    entries[0]?.index ?? 0,
    logKey(entries),
    [...messages.keys()].sort(),
    [...own.keys()].sort(),
  ];
}

function logKey(entries: readonly Entry[]): string {
  return entries.map(describeEntry).join();
}

function raftKey(raft: Raft): unknown {
  const { log, tracker, role } = raft;
  if (raft.readOnly.count > 0) throw new Error("Cannot explore reads");
  // What a leader knew and who voted is reset before it is used again.
  const isCandidate = role === "candidate" || role === "preCandidate";
  return [
    fieldsOf(raft, LEFT_OUT),
    logKey(entriesOf(raft)),
    [log.stableIndex, log.writtenIndex, log.commitIndex],
    [log.applyingIndex, log.appliedIndex],
    stable(tracker.conf),
    isCandidate ? [...tracker.votes].sort(([a], [b]) => a - b) : 0,
    role === "leader"
      ? tracker.members.map((id) => progressKey(id, tracker.progress.get(id)))
      : 0,
  ];
}

/** The log in memory, which in an exploration is all of it. */
export function entriesOf({ log }: Raft): Entry[] {
  const entries: Entry[] = [];
  for (let i = log.firstIndex; i <= log.lastIndex; i++) {
    const entry = log.tail.at(i);
    if (entry === undefined) throw new Error(`Cannot find entry ${i}`);
    entries.push(entry);
  }
  return entries;
}

function progressKey(id: NodeId, progress: Progress | undefined): unknown {
  if (progress === undefined) return [id];
  if (progress.inflights.full) throw new Error("Cannot explore a full window");
  return [id, fieldsOf(progress, LEFT_OUT_OF_PROGRESS)];
}

function fieldsOf(value: object, leftOut: ReadonlySet<string>): string[] {
  return Object.entries(value).filter(([name]) => !leftOut.has(name))
    .map(([name, field]) => `${name}=${stable(field)}`);
}
