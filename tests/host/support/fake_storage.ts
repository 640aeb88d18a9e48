/**
 * A storage whose writes complete, hang or fail when the test says so.
 *
 * @module
 */
import { RaftError } from "../../../src/errors.ts";
import type { Entry, GroupId, TermRun } from "../../../src/core/types.ts";
import { INITIAL_HARD_STATE } from "../../../src/core/types.ts";
import type {
  GroupWrite,
  OpenedStorage,
  ReadRange,
  Storage,
  StoredGroup,
} from "../../../src/storage.ts";

interface Group {
  node: number;
  hardState: StoredGroup["hardState"];
  snapshot: StoredGroup["snapshot"];
  conf: StoredGroup["conf"];
  entries: Entry[];
}

/** What one call to `write` carried. */
export interface RecordedWrite {
  readonly batch: readonly GroupWrite[];
  readonly sync: boolean;
}

/** What a disk keeps: survives the storage objects that use it. */
export class FakeDisk {
  readonly groups: Map<GroupId, Group> = new Map<GroupId, Group>();
  readonly writes: RecordedWrite[] = [];
  /** Entries that opening returns, the newest; the rest has to be read. */
  tailCount: number = Infinity;
  readCount = 0;
  /** While set, writes wait. */
  hold = false;
  /** While set, writes fail. */
  fail = false;
  /** While set, reads fail. */
  failReads = false;
  closed = false;
  #held: (() => void)[] = [];

  storage(): Storage {
    return new FakeStorage(this);
  }

  /** Lets the writes that wait go on, and all later ones. */
  release(): void {
    this.hold = false;
    for (const pass of this.#held.splice(0)) pass();
  }

  get heldCount(): number {
    return this.#held.length;
  }

  async pass(): Promise<void> {
    if (this.hold) await new Promise<void>((pass) => this.#held.push(pass));
    if (this.fail) {
      throw new RaftError("storageFailed", "Cannot write: the disk is broken");
    }
  }
}

class FakeStorage implements Storage {
  readonly #disk: FakeDisk;

  constructor(disk: FakeDisk) {
    this.#disk = disk;
  }

  open(): Promise<OpenedStorage> {
    this.#disk.closed = false;
    return Promise.resolve({
      incarnation: "0".repeat(32),
      groups: [...this.#disk.groups].map(([group, data]) =>
        stored(group, data, this.#disk.tailCount)
      ),
      repairs: [],
    });
  }

  async write(
    batch: readonly GroupWrite[],
    options: { readonly sync?: boolean | undefined } = {},
  ): Promise<void> {
    const copy = batch.map((write) => ({
      ...write,
      entries: [...write.entries],
    }));
    this.#disk.writes.push({ batch: copy, sync: options.sync ?? true });
    await this.#disk.pass();
    for (const write of copy) this.#apply(write);
  }

  read(range: ReadRange): Promise<Entry[]> {
    this.#disk.readCount++;
    if (this.#disk.failReads) {
      return Promise.reject(
        new RaftError("corrupt", "Cannot read: the disk is damaged"),
      );
    }
    const entries = this.#disk.groups.get(range.group)?.entries ?? [];
    return Promise.resolve(
      entries.filter(({ index }) =>
        index >= range.from && index <= range.through
      ),
    );
  }

  compact(): Promise<void> {
    return Promise.resolve();
  }

  snapshotWriter(): Promise<never> {
    return Promise.reject(new RaftError("unsupported", "No snapshots here"));
  }

  snapshotReader(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  destroyGroup(group: GroupId): Promise<void> {
    this.#disk.groups.delete(group);
    return Promise.resolve();
  }

  close(): Promise<void> {
    this.#disk.closed = true;
    return Promise.resolve();
  }

  #apply(write: GroupWrite): void {
    if (write.create !== undefined) {
      this.#disk.groups.set(write.group, {
        node: write.create.node,
        hardState: INITIAL_HARD_STATE,
        snapshot: write.create.snapshot,
        conf: undefined,
        entries: [],
      });
    }
    const group = this.#disk.groups.get(write.group);
    if (group === undefined) throw new Error(`No group ${write.group}`);
    group.hardState = write.hardState ?? group.hardState;
    group.conf = write.conf ?? group.conf;
    const [first] = write.entries;
    if (first === undefined) return;
    group.entries = [
      ...group.entries.filter(({ index }) => index < first.index),
      ...write.entries,
    ];
  }
}

function stored(
  group: GroupId,
  data: Group,
  tailCount: number,
): StoredGroup {
  const { entries, snapshot } = data;
  const runs: TermRun[] = [];
  for (const { index, term } of entries) {
    if (runs.at(-1)?.term !== term) runs.push({ term, firstIndex: index });
  }
  return {
    group,
    node: data.node,
    hardState: data.hardState,
    snapshot,
    conf: data.conf,
    firstIndex: snapshot.index + 1,
    lastIndex: entries.at(-1)?.index ?? snapshot.index,
    prevTerm: snapshot.term,
    termRuns: runs,
    tail: entries.slice(Math.max(0, entries.length - tailCount)),
  };
}
