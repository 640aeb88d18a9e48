/**
 * What the log says about its groups. Recovery and the running log bring it
 * up to date by the same code from the same bytes, so that what is in memory
 * is what a restart would find.
 *
 * @module
 */
import { compactBounds, termAt } from "../../src/storage_checks.ts";
import type {
  AppliedConf,
  GroupId,
  HardState,
  LogIndex,
  NodeId,
  SnapshotMeta,
  Term,
  TermRun,
} from "../../src/core/types.ts";
import {
  type GroupCheckpoint,
  readCheckpoint,
  readCheckpointHead,
} from "./checkpoint.ts";
import { EntryIndex, type RecordPlace } from "./entry_index.ts";
import { RECORD } from "./format.ts";
import { GONE, LiveBytes } from "./live_bytes.ts";
import {
  readCompact,
  readConf,
  readCreate,
  readHardState,
  readRunHead,
  readSnapshot,
  type RecordView,
  type RunHead,
} from "./records.ts";

const NEW_HARD_STATE: HardState = { term: 0, vote: null, commit: 0 };
/** Entries that a checkpoint speaks of: where they lie it does not say. */
const NOWHERE: RecordPlace = {
  segment: GONE,
  offset: 0,
  bytes: 0,
  checksum: 0,
};

/** One group as the records so far leave it. */
export class GroupState implements GroupCheckpoint {
  readonly group: GroupId;
  readonly node: NodeId;
  /** Sequence of the frame that created it: tells its lives apart. */
  readonly born: number;
  /** What it was created with, or installed last. */
  snapshot: SnapshotMeta;
  isInstalled = false;
  /** Where each entry of `[firstIndex, lastIndex]` lies. */
  readonly index: EntryIndex;
  /** Ascending in both fields; the first one starts at `firstIndex`. */
  termRuns: TermRun[] = [];
  hardState: HardState = NEW_HARD_STATE;
  conf: AppliedConf | undefined;
  encoded: Uint8Array | undefined;
  firstIndex: LogIndex;
  /** At least `firstIndex - 1`. */
  lastIndex: LogIndex;
  /** Term of the entry before `firstIndex`. */
  prevTerm: Term;

  /** A group that has just been created; `live` counts its records. */
  constructor(
    life: { readonly group: GroupId; readonly node: NodeId; born: number },
    snapshot: SnapshotMeta,
    live: LiveBytes,
  ) {
    this.group = life.group;
    this.node = life.node;
    this.born = life.born;
    this.index = new EntryIndex(live);
    this.snapshot = snapshot;
    this.firstIndex = snapshot.index + 1;
    this.lastIndex = snapshot.index;
    this.prevTerm = snapshot.term;
  }
}

/** Where a frame lies, for the records in it. */
export interface FrameSource {
  /** Number of the segment. */
  readonly segment: number;
  /** What to add to a place in the buffer to get the offset in the file. */
  readonly shift: number;
  /** Sequence of the frame. */
  readonly frame: number;
}

/** All groups of a log. */
export class GroupTable {
  /** What the groups' logs hold of which segment. */
  readonly live: LiveBytes = new LiveBytes();
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
    if (type === RECORD.create) return this.#create(record, source.frame);
    const state = this.#require(group);
    switch (type) {
      case RECORD.entries:
        return appendRun(state, readRunHead(record), placeOf(record, source));
      case RECORD.relocate:
        return moveRun(state, readRunHead(record), placeOf(record, source));
      case RECORD.hardState:
        state.hardState = readHardState(record);
        return;
      case RECORD.conf:
        state.conf = readConf(record);
        state.encoded = undefined;
        return;
      case RECORD.snapshot:
        return install(state, readSnapshot(record));
      case RECORD.compact:
        return compact(state, readCompact(record));
      case RECORD.destroy:
        state.index.clear();
        this.#groups.delete(group);
        return;
      default:
        throw new Error(`Cannot apply a record: its type is ${type}`);
    }
  }

  /**
   * Takes in a record of entries by its head: what an index file keeps of it.
   *
   * @throws {Error} If it contradicts what came before it.
   */
  applyRun(
    record: { readonly type: number; readonly group: GroupId },
    head: RunHead,
    place: RecordPlace,
  ): void {
    const state = this.#require(record.group);
    if (record.type === RECORD.relocate) moveRun(state, head, place);
    else appendRun(state, head, place);
  }

  /**
   * Takes in a record of the checkpoint that a log begins with. Its entries
   * lie in segments that are gone until the log says otherwise.
   *
   * @throws {Error} If it does not hold what it should.
   */
  load(record: RecordView): void {
    requireCheckpoint(record);
    const checkpoint = readCheckpoint(record);
    const { group, firstIndex, lastIndex } = checkpoint;
    if (this.#groups.has(group)) {
      throw new Error(
        `Cannot load a checkpoint: group ${group} is there twice`,
      );
    }
    const state = new GroupState(checkpoint, checkpoint.snapshot, this.live);
    state.isInstalled = checkpoint.isInstalled;
    state.hardState = checkpoint.hardState;
    state.conf = checkpoint.conf;
    state.firstIndex = firstIndex;
    state.lastIndex = lastIndex;
    state.prevTerm = checkpoint.prevTerm;
    state.termRuns = [...checkpoint.termRuns];
    if (firstIndex <= lastIndex) state.index.push(firstIndex, NOWHERE);
    this.#groups.set(group, state);
  }

  /**
   * Compares a record of a later checkpoint with what the frames before it
   * left.
   *
   * @throws {Error} If they differ.
   */
  compare(record: RecordView): void {
    requireCheckpoint(record);
    const found = readCheckpointHead(record);
    const state = this.#require(record.group);
    const { term, vote, commit } = found.hardState;
    const isSame = state.node === found.node && state.born === found.born &&
      state.firstIndex === found.firstIndex &&
      state.lastIndex === found.lastIndex &&
      state.prevTerm === found.prevTerm &&
      state.hardState.term === term && state.hardState.vote === vote &&
      state.hardState.commit === commit;
    if (isSame) return;
    throw new Error(
      `Cannot go on from a checkpoint: it has group ${found.group} with entries ${found.firstIndex} to ${found.lastIndex}, the frames before left ${state.firstIndex} to ${state.lastIndex}`,
    );
  }

  #require(group: GroupId): GroupState {
    const state = this.#groups.get(group);
    if (state !== undefined) return state;
    throw new Error(`Cannot apply a record: group ${group} does not exist`);
  }

  #create(record: RecordView, born: number): void {
    const { group } = record;
    const { node, snapshot } = readCreate(record);
    const known = this.#groups.get(group);
    if (known === undefined) {
      const life = { group, node, born };
      this.#groups.set(group, new GroupState(life, snapshot, this.live));
      return;
    }
    // Who joins learns late where it starts from.
    if (known.node !== node || known.lastIndex > 0 || snapshot.index > 0) {
      throw new Error(`Cannot apply a record: group ${group} exists already`);
    }
    known.snapshot = snapshot;
    known.encoded = undefined;
  }
}

