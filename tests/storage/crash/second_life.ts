/**
 * What a storage is asked to take after a crash, and what it must hold then.
 *
 * @module
 */
import type { GroupWrite, OpenedStorage } from "../../../src/storage.ts";
import type { Entry, TermRun } from "../../../src/core/types.ts";
import {
  command,
  createGroup,
  emptyGroup,
  metaAt,
} from "../../../src/testing/storage_samples.ts";
import { type Step, stringify } from "./steps.ts";

/** No group of a run has this number. */
const NEW_GROUP = 77;

/** As much of a description as the batch changes. */
interface DescribedGroup {
  readonly group: number;
  readonly lastIndex: number;
  readonly prevTerm: number;
  readonly termRuns: readonly TermRun[];
  readonly entries: readonly unknown[];
}

interface Described {
  readonly groups: readonly DescribedGroup[];
  /** Group, meta and data of each. */
  readonly snapshots: readonly [number, unknown, unknown][];
}

function nextEntry(
  { lastIndex, prevTerm, termRuns }: Omit<DescribedGroup, "entries">,
): Entry {
  const term = 1 + (termRuns.at(-1)?.term ?? prevTerm);
  return command(term, lastIndex + 1);
}

/** A batch that fits what was found: an entry for each group, and a group. */
export function nextBatch(opened: OpenedStorage): GroupWrite[] {
  return [
    ...opened.groups.map((found) => ({
      group: found.group,
      entries: [nextEntry(found)],
    })),
    createGroup(NEW_GROUP),
  ];
}

/** A snapshot of what is found, taken after that batch; none of nothing. */
export function nextSnapshot(opened: OpenedStorage): Step | undefined {
  const found = opened.groups[0];
  if (found === undefined) return undefined;
  const { index, term } = nextEntry(found);
  const data = new Uint8Array(40).fill(index);
  const meta = metaAt(index, term);
  return { type: "snapshot", group: found.group, meta, data };
}

/** The description of a state after a snapshot of its first group. */
export function afterSnapshot(state: string, step: Step | undefined): string {
  if (step?.type !== "snapshot") return state;
  const { groups, snapshots }: Described = JSON.parse(state);
  const { data, group, meta } = step;
  const others = snapshots.filter(([other]) => other !== group);
  return stringify({
    groups: groups.map((described) =>
      described.group === group ? { ...described, snapshot: meta } : described
    ),
    snapshots: [[group, meta, data], ...others],
  });
}

/** The description of a state after the batch that fits it. */
export function afterNext(state: string): string {
  const { groups, snapshots }: Described = JSON.parse(state);
  const longer = groups.map((group) => {
    const entry = nextEntry(group);
    const run = { term: entry.term, firstIndex: entry.index };
    return {
      ...group,
      lastIndex: entry.index,
      termRuns: [...group.termRuns, run],
      entries: [...group.entries, entry],
    };
  });
  return stringify({
    groups: [...longer, emptyGroup(NEW_GROUP, 1)],
    snapshots,
  });
}
