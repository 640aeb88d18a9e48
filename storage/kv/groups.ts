/**
 * All groups of an open storage: what is written, what is stored, what may be
 * removed.
 *
 * @module
 */
import { checkGroupWrite, type LogBounds } from "../../src/storage_checks.ts";
import type { GroupWrite } from "../../src/storage.ts";
import type { GroupId } from "../../src/core/types.ts";
import { type Draft, encodeDraft } from "./draft.ts";
import { encodeEntry } from "./entry_rows.ts";
import { type CheckedWrite, Group, NO_ROOT, type StoredRoot } from "./group.ts";
import type { Change } from "./journal.ts";
import { draftKey, groupOf, stateKey } from "./keys.ts";
import type { KvDelete, KvOperation, KvSet } from "./ordered_kv.ts";
import type { ReadSource } from "./reader.ts";
import type { RecoveredGroup } from "./recovery.ts";
import { DESTROYED_STATE, type SnapshotData } from "./state_row.ts";
import { findGarbage } from "./sweep.ts";

/** The groups. */
export class GroupTable {
  readonly #source: ReadSource;
  /** As the writes so far have left them. */
  readonly #groups = new Map<GroupId, Group>();
  /** What the engine has; `undefined` for one that is being removed. */
  readonly #roots = new Map<GroupId, StoredRoot | undefined>();
  /** Snapshots that came half-way or are coming in, by group. */
  readonly #drafts = new Map<GroupId, Draft>();
  /** How many readers hold a snapshot, by id. */
  readonly #pins = new Map<number, number>();
  /** What `take` has to look at. */
  readonly #dirty = new Set<GroupId>();
  /** What has rows that count for nothing once it is stored. */
  readonly #cut = new Set<GroupId>();
  /** What has them now. */
  readonly #littered = new Set<GroupId>();
  /** Rows besides those of the groups, for the next flush. */
  #ahead: KvOperation[] = [];
  #switch: KvOperation[] = [];

  /** The groups that opening found. */
  constructor(source: ReadSource, found: readonly RecoveredGroup[]) {
    this.#source = source;
    for (const { group, root, draft } of found) {
      this.#groups.set(group.group, group);
      this.#roots.set(group.group, root);
      if (draft !== undefined) this.#drafts.set(group.group, draft);
    }
  }

  /** A group, if it exists. */
  get(group: GroupId): Group | undefined {
    return this.#groups.get(group);
  }

  /** A group. @throws {RangeError} If it does not exist. */
  require(group: GroupId): Group {
    const found = this.#groups.get(group);
    if (found !== undefined) return found;
    throw new RangeError(`Cannot find group ${group}: it does not exist`);
  }

  /**
   * Applies a batch.
   *
   * @throws {RangeError} If it does not fit; nothing has changed then.
   */
  write(batch: readonly GroupWrite[]): void {
    for (const checked of this.#check(batch)) {
      const { group } = checked.write;
      const image = this.#groups.get(group) ?? createGroup(checked);
      this.#groups.set(group, image);
      if (image.write(checked)) this.#cut.add(group);
      this.#dirty.add(group);
    }
  }

  /** Drops entries. @throws {RangeError} Beyond the snapshot (H54). */
  compact(group: GroupId, through: number): void {
    const image = this.require(group);
    const { snapshot, bounds } = image.now;
    if (!(through <= snapshot.index)) {
      throw new RangeError(
        `Cannot compact group ${group} through ${through}: its snapshot is at ${snapshot.index}`,
      );
    }
    if (through < bounds.firstIndex) return;
    image.compact(through);
    this.#mark(group);
  }

