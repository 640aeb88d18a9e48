/**
 * Messages and their array form on the wire:
 * `[tag, group, from, to, term, …]`.
 *
 * @module
 */
import {
  confStateFromArray,
  confStateToArray,
  decodeConfChange,
  encodeConfChange,
  ENTRY_CODE,
  entryFromPayload,
  entryPayload,
} from "./codec.ts";
import {
  MAX_MESSAGE_COMMANDS,
  MAX_MESSAGE_ENTRIES,
  MESSAGE_TAG,
  type WireChange,
  type WireEntries,
  type WireMessage,
} from "./schema.ts";
import type { CborWriter } from "./cbor_writer.ts";
import type { AppendEntries, DropReason, Message } from "./core/message.ts";
import type { Entry, ProposedChange } from "./core/types.ts";
import type { Envelope } from "./transport.ts";

/** Codes of the reasons on the wire, 0 for none; never renumbered. */
const DROP_CODE: Readonly<Record<DropReason, number>> = {
  noLeader: 1,
  notMember: 2,
  transferring: 3,
  tooLarge: 4,
  uncommittedLimit: 5,
  changePending: 6,
  forwardingDisabled: 7,
  notLeader: 8,
  conflict: 9,
  invalidChange: 10,
  quorumAtRisk: 11,
  removedMember: 12,
  unknownMember: 13,
};

const DROP_REASONS: ReadonlyMap<number, DropReason> = new Map([
  [1, "noLeader"],
  [2, "notMember"],
  [3, "transferring"],
  [4, "tooLarge"],
  [5, "uncommittedLimit"],
  [6, "changePending"],
  [7, "forwardingDisabled"],
  [8, "notLeader"],
  [9, "conflict"],
  [10, "invalidChange"],
  [11, "quorumAtRisk"],
  [12, "removedMember"],
  [13, "unknownMember"],
]);

/**
 * Appends a message.
 *
 * @returns Whether its lists are short enough to be taken at the other end.
 */
export function writeMessage(
  writer: CborWriter,
  group: number,
  message: Message,
): boolean {
  const fields = FIELD_COUNT[message.type];
  writer.array(5 + fields);
  writer.uint(MESSAGE_TAG[message.type]);
  writer.uint(group);
  writer.uint(message.from);
  writer.uint(message.to);
  writer.uint(message.term);
  writeFields(writer, message);
  if (message.type === "appendEntries") {
    return message.entries.length <= MAX_MESSAGE_ENTRIES;
  }
  return message.type !== "propose" ||
    message.commands.length <= MAX_MESSAGE_COMMANDS;
}

/** Items after tag, group, from, to and term. */
const FIELD_COUNT: Readonly<Record<Message["type"], number>> = {
  requestVote: 3,
  requestVoteResponse: 3,
  requestPreVote: 2,
  requestPreVoteResponse: 3,
  appendEntries: 5,
  appendEntriesResponse: 4,
  heartbeat: 4,
  heartbeatResponse: 4,
  installSnapshot: 3,
  timeoutNow: 0,
  transferLeadership: 1,
  propose: 3,
  proposeResponse: 4,
  readIndex: 1,
  readIndexResponse: 2,
  removed: 2,
  quiesce: 1,
};

