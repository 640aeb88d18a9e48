/**
 * One group: what it holds once everything written so far is stored, what is
 * still to be stored of it, and what the engine has.
 *
 * @module
 */
import {
  compactBounds,
  type LogBounds,
  termAt,
} from "../../src/storage_checks.ts";
import type { GroupWrite } from "../../src/storage.ts";
import type {
  AppliedConf,
  GroupId,
  HardState,
  LogIndex,
  SnapshotMeta,
} from "../../src/core/types.ts";
import { type Change, cut } from "./journal.ts";
import { PART, pieceKey, stateKey } from "./keys.ts";
import type { KvSet } from "./ordered_kv.ts";
import { ROW_OVERHEAD_BYTES } from "./rows.ts";
import type { EntryRows } from "./entry_rows.ts";
import {
  DESTROYED_STATE,
  encodeConf,
  encodeMeta,
  encodeRuns,
  encodeState,
  type Link,
  LINKED,
  type LinkedPart,
  linkTo,
  NO_LINK,
  type SnapshotData,
} from "./state_row.ts";

/** A snapshot whose data is stored. */
export interface StoredSnapshot {
  readonly meta: SnapshotMeta;
  readonly data: SnapshotData;
}

/** What the engine has of a group: which of its rows count. */
export interface StoredRoot {
  readonly firstIndex: LogIndex;
  readonly lastIndex: LogIndex;
  /** Id of the snapshot's data; 0 if there is none. */
  readonly dataId: number;
  readonly links: Readonly<Record<LinkedPart, Link>>;
}

/** The root of a group that the engine does not have. */
export const NO_ROOT: StoredRoot = {
  firstIndex: 1,
  lastIndex: 0,
  dataId: 0,
  links: { runs: NO_LINK, snapshotMeta: NO_LINK, conf: NO_LINK },
};

/** A write that fits, and what the group spans after it. */
export interface CheckedWrite {
  readonly write: GroupWrite;
  readonly bounds: LogBounds;
  /** Of each of its entries. */
  readonly rows: readonly (readonly KvSet[])[];
}

/** What is known of a group. Values are never changed, only replaced. */
export interface GroupContents {
  readonly bounds: LogBounds;
  readonly hardState: HardState;
  /** What the log builds upon. */
  readonly snapshot: SnapshotMeta;
  /** The data of `snapshot`, if it has any. */
  readonly data: SnapshotData | undefined;
  readonly conf: AppliedConf | undefined;
}

/** A group as the writes so far have left it. */
export class Group {
  readonly group: GroupId;
  #now: GroupContents;
  /** A newer snapshot that the log does not reach, until it is installed. */
  #waiting: StoredSnapshot | undefined;
  /**
   * Rows of entries that are still to be stored: those of entry
   * `#rowsFrom + i` at `i`, up to the last entry of the log if there are any.
   */
  #rows: (readonly KvSet[])[] = [];
  #rowsFrom: LogIndex = 1;
  /** The values of the parts that the engine has, as they are in `#now`. */
  readonly #stored = new Map<LinkedPart, unknown>();
  /**
   * Counts what makes stored entries wrong to whoever is reading them:
   * truncations and compactions.
   */
  cuts = 0;

  /** A group that holds something, and what the engine has of that. */
  constructor(group: GroupId, contents: GroupContents, stored: StoredRoot) {
    this.group = group;
    this.#now = contents;
    // A group made anew may find the rows of its former life.
    if (stored === NO_ROOT) return;
    this.#stored.set("runs", contents.bounds.termRuns);
    this.#stored.set("snapshotMeta", contents.snapshot);
    this.#stored.set("conf", contents.conf);
  }

  /** What it holds. */
  get now(): GroupContents {
    return this.#now;
  }

