/**
 * Opens what a storage left: finishes what was decided, removes what was not,
 * and reads the roots of all groups.
 *
 * @module
 */
import type { GroupId } from "../../src/core/types.ts";
import { decodeDraft, type Draft } from "./draft.ts";
import { Group, type GroupContents, type StoredRoot } from "./group.ts";
import {
  commitInPieces,
  type JournalTarget,
  recoverJournal,
} from "./journal.ts";
import {
  draftKey,
  groupOf,
  partsRange,
  STATE_RANGE,
  stateKey,
} from "./keys.ts";
import { readPart, type ReadSource } from "./reader.ts";
import { findGarbage } from "./sweep.ts";
import {
  decodeConf,
  decodeMeta,
  decodeRuns,
  decodeState,
  type StateRow,
} from "./state_row.ts";

/** A group that was found. */
export interface RecoveredGroup {
  readonly group: Group;
  readonly root: StoredRoot;
  /** A snapshot that came half-way. */
  readonly draft: Draft | undefined;
}

/**
 * Reads all groups.
 *
 * @throws {RaftError} `corrupt` if a row is damaged or missing.
 */
export async function recoverGroups(
  target: JournalTarget,
  source: ReadSource,
): Promise<RecoveredGroup[]> {
  await recoverJournal(target);
  const states = await readStates(source);
  await requireOwners(source, [...states.keys()]);
  const found: RecoveredGroup[] = [];
  for (const [id, state] of states) {
    const recovered = state && await recoverGroup(source, id, state);
    if (recovered !== undefined) found.push(recovered);
    await clear(target, id, recovered);
  }
  return found;
}

/** The states of all groups, in order; `undefined` for a destroyed one. */
async function readStates(
  { kv, codec }: ReadSource,
): Promise<Map<GroupId, StateRow | undefined>> {
  const states = new Map<GroupId, StateRow | undefined>();
  for await (const [key, value] of kv.list(STATE_RANGE)) {
    const body = codec.body(key, value);
    const group = codec.parse(key, () => groupOf(key));
    states.set(group, codec.parse(key, () => decodeState(body)));
  }
  return states;
}

/** No row may be left of a group that has no state: that would be a loss. */
async function requireOwners(
  { kv, codec }: ReadSource,
  groups: readonly GroupId[],
): Promise<void> {
  let from = 0;
  for (const group of [...groups, undefined]) {
    const range = { ...partsRange(from, group), limit: 1 };
    for await (const [key] of kv.list(range)) {
      const lost = codec.parse(key, () => groupOf(key));
      throw codec.corrupt(
        stateKey(lost),
        `the state of group ${lost} is missing, but other rows of it are there`,
      );
    }
    from = (group ?? 0) + 1;
  }
}

async function recoverGroup(
  source: ReadSource,
  id: GroupId,
  state: StateRow,
): Promise<RecoveredGroup> {
  const { codec } = source;
  const { links, bounds, hardState, data } = state;
  const read = (part: keyof typeof links) =>
    readPart(source, id, { part, link: links[part] });
  const [runs, meta, conf] = [
    await read("runs"),
    await read("snapshotMeta"),
    await read("conf"),
  ];
  const contents = codec.parse(stateKey(id), (): GroupContents => ({
    bounds: { ...bounds, termRuns: decodeRuns(runs) },
    hardState,
    snapshot: decodeMeta(meta),
    data,
    conf: decodeConf(conf),
  }));
  const { firstIndex, lastIndex } = bounds;
  const root = { firstIndex, lastIndex, dataId: data?.id ?? 0, links };
  const group = new Group(id, contents, root);
  return { group, root, draft: await readDraft(source, id) };
}

/** A damaged draft is none: it has to be sent again. */
async function readDraft(
  { kv, codec }: ReadSource,
  group: GroupId,
): Promise<Draft | undefined> {
  const key = draftKey(group);
  const value = await kv.get(key);
  if (value === undefined || !codec.isIntact(key, value)) return undefined;
  return decodeDraft(codec.body(key, value));
}

async function clear(
  target: JournalTarget,
  id: GroupId,
  recovered: RecoveredGroup | undefined,
): Promise<void> {
  const draft = recovered?.draft;
  const kept = {
    root: recovered?.root,
    ids: draft === undefined ? [] : [draft.id],
    hasDraft: draft !== undefined,
  };
  for (;;) {
    const garbage = await findGarbage(target.kv, id, kept);
    if (garbage.length === 0) break;
    await commitInPieces(target, garbage);
  }
  if (recovered !== undefined) return;
  await commitInPieces(target, [{ type: "delete", key: stateKey(id) }]);
}
