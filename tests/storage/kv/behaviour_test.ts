/** What the storage promises beyond the contract. */
import { describe, it } from "node:test";
import { setImmediate } from "node:timers";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { RaftError } from "../../../src/errors.ts";
import {
  append,
  command,
  commands,
  createGroup,
  DEPLOYMENT,
  metaAt,
} from "../../../src/testing/storage_samples.ts";
import {
  KvStorage,
  MemoryKv,
  type OrderedKv,
} from "../../../storage/kv/mod.ts";
import { numberedKey, PART } from "../../../storage/kv/keys.ts";
import { SMALL_LIMITS, storageOn } from "./kv_bench.ts";

async function opened(data: MemoryKv): Promise<KvStorage> {
  const storage = storageOn(data);
  await storage.open({ deployment: DEPLOYMENT });
  return storage;
}

/** One turn of the event loop. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Lets a storage finish what it does unasked. */
async function rest(data: MemoryKv): Promise<void> {
  let quiet = 0;
  for (let last = -1; quiet < 20; last = data.commits) {
    await turn();
    quiet = data.commits === last ? quiet + 1 : 0;
  }
}

/** Data that anybody may open at any time, as an engine without a lock. */
class SharedKv {
  readonly #kv: Promise<OrderedKv> = new MemoryKv().open();

  async open(): Promise<OrderedKv> {
    const kv = await this.#kv;
    return { ...bound(kv), close: () => Promise.resolve() };
  }
}

function bound(kv: OrderedKv): OrderedKv {
  return {
    name: kv.name,
    limits: kv.limits,
    get: (key) => kv.get(key),
    list: (range) => kv.list(range),
    commit: (operations, guard) => kv.commit(operations, guard),
    close: () => kv.close(),
  };
}

describe("two openings of an engine without a lock (H80)", () => {
  it("leave the data to the later one", async () => {
    const data = new SharedKv();
    const make = () => new KvStorage({ open: () => data.open() });
    const [first, second, third] = [make(), make(), make()];
    await first.open({ deployment: DEPLOYMENT });
    await first.write([createGroup(1), append(1, commands(1, 1, 3))]);
    await second.open({ deployment: DEPLOYMENT });
    for (const attempt of [4, 5]) {
      const error = await assertRejects(
        () => first.write([append(1, [command(1, attempt)])]),
        RaftError,
        "opened again since",
      );
      assertEquals(error.code, "locked");
    }
    await assertRejects(() =>
      first.read({
        ...{ group: 1, from: 1, through: 3, maxBytes: 1 },
      })
    );
    await second.write([append(1, [command(2, 4)])]);
    await first.close();
    await second.close();
    const { groups } = await third.open({ deployment: DEPLOYMENT });
    assertEquals(groups[0]?.tail, [...commands(1, 1, 3), command(2, 4)]);
    await third.close();
  });

  it("at the same instant leave it to one", async () => {
    const data = new SharedKv();
    const storages = Array.from(
      { length: 5 },
      () => new KvStorage({ open: () => data.open() }),
    );
    const results = await Promise.allSettled(
      storages.map((storage) => storage.open({ deployment: DEPLOYMENT })),
    );
    const winners = results.filter(({ status }) => status === "fulfilled");
    assertEquals(winners.length, 1);
    for (const storage of storages) await storage.close();
  });
});

describe("writes that overlap", () => {
  it("share a commit", async () => {
    const data = new MemoryKv();
    const storage = await opened(data);
    await storage.write([createGroup(1)]);
    const before = data.commits;
    await Promise.all(
      commands(1, 1, 100).map((entry) => storage.write([append(1, [entry])])),
    );
    assertEquals(data.commits - before, 1);
    await storage.close();
  });

  it("share the next commit while one runs", async () => {
    let release = () => {};
    let isSlow = false;
    const data = new MemoryKv({
      onCommit: () =>
        isSlow ? new Promise((resolve) => (release = resolve)) : undefined,
    });
    const storage = await opened(data);
    await storage.write([createGroup(1)]);
    const before = data.commits;
    isSlow = true;
    const writes = [storage.write([append(1, [command(1, 1)])])];
    while (data.commits === before) await turn();
    for (const entry of commands(1, 2, 50)) {
      writes.push(storage.write([append(1, [entry])]));
    }
    isSlow = false;
    release();
    await Promise.all(writes);
    assertEquals(data.commits - before, 2);
    await storage.close();
  });
});

