/**
 * Disks that fail or fill up. A snapshot that cannot be stored is lost as a
 * whole, what was there stays, and a flush that failed is never asked for
 * again (H44, H56).
 */
import { describe, it } from "node:test";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { RaftError } from "../../src/errors.ts";
import type { SnapshotStore } from "../../storage/wal/snapshots/store.ts";
import { FakeFileSystem, SystemError } from "./fake_file_system.ts";
import {
  contentsOf,
  dataOf,
  indexesOf,
  openOn,
  richMeta,
  storeOn,
  storeSnapshot,
  wholeAt,
} from "./snapshot_bench.ts";

const BYTES = 700_000;

/** A store that has a snapshot at 5. */
async function started(): Promise<
  { disk: FakeFileSystem; store: SnapshotStore }
> {
  const disk = new FakeFileSystem();
  const store = storeOn(disk);
  await storeSnapshot(store, 1, richMeta(5), [dataOf(5, 1000)]);
  return { disk, store };
}

/** What was there before is as it was, and the next snapshot can be stored. */
async function assertUnharmed(
  disk: FakeFileSystem,
  store: SnapshotStore,
): Promise<void> {
  assertEquals(indexesOf(store, 1), [5]);
  assertEquals(disk.paths().length, 1, "the draft is left");
  assertEquals(disk.openCount, 0);
  await storeSnapshot(store, 1, richMeta(9), [dataOf(9, 1000)]);
  const after = disk.crash({ keepBytes: () => 0, keepNames: () => 0 });
  const { store: again } = await openOn(after);
  assertEquals(indexesOf(again, 1), [9, 5]);
  assertEquals(await contentsOf(again, wholeAt(again, 1, 9)), dataOf(9, 1000));
}

/** Tries to store a snapshot at 8 in three steps. */
async function attempt(store: SnapshotStore, token?: string): Promise<void> {
  const data = dataOf(8, BYTES);
  const writer = await store.writer(1, richMeta(8), { token });
  try {
    for (let at = 0; at < BYTES; at += 350_000) {
      await writer.write(data.subarray(at, at + 350_000));
    }
    await writer.commit();
  } finally {
    await writer.abort();
    await writer.suspend();
  }
}

async function assertFails(
  store: SnapshotStore,
  token?: string,
): Promise<RaftError> {
  const error = await assertRejects(() => attempt(store, token), RaftError);
  assertEquals(error.code, "snapshotFailed");
  assert(error.file?.startsWith("/data/snapshots/1/0000000000000008-2"));
  return error;
}

describe("a disk that is full", () => {
  it("refuses that snapshot and nothing else, wherever it happens (H56)", async () => {
    for (const room of [0, 10, 300, 300_000, 650_000, BYTES]) {
      for (const token of [undefined, "t"]) {
        const { disk, store } = await started();
        disk.capacity = disk.get(wholeAt(store, 1, 5).path).length + room;
        const error = await assertFails(store, token);
        assert(error.cause instanceof SystemError, "the cause is not told");
        assertEquals(error.cause.code, "ENOSPC");
        assert(error.message.includes("the disk is full"), error.message);
        disk.capacity = Infinity;
        await assertUnharmed(disk, store);
      }
    }
  });

  it("takes the next one as soon as there is room", async () => {
    const { disk, store } = await started();
    disk.capacity = 300_000;
    await assertFails(store);
    disk.capacity = Infinity;
    await attempt(store);
    assertEquals(indexesOf(store, 1), [8, 5]);
  });
});

