/**
 * A storage over a key-value engine: checks what comes in, opens and closes.
 * The rows are in `keys.ts` and `rows.ts`, the writing in `flusher.ts`.
 *
 * @module
 */
import { RaftError } from "../../src/errors.ts";
import type {
  GroupWrite,
  OpenedStorage,
  ReadRange,
  SnapshotReader,
  SnapshotWriter,
  SnapshotWriterOptions,
  Storage,
  StorageIdentity,
  StoredGroup,
  WriteOptions,
} from "../../src/storage.ts";
import type {
  Entry,
  GroupId,
  LogIndex,
  SnapshotMeta,
} from "../../src/core/types.ts";
import { type Draft, isDraftOf } from "./draft.ts";
import { failed } from "./errors.ts";
import { Flusher } from "./flusher.ts";
import { GroupTable } from "./groups.ts";
import { type Possession, takePossession } from "./identity.ts";
import type { OrderedKv } from "./ordered_kv.ts";
import {
  checkRange,
  readEntries,
  type ReadSource,
  readTail,
} from "./reader.ts";
import { type RecoveredGroup, recoverGroups } from "./recovery.ts";
import { ROW_OVERHEAD_BYTES } from "./rows.ts";
import { NO_PIECES, pieceReader, PieceWriter, readSoFar } from "./snapshots.ts";

/** Options of {@linkcode KvStorage}. */
export interface KvStorageOptions {
  /**
   * Opens the engine and takes its lock. Called by every `open` of the
   * storage, which closes the engine again.
   */
  readonly open: () => Promise<OrderedKv>;
  /**
   * Bytes of the newest entries that opening returns per group; with many
   * groups less, so that they are at most 64 MiB together.
   *
   * @default 4 MiB
   */
  readonly tailBytes?: number | undefined;
  /**
   * The incarnation of data that is made, 32 lower case hexadecimal digits.
   * Minted if absent; ignored when data is there.
   */
  readonly incarnation?: string | undefined;
}

const DEFAULT_TAIL_BYTES = 4 << 20;
const MAX_TOTAL_TAIL_BYTES = 64 << 20;
const MAX_PIECE_BYTES = 256 << 10;
/** Snapshots that one opening may begin; more than anybody has time for. */
const IDS_PER_EPOCH = 1 << 26;

/** A storage that is open. */
interface OpenData {
  readonly kv: OrderedKv;
  readonly source: ReadSource;
  readonly groups: GroupTable;
  readonly flusher: Flusher;
  readonly possession: Possession;
}

/**
 * A storage over a key-value engine, for all groups of a host.
 *
 * A write is as durable as a commit of the engine when it resolves. Writes
 * that overlap share a commit. Every row has a checksum, which is looked at
 * whenever it is read: what the engine lost, mixed up or let rot is an error
 * of code `corrupt` that names the row, never other data.
 *
 * A second opening is refused with `locked` where the engine has a lock.
 * Where it has none, the second one wins: the next write of the first rejects
 * with `locked`, nothing of it is stored, and its member has to stop.
 */
export class KvStorage implements Storage {
  readonly #options: KvStorageOptions;
  readonly #tailBytes: number;
  readonly #writing = new Set<GroupId>();
  #state: "new" | "opening" | "open" | "closed" = "new";
  /** Set exactly in state `open`. */
  #data: OpenData | undefined;
  /** Set in state `opening`; never rejects. */
  #opening: Promise<void> | undefined;
  /** Set by the first `close`. */
  #closing: Promise<void> | undefined;
  #lastId = 0;

  /**
   * Makes a storage that is not open yet; touches no engine.
   *
   * @throws {RangeError} If an option is out of range.
   */
  constructor(options: KvStorageOptions) {
    const tailBytes = options.tailBytes ?? DEFAULT_TAIL_BYTES;
    if (!(tailBytes >= 0 && tailBytes <= MAX_TOTAL_TAIL_BYTES)) {
      throw new RangeError(
        `Cannot make a storage: tailBytes is ${tailBytes}, wanted 0 to ${MAX_TOTAL_TAIL_BYTES}`,
      );
    }
    this.#options = options;
    this.#tailBytes = tailBytes;
  }

