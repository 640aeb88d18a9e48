/** Stored snapshots: which of them count, and which are refused (H54, H63). */
import { describe, it } from "node:test";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { isRaftError, RaftError } from "../../src/errors.ts";
import {
  append,
  command,
  commands,
  createGroup,
  metaAt,
} from "../../src/testing/storage_samples.ts";
import { FakeFileSystem, SystemError } from "./fake_file_system.ts";
import { DEPLOYMENT, inspect, walOn } from "./wal_bench.ts";
import {
  breathe,
  dropThrough,
  fill,
  openOn,
  takeSnapshot,
} from "./wal_steps.ts";

function snapshots(disk: FakeFileSystem): string[] {
  return disk.paths().filter((path) => path.endsWith(".snap"))
    .map((path) => path.slice(path.indexOf("snapshots/") + 10));
}

async function failure(action: () => Promise<unknown>): Promise<RaftError> {
  return await assertRejects(action, RaftError);
}

describe("stored snapshots", () => {
  it("stay as many as retainSnapshots says, the newest of them", async () => {
    const disk = new FakeFileSystem();
    const storage = await openOn(disk, { retainSnapshots: 3 });
    await storage.write([createGroup(1)]);
    await fill(storage, 1, 1, 20);
    for (const index of [2, 5, 9, 14, 20]) {
      await takeSnapshot(storage, 1, metaAt(index, 1));
    }
    await breathe();
    assertEquals(
      snapshots(disk),
      [9, 14, 20].map((index) => `1/${String(index).padStart(16, "0")}-1.snap`),
    );
    await storage.close();
  });

  it("make room for a newer one only when the log that it belongs to is durable (H54)", async () => {
    const disk = new FakeFileSystem();
    const storage = await openOn(disk, { retainSnapshots: 1 });
    await storage.write([createGroup(1)]);
    await fill(storage, 1, 1, 3);
    await takeSnapshot(storage, 1, metaAt(2, 1));
    await storage.compact(1, 2);
    await storage.write([append(1, [command(1, 4)])], { sync: false });
    await takeSnapshot(storage, 1, metaAt(4, 1));
    await breathe();
    assertEquals(snapshots(disk), ["1/0000000000000004-1.snap"]);
    const after = disk.crash({ keepBytes: () => 0, keepNames: (all) => all });
    const { opened } = await inspect(after);
    assertEquals(opened.groups[0]?.snapshot, metaAt(4, 1));
    assertEquals(opened.groups[0]?.firstIndex, 3);
    await storage.close();
  });

  it("older than a damaged one are used if the log covers the gap, and it is set aside (H54)", async () => {
    const disk = new FakeFileSystem();
    const storage = await openOn(disk);
    await storage.write([createGroup(1)]);
    await fill(storage, 1, 1, 20);
    await takeSnapshot(storage, 1, metaAt(5, 1));
    await storage.compact(1, 4);
    await takeSnapshot(storage, 1, metaAt(12, 1));
    await storage.close();
    const path = disk.paths().find((one) => one.includes("12-1.snap")) ?? "";
    disk.get(path).fill(7, 150, 160);
    const again = walOn(disk);
    const { groups, repairs } = await again.open({ deployment: DEPLOYMENT });
    assertEquals(groups[0]?.snapshot, metaAt(5, 1));
    assertEquals(groups[0]?.firstIndex, 5);
    assertEquals(repairs.map(({ type, file }) => [type, file]), [
      ["damagedSnapshot", path],
    ]);
    assert(disk.paths().includes(`${path}.damaged`));
    await again.close();
    const { opened } = await inspect(disk);
    assertEquals(opened.repairs, []);
  });

  it("that are damaged while the log begins behind older ones are an error that names them (H54)", async () => {
    const disk = new FakeFileSystem();
    const storage = await openOn(disk);
    await storage.write([createGroup(1)]);
    await fill(storage, 1, 1, 20);
    await takeSnapshot(storage, 1, metaAt(5, 1));
    await dropThrough(storage, 1, 12);
    await storage.close();
    const path = disk.paths().find((one) => one.includes("12-1.snap")) ?? "";
    disk.get(path).fill(7, 150, 160);
    disk.forgetLocks();
    const before = disk.fingerprint();
    const damaged = await failure(() => inspect(disk));
    assertEquals([damaged.code, damaged.file], ["corrupt", path]);
    disk.forgetLocks();
    assert(disk.fingerprint() === before, "something was changed");
    disk.remove(path);
    const missing = await failure(() => inspect(disk));
    assertEquals(missing.code, "corrupt");
    assert(missing.message.includes("group 1"), missing.message);
  });

  it("that a crash left half are removed by opening, but for those to be gone on with", async () => {
    const disk = new FakeFileSystem();
    const storage = await openOn(disk);
    await storage.write([createGroup(1), createGroup(2)]);
    for (const [group, token] of [[1, undefined], [2, "t"]] as const) {
      const writer = await storage.snapshotWriter(group, metaAt(5, 1), {
        token,
      });
      await writer.write(new Uint8Array(300_000));
    }
    const after = disk.kill();
    const drafts = () => after.paths().filter((path) => /part/.test(path));
    assertEquals(drafts().length, 2);
    const again = await openOn(after);
    await again.close();
    assertEquals(drafts().length, 1);
    assert(drafts()[0]?.includes("/2/"));
    await storage.close();
  });

  it("of a group that was destroyed are not those of one made after it", async () => {
    const disk = new FakeFileSystem();
    const storage = await openOn(disk);
    await storage.write([createGroup(1)]);
    await fill(storage, 1, 1, 3);
    await takeSnapshot(storage, 1, metaAt(3, 1));
    // The files take their time to go; the group is made again meanwhile.
    let release = () => {};
    disk.onOperation = ({ type, path }) =>
      type === "syncDirectory" && path.endsWith("snapshots")
        ? new Promise<void>((resolve) => release = resolve)
        : undefined;
    const destroyed = storage.destroyGroup(1);
    const made = storage.write([
      createGroup(1, 2),
      append(1, commands(1, 1, 9)),
    ]);
    await breathe();
    const { opened } = await inspect(disk.kill());
    assertEquals(opened.groups, [], "the new one is there, and the old files");
    assertEquals(await storage.snapshotReader(1), undefined);
    disk.onOperation = () => {};
    release();
    await Promise.all([destroyed, made]);
    assertEquals(await storage.snapshotReader(1), undefined);
    await takeSnapshot(storage, 1, metaAt(2, 1));
    const { opened: later } = await inspect(disk.kill());
    assertEquals(later.groups[0]?.node, 2);
    assertEquals(later.groups[0]?.snapshot, metaAt(2, 1));
    await storage.close();
  });

  it("of one index and other terms do not stand in for each other", async () => {
    const disk = new FakeFileSystem();
    const storage = await openOn(disk);
    await storage.write([createGroup(1)]);
    await fill(storage, 1, 1, 3);
    const term = async () => {
      const reader = await storage.snapshotReader(1);
      reader?.release?.();
      return reader?.meta.term;
    };
    // Two that wait: the one that came last is meant.
    await takeSnapshot(storage, 1, metaAt(5, 7));
    await takeSnapshot(storage, 1, metaAt(5, 2));
    assertEquals(await term(), 2);
    // One that waits, and one that the log holds.
    await fill(storage, 1, 4, 6);
    await takeSnapshot(storage, 1, metaAt(5, 1));
    assertEquals(await term(), 1);
    await storage.write([{ group: 1, snapshot: metaAt(5, 1), entries: [] }]);
    assertEquals(snapshots(disk), ["1/0000000000000005-1.snap"]);
    await storage.close();
  });

  it("of a group that joins are taken though it learns meanwhile where it starts", async () => {
    const disk = new FakeFileSystem();
    const storage = await openOn(disk);
    await storage.write([createGroup(1)]);
    const meta = metaAt(7, 2);
    const writer = await storage.snapshotWriter(1, meta);
    await storage.write([createGroup(1)]);
    await writer.write(new Uint8Array(10));
    await writer.commit();
    await storage.write([{ group: 1, snapshot: meta, entries: [] }]);
    const { opened } = await inspect(disk.kill());
    assertEquals(opened.groups[0]?.snapshot, meta);
    await storage.close();
  });

  it("keep what they contain from being replaced in the log", async () => {
    const disk = new FakeFileSystem();
    const storage = await openOn(disk);
    await storage.write([createGroup(1)]);
    await fill(storage, 1, 1, 9);
    await takeSnapshot(storage, 1, metaAt(6, 1));
    await assertRejects(
      () => storage.write([append(1, [command(2, 6)])]),
      RangeError,
      "entry 6 is in its snapshot at 6",
    );
    await storage.write([append(1, [command(2, 7)])]);
    await storage.close();
  });

  it("cannot be stored once the log has failed (H44)", async () => {
    const disk = new FakeFileSystem();
    const storage = await openOn(disk);
    await storage.write([createGroup(1)]);
    disk.onOperation = ({ type }) => {
      if (type === "sync") throw new SystemError("EIO", "sync");
    };
    await failure(() => fill(storage, 1, 1, 1));
    disk.onOperation = () => {};
    const error = await failure(() => takeSnapshot(storage, 1, metaAt(1, 1)));
    assert(isRaftError(error, "storageFailed"));
    await storage.close();
  });
});
