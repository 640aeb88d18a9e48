/**
 * The storage contract: one storage per host, shared by all its groups.
 *
 * To be correct, a storage keeps to this list; each point is a case of the
 * same words in the contract suite (`@balsa/raft/testing`):
 *
 * 1. A batch that resolved survives every crash; one that did not resolve is
 *    there as a whole or as a whole prefix of its group writes, never half an
 *    entry, and never without the batches before it.
 * 2. Within one group write, entries replace everything stored from the
 *    first one's index on; hard state and entries become durable together.
 * 3. Batches become durable in the order in which `write` was called, also
 *    when the caller does not wait in between.
 * 4. A dropped suffix never comes back, not after any crash (H53).
 * 5. `open` returns what the resolved batches left, entry for entry, with the
 *    same terms, types and payload bytes.
 * 6. The storage copies or writes out what it is given before `write`
 *    returns; what it hands out is the caller's (H121).
 * 7. After a failed write or flush every later call rejects with
 *    `storageFailed`: nothing is retried as if it had held (H44).
 * 8. Damage is an error of code `corrupt` that names file and offset, never
 *    silence; an unfinished last batch is no damage (H47, H48).
 * 9. A second opening of the same data rejects with `locked`, one for another
 *    deployment or node with `identityMismatch`, and neither changes a byte.
 * 10. `read` returns the stored entries of a range in order, at least one,
 *     and stops before `maxBytes`.
 * 11. A snapshot is whole or not there. One that came half-way and was
 *     suspended is gone on with where it ended, whatever chunks come again,
 *     also after a crash, which may cost bytes but never mixes any (H65).
 *
 * @module
 */
import type {
  AppliedConf,
  Entry,
  GroupId,
  HardState,
  LogIndex,
  NodeId,
  SnapshotMeta,
  Term,
  TermRun,
} from "./core/types.ts";

/** Whose data this is. */
export interface StorageIdentity {
  /** Name of the deployment; data of another one is refused. */
  readonly deployment: string;
}

/** What a storage holds when it is opened. */
export interface OpenedStorage {
  /**
   * Minted when the storage was created, 32 hexadecimal digits: tells a
   * member's disk from an empty or foreign one under the same id (H80).
   */
  readonly incarnation: string;
  /** Every group ever written and not destroyed. */
  readonly groups: readonly StoredGroup[];
  /** What opening had to repair, for the log: a torn tail, its length. */
  readonly repairs: readonly StorageRepair[];
}

/** A repair that lost nothing durable. */
export interface StorageRepair {
  /**
   * What was repaired. `"tornTail"`: an unfinished last write was cut off.
   * `"damagedSnapshot"`: a snapshot was set aside, an older one and the log
   * have everything. `"damagedIndex"`: a file that only makes opening faster
   * is made anew.
   */
  readonly type: "tornTail" | "damagedSnapshot" | "damagedIndex";
  /** The file that was cut, set aside or is made anew. */
  readonly file: string;
  /** Where it ends now, or where it is damaged, in bytes. */
  readonly offset: number;
  /** Bytes dropped, where it was cut. */
  readonly bytes?: number | undefined;
}

/** What is stored of one group. */
export interface StoredGroup {
  /** The group. */
  readonly group: GroupId;
  /** The member this data belongs to; starting as another one is refused. */
  readonly node: NodeId;
  /** The newest one written. */
  readonly hardState: HardState;
  /** What lies below the log; index 0 with the bootstrap configuration. */
  readonly snapshot: SnapshotMeta;
  /** The newest configuration written by {@linkcode GroupWrite.conf}. */
  readonly conf?: AppliedConf | undefined;
  /** First index of the retained log. */
  readonly firstIndex: LogIndex;
  /** `firstIndex - 1` for an empty log. */
  readonly lastIndex: LogIndex;
  /** Term of the entry before `firstIndex`. */
  readonly prevTerm: Term;
  /** Terms of the retained entries; empty for an empty log. */
  readonly termRuns: readonly TermRun[];
  /** The newest entries, contiguous up to `lastIndex`, bounded in bytes. */
  readonly tail: readonly Entry[];
}

/** One group's part of a batch. */
export interface GroupWrite {
  /** The group. */
  readonly group: GroupId;
  /**
   * Creates the group: who this member is, and the state it starts from.
   * Present in the first write of a group. A second time only for a member
   * that joins: while its log is empty it may learn where it starts from.
   */
  readonly create?: {
    readonly node: NodeId;
    readonly snapshot: SnapshotMeta;
  } | undefined;
  /** Replaces the stored one. */
  readonly hardState?: HardState | undefined;
  /** Replaces the log up to its index; its data was stored before. */
  readonly snapshot?: SnapshotMeta | undefined;
  /** Contiguous; replaces everything stored from the first index on. */
  readonly entries: readonly Entry[];
  /** A configuration that was applied. */
  readonly conf?: AppliedConf | undefined;
}

