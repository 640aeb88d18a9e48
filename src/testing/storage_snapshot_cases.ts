/**
 * The bodies of the storage cases about snapshots and compaction.
 *
 * @module
 */
import type { Storage } from "../storage.ts";
import type { SnapshotMeta } from "../core/types.ts";
import type { StorageBench } from "./storage_bench.ts";
import {
  append,
  check,
  checkRejects,
  checkSame,
  command,
  commands,
  createGroup,
  metaAt,
  rejection,
} from "./storage_samples.ts";

const CHUNK_COUNT = 5;
const CHUNK_BYTES = 50_000;
/** Chunks that cover all of the data, with what came before in them. */
const OVERLAPPING = [
  [0, 70_000],
  [0, 70_000],
  [10_000, 10_100],
  [69_999, 120_000],
  [120_000, 250_000],
  [0, 250_000],
] as const;

/** The cases of storages that keep snapshots. */
export class SnapshotCases {
  readonly #bench: StorageBench;

  /** Cases for what is on the bench. */
  constructor(bench: StorageBench) {
    this.#bench = bench;
  }

  async commits(): Promise<void> {
    let [storage] = await this.#open();
    checkSame(await storage.snapshotReader(1), undefined, "there is one");
    const writer = await storage.snapshotWriter(1, metaAt(6, 1));
    for (const chunk of chunks(6)) {
      await writer.write(chunk);
      checkSame(await storage.snapshotReader(1), undefined, "half of it");
      chunk.fill(0);
    }
    await writer.commit();
    await checkData(storage, metaAt(6, 1));
    const [again, opened] = await this.#bench.reopen();
    storage = again;
    await checkData(storage, metaAt(6, 1));
    const [stored] = opened.groups;
    checkSame(stored?.snapshot, metaAt(6, 1), "the group's snapshot");
    checkSame(stored?.firstIndex, 1, "the log was compacted unasked");
  }

  async aborts(): Promise<void> {
    const [storage] = await this.#open();
    const writer = await storage.snapshotWriter(1, metaAt(6, 1));
    await writer.write(new Uint8Array(100));
    await writer.abort();
    await writer.abort();
    checkSame(await storage.snapshotReader(1), undefined, "it is visible");
    await rejection(() => writer.commit(), "it was committed after all");
    await store(storage, metaAt(7, 1));
    await checkData(storage, metaAt(7, 1));
  }

  async keepsNewest(): Promise<void> {
    const [storage] = await this.#open();
    await store(storage, metaAt(8, 1));
    await store(storage, metaAt(5, 1));
    await checkData(storage, metaAt(8, 1));
    const [, opened] = await this.#bench.reopen();
    checkSame(opened.groups[0]?.snapshot.index, 8, "the older one won");
  }

  async replacesSame(): Promise<void> {
    const [storage] = await this.#open();
    const damaged = await storage.snapshotWriter(1, metaAt(8, 1));
    await damaged.write(new Uint8Array(CHUNK_BYTES));
    await damaged.commit();
    await store(storage, metaAt(8, 1));
    await checkData(storage, metaAt(8, 1));
    const [again] = await this.#bench.reopen();
    await checkData(again, metaAt(8, 1));
  }

  async compacts(): Promise<void> {
    const [storage] = await this.#open();
    await rejection(() => storage.compact(1, 3), "without a snapshot");
    await store(storage, metaAt(8, 1));
    await rejection(() => storage.compact(1, 9), "beyond the snapshot");
    await storage.compact(1, 6);
    await storage.compact(1, 2);
    await checkRejects(
      () => storage.read({ group: 1, from: 6, through: 9, maxBytes: 1e6 }),
      "compacted",
      "a dropped entry was read",
    );
    const [again, opened] = await this.#bench.reopen();
    const [stored] = opened.groups;
    checkSame(stored?.firstIndex, 7, "the log starts elsewhere");
    checkSame(stored?.prevTerm, 1, "the term before the log");
    checkSame(stored?.termRuns, [{ term: 1, firstIndex: 7 }], "the terms");
    checkSame(
      await again.read({ group: 1, from: 7, through: 10, maxBytes: 1e6 }),
      commands(1, 7, 10),
      "what was to stay is not there",
    );
  }