describe("a disk that fails", () => {
  it("costs one snapshot when a flush of its file fails, never asked twice (H44)", async () => {
    for (const token of [undefined, "t"]) {
      const { disk, store } = await started();
      disk.forgetsFailedSyncs = true;
      let syncs = 0;
      disk.onOperation = ({ type }) => {
        if (type === "sync" && syncs++ === 0) throw new SystemError("EIO", "");
      };
      await assertFails(store, token);
      assertEquals(syncs, 1, "it was flushed again");
      // What the failed flush lost is not gone on with.
      const writer = await store.writer(1, richMeta(8), { token });
      assertEquals(writer.offset, 0);
      await writer.abort();
      await assertUnharmed(disk, store);
    }
  });

  it("keeps no draft whose flush fails when it is suspended (H44)", async () => {
    const { disk, store } = await started();
    const writer = await store.writer(1, richMeta(8), { token: "t" });
    await writer.write(dataOf(8, 1000));
    disk.onOperation = ({ type }) => {
      if (type === "sync") throw new SystemError("EIO", "");
    };
    const error = await assertRejects(() => writer.suspend(), RaftError);
    assertEquals(error.code, "snapshotFailed");
    disk.onOperation = () => {};
    await assertUnharmed(disk, store);
  });

  it("costs one snapshot at every other operation on its file", async () => {
    for (const fault of ["open", "write", "rename"]) {
      const { disk, store } = await started();
      disk.onOperation = ({ type, path }) => {
        const isDraft = path.endsWith(".part");
        if (type === fault && isDraft) throw new SystemError("EIO", path);
      };
      await assertFails(store);
      disk.onOperation = () => {};
      await assertUnharmed(disk, store);
    }
  });

  it("stops the store for good when it is unknown which names it has (H44, H51)", async () => {
    const { disk, store } = await started();
    let isBroken = true;
    disk.onOperation = ({ type }) => {
      if (type === "syncDirectory" && isBroken) {
        throw new SystemError("EIO", "");
      }
    };
    const first = await assertRejects(() => attempt(store), RaftError);
    assertEquals(first.code, "storageFailed");
    assertEquals(indexesOf(store, 1), [5], "it is offered all the same");
    isBroken = false;
    for (
      const call of [
        () => store.writer(2, richMeta(3)),
        () => store.removeGroup(1),
        () => store.remove(wholeAt(store, 1, 5)),
      ]
    ) {
      assertEquals(await assertRejects(call, RaftError), first);
    }
    const after = disk.crash({ keepBytes: () => 0, keepNames: () => 0 });
    assertEquals(indexesOf((await openOn(after)).store, 1), [5]);
  });

  it("makes no folder whose name it could lose (H51)", async () => {
    const disk = new FakeFileSystem();
    const store = storeOn(disk);
    disk.onOperation = ({ type, path }) => {
      if (type === "syncDirectory" && path === "/data") {
        throw new SystemError("EIO", path);
      }
    };
    const error = await assertRejects(
      () => store.writer(1, richMeta(3)),
      RaftError,
    );
    assertEquals(error.code, "storageFailed");
  });

  it("takes few bytes at a time without harm", async () => {
    const { disk, store } = await started();
    disk.maxWriteBytes = 100_000;
    await attempt(store);
    const { store: again } = await openOn(disk);
    assertEquals(
      await contentsOf(again, wholeAt(again, 1, 8)),
      dataOf(8, BYTES),
    );
  });
});

describe("a snapshot store that is closed", () => {
  it("keeps what can be gone on with, and nothing else that is half", async () => {
    const disk = new FakeFileSystem();
    const store = storeOn(disk);
    const resumable = await store.writer(1, richMeta(8), { token: "t" });
    await resumable.write(dataOf(8, 1000));
    const other = await store.writer(2, richMeta(8));
    await other.write(dataOf(8, 1000));
    await store.close();
    await store.close();
    assertEquals(disk.openCount, 0);
    assertEquals(disk.paths().length, 1);
    await assertRejects(() => other.write(new Uint8Array(1)), RangeError);
    const late = await assertRejects(
      () => store.writer(3, richMeta(8)),
      RaftError,
    );
    assertEquals(late.code, "stopped");
    const again = storeOn(disk);
    const writer = await again.writer(1, richMeta(8), { token: "t" });
    assertEquals(writer.offset, 1000);
    await writer.abort();
  });
});
