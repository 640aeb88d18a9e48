/**
 * What each group holds once everything that was written so far is in the
 * log, and the check of what is written next against it.
 *
 * @module
 */
import {
  checkGroupWrite,
  compactBounds,
  type LogBounds,
  termAt,
} from "../../src/storage_checks.ts";
import type { GroupWrite } from "../../src/storage.ts";
import type { GroupId, LogIndex, SnapshotMeta } from "../../src/core/types.ts";
import type { FrameBuilder } from "./frame_builder.ts";
import type { GroupState } from "./groups.ts";
import type { SnapshotShelf } from "./shelf.ts";

/** Checks and encodes what is written, group by group. */
export class BoundsTable {
  readonly #bounds = new Map<GroupId, LogBounds>();

  /** A group that was found. */
  add(state: GroupState): LogBounds {
    const { node, firstIndex, lastIndex, prevTerm, termRuns } = state;
    const bounds = {
      node,
      firstIndex,
      lastIndex,
      prevTerm,
      termRuns: [...termRuns],
    };
    this.#bounds.set(state.group, bounds);
    return bounds;
  }

  /** What a group holds. @throws {RangeError} Without the group. */
  require(group: GroupId): LogBounds {
    const bounds = this.#bounds.get(group);
    if (bounds !== undefined) return bounds;
    throw new RangeError(`Cannot find group ${group}: it does not exist`);
  }

  /** Whether the log of a group holds the last entry of a snapshot. */
  isHeld(group: GroupId, { index, term }: SnapshotMeta): boolean {
    const bounds = this.#bounds.get(group);
    return bounds !== undefined && index >= bounds.firstIndex - 1 &&
      index <= bounds.lastIndex && termAt(bounds, index) === term;
  }

  /** Forgets a group; whether there was one. */
  remove(group: GroupId): boolean {
    return this.#bounds.delete(group);
  }

  /**
   * Encodes a batch and returns its groups.
   *
   * @throws {RangeError} If it does not fit what is stored; no group was
   * changed then.
   */
  encode(
    batch: readonly GroupWrite[],
    builder: FrameBuilder,
    shelf: SnapshotShelf,
  ): GroupId[] {
    const groups: GroupId[] = [];
    const before: (LogBounds | undefined)[] = [];
    try {
      for (const write of batch) {
        const current = this.#bounds.get(write.group);
        const next = checkGroupWrite(write, current);
        checkAgainstSnapshots(write, shelf);
        builder.append(write);
        groups.push(write.group);
        before.push(current);
        this.#bounds.set(write.group, next);
      }
      return groups;
    } catch (error) {
      for (let i = groups.length - 1; i >= 0; i--) {
        this.#restore(groups[i], before[i]);
      }
      throw error;
    }
  }

  /** Encodes that entries of a group through an index are dropped. */
  encodeCompact(
    group: GroupId,
    through: LogIndex,
    builder: FrameBuilder,
  ): void {
    const bounds = this.require(group);
    const next = compactBounds(bounds, through);
    builder.compact(group, through, next.prevTerm);
    this.#bounds.set(group, next);
  }

  #restore(group: GroupId | undefined, bounds: LogBounds | undefined): void {
    if (group === undefined) return;
    if (bounds === undefined) this.#bounds.delete(group);
    else this.#bounds.set(group, bounds);
  }
}

/**
 * A snapshot is installed only if its data is there, and nothing replaces an
 * entry that the snapshot of the group contains: after a restart the log and
 * the snapshot would have nothing to do with each other (H54, H64).
 */
function checkAgainstSnapshots(write: GroupWrite, shelf: SnapshotShelf): void {
  const { group, snapshot, entries } = write;
  if (snapshot !== undefined) {
    const stored = shelf.newest(group)?.meta;
    if (stored?.index === snapshot.index && stored.term === snapshot.term) {
      return;
    }
    throw new RangeError(
      `Cannot write to group ${group}: no data is stored for its snapshot at ${snapshot.index} of term ${snapshot.term}`,
    );
  }
  const first = entries[0];
  const contained = shelf.current(group)?.index ?? 0;
  if (first === undefined || first.index > contained) return;
  throw new RangeError(
    `Cannot write to group ${group}: entry ${first.index} is in its snapshot at ${contained}`,
  );
}