  async installsOver(): Promise<void> {
    const [storage] = await this.#open();
    await rejection(
      () => storage.write([install(metaAt(7, 2))]),
      "its data was not stored",
    );
    await store(storage, metaAt(7, 2));
    await storage.write([install(metaAt(7, 2))]);
    const [again, opened] = await this.#bench.reopen();
    const [stored] = opened.groups;
    checkSame(stored?.snapshot, metaAt(7, 2), "the snapshot is not it");
    checkSame(stored?.lastIndex, 7, "entries that contradict it are left");
    checkSame(stored?.termRuns, [], "terms that contradict it are left");
    checkSame(stored?.prevTerm, 2, "the term before the log");
    await again.write([append(1, [command(3, 8)])]);
  }

  async installsWithin(): Promise<void> {
    const [storage] = await this.#open();
    await store(storage, metaAt(7, 1));
    await storage.write([install(metaAt(7, 1))]);
    const [, opened] = await this.#bench.reopen();
    const [stored] = opened.groups;
    checkSame(stored?.firstIndex, 8, "the log starts elsewhere");
    checkSame(stored?.tail, commands(1, 8, 10), "the suffix is not kept");
  }

  async forgetsUninstalled(): Promise<void> {
    const [storage] = await this.#open();
    await store(storage, metaAt(5, 1));
    await store(storage, metaAt(50, 3));
    await checkData(storage, metaAt(50, 3));
    const [again, opened] = await this.#bench.reopen();
    const [stored] = opened.groups;
    checkSame(stored?.snapshot, metaAt(5, 1), "the snapshot is not it");
    checkSame(stored?.tail, commands(1, 1, 10), "the log was touched");
    await checkData(again, metaAt(5, 1));
  }

  async takesChunksByOffset(): Promise<void> {
    const [storage] = await this.#open();
    const data = joined(6);
    const writer = await storage.snapshotWriter(1, metaAt(6, 1));
    checkSame(writer.offset, 0, "it begins with something");
    const early = await writer.write(data.subarray(10, 20), 10);
    check(!early, "bytes before it are missing");
    checkSame(writer.offset, 0, "a chunk that came too early was taken");
    for (const [from, to] of OVERLAPPING) {
      const taken = await writer.write(data.subarray(from, to), from);
      check(taken, `the chunk at ${from} was not taken`);
    }
    checkSame(writer.offset, data.length, "some came twice, or is missing");
    await writer.commit();
    await checkData(storage, metaAt(6, 1));
  }

  async resumes(): Promise<void> {
    let [storage] = await this.#open();
    const data = joined(6);
    const options = { token: "the sender's very bytes" };
    for (const end of [0, 90_000, 90_001, 200_000]) {
      const before = await storage.snapshotWriter(1, metaAt(6, 1), options);
      await before.write(data.subarray(before.offset, end));
      await before.suspend();
      await before.suspend();
      await rejection(() => before.commit(), "it was suspended");
      checkSame(await storage.snapshotReader(1), undefined, "half of it");
      const after = await storage.snapshotWriter(1, metaAt(6, 1), options);
      checkSame(after.offset, end, "it is not gone on with");
      await after.suspend();
    }
    [storage] = await this.#bench.reopen();
    const last = await storage.snapshotWriter(1, metaAt(6, 1), options);
    check(last.offset <= 200_000, "more is there than was written");
    await last.write(data.subarray(last.offset));
    await last.commit();
    await checkData(storage, metaAt(6, 1));
  }

  async mixesNothing(): Promise<void> {
    const [storage] = await this.#open();
    const others = [
      { meta: metaAt(6, 1), token: "others" },
      { meta: metaAt(7, 1), token: "ours" },
      { meta: metaAt(6, 1), token: undefined },
    ];
    for (const { meta, token } of others) {
      const first = await storage.snapshotWriter(1, metaAt(6, 1), {
        token: "ours",
      });
      await first.write(new Uint8Array(100_000));
      await first.suspend();
      const second = await storage.snapshotWriter(1, meta, { token });
      checkSame(second.offset, 0, "bytes of another snapshot are there");
      await second.abort();
    }
    const aborted = await storage.snapshotWriter(1, metaAt(6, 1), {
      token: "ours",
    });
    await aborted.write(new Uint8Array(100_000), aborted.offset);
    await aborted.abort();
    const anew = await storage.snapshotWriter(1, metaAt(6, 1), {
      token: "ours",
    });
    checkSame(anew.offset, 0, "what was thrown away is there");
    await anew.abort();
    await store(storage, metaAt(6, 1));
    await checkData(storage, metaAt(6, 1));
  }

