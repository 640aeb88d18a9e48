/**
 * The shapes of everything that comes from outside, as zod schemas. The only
 * import of zod in the library's own code; only `parse…` functions leave.
 *
 * @module
 */
import * as z from "zod";
import type { ConfChange, ConfState } from "./core/types.ts";

const MAX_MEMBERS = 1_000;

const id = z.int().min(1);
const ids = z.array(id).max(MAX_MEMBERS);
const address = z.string().min(1).max(512);

const incarnation = z.string().min(1).max(128);

const stepType = z.enum([
  "addVoter",
  "addLearner",
  "addStaging",
  "addWitness",
  "remove",
  "update",
]);

const confStep = z.union([
  z.tuple([stepType, id]),
  z.tuple([stepType, id, address]),
  z.tuple([z.literal("bind"), id, incarnation]),
]);

const confChange = z.tuple([
  z.enum(["auto", "simple", "implicit", "explicit"]),
  z.array(confStep).max(MAX_MEMBERS),
]);

const confParts = [
  ids,
  ids,
  ids,
  ids,
  ids,
  z.boolean(),
  z.array(id).max(1_000_000),
  z.array(z.tuple([id, address])).max(2 * MAX_MEMBERS),
] as const;

const confState = z.union([
  z.tuple([
    ...confParts,
    z.int().min(0),
    ids,
    z.array(z.tuple([id, incarnation])).max(2 * MAX_MEMBERS),
  ]),
  // As it was written before versions, staging and incarnations existed.
  z.tuple(confParts),
]);

/** Checks a decoded membership change. */
export function parseConfChange(input: unknown): ConfChange {
  const [transition, steps] = confChange.parse(input);
  return {
    transition,
    steps: steps.map(([type, node, text]) => {
      if (text === undefined) return { type, node };
      return type === "bind"
        ? { type, node, incarnation: text }
        : { type, node, address: text };
    }),
  };
}

/** Checks a decoded configuration. */
export function parseConfState(input: unknown): ConfState {
  const [
    voters,
    votersOutgoing,
    learners,
    learnersNext,
    witnesses,
    autoLeave,
    removed,
    addresses,
    version = 0,
    staging = [],
    incarnations = [],
  ] = confState.parse(input);
  return {
    version,
    voters,
    votersOutgoing,
    learners,
    learnersNext,
    staging,
    witnesses,
    autoLeave,
    removed,
    addresses: addresses.map(([node, at]) => ({ id: node, address: at })),
    incarnations: incarnations.map(([node, text]) => ({
      id: node,
      incarnation: text,
    })),
  };
}

/** Envelopes in one frame. */
export const MAX_FRAME_ENVELOPES = 16_384;
/** Entries in one `appendEntries`; covers 8 MiB of empty ones. */
export const MAX_MESSAGE_ENTRIES = 262_144;
/** Commands in one `propose`. */
export const MAX_MESSAGE_COMMANDS = 65_536;

/** Tags of the messages on the wire; never renumbered. */
export const MESSAGE_TAG = {
  requestVote: 1,
  requestVoteResponse: 2,
  requestPreVote: 3,
  requestPreVoteResponse: 4,
  appendEntries: 5,
  appendEntriesResponse: 6,
  heartbeat: 7,
  heartbeatResponse: 8,
  installSnapshot: 9,
  timeoutNow: 10,
  transferLeadership: 11,
  propose: 12,
  proposeResponse: 13,
  readIndex: 14,
  readIndexResponse: 15,
  removed: 16,
  quiesce: 17,
} as const;

/** Tag, group, from, to, term: how every message starts. */
type Head<Tag extends number> = readonly [Tag, number, number, number, number];

/** A checked message in its array form; fields as in `core/message.ts`. */
export type WireMessage =
  | readonly [...Head<1>, number, number, boolean]
  | readonly [...Head<2>, boolean, number, number]
  | readonly [...Head<3>, number, number]
  | readonly [...Head<4>, boolean, number, number]
  | readonly [
    ...Head<5>,
    number,
    number,
    number,
    WireEntries,
    unknown,
  ]
  | readonly [...Head<6>, boolean, number, number, number]
  | readonly [...Head<7>, number, number, number, number]
  | readonly [...Head<8>, number, number, number, number]
  | readonly [...Head<9>, number, number, unknown]
  | readonly [...Head<10>]
  | readonly [...Head<11>, number]
  | readonly [...Head<12>, number, readonly Uint8Array[], WireChange | null]
  | readonly [...Head<13>, number, number, number, number]
  | readonly [...Head<14>, number]
  | readonly [...Head<15>, number, number]
  | readonly [...Head<16>, number, number]
  | readonly [...Head<17>, number];

/** A membership change as bytes, the version expected, whether forced. */
export type WireChange = readonly [Uint8Array, number | null, boolean];

