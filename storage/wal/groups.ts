/**
 * What the log says about its groups. Recovery and the running log bring it
 * up to date by the same code from the same bytes, so that what is in memory
 * is what a restart would find.
 *
 * @module
 */
import type {
  AppliedConf,
  GroupId,
  HardState,
  LogIndex,
  NodeId,
  SnapshotMeta,
  TermRun,
} from "../../src/core/types.ts";
import { EntryIndex } from "./entry_index.ts";
import { RECORD } from "./format.ts";
import {
  readConf,
  readCreate,
  readHardState,
  readRunHead,
  type RecordView,
} from "./records.ts";

const NEW_HARD_STATE: HardState = { term: 0, vote: null, commit: 0 };

/** One group as the records so far leave it. */
export class GroupState {
  readonly group: GroupId;
  readonly node: NodeId;
  /** What lies below the log; `firstIndex - 1` is its index. */
  snapshot: SnapshotMeta;
  /** Where each entry of `[firstIndex, lastIndex]` lies. */
  readonly index: EntryIndex = new EntryIndex();
  /** Ascending in both fields; the first one starts at `firstIndex`. */
  readonly termRuns: TermRun[] = [];
  hardState: HardState = NEW_HARD_STATE;
  conf: AppliedConf | undefined;
  firstIndex: LogIndex;
  /** At least `firstIndex - 1`. */
  lastIndex: LogIndex;

  /** A group that has just been created. */
  constructor(group: GroupId, node: NodeId, snapshot: SnapshotMeta) {
    this.group = group;
    this.node = node;
    this.snapshot = snapshot;
    this.firstIndex = snapshot.index + 1;
    this.lastIndex = snapshot.index;
  }
}

/** Where a frame lies, for the records in it. */
export interface FrameSource {
  /** Number of the segment. */
  readonly segment: number;
  /** What to add to a place in the buffer to get the offset in the file. */
  readonly shift: number;
}

/** All groups of a log. */
export class GroupTable {
  readonly #groups = new Map<GroupId, GroupState>();

  /** One group, or `undefined` if it does not exist. */
  get(group: GroupId): GroupState | undefined {
    return this.#groups.get(group);
  }

  /** Every group, ascending by id. */
  list(): GroupState[] {
    return [...this.#groups.values()].sort((a, b) => a.group - b.group);
  }

  /**
   * Takes in a record.
   *
   * @throws {Error} If it contradicts what came before it.
   */
  apply(record: RecordView, source: FrameSource): void {
    const { type, group } = record;
    if (type === RECORD.create) return this.#create(record);
    const state = this.#groups.get(group);
    if (state === undefined) {
      throw new Error(`Cannot apply a record: group ${group} does not exist`);
    }
    switch (type) {
      case RECORD.entries:
        return appendRun(state, record, source);
      case RECORD.hardState:
        state.hardState = readHardState(record);
        return;
      case RECORD.conf:
        state.conf = readConf(record);
        return;
      case RECORD.destroy:
        this.#groups.delete(group);
        return;
      default:
        throw new Error(`Cannot apply a record: its type is ${type}`);
    }
  }

  #create(record: RecordView): void {
    const { group } = record;
    const { node, snapshot } = readCreate(record);
    const known = this.#groups.get(group);
    if (known === undefined) {
      this.#groups.set(group, new GroupState(group, node, snapshot));
      return;
    }
    // Who joins learns late where it starts from.
    if (known.node !== node || known.lastIndex > 0 || snapshot.index > 0) {
      throw new Error(`Cannot apply a record: group ${group} exists already`);
    }
    known.snapshot = snapshot;
  }
}

/** Whether this version knows what a record of the type means. */
export function isKnownRecord(type: number): boolean {
  return type >= RECORD.create && type <= RECORD.conf ||
    type === RECORD.destroy;
}

/** The entries replace everything from their first index on (H53). */
function appendRun(
  state: GroupState,
  record: RecordView,
  source: FrameSource,
): void {
  const { term, first, count } = readRunHead(record);
  if (
    count === 0 || first < state.firstIndex || first > state.lastIndex + 1
  ) {
    throw new Error(
      `Cannot apply a record: ${count} entries from ${first} on do not fit the log of group ${state.group}, which is ${state.firstIndex} to ${state.lastIndex}`,
    );
  }
  const { termRuns } = state;
  let last = termRuns.at(-1);
  while (last !== undefined && last.firstIndex >= first) {
    termRuns.pop();
    last = termRuns.at(-1);
  }
  if (last !== undefined && last.term > term) {
    throw new Error(
      `Cannot apply a record: entry ${first} of term ${term} follows term ${last.term} in the log of group ${state.group}`,
    );
  }
  if (last?.term !== term) termRuns.push({ term, firstIndex: first });
  state.index.push(first, {
    segment: source.segment,
    offset: record.start + source.shift,
    bytes: record.end - record.start,
    checksum: record.checksum,
  });
  state.lastIndex = first + count - 1;
}