/** Options of {@linkcode Storage.write}. */
export interface WriteOptions {
  /**
   * `false` when no message depends on this batch (only a commit index
   * moved): it may become durable with the next batch. Default `true`.
   */
  readonly sync?: boolean | undefined;
}

/** Which stored entries to read. */
export interface ReadRange {
  /** The group. */
  readonly group: GroupId;
  /** Inclusive. */
  readonly from: LogIndex;
  /** Inclusive. */
  readonly through: LogIndex;
  /** Stop before this many bytes; the first entry is returned anyhow. */
  readonly maxBytes: number;
}

/** Options of {@linkcode Storage.snapshotWriter}. */
export interface SnapshotWriterOptions {
  /**
   * Names the very bytes that will be written, as
   * {@linkcode SnapshotReader.token} does. With one, a snapshot that was
   * suspended under the same name, with the same meta data, is gone on with,
   * also after a restart; suspended ones under another name are dropped.
   */
  readonly token?: string | undefined;
}

/** Takes a snapshot's data, then makes it visible as a whole. */
export interface SnapshotWriter {
  /** Bytes it has: where the next chunk belongs. */
  readonly offset: number;
  /**
   * Takes a chunk whose first byte belongs at `at`, by default at `offset`.
   * What it has already is passed over (H65).
   *
   * @returns Once more may come: `true`, or `false` if bytes before `at` are
   * missing, and then nothing has changed.
   * @throws {RaftError} `snapshotFailed` if it cannot be stored; it is thrown
   * away then, and nothing else is affected. `storageFailed` for good.
   */
  write(chunk: Uint8Array, at?: number): Promise<boolean>;
  /**
   * Makes it durable and visible, replacing older ones by the policy. Until
   * then an older one stays as it is, whatever happens.
   */
  commit(): Promise<void>;
  /** Throws it away. Harmless when it is over. */
  abort(): Promise<void>;
  /**
   * Lets go of it and keeps what there is for a writer of the same token;
   * throws it away without one. Harmless when it is over.
   */
  suspend(): Promise<void>;
}

/** A stored snapshot. */
export interface SnapshotReader {
  /** What it contains. */
  readonly meta: SnapshotMeta;
  /** Length of the data in bytes. */
  readonly bytes: number;
  /** Names these very bytes: no others, here or elsewhere, have this name. */
  readonly token?: string | undefined;
  /**
   * The data from an offset on, in chunks. May be called again.
   *
   * @throws {RaftError} `corrupt` when it comes to damage; nothing wrong is
   * ever handed out. `compacted` if the storage has dropped it, which takes a
   * newer one, and `release`.
   */
  chunks(fromOffset?: number): AsyncIterable<Uint8Array>;
  /** Gives it up: the storage may drop it once it is replaced. */
  release?(): void;
}

/** Where a host keeps its groups. See the module for the rules. */
export interface Storage {
  /**
   * Takes the lock, checks the identity, recovers. Once, before all else.
   *
   * @throws {RaftError} `locked`, `identityMismatch`, `corrupt`,
   * `unsupportedFormat` or `storageFailed`.
   */
  open(identity: StorageIdentity): Promise<OpenedStorage>;
  /** Writes a batch; resolves once it is durable. Calls may overlap. */
  write(batch: readonly GroupWrite[], options?: WriteOptions): Promise<void>;
  /**
   * Reads entries that `write` was given, flushed or not.
   *
   * @throws {RaftError} `compacted` if `from` is gone, `corrupt` if damaged.
   */
  read(range: ReadRange): Promise<Entry[]>;
  /** Drops entries up to and including `through`; at most the snapshot's. */
  compact(group: GroupId, through: LogIndex): Promise<void>;
  /** Starts a snapshot of a group. One at a time per group. */
  snapshotWriter(
    group: GroupId,
    meta: SnapshotMeta,
    options?: SnapshotWriterOptions,
  ): Promise<SnapshotWriter>;
  /** The newest complete snapshot, or `undefined`. */
  snapshotReader(group: GroupId): Promise<SnapshotReader | undefined>;
  /** Forgets a group and its data. */
  destroyGroup(group: GroupId): Promise<void>;
  /** Waits for what was written, releases the lock. Idempotent. */
  close(): Promise<void>;
}
