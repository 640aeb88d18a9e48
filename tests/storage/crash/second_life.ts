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
} from "../../../src/testing/storage_samples.ts";
import { stringify } from "./steps.ts";

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

/** The description of a state after the batch that fits it. */
export function afterNext(state: string): string {
  const { groups, snapshots }: {
    groups: DescribedGroup[];
    snapshots: unknown[];
  } = JSON.parse(state);
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
