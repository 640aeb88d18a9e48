/** The log where two things meet: a kill and a rotation, an end and a close. */
import { join } from "node:path";
import { describe, it } from "node:test";
import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  commands,
  createGroup,
  metaAt,
} from "../../src/testing/storage_samples.ts";
import { FakeFileSystem, SystemError } from "./fake_file_system.ts";
import { DIRECTORY, inspect, segmentFile } from "./wal_bench.ts";
import {
  breathe,
  dropThrough,
  ENTRY_BYTES,
  fill,
  openOn,
  takeSnapshot,
} from "./wal_steps.ts";

const SNAPSHOTS = join(DIRECTORY, "snapshots");

describe("a process killed between two segments", () => {
  it("leaves a log that gives its room back, also if it is only closed next", async () => {
    const before = new FakeFileSystem();
    const killed: FakeFileSystem[] = [];
    before.onOperation = ({ type, path }) => {
      const isFirst = type === "write" && path.startsWith(segmentFile(3)) &&
        before.paths().includes(segmentFile(3));
      if (isFirst && killed.length === 0) killed.push(before.kill());
    };
    const first = await openOn(before);
    await first.write([createGroup(1)]);
    await fill(first, 1, 1, 12);
    await first.close();

    const [disk] = killed;
    assert(disk !== undefined);
    // Full segments, and an empty one behind.
    const { opened } = await inspect(disk);
    const last = opened.groups[0]?.lastIndex ?? 0;
    const storage = await openOn(disk);
    await fill(storage, 1, last + 1, last + 30);
    await dropThrough(storage, 1, last + 30);
    await breathe();
    const left = disk.paths().filter((path) => path.endsWith(".wal"));
    assert(!left.includes(segmentFile(2)), `${left}`);
    assert(left.length <= 2, `${left}`);
    await fill(storage, 1, last + 31, last + 32);
    await storage.close();
    const after = await inspect(disk);
    assertEquals(
      after.opened.groups[0]?.tail,
      commands(1, last + 31, last + 32, ENTRY_BYTES),
    );
    assertEquals(disk.openCount, 0);
  });
});

describe("closing while a group ends", () => {
  it("waits until the files of the group are gone", async () => {
    const disk = new FakeFileSystem();
    const storage = await openOn(disk);
    await storage.write([createGroup(1), createGroup(2)]);
    await fill(storage, 1, 1, 4);
    await takeSnapshot(storage, 1, metaAt(4, 1));
    let pass: () => void = () => {};
    disk.onOperation = ({ type, path }) => {
      const isHeld = type === "syncDirectory" && path === SNAPSHOTS;
      if (isHeld) return new Promise<void>((resolve) => pass = resolve);
    };
    const seen: string[] = [];
    const destroyed = storage.destroyGroup(1).then(() => seen.push("gone"));
    const closed = storage.close().then(() => seen.push("closed"));
    await breathe();
    assertEquals(seen, []);
    pass();
    await Promise.all([destroyed, closed]);
    assertEquals(seen, ["gone", "closed"]);
    assertEquals(disk.paths().filter((path) => path.includes("snap")), []);
  });

  it("ends all the same if they cannot be removed", async () => {
    const disk = new FakeFileSystem();
    const storage = await openOn(disk);
    await storage.write([createGroup(1)]);
    await fill(storage, 1, 1, 4);
    await takeSnapshot(storage, 1, metaAt(4, 1));
    disk.onOperation = ({ type, path }) => {
      if (type !== "syncDirectory" || path !== SNAPSHOTS) return;
      throw new SystemError("EIO", path);
    };
    const destroyed = storage.destroyGroup(1);
    await Promise.all([assertRejects(() => destroyed), storage.close()]);
    assertEquals(disk.openCount, 0);
  });
});
