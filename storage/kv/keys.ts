/**
 * The keys of format version 1. Integers in keys are unsigned, most
 * significant byte first, so that rows lie in the order of what they are
 * about.
 *
 * ```text
 * 00 49                             identity ("I")
 * 00 45                             epoch of the opening ("E")
 * 00 4a                             marker of a journal ("J")
 * 01 u64 group                      state of a group, the root of the rest
 * 02 u64 group 01 u32 piece         runs of terms
 * 02 u64 group 02 u32 piece         meta of the snapshot
 * 02 u64 group 03 u32 piece         configuration
 * 02 u64 group 04                   a snapshot that is being received
 * 02 u64 group 05 u64 id u32 piece  data of snapshot `id`
 * 02 u64 group 06 u64 index u32 piece  entry
 * 03 u32 piece                      journal
 * ```
 *
 * @module
 */
import type { GroupId } from "../../src/core/types.ts";
import { getU64Be, setU64Be, viewOf } from "./bytes.ts";

const STATES = 1;
const PARTS = 2;
const JOURNAL = 3;
const GROUP_BYTES = 9;

/** Bytes of the longest key. */
export const MAX_KEY_BYTES = 22;

/** Parts of a group, as they stand in keys; never renumbered. */
export const PART = {
  runs: 1,
  snapshotMeta: 2,
  conf: 3,
  draft: 4,
  snapshots: 5,
  entries: 6,
} as const;

/** A part whose rows are numbered twice, by id or index and by piece. */
export type NumberedPart = typeof PART.snapshots | typeof PART.entries;

/** Before every key. */
export const FIRST_KEY: Uint8Array = new Uint8Array([0]);
/** Behind every key. */
export const LAST_KEY: Uint8Array = new Uint8Array([JOURNAL + 1]);
/** Row of the identity. */
export const IDENTITY_KEY: Uint8Array = new Uint8Array([0, 0x49]);
/** Row that says who opened the data last. */
export const EPOCH_KEY: Uint8Array = new Uint8Array([0, 0x45]);
/** Row that says that the journal is whole and has to be carried out. */
export const MARKER_KEY: Uint8Array = new Uint8Array([0, 0x4a]);

/** Where the rows of a kind lie. */
export interface KeyRange {
  /** Inclusive. */
  readonly start: Uint8Array;
  /** Exclusive. */
  readonly end: Uint8Array;
}

/** The states of all groups. */
export const STATE_RANGE: KeyRange = {
  start: new Uint8Array([STATES]),
  end: new Uint8Array([PARTS]),
};

/** The pieces of the journal. */
export const JOURNAL_RANGE: KeyRange = {
  start: new Uint8Array([JOURNAL]),
  end: LAST_KEY,
};

/** Row of the state of a group. */
export function stateKey(group: GroupId): Uint8Array {
  const key = new Uint8Array(GROUP_BYTES);
  key[0] = STATES;
  setU64Be(viewOf(key), 1, group);
  return key;
}

/** Row of a piece of the journal. */
export function journalKey(piece: number): Uint8Array {
  const key = new Uint8Array(5);
  key[0] = JOURNAL;
  viewOf(key).setUint32(1, piece);
  return key;
}

/** Row of the draft of a group. */
export function draftKey(group: GroupId): Uint8Array {
  return partKey(group, PART.draft, 0);
}

/** Row of a piece of a part that is not numbered. */
export function pieceKey(
  group: GroupId,
  part: number,
  piece: number,
): Uint8Array {
  const key = partKey(group, part, 4);
  viewOf(key).setUint32(GROUP_BYTES + 1, piece);
  return key;
}

/** Row of a piece of an entry or a snapshot. */
export function numberedKey(
  group: GroupId,
  part: NumberedPart,
  number: number,
  piece: number,
): Uint8Array {
  const key = partKey(group, part, 12);
  const view = viewOf(key);
  setU64Be(view, GROUP_BYTES + 1, number);
  view.setUint32(GROUP_BYTES + 9, piece);
  return key;
}

/** The rows of entries or snapshots numbered from `from` to before `to`. */
export function numberedRange(
  group: GroupId,
  part: NumberedPart,
  from: number,
  to?: number,
): KeyRange {
  return {
    start: numberedKey(group, part, from, 0),
    end: to === undefined
      ? partKey(group, part + 1, 0)
      : numberedKey(group, part, to, 0),
  };
}

/** The rows of a part that is not numbered, from a piece on. */
export function pieceRange(
  group: GroupId,
  part: number,
  from: number,
): KeyRange {
  return {
    start: pieceKey(group, part, from),
    end: partKey(group, part + 1, 0),
  };
}

/** All rows of the groups from one to before another, but for their states. */
export function partsRange(from: GroupId, to?: GroupId): KeyRange {
  return {
    start: groupKey(from),
    end: to === undefined ? new Uint8Array([JOURNAL]) : groupKey(to),
  };
}

/** What the key of an entry or a snapshot says. */
export function parseNumberedKey(
  key: Uint8Array,
): { readonly number: number; readonly piece: number } {
  const view = viewOf(key);
  if (key.length !== GROUP_BYTES + 13) {
    throw new Error(`Cannot read a key: it has ${key.length} bytes`);
  }
  return {
    number: getU64Be(view, GROUP_BYTES + 1),
    piece: view.getUint32(GROUP_BYTES + 9),
  };
}

/** The group that a key of a state or a part is about. */
export function groupOf(key: Uint8Array): GroupId {
  if (key.length < GROUP_BYTES) {
    throw new Error(`Cannot read a key: it has ${key.length} bytes`);
  }
  return getU64Be(viewOf(key), 1);
}

function groupKey(group: GroupId): Uint8Array {
  const key = new Uint8Array(GROUP_BYTES);
  key[0] = PARTS;
  setU64Be(viewOf(key), 1, group);
  return key;
}

function partKey(group: GroupId, part: number, extra: number): Uint8Array {
  const key = new Uint8Array(GROUP_BYTES + 1 + extra);
  key[0] = PARTS;
  setU64Be(viewOf(key), 1, group);
  key[GROUP_BYTES] = part;
  return key;
}
