/**
 * What the transport cases send: every message, and a snapshot.
 *
 * @module
 */
import type { Message } from "../core/message.ts";
import type { ConfState, Entry } from "../core/types.ts";
import type { Envelope, SnapshotTransfer } from "../transport.ts";

const CONF: ConfState = {
  version: 7,
  voters: [1, 2, 3],
  votersOutgoing: [1, 2],
  learners: [4],
  learnersNext: [2],
  staging: [4],
  witnesses: [3],
  autoLeave: true,
  removed: [5],
  addresses: [{ id: 1, address: "a:1" }],
  incarnations: [{ id: 1, incarnation: "0f" }],
};

const ENTRIES: readonly Entry[] = [
  { type: "noop", term: 2, index: 8 },
  { type: "command", term: 2, index: 9, data: new Uint8Array([1, 2, 3]) },
  { type: "command", term: 2, index: 10, data: new Uint8Array(0) },
  {
    type: "confChange",
    term: 3,
    index: 11,
    change: {
      transition: "auto",
      steps: [{ type: "addVoter", node: 4, address: "d:4" }],
    },
  },
];

const HEAD = { from: 1, to: 2, term: 3 } as const;
const LARGE = 2 ** 53 - 1;

const MESSAGES: readonly Message[] = [
  {
    type: "requestVote",
    ...HEAD,
    lastLogIndex: 1,
    lastLogTerm: 1,
    transfer: true,
  },
  { type: "requestVoteResponse", ...HEAD, reject: false },
  { type: "requestPreVote", ...HEAD, lastLogIndex: LARGE, lastLogTerm: 2 },
  { type: "requestPreVoteResponse", ...HEAD, reject: true },
  {
    type: "appendEntries",
    ...HEAD,
    prevLogIndex: 7,
    prevLogTerm: 1,
    commitIndex: 6,
    entries: ENTRIES,
  },
  {
    type: "appendEntriesResponse",
    ...HEAD,
    reject: true,
    index: 2 ** 32,
    hintIndex: 5,
    hintTerm: 2,
  },
  { type: "heartbeat", ...HEAD, commitIndex: 4, round: 9, sentAt: 70 },
  {
    type: "heartbeatResponse",
    ...HEAD,
    round: 9,
    sentAt: 70,
    leaseMs: 300,
    priority: 2,
  },
  {
    type: "installSnapshot",
    ...HEAD,
    snapshot: { index: 50, term: 2, conf: CONF },
  },
  { type: "transferLeadership", ...HEAD, target: 3 },
  { type: "removed", ...HEAD, term: 0, reason: "replacedDisk", version: 7 },
  { type: "quiesce", ...HEAD, commitIndex: 12 },
  {
    type: "propose",
    ...HEAD,
    term: 0,
    ticket: 12,
    commands: [new Uint8Array([7]), new Uint8Array(0)],
    change: null,
  },
  {
    type: "proposeResponse",
    ...HEAD,
    term: 0,
    ticket: 12,
    dropped: null,
    index: 8,
    entryTerm: 3,
  },
  { type: "readIndex", ...HEAD, term: 0, context: 44 },
  { type: "readIndexResponse", ...HEAD, term: 0, context: 44, index: 99 },
];

/** Each message alone, all in one frame, and a large entry. */
export function sampleFrames(): readonly (readonly Envelope[])[] {
  const alone = MESSAGES.map((message) => [{ group: 1, message }]);
  const together = MESSAGES.map((message, at) => ({ group: at + 1, message }));
  const data = Uint8Array.from({ length: 3_000_000 }, (_, at) => at * 31);
  const entry: Entry = { type: "command", term: 1, index: 8, data };
  const large: Message = {
    type: "appendEntries",
    ...HEAD,
    prevLogIndex: 7,
    prevLogTerm: 1,
    commitIndex: 6,
    entries: [entry],
  };
  return [...alone, together, [{ group: 1, message: large }]];
}

/** A snapshot of a few megabytes in chunks of odd sizes, and its bytes. */
export function sampleSnapshot(): {
  readonly transfer: SnapshotTransfer;
  readonly bytes: Uint8Array;
} {
  const bytes = Uint8Array.from({ length: 2_500_000 }, (_, at) => at * 7);
  const transfer = {
    group: 3,
    from: 4,
    to: 5,
    term: 6,
    meta: { index: 77, term: 5, conf: CONF },
    token: "the bytes of the sample",
    chunks: (fromOffset = 0) => chunksOf(bytes.subarray(fromOffset)),
  };
  return { transfer, bytes };
}

async function* chunksOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  let size = 1;
  for (let at = 0; at < bytes.length; at += size) {
    size = Math.min(3 * size + 1, 700_000);
    yield bytes.slice(at, at + size);
  }
}