  /**
   * Opens the engine, checks the identity, reads the groups. Once; but if it
   * rejects, it may be called again.
   *
   * @throws {RaftError} `locked`, `identityMismatch`, `corrupt`,
   * `unsupportedFormat` or `storageFailed`.
   */
  async open(identity: StorageIdentity): Promise<OpenedStorage> {
    if (this.#state === "closed") throw this.#closedError();
    if (this.#state !== "new") {
      throw new RaftError(
        "locked",
        "Cannot open the storage: it is open already",
      );
    }
    this.#state = "opening";
    const opening = this.#open(identity.deployment);
    this.#opening = opening.then(() => {}, () => {});
    try {
      const opened = await opening;
      this.#state = "open";
      return opened;
    } catch (error) {
      this.#state = "new";
      throw error instanceof RangeError
        ? error
        : failed("open the storage", error);
    }
  }

  /**
   * Writes a batch; see {@linkcode Storage.write}. A batch that is larger
   * than what the engine commits at once is atomic all the same. With
   * `sync: false` it resolves once the batches before it are durable.
   *
   * @throws {RaftError} For good after any failure: `storageFailed`, or
   * `locked` if somebody else has opened the data since.
   * @throws {RangeError} If the batch does not fit what is stored; nothing of
   * it is written then.
   */
  // deno-lint-ignore require-await -- a rejection, never a throw
  async write(
    batch: readonly GroupWrite[],
    options?: WriteOptions,
  ): Promise<void> {
    const { groups, flusher } = this.#require();
    groups.write(batch);
    return flusher.flush(options);
  }

  /**
   * Reads stored entries, checked against their checksums and terms.
   *
   * @throws {RaftError} `compacted`, `corrupt`, or `storageFailed`.
   * @throws {RangeError} If the group does not exist or the range begins
   * beyond its log.
   */
  async read(range: ReadRange): Promise<Entry[]> {
    for (;;) {
      const { groups, flusher, source } = this.#require();
      const group = groups.require(range.group);
      // As they are now, and the engine's once the flush is over: what is
      // appended later may not be stored when the entries are read.
      const { bounds } = group.now;
      const { cuts } = group;
      checkRange(range, bounds);
      await (group.hasRows ? flusher.flush() : flusher.current());
      // What is cut off meanwhile may be gone half-way: then once more.
      const isCut = () =>
        groups.get(range.group) !== group || group.cuts !== cuts;
      try {
        const entries = await readEntries(source, bounds, range);
        if (!isCut()) return entries;
      } catch (error) {
        if (!isCut()) throw failed("read entries", error);
      }
    }
  }

  /**
   * See {@linkcode Storage.compact}; durable when it resolves. The rows are
   * removed later, some at a time, between writes.
   *
   * @throws {RangeError} If the snapshot does not reach that far (H54).
   */
  // deno-lint-ignore require-await -- a rejection, never a throw
  async compact(group: GroupId, through: LogIndex): Promise<void> {
    const { groups, flusher } = this.#require();
    groups.compact(group, through);
    return flusher.flush();
  }

  /**
   * See {@linkcode Storage.snapshotWriter}. Pieces are durable as they come
   * in; what a crash leaves of a snapshot without a token is removed.
   *
   * @throws {RangeError} If there is no such group, or another snapshot of it
   * is being written.
   */
  async snapshotWriter(
    group: GroupId,
    meta: SnapshotMeta,
    options: SnapshotWriterOptions = {},
  ): Promise<SnapshotWriter> {
    const data = this.#require();
    data.groups.require(group);
    if (this.#writing.has(group)) {
      throw new RangeError(
        `Cannot write a snapshot of group ${group}: another one is being written`,
      );
    }
    this.#writing.add(group);
    try {
      return await this.#makeWriter(data, group, {
        meta: structuredClone(meta),
        token: options.token ?? "",
      });
    } catch (error) {
      this.#writing.delete(group);
      throw failed("write a snapshot", error);
    }
  }

  /** See {@linkcode Storage.snapshotReader}. */
  // deno-lint-ignore require-await -- a rejection, never a throw
  async snapshotReader(group: GroupId): Promise<SnapshotReader | undefined> {
    const { groups, source, possession } = this.#require();
    const owner = groups.get(group);
    const stored = owner?.newest;
    if (owner === undefined || stored === undefined) return undefined;
    const { id } = stored.data;
    let isHeld = true;
    groups.pin(id);
    return pieceReader(source, group, {
      ...stored,
      pins: {
        token: `${possession.incarnation}-${group}-${id}`,
        isKept: () => groups.isKept(group, id, owner),
        release: () => {
          if (isHeld) groups.unpin(group, id);
          isHeld = false;
        },
      },
    });
  }

  /** See {@linkcode Storage.destroyGroup}. Harmless without the group. */
  // deno-lint-ignore require-await -- a rejection, never a throw
  async destroyGroup(group: GroupId): Promise<void> {
    const { groups, flusher } = this.#require();
    groups.destroy(group);
    return flusher.flush();
  }

  /** Makes durable what was written, closes the engine. Never rejects. */
  close(): Promise<void> {
    if (this.#state === "opening" && this.#opening !== undefined) {
      return this.#opening.then(() => this.close());
    }
    this.#state = "closed";
    if (this.#data !== undefined) this.#closing = this.#close(this.#data);
    return this.#closing ?? Promise.resolve();
  }

  async #close({ flusher, kv }: OpenData): Promise<void> {
    this.#data = undefined;
    await flusher.close();
    await kv.close().catch(() => {});
  }

  async #open(deployment: string): Promise<OpenedStorage> {
    const kv = await this.#options.open();
    try {
      const { incarnation } = this.#options;
      const possession = await takePossession(kv, { deployment, incarnation });
      const { codec, guard } = possession;
      const { valueBytes } = kv.limits;
      const source = { kv, codec, valueBytes };
      const target = { kv, codec, guard };
      const found = await recoverGroups(target, source);
      const groups = new GroupTable(source, found);
      const flusher = new Flusher(target, {
        take: () => groups.take(),
        findGarbage: () => groups.findGarbage(),
      });
      const stored = await this.#describe(source, found);
      this.#data = { kv, source, groups, flusher, possession };
      return {
        incarnation: possession.incarnation,
        groups: stored,
        repairs: [],
      };
    } catch (error) {
      await kv.close().catch(() => {});
      throw error;
    }
  }

  async #describe(
    source: ReadSource,
    found: readonly RecoveredGroup[],
  ): Promise<StoredGroup[]> {
    const share = Math.floor(MAX_TOTAL_TAIL_BYTES / Math.max(1, found.length));
    const maxBytes = Math.min(this.#tailBytes, share);
    const stored: StoredGroup[] = [];
    for (const { group: { group, now } } of found) {
      stored.push({
        ...now.bounds,
        group,
        hardState: { ...now.hardState },
        snapshot: structuredClone(now.snapshot),
        conf: structuredClone(now.conf),
        termRuns: now.bounds.termRuns.map((run) => ({ ...run })),
        tail: await readTail(source, now.bounds, { group, maxBytes }),
      });
    }
    return stored;
  }

  async #makeWriter(
    { source, groups, flusher, possession }: OpenData,
    group: GroupId,
    wanted: { readonly token: string; readonly meta: SnapshotMeta },
  ): Promise<SnapshotWriter> {
    const known = groups.draftOf(group);
    const isKnown = known !== undefined && wanted.token !== "" &&
      isDraftOf(known, wanted);
    const draft = isKnown
      ? known
      : this.#startDraft(possession, source, wanted);
    const series = { group, id: draft.id, pieceBytes: draft.pieceBytes };
    if (!isKnown) {
      groups.addDraft(group, draft);
      if (wanted.token !== "") await flusher.flush();
    }
    const soFar = isKnown ? await readSoFar(source, series) : NO_PIECES;
    // What is left of it is removed by the next flush, or the next opening.
    const drop = async (): Promise<void> => {
      groups.dropDraft(group);
      if (this.#data !== undefined) await flusher.flush().catch(() => {});
    };
    const target = {
      store: (piece: Parameters<typeof groups.addPiece>[2]) => {
        this.#require();
        groups.addPiece(group, draft, piece);
        return flusher.flush();
      },
      add: (data: Parameters<typeof groups.addSnapshot>[2]) => {
        this.#require();
        groups.addSnapshot(group, draft, data);
        return flusher.flush();
      },
      keep: () => wanted.token === "" ? drop() : Promise.resolve(),
      drop,
      end: () => void this.#writing.delete(group),
    };
    return new PieceWriter(source, series, { target, soFar });
  }

  #startDraft(
    possession: Possession,
    { valueBytes }: ReadSource,
    wanted: { readonly token: string; readonly meta: SnapshotMeta },
  ): Draft {
    return {
      ...wanted,
      id: possession.epoch * IDS_PER_EPOCH + this.#lastId++,
      pieceBytes: Math.min(MAX_PIECE_BYTES, valueBytes - ROW_OVERHEAD_BYTES),
    };
  }

  #require(): OpenData {
    if (this.#data === undefined) throw this.#closedError();
    const { failure } = this.#data.flusher;
    if (failure !== undefined) throw failure;
    return this.#data;
  }

  #closedError(): RaftError {
    const what = this.#state === "closed" ? "it was closed" : "it is not open";
    return new RaftError("stopped", `Cannot use the storage: ${what}`);
  }
}
