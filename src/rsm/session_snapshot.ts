/**
 * Sessions in snapshots (H70): a section of frames in front of the machine's
 * own bytes.
 *
 * ```text
 * ["balsa.sessions", 1, index, [maxClients, maxRetiredClients,
 *                               maxResultsPerClient, maxResults]]
 * [1, [[client, floor, [sequence…], [result | null…]]…]]   active, in order
 * [2, [[client, floor]…]]                                 retired, in order
 * [3, clients, retired, results, checksum]                the end
 * ```
 *
 * Frames 1 and 2 repeat or are missing as needed; a client whose results do
 * not fit one frame goes on in the next. The order is the order of use, so a
 * restored table evicts like the one it was taken from.
 *
 * @module
 */
import * as z from "zod";
import { RaftError } from "../errors.ts";
import {
  FRAME_TARGET_BYTES,
  type FrameParser,
  type FrameReader,
  FrameWriter,
} from "../snapshot_frames.ts";
import { isClientId, MAX_CLIENT_LENGTH } from "./command_codec.ts";
import {
  checksumOf,
  type ClientSession,
  type SessionCapture,
  type SessionLimits,
  Sessions,
} from "./sessions.ts";
import type { LogIndex } from "../core/types.ts";

const NAME = "balsa.sessions";
const VERSION = 1;
const KIND = { clients: 1, retired: 2, end: 3 } as const;

/** Bytes a client or a result counts for besides its own. */
const ITEM_OVERHEAD_BYTES = 16;

const count = z.int().min(0);
const floor = z.int().min(-1);
const client = z.string().refine(isClientId);

const header = z.tuple([
  z.literal(NAME),
  z.literal(VERSION),
  count,
  z.tuple([count, count, count, count]),
]);
const clientsFrame = z.tuple([
  z.literal(KIND.clients),
  z.array(
    z.tuple([
      client,
      floor,
      z.array(count),
      z.array(z.union([z.instanceof(Uint8Array), z.null()])),
    ]),
  ),
]);
const retiredFrame = z.tuple([
  z.literal(KIND.retired),
  z.array(z.tuple([client, floor])),
]);
const endFrame = z.tuple([z.literal(KIND.end), count, count, count, count]);
const bodyFrame = z.union([clientsFrame, retiredFrame, endFrame]);

/** What a session section holds. */
export interface RestoredSessions {
  readonly sessions: Sessions;
  /** The index as of which the snapshot was taken. */
  readonly index: LogIndex;
}

/** The session section of a snapshot taken at `index`, frame by frame. */
export function* sessionFrames(
  capture: SessionCapture,
  index: LogIndex,
): Generator<Uint8Array, void, undefined> {
  const { limits, clients, retired } = capture;
  const writer = new FrameWriter();
  yield writer.frame([NAME, VERSION, index, limitsToArray(limits)]);
  let results = 0;
  for (const part of clientParts(clients)) {
    yield writer.frame([KIND.clients, part]);
  }
  for (const { sequences } of clients) {
    results += sequences.length;
  }
  const perFrame = Math.floor(
    FRAME_TARGET_BYTES / (MAX_CLIENT_LENGTH + ITEM_OVERHEAD_BYTES),
  );
  for (let from = 0; from < retired.length; from += perFrame) {
    yield writer.frame([KIND.retired, retired.slice(from, from + perFrame)]);
  }
  yield writer.frame([
    KIND.end,
    clients.length,
    retired.length,
    results,
    checksumOf(capture),
  ]);
}

type ClientPart = [string, number, number[], (Uint8Array | null)[]];

/** Clients in lists that fill a frame each. */
function* clientParts(
  clients: readonly ClientSession[],
): Generator<ClientPart[], void, undefined> {
  let parts: ClientPart[] = [];
  let bytes = 0;
  for (const { client, floor, sequences, slots } of clients) {
    if (bytes >= FRAME_TARGET_BYTES) {
      yield parts;
      parts = [];
      bytes = 0;
    }
    let part: ClientPart = [client, floor, [], []];
    parts.push(part);
    bytes += client.length + ITEM_OVERHEAD_BYTES;
    for (const [at, sequence] of sequences.entries()) {
      if (bytes >= FRAME_TARGET_BYTES && at > 0) {
        yield parts;
        part = [client, floor, [], []];
        parts = [part];
        bytes = client.length + ITEM_OVERHEAD_BYTES;
      }
      const result = slots[at]?.bytes ?? null;
      part[2].push(sequence);
      part[3].push(result);
      bytes += ITEM_OVERHEAD_BYTES + (result?.length ?? 0);
    }
  }
  if (parts.length > 0) {
    yield parts;
  }
}

