/**
 * Checkpoints: what a segment begins with, so that everything before it may
 * go. A checkpoint holds the state of every group but not its entries, which
 * may lie in segments before.
 *
 * @module
 */
import { confStateFromArray, decodeCbor } from "../../src/codec.ts";
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
import { getU64 } from "./format.ts";
import {
  cborAt,
  HARD_STATE_BYTES,
  readHardState,
  type RecordView,
  snapshotFromArray,
} from "./records.ts";

/** What a checkpoint says about a group, quick to read. */
export interface CheckpointHead {
  readonly group: GroupId;
  readonly node: NodeId;
  /** Sequence of the frame that created the group. */
  readonly born: number;
  readonly hardState: HardState;
  readonly firstIndex: LogIndex;
  readonly lastIndex: LogIndex;
  /** Term of the entry before `firstIndex`. */
  readonly prevTerm: Term;
}

/** The state of a group but for where its entries lie. */
export interface GroupCheckpoint extends CheckpointHead {
  /** Ascending in both fields; the first one starts at `firstIndex`. */
  readonly termRuns: readonly TermRun[];
  /** What the group was created with, or installed last. */
  readonly snapshot: SnapshotMeta;
  /** Whether it was installed. */
  readonly isInstalled: boolean;
  readonly conf: AppliedConf | undefined;
  /**
   * `snapshot`, `isInstalled` and `conf` as they were encoded last; absent
   * once one of them has changed. They seldom do, and there may be thousands
   * of groups.
   */
  encoded: Uint8Array | undefined;
}

const FIRST_AT = 16 + HARD_STATE_BYTES;
const RUNS_AT = FIRST_AT + 28;

/** The numbers at the start of a checkpoint record. */
export function readCheckpointHead(record: RecordView): CheckpointHead {
  const { view, payload, group } = record;
  const at = payload + FIRST_AT;
  return {
    group,
    node: getU64(view, payload),
    born: getU64(view, payload + 8),
    hardState: readHardState(record, 16),
    firstIndex: getU64(view, at),
    lastIndex: getU64(view, at + 8),
    prevTerm: getU64(view, at + 16),
  };
}

/**
 * All of a checkpoint record.
 *
 * @throws {Error} If it does not hold what it should.
 */
export function readCheckpoint(record: RecordView): GroupCheckpoint {
  const { view, payload } = record;
  const count = view.getUint32(payload + RUNS_AT - 4, true);
  const termRuns = Array.from({ length: count }, (_, i) => {
    const at = payload + RUNS_AT + 16 * i;
    return { term: getU64(view, at), firstIndex: getU64(view, at + 8) };
  });
  const cbor = decodeCbor(cborAt(record, RUNS_AT + 16 * count));
  if (!Array.isArray(cbor)) {
    throw new Error("Cannot read a checkpoint: its end is no array");
  }
  const [snapshot, isInstalled, conf]: unknown[] = cbor;
  return {
    ...readCheckpointHead(record),
    termRuns,
    snapshot: snapshotFromArray(snapshot),
    isInstalled: isInstalled === true,
    conf: confFromArray(conf),
    encoded: undefined,
  };
}

function confFromArray(value: unknown): AppliedConf | undefined {
  if (value === null) return undefined;
  if (!Array.isArray(value) || typeof value[0] !== "number") {
    throw new Error("Cannot read a checkpoint: its configuration is no array");
  }
  const [index, conf]: [number, unknown] = [value[0], value[1]];
  return { index, conf: confStateFromArray(conf) };
}
