/**
 * Encodes batches straight into the one buffer that is written to the disk.
 *
 * @module
 */
import {
  confStateToArray,
  copyBytes,
  encodePlainCbor,
  ENTRY_CODE,
  entryPayload,
} from "../../src/codec.ts";
import { RaftError } from "../../src/errors.ts";
import type { GroupWrite } from "../../src/storage.ts";
import type {
  AppliedConf,
  Entry,
  GroupId,
  HardState,
  LogIndex,
  NodeId,
  SnapshotMeta,
  Term,
} from "../../src/core/types.ts";
import type { GroupCheckpoint } from "./checkpoint.ts";
import {
  checksum,
  FRAME_HEADER_BYTES,
  type FramePlace,
  type FrameType,
  putFrameHead,
  putU64,
  RECORD,
  RECORD_HEADER_BYTES,
  viewOf,
} from "./format.ts";
import { ENTRY_HEAD_BYTES, RUN_HEAD_BYTES, type RunHead } from "./records.ts";

const INITIAL_BYTES = 64 << 10;
/** A buffer that grew beyond this is given back after its flush. */
const RETAINED_BYTES = 8 << 20;
/** Far beyond every limit of the core; a frame's length has 32 bits. */
const MAX_FRAME_BYTES = 1 << 30;
/**
 * Entries share a record up to this many bytes: the unit that a read verifies
 * and the index counts.
 */
const RUN_BYTES = 64 << 10;

/** What a frame says about its place in the log. */
export interface FrameLink {
  readonly type: FrameType;
  readonly sequence: number;
  /** Checksum of the frame before. */
  readonly previous: number;
}

/** A frame that is ready to be written. */
export interface FinishedFrame {
  /** Valid until the builder is cleared. */
  readonly bytes: Uint8Array;
  readonly checksum: number;
}

/** Collects records until they are written as one frame. */
export class FrameBuilder {
  readonly #recordSeed: number;
  #bytes: Uint8Array = new Uint8Array(INITIAL_BYTES);
  #view: DataView = viewOf(this.#bytes);
  /** The frame's head has its place at the start from the beginning. */
  #length = FRAME_HEADER_BYTES;

  /** Makes an empty one for records bound to the log by `recordSeed`. */
  constructor(recordSeed: number) {
    this.#recordSeed = recordSeed;
  }

  /** Bytes of the frame as it stands, its head included. */
  get length(): number {
    return this.#length;
  }

  /** Whether there is any record. */
  get isEmpty(): boolean {
    return this.#length === FRAME_HEADER_BYTES;
  }

  /** Takes back what was appended since `length` was that. */
  cutTo(length: number): void {
    this.#length = length;
  }

  /** Empties it for the next frame. */
  clear(): void {
    this.#length = FRAME_HEADER_BYTES;
    if (this.#bytes.length <= RETAINED_BYTES) return;
    this.#bytes = new Uint8Array(INITIAL_BYTES);
    this.#view = viewOf(this.#bytes);
  }

  /**
   * Appends a checked group write.
   *
   * @throws {RaftError} `tooLarge` beyond what a frame can hold; the builder
   * is to be cut back then.
   */
  append(write: GroupWrite): void {
    const { group, create, snapshot, hardState, entries, conf } = write;
    if (create !== undefined) this.#create(group, create);
    if (snapshot !== undefined) this.#snapshot(group, snapshot);
    if (entries.length > 0) this.#entries(group, entries);
    if (hardState !== undefined) this.#hardState(group, hardState);
    if (conf !== undefined) this.#conf(group, conf);
  }

  /** Appends that a group is gone. */
  destroy(group: GroupId): void {
    this.#end(this.#begin(RECORD.destroy, group));
  }

  /** Appends that entries through an index, of that term, are dropped. */
  compact(group: GroupId, through: LogIndex, term: Term): void {
    const start = this.#begin(RECORD.compact, group);
    this.#u64(through);
    this.#u64(term);
    this.#end(start);
  }

  /** Appends a copy of entries that the group has, in their stored form. */
  relocate(group: GroupId, run: RunHead, entries: Uint8Array): void {
    const start = this.#begin(RECORD.relocate, group);
    this.#runHead(run);
    this.#raw(entries);
    this.#end(start);
  }

  /** Appends the state of a group. */
  checkpoint(state: GroupCheckpoint): void {
    const start = this.#begin(RECORD.checkpoint, state.group);
    this.#u64(state.node);
    this.#u64(state.born);
    this.#hardStateBody(state.hardState);
    this.#u64(state.firstIndex);
    this.#u64(state.lastIndex);
    this.#u64(state.prevTerm);
    this.#u32(state.termRuns.length);
    for (const { term, firstIndex } of state.termRuns) {
      this.#u64(term);
      this.#u64(firstIndex);
    }
    state.encoded ??= encodeSettings(state);
    this.#raw(state.encoded);
    this.#end(start);
  }

  /** Fills in the head. Once per frame, after everything else. */
  finish(link: FrameLink, place: FramePlace): FinishedFrame {
    const bytes = this.#bytes.subarray(0, this.#length);
    const bodyBytes = this.#length - FRAME_HEADER_BYTES;
    const head = {
      ...link,
      bodyBytes,
      bodyChecksum: checksum(bytes, FRAME_HEADER_BYTES, this.#length, 0),
    };
    return { bytes, checksum: putFrameHead(bytes, this.#view, head, place) };
  }

  #create(
    group: GroupId,
    create: { readonly node: NodeId; readonly snapshot: SnapshotMeta },
  ): void {
    const start = this.#begin(RECORD.create, group);
    this.#u64(create.node);
    this.#raw(encodePlainCbor(snapshotToArray(create.snapshot)));
    this.#end(start);
  }

  #snapshot(group: GroupId, meta: SnapshotMeta): void {
    const start = this.#begin(RECORD.snapshot, group);
    this.#u64(meta.index);
    this.#u64(meta.term);
    this.#raw(encodePlainCbor(confStateToArray(meta.conf)));
    this.#end(start);
  }

  #hardState(group: GroupId, state: HardState): void {
    const start = this.#begin(RECORD.hardState, group);
    this.#hardStateBody(state);
    this.#end(start);
  }

  #hardStateBody(state: HardState): void {
    this.#u64(state.term);
    this.#u64(state.vote ?? 0);
    this.#u64(state.commit);
    this.#reserve(1);
    this.#bytes[this.#length++] = state.vote === null ? 0 : 1;
  }