  async namesBytes(): Promise<void> {
    const [storage] = await this.#open();
    await store(storage, metaAt(5, 1));
    const first = await storage.snapshotReader(1);
    const again = await storage.snapshotReader(1);
    checkSame(first?.token, again?.token, "the same bytes have two names");
    await store(storage, metaAt(7, 1));
    const other = await storage.snapshotReader(1);
    const isNamed = first?.token !== undefined;
    check(!isNamed || other?.token !== first.token, "one name for two");
    for (const reader of [first, again, other]) {
      reader?.release?.();
      reader?.release?.();
    }
    await checkData(storage, metaAt(7, 1));
  }

  async endsWithItsGroup(): Promise<void> {
    const [storage] = await this.#open();
    const begin = () => storage.snapshotWriter(1, metaAt(6, 1), { token: "t" });
    const committed = await begin();
    for (const chunk of chunks(6)) await committed.write(chunk);
    await makeAgain(storage);
    await rejection(() => committed.commit(), "it got into another group");
    checkSame(await storage.snapshotReader(1), undefined, "it is visible");
    const suspended = await begin();
    for (const chunk of chunks(6)) await suspended.write(chunk);
    await makeAgain(storage);
    await suspended.suspend().catch(() => {});
    const writer = await begin();
    checkSame(writer.offset, 0, "it goes on with that of another group");
    for (const chunk of chunks(6)) await writer.write(chunk);
    await writer.commit();
    await checkData(storage, metaAt(6, 1));
  }

  /** Group 1 with entries 1 to 10 of term 1. */
  async #open(): Promise<[Storage]> {
    const [storage] = await this.#bench.open();
    await storage.write([createGroup(1), append(1, commands(1, 1, 10))]);
    return [storage];
  }
}

/** Another group 1, with entries that look the same. */
async function makeAgain(storage: Storage): Promise<void> {
  await storage.destroyGroup(1);
  await storage.write([createGroup(1), append(1, commands(1, 1, 10))]);
}

function install(
  snapshot: SnapshotMeta,
): { group: number; snapshot: SnapshotMeta; entries: [] } {
  return { group: 1, snapshot, entries: [] };
}

/** The data of the snapshot at an index. */
function chunks(index: number): Uint8Array[] {
  return Array.from(
    { length: CHUNK_COUNT },
    (_, i) => new Uint8Array(CHUNK_BYTES).fill(index + i),
  );
}

/** The same in one piece. */
function joined(index: number): Uint8Array {
  const data = new Uint8Array(CHUNK_COUNT * CHUNK_BYTES);
  for (const [i, chunk] of chunks(index).entries()) {
    data.set(chunk, i * CHUNK_BYTES);
  }
  return data;
}

async function store(storage: Storage, meta: SnapshotMeta): Promise<void> {
  const writer = await storage.snapshotWriter(1, meta);
  for (const chunk of chunks(meta.index)) await writer.write(chunk);
  await writer.commit();
}

/** The newest snapshot is this one, from every offset on. */
async function checkData(storage: Storage, meta: SnapshotMeta): Promise<void> {
  const reader = await storage.snapshotReader(1);
  check(reader !== undefined, "there is no snapshot");
  checkSame(reader.meta, meta, "the snapshot is another one");
  const bytes = CHUNK_COUNT * CHUNK_BYTES;
  checkSame(reader.bytes, bytes, "its length is not it");
  for (const offset of [0, 70_001, bytes]) {
    let at = offset;
    for await (const chunk of reader.chunks(offset)) {
      for (const byte of chunk) {
        const wanted = meta.index + Math.floor(at / CHUNK_BYTES);
        check(byte === wanted, `byte ${at} of the snapshot is not it`);
        at++;
      }
    }
    checkSame(at, bytes, "the snapshot is not whole");
  }
  reader.release?.();
}
