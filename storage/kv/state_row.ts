/**
 * The state of a group as bytes: the root that says which other rows of the
 * group count. See `rows.ts` for the format.
 *
 * @module
 */
import { hashBytes } from "../../src/checksum.ts";
import {
  confStateFromArray,
  confStateToArray,
  decodeCbor,
  encodePlainCbor,
} from "../../src/codec.ts";
import type { LogBounds } from "../../src/storage_checks.ts";
import type {
  AppliedConf,
  HardState,
  SnapshotMeta,
  TermRun,
} from "../../src/core/types.ts";
import { getU64, setU64, viewOf } from "./bytes.ts";

/** The parts that the state names by length and hash. */
export const LINKED = ["runs", "snapshotMeta", "conf"] as const;

/** One of the parts that the state names. */
export type LinkedPart = typeof LINKED[number];

/** What a part has to be. */
export interface Link {
  /** 0 if there is none. */
  readonly bytes: number;
  readonly hash: number;
}

/** Where the data of a snapshot is. */
export interface SnapshotData {
  /** Of all snapshots of the group, never used twice; at least 1. */
  readonly id: number;
  /** Length of the data. */
  readonly bytes: number;
  /** Of all pieces but the last. */
  readonly pieceBytes: number;
  /** Over the hashes of all pieces. */
  readonly hash: number;
}

/** The root of a group. */
export interface StateRow {
  /** Its runs are in a row of their own. */
  readonly bounds: Omit<LogBounds, "termRuns">;
  readonly hardState: HardState;
  readonly data: SnapshotData | undefined;
  readonly links: Readonly<Record<LinkedPart, Link>>;
}

/** A part that is not there. */
export const NO_LINK: Link = { bytes: 0, hash: 0 };

/** The root of a group that was destroyed and is being removed. */
export const DESTROYED_STATE: Uint8Array = new Uint8Array([0]);

const NUMBERS = 9;
const NUMBERS_AT = 2;
const PIECES_AT = NUMBERS_AT + 8 * NUMBERS;
const LINKS_AT = PIECES_AT + 8;
const STATE_BYTES = LINKS_AT + 8 * LINKED.length;

/** The body of a state row. */
export function encodeState(state: StateRow): Uint8Array {
  const { bounds, hardState, data, links } = state;
  const body = new Uint8Array(STATE_BYTES);
  const view = viewOf(body);
  body[0] = 1;
  body[1] = hardState.vote === null ? 0 : 1;
  const numbers = [
    bounds.node,
    hardState.term,
    hardState.vote ?? 0,
    hardState.commit,
    bounds.firstIndex,
    bounds.lastIndex,
    bounds.prevTerm,
    data?.id ?? 0,
    data?.bytes ?? 0,
  ];
  numbers.forEach((value, at) => setU64(view, NUMBERS_AT + 8 * at, value));
  view.setUint32(PIECES_AT, data?.pieceBytes ?? 0, true);
  view.setUint32(PIECES_AT + 4, data?.hash ?? 0, true);
  LINKED.forEach((part, at) => {
    view.setUint32(LINKS_AT + 8 * at, links[part].bytes, true);
    view.setUint32(LINKS_AT + 8 * at + 4, links[part].hash, true);
  });
  return body;
}

/**
 * The inverse of {@linkcode encodeState}; `undefined` for a destroyed group.
 *
 * @throws {Error} If it is not a state.
 */
export function decodeState(body: Uint8Array): StateRow | undefined {
  if (body.length === 1 && body[0] === 0) return undefined;
  if (body.length !== STATE_BYTES || body[0] !== 1) {
    throw new Error(`Cannot read a state: it has ${body.length} bytes`);
  }
  const view = viewOf(body);
  const number = (at: number): number => getU64(view, NUMBERS_AT + 8 * at);
  const link = (at: number): Link => ({
    bytes: view.getUint32(LINKS_AT + 8 * at, true),
    hash: view.getUint32(LINKS_AT + 8 * at + 4, true),
  });
  return {
    bounds: {
      node: number(0),
      firstIndex: number(4),
      lastIndex: number(5),
      prevTerm: number(6),
    },
    hardState: {
      term: number(1),
      vote: body[1] === 1 ? number(2) : null,
      commit: number(3),
    },
    data: number(7) === 0 ? undefined : {
      id: number(7),
      bytes: number(8),
      pieceBytes: view.getUint32(PIECES_AT, true),
      hash: view.getUint32(PIECES_AT + 4, true),
    },
    links: { runs: link(0), snapshotMeta: link(1), conf: link(2) },
  };
}

/** What a part of these bytes is named by. */
export function linkTo(bytes: Uint8Array): Link {
  return { bytes: bytes.length, hash: hashBytes(bytes) };
}

/** Runs as bytes; none at all for an empty log. */
export function encodeRuns(runs: readonly TermRun[]): Uint8Array {
  return runs.length === 0 ? new Uint8Array(0) : encodePlainCbor(
    runs.map(({ term, firstIndex }) => [term, firstIndex]),
  );
}

/** The inverse of {@linkcode encodeRuns}. @throws {Error} If it is none. */
export function decodeRuns(bytes: Uint8Array): TermRun[] {
  return bytes.length === 0 ? [] : asArray(decodeCbor(bytes)).map((run) => {
    const [term, firstIndex] = asArray(run);
    return { term: asNumber(term), firstIndex: asNumber(firstIndex) };
  });
}

/** A snapshot's meta as bytes. */
export function encodeMeta({ index, term, conf }: SnapshotMeta): Uint8Array {
  return encodePlainCbor([index, term, confStateToArray(conf)]);
}

/** The inverse of {@linkcode encodeMeta}. @throws {Error} If it is none. */
export function decodeMeta(bytes: Uint8Array): SnapshotMeta {
  const [index, term, conf] = asArray(decodeCbor(bytes));
  return {
    index: asNumber(index),
    term: asNumber(term),
    conf: confStateFromArray(conf),
  };
}

/** A configuration as bytes; none at all without one. */
export function encodeConf(applied: AppliedConf | undefined): Uint8Array {
  return applied === undefined
    ? new Uint8Array(0)
    : encodePlainCbor([applied.index, confStateToArray(applied.conf)]);
}

/** The inverse of {@linkcode encodeConf}. @throws {Error} If it is none. */
export function decodeConf(bytes: Uint8Array): AppliedConf | undefined {
  if (bytes.length === 0) return undefined;
  const [index, conf] = asArray(decodeCbor(bytes));
  return { index: asNumber(index), conf: confStateFromArray(conf) };
}

function asArray(value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw new Error(`Cannot read a row: ${typeof value}, wanted an array`);
}

function asNumber(value: unknown): number {
  if (typeof value === "number" && Number.isSafeInteger(value)) return value;
  throw new Error(`Cannot read a row: ${value}, wanted a safe integer`);
}
