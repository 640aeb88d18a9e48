/**
 * Snapshots that begin, end and are removed at the same time, and what
 * happens to them behind a close: names that count are durable (H51), no part
 * of a former life is written to, and a closed store touches nothing.
 */
import { describe, it } from "node:test";
import { assertEquals, assertRejects } from "@std/assert";
import { RaftError } from "../../src/errors.ts";
import { FakeFileSystem, SystemError } from "./fake_file_system.ts";
import {
  dataOf,
  indexesOf,
  openOn,
  richMeta,
  storeOn,
  storeSnapshot,
  wholeAt,
} from "./snapshot_bench.ts";

/** Lets everything that waits for nothing but its turn go on. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 200; turn++) await Promise.resolve();
}

/** Holds back the first operation that `isIt` until it is opened. */
function gate(
  disk: FakeFileSystem,
  isIt: (
    operation: { readonly type: string; readonly path: string },
  ) => boolean,
): () => void {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  let isMet = false;
  disk.onOperation = (operation) => {
    if (isMet || !isIt(operation)) return;
    isMet = true;
    return opened;
  };
  return () => open();
}

describe("two groups that store their first snapshots at once", () => {
  it("both wait for the folder that only one of them made (H51)", async () => {
    const disk = new FakeFileSystem();
    const store = storeOn(disk);
    const open = gate(
      disk,
      ({ type, path }) => type === "syncDirectory" && path === "/data",
    );
    const first = store.writer(1, richMeta(3));
    let isStored = false;
    const second = storeSnapshot(store, 2, richMeta(5), [dataOf(5, 100)])
      .then(() => isStored = true);
    await settle();
    const after = disk.crash({ keepBytes: () => 0, keepNames: () => 0 });
    const found = indexesOf((await openOn(after)).store, 2);
    assertEquals(found, isStored ? [5] : []);
    open();
    await second;
    await (await first).abort();
  });
});

describe("a snapshot that is about to begin", () => {
  it("is waited for by a close, which keeps its draft", async () => {
    const disk = new FakeFileSystem();
    const store = storeOn(disk);
    const draft = await store.writer(1, richMeta(8), { token: "t" });
    await draft.write(dataOf(8, 1000));
    await draft.suspend();
    const open = gate(disk, ({ type }) => type === "read");
    const beginning = store.writer(1, richMeta(8), { token: "t" });
    await settle();
    let isClosed = false;
    const closing = store.close().then(() => isClosed = true);
    await settle();
    assertEquals(isClosed, false, "its file is still in use");
    open();
    await closing;
    await beginning.then((writer) => writer.abort(), () => {});
    assertEquals(disk.openCount, 0);
    const writer = await storeOn(disk).writer(1, richMeta(8), { token: "t" });
    assertEquals(writer.offset, 1000);
    await writer.abort();
  });

  it("is over when its group is removed, and in nobody's way", async () => {
    const disk = new FakeFileSystem();
    const store = storeOn(disk);
    await storeSnapshot(store, 1, richMeta(5), [dataOf(5, 100)]);
    const draft = await store.writer(1, richMeta(8), { token: "t" });
    await draft.write(dataOf(8, 1000));
    await draft.suspend();
    const open = gate(disk, ({ type }) => type === "read");
    const beginning = store.writer(1, richMeta(8), { token: "t" });
    const removing = store.removeGroup(1);
    await settle();
    open();
    await removing;
    await beginning.then((writer) => writer.abort(), () => {});
    assertEquals(disk.paths(), []);
    assertEquals(disk.openCount, 0);
    // The next life of the group begins with nothing, and closes all it has.
    const writer = await store.writer(1, richMeta(8), { token: "t" });
    assertEquals(writer.offset, 0);
    await store.close();
    assertEquals(disk.openCount, 0);
  });
});

describe("a snapshot store that is closed", () => {
  it("removes nothing any more: the directory may be somebody else's", async () => {
    const disk = new FakeFileSystem();
    const store = storeOn(disk, { retain: 1 });
    await storeSnapshot(store, 1, richMeta(5), [dataOf(5, 100)]);
    const reader = store.reader(wholeAt(store, 1, 5));
    const newer = await storeSnapshot(store, 1, richMeta(9), [dataOf(9, 100)]);
    store.prune(1);
    await store.close();
    const before = disk.fingerprint();
    reader.release?.();
    store.prune(1);
    const error = await assertRejects(() => store.remove(newer), RaftError);
    assertEquals(error.code, "stopped");
    await settle();
    assertEquals(disk.fingerprint(), before);
  });
});

describe("a draft that could not be thrown away", () => {
  it("is not gone on with after its flush had failed (H44)", async () => {
    const disk = new FakeFileSystem();
    disk.forgetsFailedSyncs = true;
    const store = storeOn(disk);
    const writer = await store.writer(1, richMeta(8), { token: "t" });
    await writer.write(dataOf(8, 1000));
    disk.onOperation = ({ type }) => {
      if (type === "sync" || type === "rename" || type === "unlink") {
        throw new SystemError("EIO", type);
      }
    };
    await assertRejects(() => writer.suspend(), RaftError);
    disk.onOperation = ({ type }) => {
      if (type === "rename" || type === "unlink") {
        throw new SystemError("EIO", type);
      }
    };
    const error = await assertRejects(
      () => store.writer(1, richMeta(8), { token: "t" }),
      RaftError,
    );
    assertEquals(error.code, "snapshotFailed");
    // As soon as it can be removed it is, and the next one begins anew.
    disk.onOperation = () => {};
    const next = await store.writer(1, richMeta(8), { token: "t" });
    assertEquals(next.offset, 0);
    await next.abort();
    assertEquals(disk.paths(), []);
  });
});

describe("a folder that cannot be listed", () => {
  it("costs at most that snapshot", async () => {
    const disk = new FakeFileSystem();
    const store = storeOn(disk);
    await storeSnapshot(store, 1, richMeta(5), [dataOf(5, 100)]);
    const list = disk.list.bind(disk);
    disk.list = (path) => {
      throw new SystemError("EMFILE", path);
    };
    const error = await assertRejects(
      () => store.writer(1, richMeta(8)),
      RaftError,
    );
    assertEquals(error.code, "snapshotFailed");
    disk.list = list;
    const writer = await store.writer(1, richMeta(8));
    await writer.write(dataOf(8, 100));
    disk.list = (path) => {
      throw new SystemError("EMFILE", path);
    };
    await writer.commit();
    assertEquals(indexesOf(store, 1), [8, 5]);
  });
});

describe("a close of a file that fails", () => {
  it("costs nothing once its data is durable", async () => {
    const disk = new FakeFileSystem();
    const store = storeOn(disk);
    const writer = await store.writer(1, richMeta(8));
    await writer.write(dataOf(8, 1000));
    const close = disk.close.bind(disk);
    disk.close = (handle) => {
      close(handle);
      throw new SystemError("EIO", "close");
    };
    await writer.commit();
    await writer.abort();
    assertEquals(indexesOf(store, 1), [8]);
    await (await store.writer(1, richMeta(9))).abort();
    assertEquals(indexesOf(store, 1), [8]);
  });
});
