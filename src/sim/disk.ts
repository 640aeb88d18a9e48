/**
 * What is on a member's disk: its log and hard state, as written and as
 * durable, and what is damaged of them.
 *
 * @module
 */
import {
  type AppliedConf,
  type ConfState,
  type Entry,
  type HardState,
  INITIAL_HARD_STATE,
  type LogIndex,
} from "../core/types.ts";
import type { Load, Ready, RestoredState } from "../core/ready.ts";
import { LogMirror, type LogPrefix, type OmittedDigest } from "./log_mirror.ts";
import type { StoredSnapshot } from "./snapshots.ts";
import { fail } from "./violation.ts";

/** What disks need to know of their group. */
export interface DiskWorld {
  /** What the group has committed: what snapshots stand for. */
  readonly committed: { readonly prefix: LogPrefix };
  readonly omittedDigest: OmittedDigest;
}

/** One Ready's part that goes to disk. */
export interface DiskWrite {
  /** The Ready's number. */
  readonly number: number;
  readonly hardState: HardState | undefined;
  /** What the group began with, if the member has just learned it. */
  readonly founding: ConfState | undefined;
  /** Replaces the log up to its index. */
  readonly snapshot: StoredSnapshot | undefined;
  readonly entries: readonly Entry[];
  /** Digests of the log through each entry. */
  readonly digests: readonly number[];
  /** Whether the write counts only when flushed. */
  readonly mustSync: boolean;
}

/** What a disk held at some time. */
export interface DiskCopy {
  readonly hardState: HardState;
  readonly founding: ConfState | undefined;
  readonly snapshot: StoredSnapshot | undefined;
  readonly log: LogMirror;
}

/**
 * The contents of one member's disk; they survive its crashes. When writes
 * become durable is for the device to say.
 */
export class SimDisk {
  /** What a crash cannot take. */
  readonly durable: LogMirror;
  /** What was written, flushed or not: what a reader sees. */
  readonly written: LogMirror;
  /** Writes that are not yet done. */
  pendingCount = 0;
  #hardState: HardState = INITIAL_HARD_STATE;
  /** What the group began with; `undefined` if nobody told this member. */
  #founding: ConfState | undefined;
  /** A write that a crash left half done; recognised when the disk is read. */
  #torn: DiskWrite | undefined;
  /** Indexes of entries whose bits have rotted (H62). */
  readonly #rotten = new Set<LogIndex>();
  /** Whether the bits of the snapshot have. */
  #isSnapshotRotten = false;
  /** What lies below the log; `undefined` before the first snapshot. */
  #snapshot: StoredSnapshot | undefined;
  /** Received whole, not yet part of the log; by index. A crash takes them. */
  readonly #received = new Map<LogIndex, StoredSnapshot>();
  readonly #committed: LogPrefix;

  /** Makes an empty disk. */
  constructor(world: DiskWorld) {
    this.#committed = world.committed.prefix;
    const omitted: OmittedDigest = (entry, previous) =>
      world.omittedDigest(entry, previous);
    this.durable = new LogMirror(omitted);
    this.written = new LogMirror(omitted);
  }

  /** The snapshot below the log, if there is one. */
  get snapshot(): StoredSnapshot | undefined {
    return this.#snapshot;
  }

  /** A snapshot has come from elsewhere, all of it. */
  receive(snapshot: StoredSnapshot): void {
    this.#received.set(snapshot.meta.index, snapshot);
  }

  /** An own snapshot is durable; entries through `through` go. */
  compact(snapshot: StoredSnapshot, through: LogIndex): void {
    this.#snapshot = snapshot;
    this.#isSnapshotRotten = false;
    this.durable.compact(through);
    this.written.compact(through);
    this.#forgetRot(through);
  }

  /** Term, vote and commit that a crash cannot take. */
  get hardState(): HardState {
    return this.#hardState;
  }

  /** Whether a checksum is wrong somewhere. */
  get isRotten(): boolean {
    return this.#rotten.size > 0 || this.#isSnapshotRotten;
  }

  /** Whether the checksum of the snapshot is wrong. */
  get isSnapshotRotten(): boolean {
    return this.#isSnapshotRotten;
  }

