/** The storage in memory: its contract and its faults. */
import { describe, it } from "node:test";
import { assertEquals, assertRejects } from "@std/assert";
import { RaftError } from "../../src/errors.ts";
import { storageCases, type StorageUnderTest } from "../../src/testing/mod.ts";
import { MemoryStorage } from "../../storage/memory.ts";
import {
  append,
  command,
  commands,
  createGroup,
  DEPLOYMENT,
  metaAt,
} from "../../src/testing/storage_samples.ts";

function underTest(): StorageUnderTest {
  let isFailing = false;
  let flushes = 0;
  const onFlush = () => {
    flushes++;
    if (!isFailing) return;
    isFailing = false;
    throw new Error("The disk is broken");
  };
  let last = new MemoryStorage({ onFlush });
  return {
    attach: () => last = last.attach(),
    crash: () => {
      last = last.crash();
      return Promise.resolve();
    },
    failNextFlush: () => void (isFailing = true),
    damage: (group, index) => {
      last.damage(group, index);
      return Promise.resolve();
    },
    fingerprint: () => Promise.resolve(`${flushes}`),
    dispose: () => Promise.resolve(),
  };
}

describe("MemoryStorage", () => {
  for (
    const { name, run } of storageCases({ create: underTest, snapshots: true })
  ) {
    it(name, run);
  }
});

/** A disk whose flushes end when the test says so. */
class SlowDisk {
  readonly #held: (() => void)[] = [];
  flushes = 0;

  onFlush = (): Promise<void> => {
    this.flushes++;
    return new Promise((resolve) => this.#held.push(resolve));
  };

  release(): void {
    this.#held.shift()?.();
  }
}

/** Lets everything happen that waits for nothing else. */
async function breathe(): Promise<void> {
  for (let i = 0; i < 20; i++) await Promise.resolve();
}

async function opened(storage: MemoryStorage): Promise<MemoryStorage> {
  await storage.open({ deployment: DEPLOYMENT });
  return storage;
}

async function lastIndex(storage: MemoryStorage): Promise<number | undefined> {
  const { groups } = await storage.open({ deployment: DEPLOYMENT });
  return groups[0]?.lastIndex;
}

describe("MemoryStorage on a slow disk", () => {
  it("resolves a write no sooner than its flush ends (H45)", async () => {
    const disk = new SlowDisk();
    const storage = await opened(new MemoryStorage(disk));
    const done: string[] = [];
    storage.write([createGroup(1)]).then(() => done.push("first"));
    await breathe();
    storage.write([append(1, [command(1, 1)])]).then(() => done.push("second"));
    await breathe();
    assertEquals(done, []);
    disk.release();
    await breathe();
    assertEquals(done, ["first"]);
    disk.release();
    await breathe();
    assertEquals(done, ["first", "second"]);
    assertEquals(disk.flushes, 2);
  });

  it("serves by one flush what was written during the one before", async () => {
    const disk = new SlowDisk();
    const storage = await opened(new MemoryStorage(disk));
    const first = storage.write([createGroup(1)]);
    await breathe();
    const writes = commands(1, 1, 100).map((entry) =>
      storage.write([append(1, [entry])])
    );
    disk.release();
    await first;
    await breathe();
    disk.release();
    await Promise.all(writes);
    assertEquals(disk.flushes, 2);
  });

  it("loses exactly what was not flushed when it crashes", async () => {
    const disk = new SlowDisk();
    const storage = await opened(new MemoryStorage(disk));
    const first = storage.write([createGroup(1), append(1, [command(1, 1)])]);
    await breathe();
    const lost = [2, 3].map((index) =>
      assertRejects(() => storage.write([append(1, [command(1, index)])]))
    );
    disk.release();
    await first;
    const left = storage.crash();
    await Promise.all(lost);
    assertEquals(await lastIndex(left), 1);
    await assertRejects(() => storage.write([append(1, [command(1, 2)])]));
  });

  for (const kept of [0, 1, 2, 3]) {
    it(`keeps ${kept} unflushed batches if the crash says so`, async () => {
      const disk = new SlowDisk();
      const storage = await opened(new MemoryStorage(disk));
      const first = storage.write([createGroup(1), append(1, [command(1, 1)])]);
      await breathe();
      disk.release();
      await first;
      for (const index of [2, 3, 4]) {
        storage.write([append(1, [command(1, index)])]).catch(() => {});
      }
      const left = storage.crash({ keepUnflushed: kept });
      assertEquals(await lastIndex(left), 1 + kept);
    });
  }

  it("does not flush for a batch without sync", async () => {
    let flushes = 0;
    const onFlush = () => void flushes++;
    const storage = await opened(new MemoryStorage({ onFlush }));
    await storage.write([createGroup(1)]);
    const hardState = { term: 1, vote: null, commit: 0 };
    const lazy = [{ group: 1, hardState, entries: [] }];
    await storage.write(lazy, { sync: false });
    assertEquals(flushes, 1);
    await storage.close();
    assertEquals(flushes, 2);
  });
});

describe("MemoryStorage on a full disk", () => {
  it("fails for good, with what was before it durable (H56)", async () => {
    const storage = await opened(new MemoryStorage({ capacityBytes: 1000 }));
    await storage.write([createGroup(1), append(1, [command(1, 1, 500)])]);
    const error = await assertRejects(
      () => storage.write([append(1, [command(1, 2, 500)])]),
      RaftError,
      "The disk is full",
    );
    assertEquals(error.code, "storageFailed");
    await assertRejects(() => storage.write([append(1, [command(1, 2, 1)])]));
    assertEquals(await lastIndex(storage.crash()), 1);
  });

  it("has room again for what a truncation freed", async () => {
    const storage = await opened(new MemoryStorage({ capacityBytes: 1000 }));
    await storage.write([createGroup(1), append(1, [command(1, 1, 900)])]);
    await storage.write([append(1, [command(2, 1, 800)])]);
    await storage.write([append(1, [command(2, 2, 50)])]);
    assertEquals(await lastIndex(storage.crash()), 2);
  });
});

describe("MemoryStorage with a snapshot", () => {
  it("refuses to replace in the log what the snapshot contains (H64)", async () => {
    const storage = await opened(new MemoryStorage());
    await storage.write([createGroup(1), append(1, commands(1, 1, 9))]);
    const writer = await storage.snapshotWriter(1, metaAt(6, 1));
    await writer.commit();
    await assertRejects(
      () => storage.write([append(1, [command(2, 6)])]),
      RangeError,
      "entry 6 is in its snapshot at 6",
    );
    await storage.write([append(1, [command(2, 7)])]);
    assertEquals(await lastIndex(storage.crash()), 7);
  });
});
