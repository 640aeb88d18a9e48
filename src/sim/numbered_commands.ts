/**
 * Commands as clients with sessions send them.
 *
 * @module
 */
import { CommandCodec, type SessionRef } from "../rsm/command_codec.ts";
import type { Schema } from "../state_machine.ts";

export type { SessionRef } from "../rsm/command_codec.ts";

/** Any bytes are a command: the subject made them. */
export const BYTES: Schema<Uint8Array> = {
  parse(input) {
    if (input instanceof Uint8Array) return input;
    throw new TypeError("Cannot take a command: it is no bytes");
  },
};

/** Puts a command's bytes into an entry, numbered or not, and back. */
export function newCommandCodec(): CommandCodec<Uint8Array> {
  return new CommandCodec(BYTES);
}

/** One name for one numbered command. */
export function nameOf({ client, sequence }: SessionRef): string {
  return `${client}/${sequence}`;
}