  /** Forgets a group. Harmless without one. */
  destroy(group: GroupId): void {
    if (!this.#groups.delete(group)) return;
    this.#drafts.delete(group);
    // The engine may not even know the group: nothing of it may be left then.
    this.#ahead = this.#ahead.filter(({ key }) => groupOf(key) !== group);
    this.#switch = this.#switch.filter(({ key }) => groupOf(key) !== group);
    this.#switch.push({ type: "delete", key: draftKey(group) });
    this.#mark(group);
  }

  /** Takes a snapshot whose data is stored. @throws As `addPiece`. */
  addSnapshot(group: GroupId, draft: Draft, data: SnapshotData): void {
    this.#requireDraft(group, draft);
    this.require(group).addSnapshot({ meta: draft.meta, data });
    this.dropDraft(group);
  }

  /** What is known of a snapshot that came half-way. */
  draftOf(group: GroupId): Draft | undefined {
    return this.#drafts.get(group);
  }

  /** Notes a snapshot that comes in; with a row, a restart will know of it. */
  addDraft(group: GroupId, draft: Draft): void {
    this.dropDraft(group);
    this.#drafts.set(group, draft);
    if (draft.token === "") return;
    const { codec, kv } = this.#source;
    const row = codec.set(draftKey(group), encodeDraft(draft));
    if (row.value.length <= kv.limits.valueBytes) this.#switch.push(row);
  }

  /** Forgets what came half-way; its rows may go. */
  dropDraft(group: GroupId): void {
    const draft = this.#drafts.get(group);
    if (draft === undefined) return;
    this.#drafts.delete(group);
    this.#switch.push({ type: "delete", key: draftKey(group) });
    this.#mark(group);
  }

  /**
   * Adds a piece of a snapshot to the next flush.
   *
   * @throws {RangeError} If its group was destroyed meanwhile.
   */
  addPiece(group: GroupId, draft: Draft, piece: KvSet): void {
    this.#requireDraft(group, draft);
    this.#ahead.push(piece);
  }

  /** Keeps a snapshot until {@linkcode GroupTable.unpin}. */
  pin(id: number): void {
    this.#pins.set(id, (this.#pins.get(id) ?? 0) + 1);
  }

  /** The inverse of {@linkcode GroupTable.pin}. */
  unpin(group: GroupId, id: number): void {
    const rest = (this.#pins.get(id) ?? 0) - 1;
    if (rest > 0) this.#pins.set(id, rest);
    else this.#pins.delete(id);
    this.#littered.add(group);
  }

  /**
   * Whether the pieces of a snapshot are to stay: not when the group that it
   * is of was destroyed, also if there is another one of its number.
   */
  isKept(group: GroupId, id: number, of: Group): boolean {
    return this.#groups.get(group) === of &&
      (this.#pins.has(id) || of.keptIds.includes(id));
  }

  /** Everything that waits to be stored. */
  take(): Change {
    const change: Change = {
      prelude: [],
      ahead: this.#ahead,
      switch: this.#switch,
    };
    this.#ahead = [];
    this.#switch = [];
    for (const group of this.#dirty) this.#takeGroup(group, change);
    this.#dirty.clear();
    for (const group of this.#cut) this.#littered.add(group);
    this.#cut.clear();
    return change;
  }

  /** Some rows that count for nothing. */
  async findGarbage(): Promise<KvDelete[]> {
    for (const group of this.#littered) {
      this.#littered.delete(group);
      const root = this.#roots.get(group);
      const draft = this.#drafts.get(group);
      const kept = this.#groups.get(group)?.keptIds ?? [];
      const ids = [...kept, ...this.#pins.keys()];
      if (draft !== undefined) ids.push(draft.id);
      const hasDraft = draft !== undefined;
      const garbage = await findGarbage(
        this.#source.kv,
        group,
        { root, ids, hasDraft },
      );
      if (garbage.length > 0) {
        this.#littered.add(group);
        return garbage;
      }
      if (root === undefined && this.#roots.delete(group)) {
        return [{ type: "delete", key: stateKey(group) }];
      }
    }
    return [];
  }

  #takeGroup(group: GroupId, change: Change): void {
    const image = this.#groups.get(group);
    const root = this.#roots.get(group);
    if (image !== undefined) {
      const next = image.flush(root ?? NO_ROOT, change, {
        codec: this.#source.codec,
        valueBytes: this.#source.valueBytes,
      });
      this.#roots.set(group, next);
    } else if (root !== undefined) {
      const { codec } = this.#source;
      change.switch.push(codec.set(stateKey(group), DESTROYED_STATE));
      this.#roots.set(group, undefined);
    }
  }

  #mark(group: GroupId): void {
    this.#dirty.add(group);
    this.#cut.add(group);
  }

  #requireDraft(group: GroupId, draft: Draft): void {
    if (this.#drafts.get(group) === draft) return;
    throw new RangeError(
      `Cannot write to a snapshot of group ${group}: the group was destroyed`,
    );
  }

  /** Refuses a batch before any of it is applied; encodes its entries. */
  #check(batch: readonly GroupWrite[]): CheckedWrite[] {
    const ahead = new Map<GroupId, LogBounds>();
    return batch.map((write) => {
      const { group, snapshot, entries } = write;
      const image = this.#groups.get(group);
      const before = ahead.get(group) ?? image?.now.bounds;
      const bounds = checkGroupWrite(write, before);
      ahead.set(group, bounds);
      if (snapshot !== undefined) {
        const stored = image?.newest?.meta;
        const isStored = stored?.index === snapshot.index &&
          stored.term === snapshot.term;
        if (!isStored) {
          throw new RangeError(
            `Cannot write to group ${group}: no data is stored for its snapshot at ${snapshot.index} of term ${snapshot.term}`,
          );
        }
      }
      const rows = entries.map((entry) =>
        encodeEntry(this.#source, group, entry)
      );
      return { write, bounds, rows };
    });
  }
}

/** A group as it is before its first write. */
function createGroup({ write, bounds }: CheckedWrite): Group {
  if (write.create === undefined) {
    throw new RangeError(`Cannot write to group ${write.group}: it is missing`);
  }
  const { snapshot } = write.create;
  const contents = {
    bounds: {
      node: bounds.node,
      firstIndex: snapshot.index + 1,
      lastIndex: snapshot.index,
      prevTerm: snapshot.term,
      termRuns: [],
    },
    hardState: { term: 0, vote: null, commit: 0 },
    snapshot: structuredClone(snapshot),
    data: undefined,
    conf: undefined,
  };
  return new Group(write.group, contents, NO_ROOT);
}