/** Whether this version knows what a record of the type means. */
export function isKnownRecord(type: number): boolean {
  return type >= RECORD.create && type <= RECORD.relocate;
}

function requireCheckpoint(record: RecordView): void {
  if (record.type === RECORD.checkpoint) return;
  throw new Error(
    `Cannot read a checkpoint: it has a record of type ${record.type}`,
  );
}

function placeOf(record: RecordView, source: FrameSource): RecordPlace {
  return {
    segment: source.segment,
    offset: record.start + source.shift,
    bytes: record.end - record.start,
    checksum: record.checksum,
  };
}

/** The entries replace everything from their first index on (H53). */
function appendRun(
  state: GroupState,
  { term, first, count }: RunHead,
  place: RecordPlace,
): void {
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
  const before = last?.term ?? state.prevTerm;
  if (before > term) {
    throw new Error(
      `Cannot apply a record: entry ${first} of term ${term} follows term ${before} in the log of group ${state.group}`,
    );
  }
  if (last?.term !== term) termRuns.push({ term, firstIndex: first });
  state.index.push(first, place);
  state.lastIndex = first + count - 1;
}

/** The same entries, in another place. */
function moveRun(
  state: GroupState,
  { term, first, count }: RunHead,
  place: RecordPlace,
): void {
  const through = first + count - 1;
  const isHeld = count > 0 && first >= state.firstIndex &&
    through <= state.lastIndex && termAt(state, first) === term &&
    termAt(state, through) === term;
  if (!isHeld) {
    throw new Error(
      `Cannot apply a record: entries ${first} to ${through} of term ${term} are not in the log of group ${state.group}`,
    );
  }
  state.index.move({ from: first, through }, state.lastIndex, place);
}

/**
 * The snapshot replaces the log through its index. What is above stays if the
 * log holds its last entry, and goes if it does not (thesis §5.3).
 */
function install(state: GroupState, meta: SnapshotMeta): void {
  const { index, term } = meta;
  const { group, firstIndex, lastIndex } = state;
  if (index < firstIndex - 1) {
    throw new Error(
      `Cannot apply a record: a snapshot at ${index} is older than the log of group ${group}, which starts at ${firstIndex}`,
    );
  }
  state.snapshot = meta;
  state.isInstalled = true;
  state.encoded = undefined;
  const isHeld = index <= lastIndex && termAt(state, index) === term;
  if (isHeld) return dropThrough(state, index);
  state.index.clear();
  state.termRuns = [];
  state.firstIndex = index + 1;
  state.lastIndex = index;
  state.prevTerm = term;
}

function compact(
  state: GroupState,
  last: { readonly through: LogIndex; readonly term: Term },
): void {
  const { through, term } = last;
  const isHeld = through >= state.firstIndex && through <= state.lastIndex &&
    termAt(state, through) === term;
  if (isHeld) return dropThrough(state, through);
  throw new Error(
    `Cannot apply a record: entry ${through} of term ${term} is not in the log of group ${state.group}`,
  );
}

/** Drops entries through one that the log holds, or the one before it. */
function dropThrough(state: GroupState, through: LogIndex): void {
  const { prevTerm, termRuns } = compactBounds(state, through);
  if (through < state.lastIndex) state.index.dropThrough(through);
  else state.index.clear();
  state.firstIndex = through + 1;
  state.prevTerm = prevTerm;
  state.termRuns = [...termRuns];
}