  #conf(group: GroupId, applied: AppliedConf): void {
    const start = this.#begin(RECORD.conf, group);
    this.#u64(applied.index);
    this.#raw(encodePlainCbor(confStateToArray(applied.conf)));
    this.#end(start);
  }

  #entries(group: GroupId, entries: readonly Entry[]): void {
    let at = 0;
    while (at < entries.length) at = this.#run(group, entries, at);
  }

  /** One record of entries of one term; returns the first that is not in. */
  #run(group: GroupId, entries: readonly Entry[], from: number): number {
    const first = entries[from];
    if (first === undefined) return entries.length;
    const start = this.#begin(RECORD.entries, group);
    const countAt = this.#length + 16;
    this.#runHead({ term: first.term, first: first.index, count: 0 });
    let at = from;
    let entry: Entry | undefined = first;
    do {
      this.#entry(entry);
      entry = entries[++at];
    } while (
      entry !== undefined && entry.term === first.term &&
      this.#length - start < RUN_BYTES
    );
    this.#view.setUint32(countAt, at - from, true);
    this.#end(start);
    return at;
  }

  #runHead({ term, first, count }: RunHead): void {
    this.#reserve(RUN_HEAD_BYTES);
    putU64(this.#view, this.#length, term);
    putU64(this.#view, this.#length + 8, first);
    this.#view.setUint32(this.#length + 16, count, true);
    this.#length += RUN_HEAD_BYTES;
  }

  #entry(entry: Entry): void {
    const payload = entryPayload(entry);
    this.#reserve(ENTRY_HEAD_BYTES + payload.length);
    const at = this.#length;
    this.#bytes[at] = ENTRY_CODE[entry.type];
    this.#view.setUint32(at + 1, payload.length, true);
    this.#bytes.set(payload, at + ENTRY_HEAD_BYTES);
    this.#length = at + ENTRY_HEAD_BYTES + payload.length;
  }

  #begin(type: number, group: GroupId): number {
    const start = this.#length;
    this.#reserve(RECORD_HEADER_BYTES);
    this.#view.setUint32(start + 8, type, true);
    putU64(this.#view, start + 12, group);
    this.#length += RECORD_HEADER_BYTES;
    return start;
  }

  #end(start: number): void {
    const payloadBytes = this.#length - start - RECORD_HEADER_BYTES;
    this.#view.setUint32(start + 4, payloadBytes, true);
    const sum = checksum(
      this.#bytes,
      start + 4,
      this.#length,
      this.#recordSeed,
    );
    this.#view.setUint32(start, sum, true);
  }

  #u64(value: number): void {
    this.#reserve(8);
    putU64(this.#view, this.#length, value);
    this.#length += 8;
  }

  #u32(value: number): void {
    this.#reserve(4);
    this.#view.setUint32(this.#length, value, true);
    this.#length += 4;
  }

  #raw(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  #reserve(count: number): void {
    const wanted = this.#length + count;
    if (wanted <= this.#bytes.length) return;
    if (wanted > MAX_FRAME_BYTES) {
      throw new RaftError(
        "tooLarge",
        `Cannot write a batch: it has ${wanted} bytes and more, wanted at most ${MAX_FRAME_BYTES}`,
      );
    }
    let capacity = this.#bytes.length;
    while (capacity < wanted) capacity *= 2;
    const grown = new Uint8Array(capacity);
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
    this.#view = viewOf(grown);
  }
}

/** What seldom changes about a group, in bytes of its own. */
function encodeSettings(state: GroupCheckpoint): Uint8Array {
  const { snapshot, isInstalled, conf } = state;
  return copyBytes(encodePlainCbor([
    snapshotToArray(snapshot),
    isInstalled,
    conf === undefined ? null : [conf.index, confStateToArray(conf.conf)],
  ]));
}

function snapshotToArray(meta: SnapshotMeta): unknown[] {
  return [meta.index, meta.term, confStateToArray(meta.conf)];
}