/** Type code, term and payload of each entry, one after the other. */
export type WireEntries = readonly (number | Uint8Array)[];

const natural = z.int().min(0);

/**
 * One check for the whole list: a schema per entry would cost more than
 * everything else that is done to it (0.3 us against 0.03).
 */
const entries = z.custom<WireEntries>(isEntryList, "not a list of entries");

/** Group, from, to, term. */
const route = [id, id, id, natural] as const;

const messageSchemas: readonly (z.ZodType<WireMessage> | undefined)[] = [
  undefined,
  z.tuple([z.literal(1), ...route, natural, natural, z.boolean()]),
  z.tuple([z.literal(2), ...route, z.boolean(), natural, natural]),
  z.tuple([z.literal(3), ...route, natural, natural]),
  z.tuple([z.literal(4), ...route, z.boolean(), natural, natural]),
  z.tuple([
    z.literal(5),
    ...route,
    natural,
    natural,
    natural,
    entries,
    z.unknown(),
  ]),
  z.tuple([
    z.literal(6),
    ...route,
    z.boolean(),
    natural,
    natural,
    natural,
  ]),
  z.tuple([
    z.literal(7),
    ...route,
    natural,
    natural,
    natural,
    natural,
  ]),
  z.tuple([
    z.literal(8),
    ...route,
    natural,
    natural,
    natural,
    natural,
  ]),
  z.tuple([z.literal(9), ...route, natural, natural, z.unknown()]),
  z.tuple([z.literal(10), ...route]),
  z.tuple([z.literal(11), ...route, id]),
  z.tuple([
    z.literal(12),
    ...route,
    natural,
    z.array(z.instanceof(Uint8Array)).max(MAX_MESSAGE_COMMANDS),
    z.tuple([z.instanceof(Uint8Array), natural.nullable(), z.boolean()])
      .nullable(),
  ]),
  z.tuple([
    z.literal(13),
    ...route,
    natural,
    natural,
    natural,
    natural,
  ]),
  z.tuple([z.literal(14), ...route, natural]),
  z.tuple([z.literal(15), ...route, natural, natural]),
  z.tuple([z.literal(16), ...route, z.int().min(1).max(2), natural]),
  z.tuple([z.literal(17), ...route, natural]),
];

/** One check for the outermost array; each of its items gets its own. */
const frameItems = z.custom<readonly (readonly unknown[])[]>(
  (value) =>
    Array.isArray(value) && value.length <= MAX_FRAME_ENVELOPES &&
    value.every(Array.isArray),
  "not a list of messages",
);

/** Checks the outermost array of a frame of messages. */
export function parseFrameItems(
  input: unknown,
): readonly (readonly unknown[])[] {
  return frameItems.parse(input);
}

/** Checks one message in its array form. */
export function parseWireMessage(input: readonly unknown[]): WireMessage {
  const tag = input[0];
  const schema = typeof tag === "number" ? messageSchemas[tag] : undefined;
  if (schema === undefined) {
    throw new Error("Cannot decode a message: its tag is unknown");
  }
  return schema.parse(input);
}

function isEntryList(value: unknown): value is WireEntries {
  if (!Array.isArray(value) || value.length % 3 !== 0) return false;
  if (value.length > 3 * MAX_MESSAGE_ENTRIES) return false;
  let previousTerm = 1;
  for (let i = 0; i < value.length; i += 3) {
    const term: unknown = value[i + 1];
    if (typeof value[i] !== "number") return false;
    // Terms never decrease along a log (thesis §3.5).
    if (!Number.isSafeInteger(term) || Number(term) < previousTerm) {
      return false;
    }
    previousTerm = Number(term);
    if (!(value[i + 2] instanceof Uint8Array)) return false;
  }
  return true;
}

/** What the dialler says first. Its form is the same in all versions. */
export interface Hello {
  /** Protocol versions the dialler speaks, both ends inclusive. */
  readonly versions: ProtocolRange;
  readonly deployment: string;
  /** The address under which the dialler is reached. */
  readonly address: string;
  /** Where the dialler's clients reach it, if it says so. */
  readonly clientAddress: string | null;
  /** Whom the dialler means to reach. */
  readonly target: string;
  /** What the connection is for. */
  readonly purpose: "messages" | "snapshot";
  /** The data directory the dialler works on, if it says so. */
  readonly incarnation: string | null;
}

/** A range of protocol versions, both ends inclusive. */
export interface ProtocolRange {
  readonly min: number;
  readonly max: number;
}

/** The acceptor's consent. */
export interface Accept {
  /** The version both will speak. */
  readonly version: number;
  readonly clientAddress: string | null;
  /** The data directory the acceptor works on, if it says so. */
  readonly incarnation: string | null;
}

