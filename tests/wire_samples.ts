/** One message of every type, with every field at a telling value. */
import type { Message } from "../src/core/message.ts";
import type { ConfState, Entry } from "../src/core/types.ts";

/** A joint configuration with something in every list. */
export const CONF: ConfState = {
  version: 7,
  voters: [1, 2, 3],
  votersOutgoing: [1, 2],
  learners: [4],
  learnersNext: [2],
  staging: [4],
  witnesses: [3],
  autoLeave: true,
  removed: [5],
  addresses: [{ id: 1, address: "a:1" }, { id: 2, address: "b:2" }],
  incarnations: [{ id: 1, incarnation: "0f" }],
};

/** Entries of every type, from index 8 on. */
export const ENTRIES: readonly Entry[] = [
  { type: "noop", term: 2, index: 8 },
  { type: "command", term: 2, index: 9, data: new Uint8Array([1, 2, 3]) },
  { type: "omitted", term: 2, index: 10 },
  {
    type: "confChange",
    term: 3,
    index: 11,
    change: {
      transition: "auto",
      steps: [
        { type: "addVoter", node: 4, address: "d:4" },
        { type: "remove", node: 1 },
        { type: "bind", node: 2, incarnation: "0f" },
      ],
    },
  },
];

const HEAD = { from: 1, to: 2, term: 3 };
const CLIENT = { from: 1, to: 2, term: 0 };

/** A message of each type; the record's type keeps it complete. */
export const SAMPLES: {
  readonly [T in Message["type"]]: Extract<Message, { type: T }>;
} = {
  requestVote: {
    type: "requestVote",
    ...HEAD,
    lastLogIndex: 100,
    lastLogTerm: 2,
    transfer: true,
  },
  requestVoteResponse: { type: "requestVoteResponse", ...HEAD, reject: false },
  requestPreVote: {
    type: "requestPreVote",
    ...HEAD,
    lastLogIndex: 300,
    lastLogTerm: 2,
  },
  requestPreVoteResponse: {
    type: "requestPreVoteResponse",
    ...HEAD,
    reject: true,
    committed: { term: 2, index: 298 },
  },
  appendEntries: {
    type: "appendEntries",
    ...HEAD,
    prevLogIndex: 7,
    prevLogTerm: 1,
    commitIndex: 6,
    entries: ENTRIES,
  },
  appendEntriesResponse: {
    type: "appendEntriesResponse",
    ...HEAD,
    reject: true,
    index: 70_000,
    hintIndex: 69_999,
    hintTerm: 2,
  },
  heartbeat: {
    type: "heartbeat",
    ...HEAD,
    commitIndex: 2 ** 32,
    round: 9,
    sentAt: 1_000,
    leaderCommit: 2 ** 32 + 1,
  },
  heartbeatResponse: {
    type: "heartbeatResponse",
    ...HEAD,
    round: 2 ** 53 - 1,
    sentAt: 1_000,
    leaseMs: 360,
    priority: 3,
  },
  installSnapshot: {
    type: "installSnapshot",
    ...HEAD,
    snapshot: { index: 50, term: 2, conf: CONF },
  },
  timeoutNow: { type: "timeoutNow", ...HEAD },
  transferLeadership: { type: "transferLeadership", ...HEAD, target: 3 },
  propose: {
    type: "propose",
    ...CLIENT,
    ticket: 12,
    commands: [new Uint8Array([7]), new Uint8Array(0)],
    change: {
      change: { transition: "auto", steps: [{ type: "remove", node: 3 }] },
      expect: 7,
      force: false,
    },
  },
  proposeResponse: {
    type: "proposeResponse",
    ...CLIENT,
    ticket: 12,
    dropped: "transferring",
    index: 0,
    entryTerm: 0,
  },
  readIndex: { type: "readIndex", ...CLIENT, context: 44 },
  readIndexResponse: {
    type: "readIndexResponse",
    ...CLIENT,
    context: 44,
    index: 99,
  },
  removed: { type: "removed", ...CLIENT, reason: "replacedDisk", version: 7 },
  quiesce: { type: "quiesce", ...HEAD, commitIndex: 12 },
};
