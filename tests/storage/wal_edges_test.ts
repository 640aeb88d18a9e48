/** The log where two things meet: a kill and a rotation, an end and a close. */
import { join } from "node:path";
import { describe, it } from "node:test";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { RECORD } from "../../storage/wal/format.ts";
import {
  append,
  command,
  commands,
  createGroup,
  metaAt,
} from "../../src/testing/storage_samples.ts";
import { FakeFileSystem, SystemError } from "./fake_file_system.ts";
import {
  DEPLOYMENT,
  DIRECTORY,
  inspect,
  recordTypes,
  segmentFile,
  walOn,
} from "./wal_bench.ts";
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

describe("opening a log of many groups", () => {
  it("reads what they wrote last once for all of them, moved entries too", async () => {
    const disk = new FakeFileSystem();
    const storage = await openOn(disk, { segmentBytes: 64 << 10 });
    const groups = Array.from({ length: 100 }, (_, i) => i + 1);
    await storage.write(groups.map((group) => createGroup(group)));
    for (let index = 1; index <= 10; index++) {
      const entry = command(1, index, 20);
      await storage.write(groups.map((group) => append(group, [entry])));
    }
    // Far more than the others hold: those are moved behind it.
    await storage.write([createGroup(101)]);
    for (let round = 0; round < 40; round++) {
      await storage.write([append(101, [command(1, 1, 20_000)])]);
      await breathe();
    }
    await storage.close();
    assert(recordTypes(disk).includes(RECORD.relocate));

    let reads = 0;
    disk.onOperation = ({ type }) => void (type === "read" && reads++);
    const again = walOn(disk);
    const opened = await again.open({ deployment: DEPLOYMENT });
    await again.close();
    assertEquals(opened.groups.length, 101);
    for (const { group, tail } of opened.groups) {
      if (group <= 100) assertEquals(tail, commands(1, 1, 10, 20));
    }
    assert(reads < 100, `${reads} reads`);
  });
});

describe("a process that has too many files open", () => {
  /** Fails to open files, and folders to flush them. */
  function exhaust(
    disk: FakeFileSystem,
    isExhausted: (path: string) => boolean,
  ): void {
    disk.onOperation = ({ type, path }) => {
      const isOpening = type === "open" || type === "syncDirectory";
      if (isOpening && isExhausted(path)) throw new SystemError("EMFILE", path);
    };
  }

  it("goes on as long as the log needs no file, and has lost nothing", async () => {
    const disk = new FakeFileSystem();
    const storage = await openOn(disk);
    await storage.write([createGroup(1)]);
    exhaust(disk, (path) => path.endsWith(".wal.tmp"));
    // More than half of the segment: the next one cannot be made.
    await fill(storage, 1, 1, 3);
    await breathe();
    exhaust(disk, (path) => path.endsWith(".idx.tmp"));
    await fill(storage, 1, 4, 12);
    await breathe();
    assert(!disk.paths().some((path) => path.includes(".idx")));
    exhaust(disk, () => false);
    await fill(storage, 1, 13, 16);
    await breathe();
    assert(disk.paths().some((path) => path.endsWith(".idx")));
    await storage.close();
    const { opened } = await inspect(disk);
    assertEquals(opened.groups[0]?.tail, commands(1, 1, 16, ENTRY_BYTES));
  });

  it("removes what is dead later", async () => {
    const disk = new FakeFileSystem();
    const storage = await openOn(disk);
    await storage.write([createGroup(1)]);
    await fill(storage, 1, 1, 12);
    await takeSnapshot(storage, 1, metaAt(12, 1));
    let isExhausted = true;
    exhaust(disk, () => isExhausted);
    await storage.compact(1, 12);
    await breathe();
    assert(disk.paths().includes(segmentFile(2)), "one at a time");
    isExhausted = false;
    await fill(storage, 1, 13, 20);
    await breathe();
    assert(!disk.paths().includes(segmentFile(2)));
    const { opened } = await inspect(disk.kill());
    assertEquals(opened.groups[0]?.lastIndex, 20);
    await storage.close();
  });
});

describe("what is removed", () => {
  it("is removed off the thread: writes do not wait for it", async () => {
    const disk = new FakeFileSystem();
    const storage = await openOn(disk);
    await storage.write([createGroup(1)]);
    await fill(storage, 1, 1, 12);
    await takeSnapshot(storage, 1, metaAt(12, 1));
    const later: string[] = [];
    const unlinkLater = disk.unlinkLater.bind(disk);
    disk.unlinkLater = async (path) => {
      later.push(path);
      await breathe();
      await unlinkLater(path);
    };
    await storage.compact(1, 12);
    await fill(storage, 1, 13, 14);
    assert(later.includes(segmentFile(1)), `${later}`);
    assert(disk.paths().includes(segmentFile(1)));
    await storage.close();
    assert(!disk.paths().includes(segmentFile(1)));
    const { opened } = await inspect(disk);
    assertEquals(opened.groups[0]?.lastIndex, 14);
  });
});

describe("entries that cannot be read for a while", () => {
  it("are moved once they can be", async () => {
    const disk = new FakeFileSystem();
    const storage = await openOn(disk);
    await storage.write([createGroup(1), createGroup(2)]);
    await fill(storage, 2, 1, 1);
    disk.onOperation = ({ type, path }) => {
      if (type === "read") throw new SystemError("EIO", path);
    };
    const again = async (rounds: number) => {
      for (let round = 0; round < rounds; round++) {
        await storage.write([append(1, [command(1, 1, 200)])]);
        await breathe();
      }
    };
    await again(20);
    assert(disk.paths().includes(segmentFile(1)));
    disk.onOperation = () => {};
    await again(20);
    assert(!disk.paths().includes(segmentFile(1)));
    const { opened } = await inspect(disk.kill());
    assertEquals(opened.groups[1]?.tail, commands(1, 1, 1, ENTRY_BYTES));
    await storage.close();
  });
});