  /** Takes a Ready's write. */
  write(ready: Ready): DiskWrite {
    const { number, hardState, founding, entries, mustSync } = ready;
    const [first] = entries;
    for (const index of this.#rotten) {
      if (first !== undefined && index >= first.index) {
        this.#rotten.delete(index);
      }
    }
    this.pendingCount++;
    const snapshot = ready.snapshot && this.#takeReceived(ready.snapshot.index);
    if (snapshot !== undefined) {
      this.written.resetTo(this.#committed, snapshot.meta.index);
    }
    const digests = this.written.append(entries);
    return {
      number,
      hardState,
      founding,
      snapshot,
      entries,
      digests,
      mustSync,
    };
  }

  /** From now on a crash cannot take this write. */
  sync({ hardState, founding, snapshot, entries, digests }: DiskWrite): void {
    if (hardState !== undefined) this.#hardState = hardState;
    this.#founding = founding ?? this.#founding;
    if (snapshot !== undefined) {
      this.#snapshot = snapshot;
      this.#isSnapshotRotten = false;
      this.durable.resetTo(this.#committed, snapshot.meta.index);
      this.#forgetRot(Infinity);
    }
    this.durable.appendChained(entries, digests);
  }

  /** A crash: what is not durable is gone. */
  revert(): void {
    this.pendingCount = 0;
    this.#received.clear();
    this.written.copyFrom(this.durable);
  }

  /** Copies what a crash cannot take. */
  copy(): DiskCopy {
    const log = new LogMirror();
    log.copyFrom(this.durable);
    return {
      hardState: this.#hardState,
      founding: this.#founding,
      snapshot: this.#snapshot,
      log,
    };
  }

  /** Another disk takes its place, while the member is down. */
  replaceBy({ hardState, founding, snapshot, log }: DiskCopy): void {
    this.#torn = undefined;
    this.mend();
    this.#hardState = hardState;
    this.#founding = founding;
    this.#snapshot = snapshot;
    this.durable.copyFrom(log);
    this.revert();
  }

  /** A crash in the middle of a write leaves a part of it. */
  tear(write: DiskWrite): void {
    if (write.entries.length > 0) this.#torn = write;
  }

  /**
   * What a checksum says of the end of the log: a write that was left half
   * done is cut off (H47). Returns whether there was one.
   */
  repairTail(): boolean {
    const hadTorn = this.#torn !== undefined;
    this.#torn = undefined;
    return hadTorn;
  }

  /**
   * Lets a durable command rot that is at or behind `from`, if there is one.
   * Returns its index.
   */
  rot(from: LogIndex): LogIndex | undefined {
    for (let index = from; index <= this.durable.lastIndex; index++) {
      if (this.durable.entryAt(index)?.type !== "command") continue;
      if (this.written.entryAt(index) !== this.durable.entryAt(index)) continue;
      this.#rotten.add(index);
      return index;
    }
    return undefined;
  }

  /** Lets the snapshot rot, if there is one. Returns whether there is. */
  rotSnapshot(): boolean {
    this.#isSnapshotRotten = this.#snapshot !== undefined;
    return this.#isSnapshotRotten;
  }

  /** The data is there again, from a mirror of the disk. */
  mend(): void {
    this.#rotten.clear();
    this.#isSnapshotRotten = false;
  }

  /**
   * What becomes of damage that nobody checks for: the log holds what was
   * never written. For tests of the checkers.
   */
  trustDamage(): void {
    const torn = this.#torn?.entries ?? [];
    this.#torn = undefined;
    if (torn.length > 0) this.durable.append(torn.map(altered));
    const rotten = [...this.#rotten];
    this.#rotten.clear();
    if (this.#isSnapshotRotten && this.#snapshot !== undefined) {
      const { meta, data } = this.#snapshot;
      this.#snapshot = { meta, data: flipped(data) };
    }
    this.#isSnapshotRotten = false;
    if (rotten.length > 0) {
      const first = Math.min(...rotten);
      const rest: Entry[] = [];
      for (let i = first; i <= this.durable.lastIndex; i++) {
        const entry = this.durable.entryAt(i);
        if (entry === undefined) continue;
        rest.push(rotten.includes(i) ? altered(entry) : entry);
      }
      this.durable.append(rest);
    }
    this.written.copyFrom(this.durable);
  }

  /** Reads stored entries, flushed or not; `undefined` if one has rotted. */
  load({ from, through, maxBytes }: Load): Entry[] | undefined {
    const entries = this.written.slice(from, through, maxBytes);
    const isRotten = entries.some(({ index }) => this.#rotten.has(index));
    return isRotten ? undefined : entries;
  }

  /**
   * What a member starts from after a crash, as storage would return it.
   * `conf` is what the machine has applied since the snapshot, if anything.
   */
  restore(
    bootstrap: ConfState,
    appliedIndex: LogIndex,
    conf: AppliedConf | undefined,
    tailBytes: number,
  ): RestoredState {
    return {
      hardState: this.#hardState,
      snapshot: this.#snapshot?.meta ??
        { index: 0, term: 0, conf: this.#founding ?? bootstrap },
      conf,
      firstIndex: this.durable.firstIndex,
      lastIndex: this.durable.lastIndex,
      prevTerm: this.durable.prevTerm,
      termRuns: this.durable.termRuns(),
      tail: this.durable.newest(tailBytes),
      appliedIndex,
    };
  }

  #takeReceived(index: LogIndex): StoredSnapshot {
    const snapshot = this.#received.get(index);
    this.#received.clear();
    if (snapshot !== undefined) return snapshot;
    return fail(
      "readyContract",
      `A Ready installs a snapshot of ${index} that was never received`,
    );
  }

  #forgetRot(through: LogIndex): void {
    for (const index of this.#rotten) {
      if (index <= through) this.#rotten.delete(index);
    }
  }
}

/** An entry with a bit flipped. */
function altered(entry: Entry): Entry {
  if (entry.type !== "command") return entry;
  return { ...entry, data: flipped(entry.data) };
}

function flipped(bytes: Uint8Array): Uint8Array {
  const copy = bytes.length > 0 ? bytes.slice() : new Uint8Array(1);
  copy[copy.length - 1] = (copy[copy.length - 1] ?? 0) ^ 1;
  return copy;
}
