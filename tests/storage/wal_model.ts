/** The simplest thing that behaves like the log, to compare the log with. */
import { assert } from "@std/assert";
import type { GroupWrite } from "../../src/storage.ts";
import type { Entry, SnapshotMeta, TermRun } from "../../src/core/types.ts";

/** A group of the model. */
export interface ModelGroup {
  /** Tells a group from one of the same number that was destroyed. */
  readonly life: number;
  readonly node: number;
  hardState: { term: number; vote: number | null; commit: number };
  firstIndex: number;
  prevTerm: number;
  /** From `firstIndex` on. */
  entries: readonly Entry[];
}

/** Last index of a group's log. */
export function lastOf({ firstIndex, entries }: ModelGroup): number {
  return firstIndex + entries.length - 1;
}

/** Term of an entry the group has, or of the one before; else `undefined`. */
export function termOf(group: ModelGroup, index: number): number | undefined {
  if (index === group.firstIndex - 1) return group.prevTerm;
  return group.entries[index - group.firstIndex]?.term;
}

/** What a log holds after some batches. */
export class Model {
  readonly groups: Map<number, ModelGroup> = new Map();

  /** A model that changes apart from this one. */
  clone(): Model {
    const copy = new Model();
    for (const [group, state] of this.groups) {
      copy.groups.set(group, { ...state });
    }
    return copy;
  }

  /** Applies a batch; groups it creates begin that life. */
  apply(batch: readonly GroupWrite[], life: number): void {
    for (const write of batch) {
      if (write.create !== undefined) {
        this.groups.set(write.group, {
          life,
          node: write.create.node,
          hardState: { term: 0, vote: null, commit: 0 },
          firstIndex: 1,
          prevTerm: 0,
          entries: [],
        });
      }
      const group = this.groups.get(write.group);
      assert(group !== undefined);
      if (write.snapshot !== undefined) install(group, write.snapshot);
      const first = write.entries[0];
      if (first !== undefined) {
        const kept = group.entries.slice(0, first.index - group.firstIndex);
        group.entries = [...kept, ...write.entries];
      }
      if (write.hardState !== undefined) group.hardState = write.hardState;
    }
  }

  /** Drops entries through an index. */
  compact(id: number, through: number): void {
    const group = this.groups.get(id);
    if (group !== undefined) drop(group, through);
  }

  /** In the form of `contents`, but for the snapshots. */
  describe(): string {
    const groups = [...this.groups].sort(([a], [b]) => a - b);
    return JSON.stringify(groups.map(([group, state]) => ({
      group,
      node: state.node,
      hardState: state.hardState,
      conf: null,
      firstIndex: state.firstIndex,
      lastIndex: lastOf(state),
      prevTerm: state.prevTerm,
      termRuns: runsOf(state.entries),
      entries: state.entries,
    })));
  }
}

function drop(group: ModelGroup, through: number): void {
  if (through < group.firstIndex) return;
  group.prevTerm = termOf(group, through) ?? 0;
  group.entries = group.entries.slice(through - group.firstIndex + 1);
  group.firstIndex = through + 1;
}

function install(group: ModelGroup, { index, term }: SnapshotMeta): void {
  if (termOf(group, index) === term) return drop(group, index);
  group.firstIndex = index + 1;
  group.prevTerm = term;
  group.entries = [];
}

function runsOf(entries: readonly Entry[]): TermRun[] {
  const runs: TermRun[] = [];
  for (const { term, index } of entries) {
    if (runs.at(-1)?.term !== term) runs.push({ term, firstIndex: index });
  }
  return runs;
}

/** The data of a snapshot: no two lives, indexes or terms have the same. */
export function snapshotData(
  life: number,
  { index, term }: { readonly index: number; readonly term: number },
): Uint8Array {
  const data = new Uint8Array((life * 131 + index * 37 + term * 11) % 900);
  for (let i = 0; i < data.length; i++) {
    data[i] = (life * 7 + index * 31 + term * 17 + i) & 0xff;
  }
  return data;
}
