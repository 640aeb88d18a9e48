/**
 * Which of the stored snapshots a group goes on from: the newest that is
 * whole and that its log, as it was found, agrees with.
 *
 * @module
 */
import { join } from "node:path";
import { termAt } from "../../src/storage_checks.ts";
import type { LogIndex, SnapshotMeta, Term } from "../../src/core/types.ts";
import { corruption } from "./errors.ts";
import type { GroupState } from "./groups.ts";
import type { StoredSnapshotFile } from "./snapshots/store.ts";

/** What is to become of the snapshots of a group. */
export interface SnapshotChoice {
  /** What lies below the log. */
  readonly meta: SnapshotMeta;
  /** Newer ones that were never installed: nothing refers to them. */
  readonly unwanted: readonly StoredSnapshotFile[];
  /** Damaged ones. */
  readonly damaged: readonly StoredSnapshotFile[];
}

/**
 * Chooses among the files of a group, newest first. Changes nothing.
 *
 * @throws {RaftError} `corrupt` if the log begins behind every snapshot that
 * can be used (H54).
 */
export function chooseSnapshot(
  state: GroupState,
  files: readonly StoredSnapshotFile[],
  directory: string,
): SnapshotChoice {
  const damaged = files.filter((file) => file.state === "damaged");
  const unwanted: StoredSnapshotFile[] = [];
  for (const file of files) {
    if (file.state === "damaged") continue;
    const { meta } = file;
    if (isUsable(state, meta)) return { meta, unwanted, damaged };
    unwanted.push(file);
  }
  const isComplete = state.firstIndex === 1 ||
    !state.isInstalled && state.snapshot.index === state.firstIndex - 1;
  if (isComplete) return { meta: state.snapshot, unwanted, damaged };
  throw missing(state, damaged, directory);
}

/** Whether the log goes on from a snapshot, or holds what it ends with. */
function isUsable(
  state: GroupState,
  name: { readonly index: LogIndex; readonly term: Term },
): boolean {
  const { index, term } = name;
  return index >= state.firstIndex - 1 && index <= state.lastIndex &&
    termAt(state, index) === term;
}

function missing(
  state: GroupState,
  damaged: readonly StoredSnapshotFile[],
  directory: string,
): Error {
  const { group, firstIndex } = state;
  const culprit = damaged.find((file) =>
    file.state === "damaged" && isUsable(state, file)
  );
  if (culprit?.state === "damaged") return culprit.problem;
  return corruption(
    { file: join(directory, "snapshots", String(group)), offset: 0 },
    `no snapshot there reaches entry ${
      firstIndex - 1
    }, though the log of group ${group} begins at ${firstIndex}`,
  );
}