/**
 * Reads a session section; the machine's bytes follow in `reader`.
 *
 * @throws {RaftError} `corrupt` if it is damaged, `unsupportedFormat` if it
 * is of another version, `unsupported` if it was kept with other limits.
 */
export async function readSessions(
  reader: FrameReader,
  limits: SessionLimits,
): Promise<RestoredSessions> {
  const index = parseHeader(await reader.next(), limits);
  const sessions = new Sessions(limits);
  while (!restoreFrame(sessions, await reader.next()));
  return { sessions, index };
}

/**
 * {@linkcode readSessions} without waiting, from bytes that are all at hand.
 *
 * @throws {RaftError} Like it.
 */
export function parseSessions(
  parser: FrameParser,
  limits: SessionLimits,
): RestoredSessions {
  const index = parseHeader(parser.next(), limits);
  const sessions = new Sessions(limits);
  while (!restoreFrame(sessions, parser.next()));
  return { sessions, index };
}

/** Adds what a frame holds. Returns whether it is the last one. */
function restoreFrame(
  sessions: Sessions,
  content: readonly unknown[],
): boolean {
  const frame = parse(bodyFrame, content);
  if (frame[0] === KIND.end) {
    const found = [
      KIND.end,
      sessions.clientCount,
      sessions.retiredCount,
      sessions.resultCount,
      sessions.checksum(),
    ];
    if (found.some((value, at) => value !== frame[at])) {
      throw corrupt(`its end says ${frame}, its content ${found}`);
    }
    return true;
  }
  try {
    restoreClients(sessions, frame);
  } catch (cause) {
    throw corrupt(cause instanceof Error ? cause.message : "", cause);
  }
  return false;
}

function restoreClients(
  sessions: Sessions,
  frame: z.infer<typeof clientsFrame> | z.infer<typeof retiredFrame>,
): void {
  if (frame[0] === KIND.retired) {
    for (const [client, floor] of frame[1]) {
      sessions.addRetired(client, floor);
    }
    return;
  }
  for (const [client, floor, sequences, results] of frame[1]) {
    sessions.addClient(
      client,
      floor,
      sequences.map((sequence, at) => [sequence, ownResult(results[at])]),
    );
  }
}

/** A copy, so that a small result does not keep a whole frame alive. */
function ownResult(result: Uint8Array | null | undefined): Uint8Array | null {
  if (result === undefined) {
    throw new Error("Cannot restore a client: a sequence has no result");
  }
  return result === null ? null : new Uint8Array(result);
}

function parseHeader(
  content: readonly unknown[],
  limits: SessionLimits,
): LogIndex {
  if (content[0] !== NAME) {
    throw corrupt("it does not begin with a session section");
  }
  if (content[1] !== VERSION) {
    throw new RaftError(
      "unsupportedFormat",
      `Cannot restore sessions: their format is ${content[1]}, ` +
        `known is ${VERSION}`,
    );
  }
  const [, , index, kept] = parse(header, content);
  const wanted = limitsToArray(limits);
  if (kept.some((limit, at) => limit !== wanted[at])) {
    throw new RaftError(
      "unsupported",
      `Cannot restore sessions: they were kept with the limits ${kept}, this ` +
        `member has ${wanted}; limits are equal on all members for ever`,
    );
  }
  return index;
}

function limitsToArray(limits: SessionLimits): number[] {
  return [
    limits.maxClients,
    limits.maxRetiredClients,
    limits.maxResultsPerClient,
    limits.maxResults,
  ];
}

function parse<T>(schema: z.ZodType<T>, content: readonly unknown[]): T {
  try {
    return schema.parse(content);
  } catch (cause) {
    throw corrupt("a frame of its session section has a wrong shape", cause);
  }
}

function corrupt(what: string, cause?: unknown): RaftError {
  return new RaftError(
    "corrupt",
    `Cannot restore a snapshot: ${what}`,
    cause === undefined ? {} : { cause },
  );
}