  /** The newest complete snapshot. */
  get newest(): StoredSnapshot | undefined {
    if (this.#waiting !== undefined) return this.#waiting;
    const { snapshot, data } = this.#now;
    return data && { meta: snapshot, data };
  }

  /** Snapshots that must stay, by id. */
  get keptIds(): number[] {
    const kept = [this.#now.data?.id, this.#waiting?.data.id];
    return kept.filter((id) => id !== undefined);
  }

  /** Whether entries wait to be stored. */
  get hasRows(): boolean {
    return this.#rows.length > 0;
  }

  /**
   * Applies a write. Returns whether it made rows of the engine superfluous.
   */
  write({ write, bounds, rows }: CheckedWrite): boolean {
    const before = this.#now;
    const installed = write.snapshot;
    const waiting = this.#waiting;
    const isWaiting = installed !== undefined &&
      waiting?.meta.index === installed.index;
    if (isWaiting) this.#waiting = undefined;
    const snapshot = installed ?? write.create?.snapshot;
    this.#now = {
      bounds,
      hardState: write.hardState ? { ...write.hardState } : before.hardState,
      snapshot: snapshot ? structuredClone(snapshot) : before.snapshot,
      data: isWaiting ? waiting?.data : before.data,
      conf: write.conf ? structuredClone(write.conf) : before.conf,
    };
    const first = write.entries[0];
    const isCut = installed !== undefined ||
      first !== undefined && first.index <= before.bounds.lastIndex;
    this.#trim();
    if (first !== undefined) this.#append(first.index, rows);
    if (isCut) this.cuts++;
    return isCut;
  }

  /** Drops entries through an index that the snapshot covers. */
  compact(through: LogIndex): void {
    const before = this.#now.bounds;
    this.#now = { ...this.#now, bounds: compactBounds(before, through) };
    this.#trim();
    this.cuts++;
  }

  /**
   * Takes a snapshot whose data is stored: as its own if the log holds its
   * last entry, else to wait for the write that installs it. One that is older
   * than what is there changes nothing (H63); one of the same index and term
   * takes its place: it may be damaged.
   */
  addSnapshot(added: StoredSnapshot): void {
    const { snapshot, bounds } = this.#now;
    const { index, term } = added.meta;
    if (index < snapshot.index) return;
    if (index === snapshot.index && term !== snapshot.term) return;
    if (index <= bounds.lastIndex && termAt(bounds, index) === term) {
      this.#now = { ...this.#now, snapshot: added.meta, data: added.data };
      if (this.#waiting !== undefined && this.#waiting.meta.index <= index) {
        this.#waiting = undefined;
      }
    } else if (index >= (this.#waiting?.meta.index ?? 0)) {
      this.#waiting = added;
    }
  }

  /**
   * Moves what is still to be stored into a change. Returns what the engine
   * has of the group once that is written.
   */
  flush(stored: StoredRoot, change: Change, entryRows: EntryRows): StoredRoot {
    const { bounds, hardState, data } = this.#now;
    const links = this.#flushParts(stored, change, entryRows);
    let index = this.#rowsFrom;
    for (const rows of this.#rows) {
      const isVisible = stored.firstIndex <= index && index <= stored.lastIndex;
      (isVisible ? change.switch : change.ahead).push(...rows);
      index++;
    }
    this.#rows = [];
    const { codec } = entryRows;
    const key = stateKey(this.group);
    if (stored === NO_ROOT) {
      // Should the rest come in pieces, the first ones belong to somebody.
      change.prelude.push(codec.set(key, DESTROYED_STATE));
    }
    const state = encodeState({ bounds, hardState, data, links });
    change.switch.push(codec.set(key, state));
    const { firstIndex, lastIndex } = bounds;
    return { firstIndex, lastIndex, dataId: data?.id ?? 0, links };
  }

  #flushParts(
    stored: StoredRoot,
    change: Change,
    entryRows: EntryRows,
  ): Record<LinkedPart, Link> {
    const links = { ...stored.links };
    const { bounds, snapshot, conf } = this.#now;
    const values = { runs: bounds.termRuns, snapshotMeta: snapshot, conf };
    for (const part of LINKED) {
      const isStored = this.#stored.has(part) &&
        this.#stored.get(part) === values[part];
      if (isStored) continue;
      this.#stored.set(part, values[part]);
      const bytes = encodePart(part, this.#now);
      const before = links[part];
      links[part] = bytes.length === 0 ? NO_LINK : linkTo(bytes);
      const size = entryRows.valueBytes - ROW_OVERHEAD_BYTES;
      cut(bytes, size).forEach((piece, at) => {
        const key = pieceKey(this.group, PART[part], at);
        change.switch.push(entryRows.codec.set(key, piece));
      });
      const first = Math.ceil(bytes.length / size);
      for (let at = first; at < Math.ceil(before.bytes / size); at++) {
        const key = pieceKey(this.group, PART[part], at);
        change.switch.push({ type: "delete", key });
      }
    }
    return links;
  }

  #append(first: LogIndex, rows: CheckedWrite["rows"]): void {
    if (this.#rows.length === 0 || first <= this.#rowsFrom) {
      this.#rowsFrom = first;
      this.#rows = [];
    }
    this.#rows.length = first - this.#rowsFrom;
    for (const one of rows) this.#rows.push(one);
  }

  /** Forgets rows of entries that are not in the log any more. */
  #trim(): void {
    const { firstIndex, lastIndex } = this.#now.bounds;
    const dropped = Math.max(0, firstIndex - this.#rowsFrom);
    this.#rows.splice(0, dropped);
    this.#rowsFrom += dropped;
    const kept = Math.max(0, lastIndex - this.#rowsFrom + 1);
    if (kept < this.#rows.length) this.#rows.length = kept;
  }
}

function encodePart(part: LinkedPart, contents: GroupContents): Uint8Array {
  switch (part) {
    case "runs":
      return encodeRuns(contents.bounds.termRuns);
    case "snapshotMeta":
      return encodeMeta(contents.snapshot);
    case "conf":
      return encodeConf(contents.conf);
    default: {
      const unreachable: never = part;
      return unreachable;
    }
  }
}