/** The acceptor's refusal. */
export interface Refusal {
  readonly code: string;
  readonly message: string;
}

/** How a snapshot's transfer starts. */
export interface SnapshotStart {
  readonly group: number;
  /** The leader that sends it. */
  readonly from: number;
  readonly to: number;
  /** The leader's. */
  readonly term: number;
  readonly meta: {
    readonly index: number;
    readonly term: number;
    readonly conf: ConfState;
  };
  /** Names the very bytes, if the sender can tell them from others. */
  readonly token: string | undefined;
}

/** First item of a hello: tells our port from any other. */
export const HELLO_MAGIC = "balsa";

const PURPOSES = ["messages", "snapshot"] as const;
const shortText = z.string().max(512);
const version = z.int().min(1).max(0xffff);

// Later versions may append items to these; they are let pass (H136).
const hello = z.tuple([
  z.literal(HELLO_MAGIC),
  version,
  version,
  z.string().min(1).max(512),
  address,
  address.nullable(),
  address,
  z.int().min(0).max(PURPOSES.length - 1),
  incarnation.nullish(),
], z.unknown());
const accept = z.tuple([
  version,
  address.nullable(),
  incarnation.nullish(),
], z.unknown());
const refusal = z.tuple([shortText, shortText], z.unknown());
const crc = z.int().min(0).max(0xffff_ffff);
const snapshotHead = [id, id, id, id, id, id, z.unknown()] as const;
// Version 2 knows neither names nor checksums of parts.
const snapshotStart = z.union([
  z.tuple([...snapshotHead, z.string().min(1).max(512).nullable()]),
  z.tuple(snapshotHead),
]);
const snapshotChunk = z.union([
  z.tuple([natural, z.instanceof(Uint8Array), crc]),
  z.tuple([natural, z.instanceof(Uint8Array)]),
]);
const snapshotEnd = z.tuple([natural, crc]);
const snapshotAck = z.tuple([z.boolean(), shortText]);

/** A hello as an array; the inverse of {@linkcode parseHello}. */
export function helloToArray(value: Hello): unknown[] {
  return [
    HELLO_MAGIC,
    value.versions.min,
    value.versions.max,
    value.deployment,
    value.address,
    value.clientAddress,
    value.target,
    PURPOSES.indexOf(value.purpose),
    value.incarnation,
  ];
}

/** Checks a decoded hello. */
export function parseHello(input: unknown): Hello {
  const [
    ,
    min,
    max,
    deployment,
    from,
    clientAddress,
    target,
    purpose,
    disk,
  ] = hello.parse(input);
  if (min > max) throw new Error("Cannot decode a hello: its range is empty");
  return {
    versions: { min, max },
    deployment,
    address: from,
    clientAddress,
    target,
    purpose: PURPOSES[purpose] ?? "messages",
    incarnation: disk ?? null,
  };
}

/** Checks a decoded consent. */
export function parseAccept(input: unknown): Accept {
  const [chosen, clientAddress, disk] = accept.parse(input);
  return { version: chosen, clientAddress, incarnation: disk ?? null };
}

/** Checks a decoded refusal. */
export function parseRefusal(input: unknown): Refusal {
  const [code, message] = refusal.parse(input);
  return { code, message };
}

/** Checks the start of a snapshot's transfer. */
export function parseSnapshotStart(input: unknown): SnapshotStart {
  const [group, from, to, term, index, snapshotTerm, conf, token = null] =
    snapshotStart.parse(input);
  const meta = { index, term: snapshotTerm, conf: parseConfState(conf) };
  return { group, from, to, term, meta, token: token ?? undefined };
}

/** Checks the offset from which a receiver wants a snapshot. */
export function parseSnapshotWanted(input: unknown): number {
  return natural.parse(input);
}

/**
 * Checks a piece of a snapshot: offset, bytes, and since version 3 the CRC-32
 * of all that was sent in this transfer, this piece included.
 */
export function parseSnapshotChunk(
  input: unknown,
): readonly [number, Uint8Array, number?] {
  return snapshotChunk.parse(input);
}

/** Checks the end of a snapshot: where it is, and CRC-32 of what was sent. */
export function parseSnapshotEnd(input: unknown): readonly [number, number] {
  return snapshotEnd.parse(input);
}

/** Checks the answer to a snapshot: taken or not, and why not. */
export function parseSnapshotAck(input: unknown): readonly [boolean, string] {
  return snapshotAck.parse(input);
}

/** What a failed check says, in one short line. */
export function describeSchemaError(error: unknown): string {
  if (error instanceof z.ZodError) {
    const issue = error.issues[0];
    if (issue !== undefined) {
      return `${issue.message} at [${issue.path.join(".")}]`;
    }
  }
  return error instanceof Error ? error.message : String(error);
}