function writeFields(writer: CborWriter, message: Message): void {
  switch (message.type) {
    case "requestVote":
      writer.uint(message.lastLogIndex);
      writer.uint(message.lastLogTerm);
      return writer.bool(message.transfer);
    case "requestPreVote":
      writer.uint(message.lastLogIndex);
      return writer.uint(message.lastLogTerm);
    case "requestVoteResponse":
    case "requestPreVoteResponse":
      writer.bool(message.reject);
      writer.uint(message.committed?.index ?? 0);
      return writer.uint(message.committed?.term ?? 0);
    case "appendEntries":
      writer.uint(message.prevLogIndex);
      writer.uint(message.prevLogTerm);
      writer.uint(message.commitIndex);
      writeEntries(writer, message.entries);
      if (message.founding === undefined) return writer.null();
      return writer.value(confStateToArray(message.founding));
    case "appendEntriesResponse":
      writer.bool(message.reject);
      writer.uint(message.index);
      writer.uint(message.hintIndex);
      return writer.uint(message.hintTerm);
    case "heartbeat":
      writer.uint(message.commitIndex);
      writer.uint(message.round);
      writer.uint(message.sentAt);
      return writer.uint(message.leaderCommit ?? 0);
    case "heartbeatResponse":
      writer.uint(message.round);
      writer.uint(message.sentAt);
      writer.uint(message.leaseMs);
      return writer.uint(message.priority);
    case "installSnapshot":
      writer.uint(message.snapshot.index);
      writer.uint(message.snapshot.term);
      return writer.value(confStateToArray(message.snapshot.conf));
    case "timeoutNow":
      return;
    case "transferLeadership":
      return writer.uint(message.target);
    case "propose":
      writer.uint(message.ticket);
      writer.array(message.commands.length);
      for (const command of message.commands) writer.bytes(command);
      return writeChange(writer, message.change);
    case "proposeResponse":
      writer.uint(message.ticket);
      writer.uint(message.dropped === null ? 0 : DROP_CODE[message.dropped]);
      writer.uint(message.index);
      return writer.uint(message.entryTerm);
    case "readIndex":
      return writer.uint(message.context);
    case "readIndexResponse":
      writer.uint(message.context);
      return writer.uint(message.index);
    case "removed":
      writer.uint(message.reason === "removed" ? 1 : 2);
      return writer.uint(message.version);
    case "quiesce":
      return writer.uint(message.commitIndex);
    default: {
      const unreachable: never = message;
      return unreachable;
    }
  }
}

function writeChange(
  writer: CborWriter,
  proposed: ProposedChange | null,
): void {
  if (proposed === null) return writer.null();
  writer.array(3);
  writer.bytes(encodeConfChange(proposed.change));
  if (proposed.expect === undefined) writer.null();
  else writer.uint(proposed.expect);
  writer.bool(proposed.force ?? false);
}

/** Code, term, payload of each; the index follows from `prevLogIndex`. */
function writeEntries(writer: CborWriter, entries: readonly Entry[]): void {
  writer.array(3 * entries.length);
  for (const entry of entries) {
    writer.uint(ENTRY_CODE[entry.type]);
    writer.uint(entry.term);
    writer.bytes(entryPayload(entry));
  }
}

/**
 * Rebuilds an envelope from its checked array form.
 *
 * @param share Whether its bytes may stay views on the buffer they were
 * decoded from; else they get one of their own.
 * @throws {Error} If entries contradict the rules of a log.
 */
export function toEnvelope(wire: WireMessage, share: boolean): Envelope {
  const [, group, from, to, term] = wire;
  return { group, message: toMessage(wire, { from, to, term }, share) };
}

type Head = Pick<Message, "from" | "to" | "term">;

/** The array forms that {@linkcode toMessage} leaves to `toRareMessage`. */
type RareWireMessage = Extract<
  WireMessage,
  readonly [9 | 10 | 11 | 12 | 13 | 14 | 15 | 16 | 17, ...unknown[]]
>;

function toMessage(
  wire: WireMessage,
  { from, to, term }: Head,
  share: boolean,
): Message {
  switch (wire[0]) {
    case 1: {
      const [, , , , , lastLogIndex, lastLogTerm, transfer] = wire;
      const type = "requestVote";
      return { type, from, to, term, lastLogIndex, lastLogTerm, transfer };
    }
    case 2:
    case 4: {
      const [tag, , , , , reject, index, commitTerm] = wire;
      const type = tag === 2 ? "requestVoteResponse" : "requestPreVoteResponse";
      if (index === 0) return { type, from, to, term, reject };
      const committed = { index, term: commitTerm };
      return { type, from, to, term, reject, committed };
    }
    case 3: {
      const [, , , , , lastLogIndex, lastLogTerm] = wire;
      const type = "requestPreVote";
      return { type, from, to, term, lastLogIndex, lastLogTerm };
    }
    case 5: {
      const [, , , , , prevLogIndex, prevLogTerm, commitIndex, list, conf] =
        wire;
      const type = "appendEntries";
      const position = { prevLogIndex, prevLogTerm, commitIndex };
      const entries = toEntries(list, { ...position, term }, share);
      const message = { type, from, to, term, ...position, entries } as const;
      if (conf === null) return message;
      return { ...message, founding: confStateFromArray(conf) };
    }
    case 6: {
      const [, , , , , reject, index, hintIndex, hintTerm] = wire;
      const type = "appendEntriesResponse";
      return { type, from, to, term, reject, index, hintIndex, hintTerm };
    }
    case 7: {
      const [, , , , , commitIndex, round, sentAt, leaderCommit] = wire;
      const head = { type: "heartbeat", from, to, term } as const;
      const fields = { commitIndex, round, sentAt };
      if (leaderCommit === 0) return { ...head, ...fields };
      return { ...head, ...fields, leaderCommit };
    }
    case 8: {
      const [, , , , , round, sentAt, leaseMs, priority] = wire;
      const type = "heartbeatResponse";
      return { type, from, to, term, round, sentAt, leaseMs, priority };
    }
    default:
      return toRareMessage(wire, { from, to, term }, share);
  }
}

