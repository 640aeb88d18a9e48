/**
 * The bytes of a command entry: a CBOR array whose length tells its form.
 *
 * - `[command]`: applied whenever it is committed;
 * - `[client, sequence, command]`: applied once per client and sequence.
 *
 * Every other length is refused, which leaves room: a later form takes a
 * length of its own, and a member that does not know it stops instead of
 * guessing. The bytes are golden in `tests/rsm/command_codec_test.ts`.
 *
 * @module
 */
import { decodeCbor, encodeCborBriefly } from "../codec.ts";
import { RaftError } from "../errors.ts";
import { LOG_SLABS, MACHINE_SLABS, Slab } from "./slab.ts";
import type { Schema } from "../state_machine.ts";

/** Names one command of one client; two commands never share one. */
export interface SessionRef {
  /** 1 to 128 printable ASCII characters. */
  readonly client: string;
  /** A safe integer ≥ 0, new for every new command of the client. */
  readonly sequence: number;
}

/** What an entry holds. */
export interface Envelope {
  readonly session: SessionRef | undefined;
  readonly command: unknown;
}

/** Longest client id. */
export const MAX_CLIENT_LENGTH: number = 128;

const CLIENT_ID = /^[\x20-\x7e]{1,128}$/;

/** Whether `client` can name a client: 1 to 128 printable ASCII characters. */
export function isClientId(client: unknown): client is string {
  return typeof client === "string" && CLIENT_ID.test(client);
}

/** Whether `sequence` can number a command: a safe integer ≥ 0. */
export function isSequence(sequence: unknown): sequence is number {
  return typeof sequence === "number" && Number.isSafeInteger(sequence) &&
    sequence >= 0;
}

/** Puts commands into entries and takes them out again. */
export class CommandCodec<C> {
  readonly #schema: Schema<C>;
  /** Of entries, which live as long as the log keeps them. */
  readonly #encoded = new Slab(LOG_SLABS);
  /** Of commands, which live as long as the machine keeps them. */
  readonly #decoded = new Slab(MACHINE_SLABS);

  /** A codec for the commands that `schema` accepts. */
  constructor(schema: Schema<C>) {
    this.#schema = schema;
  }

  /**
   * Checks a command and encodes it, of a session if given. The result is
   * never written to again.
   *
   * @throws {RaftError} `invalidCommand`, outcome `notAppended`, if the schema
   * refuses the command, it does not fit CBOR, or the session is malformed.
   */
  encode(command: C, session?: SessionRef): Uint8Array {
    let checked: C;
    try {
      checked = this.#schema.parse(command);
    } catch (cause) {
      throw invalidCommand(describeRefusal(cause), cause);
    }
    if (session !== undefined) {
      assertSession(session);
    }
    try {
      return this.#encoded.copy(encodeCborBriefly(
        session === undefined
          ? [checked]
          : [session.client, session.sequence, checked],
      ));
    } catch (cause) {
      throw invalidCommand(describeRefusal(cause), cause);
    }
  }

  /**
   * Takes a command out of an entry. It owns its bytes: it shares no memory
   * with `data`, which the log, other members and the disk still read (H121),
   * and its byte fields are plain `Uint8Array`s on leader and followers alike
   * (H127). One copy of the entry pays for both; neighbours share its memory.
   * The schema is not asked again: what is committed is applied by every
   * member or by none.
   *
   * @throws {Error} If `data` is no envelope of a known form.
   */
  decode(data: Uint8Array): Envelope {
    const envelope = decodeCbor(this.#decoded.copy(data));
    if (!Array.isArray(envelope)) {
      throw new Error("Cannot decode a command: it is no CBOR array");
    }
    if (envelope.length === 1) {
      return { session: undefined, command: envelope[0] };
    }
    if (envelope.length !== 3) {
      throw new Error(
        `Cannot decode a command: its form has ${envelope.length} fields, ` +
          `known are 1 and 3`,
      );
    }
    const [client, sequence, command] = envelope;
    if (!isClientId(client) || !isSequence(sequence)) {
      throw new Error("Cannot decode a command: its session is malformed");
    }
    return { session: { client, sequence }, command };
  }
}

function assertSession({ client, sequence }: SessionRef): void {
  if (!isClientId(client)) {
    throw invalidCommand(
      `the client id must be 1 to ${MAX_CLIENT_LENGTH} printable ASCII ` +
        `characters, not ${JSON.stringify(String(client).slice(0, 200))}`,
    );
  }
  if (!isSequence(sequence)) {
    throw invalidCommand(
      `the sequence must be a safe integer ≥ 0, not ${String(sequence)}`,
    );
  }
}

function invalidCommand(what: string, cause?: unknown): RaftError {
  return new RaftError("invalidCommand", `Cannot propose a command: ${what}`, {
    outcome: "notAppended",
    ...(cause === undefined ? {} : { cause }),
  });
}

/** One line for people; schema libraries put lists of issues into errors. */
function describeRefusal(cause: unknown): string {
  if (!(cause instanceof Error)) {
    return String(cause);
  }
  if ("issues" in cause && Array.isArray(cause.issues)) {
    return cause.issues.slice(0, 3).map(describeIssue).join("; ");
  }
  return cause.message;
}

function describeIssue(
  issue: { path?: unknown; message?: unknown },
): string {
  const path = Array.isArray(issue.path) ? issue.path.map(String) : [];
  return path.length === 0
    ? String(issue.message)
    : `${path.join(".")}: ${String(issue.message)}`;
}
