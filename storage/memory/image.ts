/**
 * The contents of a memory storage: what a disk would hold, as plain data.
 * The storage keeps two of them, what was written and what is durable, and
 * brings both up to date by the same operations.
 *
 * @module
 */
import { copyBytes } from "../../src/codec.ts";
import { RaftError } from "../../src/errors.ts";
import {
  checkGroupWrite,
  compactBounds,
  type LogBounds,
  storedEntryBytes,
  termAt,
} from "../../src/storage_checks.ts";
import type { GroupWrite, StoredGroup } from "../../src/storage.ts";
import type {
  AppliedConf,
  Entry,
  GroupId,
  HardState,
  LogIndex,
  SnapshotMeta,
} from "../../src/core/types.ts";

/** A snapshot with its data. */
export interface StoredSnapshot {
  readonly meta: SnapshotMeta;
  readonly data: Uint8Array;
  /** Names it; no other one has the same. */
  readonly token: string;
}

/** One group. Entries, snapshots and states are never changed, only replaced. */
interface GroupImage {
  readonly group: GroupId;
  bounds: LogBounds;
  hardState: HardState;
  conf: AppliedConf | undefined;
  /** What the log builds upon. */
  snapshot: SnapshotMeta;
  /** The data of `snapshot`, if it has any, and what came in since. */
  snapshots: readonly StoredSnapshot[];
  /** Entry `i` has the index `bounds.firstIndex + i`. */
  entries: Entry[];
  /** Indexes of entries that went bad. */
  readonly damaged: Set<LogIndex>;
}

/** What a disk holds. */
export class Image {
  readonly #groups = new Map<GroupId, GroupImage>();
  /** Of all entries and snapshots. */
  #bytes = 0;

  /** Bytes of all entries and snapshots. */
  get bytes(): number {
    return this.#bytes;
  }

  /** What the log of a group spans; `undefined` without the group. */
  boundsOf(group: GroupId): LogBounds | undefined {
    return this.#groups.get(group)?.bounds;
  }

  /** The snapshot that the log of a group builds upon. */
  snapshotOf(group: GroupId): SnapshotMeta {
    return this.#require(group).snapshot;
  }

  /** Applies a checked write. Keeps its objects. */
  write(write: GroupWrite): void {
    const current = this.#groups.get(write.group);
    const bounds = checkGroupWrite(write, current?.bounds);
    const image = current ?? createImage(write, bounds);
    this.#groups.set(write.group, image);
    if (write.create !== undefined) image.snapshot = write.create.snapshot;
    if (write.snapshot !== undefined) this.#install(image, write.snapshot);
    const first = write.entries[0];
    if (first !== undefined) this.#append(image, first, write.entries);
    if (write.hardState !== undefined) image.hardState = write.hardState;
    if (write.conf !== undefined) image.conf = write.conf;
    image.bounds = bounds;
  }

  /** Drops entries through an index that the snapshot covers. */
  compact(group: GroupId, through: LogIndex): void {
    const image = this.#require(group);
    const { firstIndex } = image.bounds;
    if (through < firstIndex) return;
    image.bounds = compactBounds(image.bounds, through);
    this.#drop(image.entries.splice(0, through - firstIndex + 1));
    forget(image, (index) => index <= through);
  }

  /** Forgets a group. */
  destroy(group: GroupId): void {
    const image = this.#groups.get(group);
    if (image === undefined) return;
    this.#groups.delete(group);
    this.#drop(image.entries);
    for (const { data } of image.snapshots) this.#bytes -= data.length;
  }

  /**
   * Adds a complete snapshot. The group's own from now on if the log holds
   * its last entry; else it waits for the write that installs it. One of the
   * same index takes the place of the one that is there, which may have been
   * damaged; an older one changes nothing (H63).
   */
  addSnapshot(group: GroupId, added: StoredSnapshot): void {
    const image = this.#require(group);
    const { index, term } = added.meta;
    const { snapshot } = image;
    const isAgain = index === snapshot.index && term === snapshot.term &&
      index > 0;
    if (index <= snapshot.index && !isAgain) return;
    this.#bytes += added.data.length;
    const isHeld = index <= image.bounds.lastIndex &&
      termAt(image.bounds, index) === term;
    if (isHeld) image.snapshot = added.meta;
    const current = image.snapshots.filter(
      ({ meta }) => meta.index === image.snapshot.index && meta.index !== index,
    );
    this.#keepSnapshots(image, [...current, added]);
  }

  /** The newest complete snapshot of a group. */
  newestSnapshot(group: GroupId): StoredSnapshot | undefined {
    return this.#groups.get(group)?.snapshots.reduce<
      StoredSnapshot | undefined
    >(
      (best, one) =>
        best === undefined || one.meta.index > best.meta.index ? one : best,
      undefined,
    );
  }

  /** Forgets snapshots that wait for a write, as a restart does. */
  dropUninstalled(): void {
    for (const image of this.#groups.values()) {
      const { index } = image.snapshot;
      const kept = image.snapshots.filter(({ meta }) => meta.index <= index);
      this.#keepSnapshots(image, kept);
    }
  }

