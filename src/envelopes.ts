/**
 * Sizes and copies of messages, for queues and for transports that do not
 * encode.
 *
 * @module
 */
import type { Message } from "./core/message.ts";
import type { Entry } from "./core/types.ts";
import type { Envelope } from "./transport.ts";

/** What an envelope or an entry counts for besides its payload. */
const OVERHEAD_BYTES = 32;

/** About how many bytes envelopes take, for bounds on queues. */
export function envelopesBytes(envelopes: readonly Envelope[]): number {
  let bytes = 0;
  for (const { message } of envelopes) {
    bytes += OVERHEAD_BYTES;
    if (message.type === "appendEntries") {
      for (const entry of message.entries) {
        bytes += OVERHEAD_BYTES;
        if (entry.type === "command") bytes += entry.data.length;
      }
    } else if (message.type === "propose") {
      for (const command of message.commands) bytes += command.length;
    }
  }
  return bytes;
}

/** A copy that shares no bytes with the sender's (H121). */
export function copyEnvelope({ group, message }: Envelope): Envelope {
  return { group, message: copyMessage(message) };
}

function copyMessage(message: Message): Message {
  switch (message.type) {
    case "appendEntries":
      return { ...message, entries: copyEntries(message.entries) };
    case "propose":
      return {
        ...message,
        commands: message.commands.map((it) => new Uint8Array(it)),
      };
    case "installSnapshot":
      return structuredClone(message);
    default:
      return { ...message };
  }
}

/** One buffer for all commands: one each would cost ten times as much. */
function copyEntries(entries: readonly Entry[]): Entry[] {
  let total = 0;
  for (const entry of entries) {
    if (entry.type === "command") total += entry.data.length;
  }
  const block = new Uint8Array(total);
  let at = 0;
  return entries.map((entry) => {
    if (entry.type !== "command") return structuredClone(entry);
    block.set(entry.data, at);
    const data = block.subarray(at, at += entry.data.length);
    return { ...entry, data };
  });
}