describe("an engine that never waits", () => {
  it("leaves turns to the event loop (H74)", async () => {
    const data = new MemoryKv();
    const storage = await opened(data);
    await storage.write([createGroup(1)]);
    let isTurned = false;
    setImmediate(() => (isTurned = true));
    let index = 0;
    while (!isTurned) {
      assert(index < 100_000, "nobody else had a turn");
      await storage.write([append(1, [command(1, ++index)])]);
    }
    await storage.close();
  });
});

describe("writes that overlap and undo each other", () => {
  it("leave what the last of them said", async () => {
    const data = new MemoryKv({ limits: SMALL_LIMITS });
    const storage = await opened(data);
    await storage.write([createGroup(1), append(1, commands(1, 1, 3))]);
    const meta = metaAt(20, 2);
    const writer = await storage.snapshotWriter(1, meta);
    await writer.commit();
    await Promise.all([
      storage.write([append(1, commands(1, 4, 9, 600))]),
      storage.write([append(1, commands(2, 2, 7, 600))]),
      storage.write([append(1, commands(2, 6, 6))]),
      storage.write([{ group: 1, snapshot: meta, entries: [] }]),
      storage.write([append(1, commands(3, 21, 24))]),
      storage.write([append(1, commands(4, 23, 25))]),
      storage.compact(1, 20),
      storage.destroyGroup(7),
      storage.write([createGroup(7), append(7, commands(1, 1, 4))]),
      storage.destroyGroup(7),
      storage.write([createGroup(7), append(7, commands(2, 1, 2))]),
    ]);
    await storage.close();
    const again = storageOn(data);
    const { groups } = await again.open({ deployment: DEPLOYMENT });
    assertEquals(groups[0]?.snapshot, meta);
    assertEquals(
      groups[0]?.tail,
      [...commands(3, 21, 22), ...commands(4, 23, 25)],
    );
    assertEquals(groups[1]?.tail, commands(2, 1, 2));
    await again.close();
  });
});

describe("a read while the log changes", () => {
  it("is of the log before or after, never of both", async () => {
    const data = new MemoryKv();
    let isSlow = false;
    let release = () => {};
    const storage = new KvStorage({
      open: async () => {
        const kv = await data.open();
        return {
          ...bound(kv),
          async *list(range) {
            for await (const row of kv.list(range)) {
              if (isSlow) {
                isSlow = false;
                await new Promise<void>((resolve) => (release = resolve));
              }
              yield row;
            }
          },
        };
      },
    });
    await storage.open({ deployment: DEPLOYMENT });
    await storage.write([createGroup(1), append(1, commands(1, 1, 9))]);
    const range = { group: 1, from: 1, through: 9, maxBytes: 1 << 20 };
    isSlow = true;
    const reading = storage.read(range);
    while (isSlow) await turn();
    await storage.write([append(1, commands(2, 3, 9))]);
    release();
    assertEquals(
      await reading,
      [...commands(1, 1, 2), ...commands(2, 3, 9)],
    );
    await storage.close();
  });
});