  /**
   * Copies of the entries of a range; see `Storage.read`.
   *
   * @throws {RaftError} `compacted` or `corrupt`.
   * @throws {RangeError} If the range begins beyond the log.
   */
  read(
    group: GroupId,
    range: {
      readonly from: LogIndex;
      readonly through: LogIndex;
      readonly maxBytes: number;
    },
  ): Entry[] {
    const image = this.#require(group);
    const { firstIndex, lastIndex } = image.bounds;
    const { from, through, maxBytes } = range;
    if (from < firstIndex) {
      throw new RaftError(
        "compacted",
        `Cannot read entry ${from} of group ${group}: its log starts at ${firstIndex}`,
      );
    }
    if (from > lastIndex || from > through) {
      throw new RangeError(
        `Cannot read entries ${from} to ${through} of group ${group}: its log is ${firstIndex} to ${lastIndex}`,
      );
    }
    const entries: Entry[] = [];
    let bytes = 0;
    for (let i = from; i <= Math.min(through, lastIndex); i++) {
      const entry = image.entries[i - firstIndex];
      if (entry === undefined) break;
      if (image.damaged.has(i)) throw damage(group, i);
      bytes += storedEntryBytes(entry);
      if (entries.length > 0 && bytes > maxBytes) break;
      entries.push(copyEntry(entry));
    }
    return entries;
  }

  /** Makes an entry unreadable. */
  damage(group: GroupId, index: LogIndex): void {
    this.#require(group).damaged.add(index);
  }

  /** What opening returns of each group. @throws {RaftError} `corrupt`. */
  describe(tailBytes: number): StoredGroup[] {
    const images = [...this.#groups.values()];
    return images.sort((a, b) => a.group - b.group).map((image) => {
      for (const index of image.damaged) throw damage(image.group, index);
      return {
        ...image.bounds,
        group: image.group,
        hardState: { ...image.hardState },
        snapshot: structuredClone(image.snapshot),
        conf: structuredClone(image.conf),
        termRuns: image.bounds.termRuns.map((run) => ({ ...run })),
        tail: tailOf(image.entries, tailBytes),
      };
    });
  }

  /** An image of its own with the same contents. */
  copy(): Image {
    const copy = new Image();
    copy.#bytes = this.#bytes;
    for (const [group, image] of this.#groups) {
      copy.#groups.set(group, {
        ...image,
        entries: [...image.entries],
        damaged: new Set(image.damaged),
      });
    }
    return copy;
  }

  #install(image: GroupImage, meta: SnapshotMeta): void {
    const { firstIndex } = image.bounds;
    const { lastIndex } = checkGroupWrite(
      { group: image.group, snapshot: meta, entries: [] },
      image.bounds,
    );
    // What does not reach beyond the snapshot goes, and so does everything
    // if the log held another entry in its place.
    const dropped = lastIndex === meta.index
      ? image.entries.length
      : meta.index - firstIndex + 1;
    this.#drop(image.entries.splice(0, dropped));
    forget(image, (index) => index <= meta.index || index > lastIndex);
    image.snapshot = meta;
    image.bounds = { ...image.bounds, firstIndex: meta.index + 1 };
    this.#keepSnapshots(
      image,
      image.snapshots.filter((one) => one.meta.index >= meta.index),
    );
  }

  #append(image: GroupImage, first: Entry, entries: readonly Entry[]): void {
    const kept = first.index - image.bounds.firstIndex;
    if (kept < image.entries.length) this.#drop(image.entries.splice(kept));
    forget(image, (index) => index >= first.index);
    for (const entry of entries) {
      image.entries.push(entry);
      this.#bytes += storedEntryBytes(entry);
    }
  }

  #keepSnapshots(image: GroupImage, kept: readonly StoredSnapshot[]): void {
    const { index } = image.snapshot;
    const current = kept.filter(({ meta }) => meta.index >= index);
    const all = new Set([...image.snapshots, ...kept]);
    for (const one of all) {
      if (!current.includes(one)) this.#bytes -= one.data.length;
    }
    image.snapshots = current;
  }

  #drop(entries: readonly Entry[]): void {
    for (const entry of entries) this.#bytes -= storedEntryBytes(entry);
  }

  #require(group: GroupId): GroupImage {
    const image = this.#groups.get(group);
    if (image !== undefined) return image;
    throw new RangeError(`Cannot find group ${group}: it does not exist`);
  }
}

/** A copy of a write that shares nothing with the caller's. */
export function copyWrite(write: GroupWrite): GroupWrite {
  return {
    group: write.group,
    create: structuredClone(write.create),
    hardState: write.hardState && { ...write.hardState },
    snapshot: structuredClone(write.snapshot),
    entries: write.entries.map(copyEntry),
    conf: structuredClone(write.conf),
  };
}

function copyEntry(entry: Entry): Entry {
  return entry.type === "command"
    ? { ...entry, data: copyBytes(entry.data) }
    : structuredClone(entry);
}

function createImage(write: GroupWrite, bounds: LogBounds): GroupImage {
  if (write.create === undefined) {
    throw new RangeError(`Cannot write to group ${write.group}: it is missing`);
  }
  const { snapshot } = write.create;
  return {
    group: write.group,
    bounds,
    hardState: { term: 0, vote: null, commit: 0 },
    conf: undefined,
    snapshot,
    snapshots: [],
    entries: [],
    damaged: new Set(),
  };
}

function tailOf(entries: readonly Entry[], maxBytes: number): Entry[] {
  let at = entries.length;
  let bytes = 0;
  while (at > 0) {
    const entry = entries[at - 1];
    if (entry === undefined) break;
    bytes += storedEntryBytes(entry);
    if (bytes > maxBytes) break;
    at--;
  }
  return entries.slice(at).map(copyEntry);
}

function forget(image: GroupImage, isGone: (index: LogIndex) => boolean): void {
  if (image.damaged.size === 0) return;
  for (const index of [...image.damaged]) {
    if (isGone(index)) image.damaged.delete(index);
  }
}

function damage(group: GroupId, index: LogIndex): RaftError {
  return new RaftError(
    "corrupt",
    `Cannot trust entry ${index} of group ${group}: it is damaged`,
    { file: `memory:group-${group}`, offset: index },
  );
}