function toRareMessage(
  wire: RareWireMessage,
  { from, to, term }: Head,
  share: boolean,
): Message {
  switch (wire[0]) {
    case 9: {
      const [, , , , , index, snapshotTerm, list] = wire;
      const conf = confStateFromArray(list);
      const snapshot = { index, term: snapshotTerm, conf };
      return { type: "installSnapshot", from, to, term, snapshot };
    }
    case 10:
      return { type: "timeoutNow", from, to, term };
    case 11:
      return { type: "transferLeadership", from, to, term, target: wire[5] };
    case 12: {
      const [, , , , , ticket, list, proposed] = wire;
      const commands = share ? list : repack(list);
      const change = proposed === null ? null : toChange(proposed);
      return { type: "propose", from, to, term, ticket, commands, change };
    }
    case 13: {
      const [, , , , , ticket, code, index, entryTerm] = wire;
      const dropped = code === 0 ? null : DROP_REASONS.get(code);
      if (dropped === undefined) fail(`reason ${code} is unknown`);
      const type = "proposeResponse";
      return { type, from, to, term, ticket, dropped, index, entryTerm };
    }
    case 14:
      return { type: "readIndex", from, to, term, context: wire[5] };
    case 15: {
      const [, , , , , context, index] = wire;
      return { type: "readIndexResponse", from, to, term, context, index };
    }
    case 16: {
      const reason = wire[5] === 1 ? "removed" : "replacedDisk";
      return { type: "removed", from, to, term, reason, version: wire[6] };
    }
    case 17:
      return { type: "quiesce", from, to, term, commitIndex: wire[5] };
    default: {
      const unreachable: never = wire;
      return unreachable;
    }
  }
}

function toChange([bytes, expect, force]: WireChange): ProposedChange {
  const change = decodeConfChange(bytes);
  return expect === null ? { change, force } : { change, expect, force };
}

function toEntries(
  list: WireEntries,
  { prevLogIndex, prevLogTerm, term: messageTerm }: Pick<
    AppendEntries,
    "prevLogIndex" | "prevLogTerm" | "term"
  >,
  share: boolean,
): Entry[] {
  const source = share ? list : repack(list);
  const entries: Entry[] = [];
  const last = prevLogIndex + source.length / 3;
  if (!Number.isSafeInteger(last)) fail("an index is above 2^53-1");
  let index = prevLogIndex + 1;
  for (let i = 0; i < source.length; i += 3) {
    const code = source[i];
    const term = source[i + 1];
    const payload = source[i + 2];
    if (
      typeof code !== "number" || typeof term !== "number" ||
      !(payload instanceof Uint8Array)
    ) fail("it has no list of entries");
    // A leader holds no entry of a term above its own (thesis §3.5).
    if (term > messageTerm) fail("an entry is newer than its term");
    // Nor terms that descend; those within the list were looked at before.
    if (term < prevLogTerm) fail("an entry is older than the one before it");
    entries.push(entryFromPayload(code, term, index++, payload));
  }
  return entries;
}

/** The same list with all its bytes in one new buffer of their own. */
function repack<T>(list: readonly T[]): readonly T[] {
  let total = 0;
  for (const item of list) {
    if (item instanceof Uint8Array) total += item.length;
  }
  if (total === 0) return list;
  const block = new Uint8Array(total);
  let at = 0;
  return list.map((item) => {
    if (!(item instanceof Uint8Array)) return item;
    block.set(item, at);
    const view = block.subarray(at, at += item.length);
    return view as T & Uint8Array;
  });
}

function fail(what: string): never {
  throw new Error(`Cannot decode a message: ${what}`);
}