describe("rows that count for nothing", () => {
  /** Rows of parts, by part. */
  function count(data: MemoryKv): Map<number, number> {
    const counts = new Map<number, number>();
    for (const [key] of data.rows()) {
      const part = key[0] === 2 ? key[9] ?? 0 : -1;
      counts.set(part, (counts.get(part) ?? 0) + 1);
    }
    return counts;
  }

  async function store(storage: KvStorage, index: number): Promise<void> {
    const writer = await storage.snapshotWriter(1, metaAt(index, 1));
    await writer.write(new Uint8Array(1000).fill(index));
    await writer.commit();
  }

  it("are removed between writes", async () => {
    const data = new MemoryKv({ limits: SMALL_LIMITS });
    const storage = await opened(data);
    await storage.write([createGroup(1), append(1, commands(1, 1, 50))]);
    for (const index of [10, 20, 30]) await store(storage, index);
    await storage.compact(1, 25);
    await rest(data);
    assertEquals(count(data).get(PART.entries), 50 - 25);
    await storage.write([append(1, commands(2, 41, 42))]);
    await rest(data);
    assertEquals(count(data).get(PART.entries), 42 - 25);
    const thrown = await storage.snapshotWriter(1, metaAt(41, 2));
    await thrown.write(new Uint8Array(1000));
    await thrown.abort();
    await rest(data);
    const counts = count(data);
    assertEquals(counts.get(PART.entries), 42 - 25);
    assertEquals(counts.get(PART.snapshots), 4);
    await storage.destroyGroup(1);
    await rest(data);
    assertEquals([...count(data)], [[-1, 2]]);
    await storage.close();
  });

  it("are removed by the next opening if a crash left them", async () => {
    const data = new MemoryKv({ limits: SMALL_LIMITS });
    const storage = await opened(data);
    await storage.write([createGroup(1), append(1, commands(1, 1, 50))]);
    await store(storage, 30);
    const before = count(data);
    const writer = await storage.snapshotWriter(1, metaAt(40, 1));
    await writer.write(new Uint8Array(1000));
    data.crash();
    data.put(numberedKey(1, PART.entries, 51, 0), new Uint8Array(9));
    await (await opened(data)).close();
    assertEquals([...count(data)], [...before]);
  });

  it("stay while somebody reads the snapshot they are of", async () => {
    const data = new MemoryKv({ limits: SMALL_LIMITS });
    const storage = await opened(data);
    await storage.write([createGroup(1), append(1, commands(1, 1, 50))]);
    await store(storage, 10);
    const reader = await storage.snapshotReader(1);
    await store(storage, 20);
    await rest(data);
    const read = async () => {
      const bytes: number[] = [];
      for await (const chunk of reader?.chunks() ?? []) bytes.push(...chunk);
      return bytes;
    };
    assertEquals(await read(), new Array(1000).fill(10));
    reader?.release?.();
    await storage.write([append(1, [command(1, 51)])]);
    await rest(data);
    const error = await assertRejects(read, RaftError);
    assertEquals(error.code, "compacted");
    await storage.close();
  });
});

describe("a snapshot that came half-way (H65, H66)", () => {
  const data = Uint8Array.from({ length: 1000 }, (_, at) => at % 251);
  const meta = metaAt(9, 3);

  async function start(): Promise<MemoryKv> {
    const kv = new MemoryKv({ limits: SMALL_LIMITS });
    const storage = await opened(kv);
    await storage.write([createGroup(1)]);
    const writer = await storage.snapshotWriter(1, meta, { token: "a" });
    await writer.write(data.subarray(0, 700));
    await writer.suspend();
    await storage.close();
    return kv;
  }

  it("is gone on with after a restart, whatever comes again", async () => {
    const storage = await opened(await start());
    const writer = await storage.snapshotWriter(1, meta, { token: "a" });
    assertEquals(writer.offset, 700);
    assertEquals(await writer.write(data.subarray(800), 800), false);
    assertEquals(await writer.write(data.subarray(500, 800), 500), true);
    assertEquals(await writer.write(data.subarray(0, 100), 0), true);
    assertEquals(writer.offset, 800);
    await writer.write(data.subarray(800));
    await writer.commit();
    const reader = await storage.snapshotReader(1);
    const bytes: number[] = [];
    for await (const chunk of reader?.chunks() ?? []) bytes.push(...chunk);
    assertEquals(bytes, [...data]);
    assert(reader?.token !== undefined, "it has no name");
    await storage.close();
  });

  it("begins anew under another name, or with another meta", async () => {
    for (
      const [token, other] of [
        ["b", meta],
        ["a", metaAt(9, 4)],
        [undefined, meta],
      ] as const
    ) {
      const kv = await start();
      const storage = await opened(kv);
      const options = token === undefined ? {} : { token };
      const writer = await storage.snapshotWriter(1, other, options);
      assertEquals(writer.offset, 0);
      await writer.abort();
      const again = await storage.snapshotWriter(1, meta, { token: "a" });
      assertEquals(again.offset, 0);
      await again.abort();
      await storage.close();
    }
  });

  it("loses what a crash or damage took, and no more", async () => {
    const kv = await start();
    const storage = await opened(kv);
    const writer = await storage.snapshotWriter(1, meta, { token: "a" });
    await writer.write(data.subarray(700));
    kv.crash();
    const again = await opened(kv);
    const rest = await again.snapshotWriter(1, meta, { token: "a" });
    assert(rest.offset >= 700 && rest.offset <= 1000, `${rest.offset}`);
    await rest.suspend();
    await again.close();
    for (const [key, value] of kv.rows()) {
      const isSecond = key[9] === PART.snapshots && key[21] === 1;
      if (isSecond) kv.put(key, value.subarray(1));
    }
    const last = await opened(kv);
    const short = await last.snapshotWriter(1, meta, { token: "a" });
    assertEquals(short.offset, 252);
    await last.close();
  });
});
