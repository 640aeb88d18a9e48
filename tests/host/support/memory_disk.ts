/**
 * A disk that keeps snapshots: the memory storage behind the switches of the
 * fake one.
 *
 * @module
 */
import type { MemoryStorage as Memory } from "../../../storage/memory.ts";
import { MemoryStorage } from "../../../storage/memory.ts";
import type {
  SnapshotReader,
  SnapshotWriter,
  Storage,
  StoredGroup,
} from "../../../src/storage.ts";
import { RaftError } from "../../../src/errors.ts";
import { FakeDisk } from "./fake_storage.ts";

/** What happened to snapshots, in order. */
export type SnapshotEvent =
  | "suspend"
  | "open"
  | "chunk"
  | "commit"
  | "committed"
  | "abort"
  | "compact";

/** A disk with snapshots; `hold` and `fail` act on every flush. */
export class MemoryDisk extends FakeDisk {
  #storage: Memory = new MemoryStorage({ onFlush: () => this.pass() });
  /** What was asked of its snapshots. */
  readonly snapshotEvents: SnapshotEvent[] = [];
  /** Told of each the moment it happens. */
  onSnapshot: (event: SnapshotEvent) => void = () => {};
  /** While set, it stores no snapshots. */
  refusesSnapshots = false;
  /** While set, chunks of snapshots wait to be written. */
  holdsChunks = false;
  /** While set, there is no room for a chunk of a snapshot. */
  isFull = false;
  /** While set, a stored snapshot proves damaged behind its first chunk. */
  isRotten = false;
  /** Readers that may still be read. */
  readerCount = 0;
  #heldChunks: (() => void)[] = [];

  override storage(): Storage {
    return this.#watch(this.#storage);
  }

  /** The power fails: what was not flushed is lost. */
  crash(): void {
    this.#storage = this.#storage.crash();
    this.releaseChunks();
    this.release();
  }

  /** What is stored of a group, once nobody has the data open. */
  async stored(group = 1): Promise<StoredGroup | undefined> {
    const other = this.#storage.attach();
    try {
      const { groups } = await other.open({ deployment: "tests" });
      return groups.find((one) => one.group === group);
    } finally {
      await other.close();
    }
  }

  /** Lets chunks be written again. */
  releaseChunks(): void {
    this.holdsChunks = false;
    for (const pass of this.#heldChunks.splice(0)) pass();
  }

  #note(event: SnapshotEvent): void {
    this.snapshotEvents.push(event);
    this.onSnapshot(event);
  }

  #watch(storage: Memory): Storage {
    return {
      open: (identity) => storage.open(identity),
      write: (batch, options) => storage.write(batch, options),
      read: (range) => {
        this.readCount++;
        return storage.read(range);
      },
      compact: (group, through) => {
        this.#note("compact");
        return storage.compact(group, through);
      },
      snapshotWriter: async (group, meta, options) => {
        this.#note("open");
        if (this.refusesSnapshots) {
          throw new RaftError("unsupported", "No snapshots here");
        }
        return this.#writer(
          await storage.snapshotWriter(group, meta, options),
        );
      },
      snapshotReader: async (group) => {
        const reader = await storage.snapshotReader(group);
        return reader && this.#reader(reader);
      },
      destroyGroup: (group) => storage.destroyGroup(group),
      close: () => storage.close(),
    };
  }

  #reader(reader: SnapshotReader): SnapshotReader {
    const isRotten = () => this.isRotten;
    this.readerCount++;
    let isReleased = false;
    return {
      meta: reader.meta,
      bytes: reader.bytes,
      token: reader.token,
      async *chunks(fromOffset) {
        if (isReleased) throw new Error("It was released");
        for await (const chunk of reader.chunks(fromOffset)) {
          yield chunk;
          if (isRotten()) throw new RaftError("corrupt", "The disk is rotten");
        }
      },
      release: () => {
        if (!isReleased) this.readerCount--;
        isReleased = true;
      },
    };
  }

  #writer(writer: SnapshotWriter): SnapshotWriter {
    return {
      get offset() {
        return writer.offset;
      },
      write: async (chunk, at) => {
        if (this.holdsChunks) {
          await new Promise<void>((pass) => this.#heldChunks.push(pass));
        }
        this.#note("chunk");
        if (this.isFull) {
          await writer.abort();
          throw new RaftError("snapshotFailed", "The disk is full");
        }
        return await writer.write(chunk, at);
      },
      commit: async () => {
        this.#note("commit");
        await writer.commit();
        this.#note("committed");
      },
      suspend: async () => {
        this.#note("suspend");
        await writer.suspend();
      },
      abort: async () => {
        this.#note("abort");
        await writer.abort();
      },
    };
  }
}
