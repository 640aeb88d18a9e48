/** The log on disks that fail, fill up or take their time. */
import { describe, it } from "node:test";
import { setImmediate } from "node:timers";
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { RaftError } from "../../src/errors.ts";
import { WalStorage } from "../../storage/wal/mod.ts";
import {
  append,
  command,
  commands,
  createGroup,
} from "../../src/testing/storage_samples.ts";
import {
  FakeFileSystem,
  type Operation,
  SystemError,
} from "./fake_file_system.ts";
import {
  DEPLOYMENT,
  inspect,
  SEGMENT_BYTES,
  segmentFile,
  walOn,
} from "./wal_bench.ts";

/** Everything that can happen without the outside has happened. */
function breathe(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

async function openOn(
  disk: FakeFileSystem,
  segmentBytes: number = SEGMENT_BYTES,
): Promise<WalStorage> {
  const storage = walOn(disk, { segmentBytes });
  await storage.open({ deployment: DEPLOYMENT });
  return storage;
}

/** Counts operations of a type. */
function count(disk: FakeFileSystem, type: Operation["type"]): () => number {
  let seen = 0;
  disk.onOperation = (operation) => {
    if (operation.type === type) seen++;
  };
  return () => seen;
}

async function failure(action: () => Promise<unknown>): Promise<RaftError> {
  return await assertRejects(action, RaftError);
}

describe("group commit", () => {
  it("serves all writes that wait by one flush", async () => {
    const disk = new FakeFileSystem();
    const storage = await openOn(disk, 1 << 20);
    await storage.write([createGroup(1)]);
    const syncs = count(disk, "sync");
    const writes = commands(1, 1, 1000).map((entry) =>
      storage.write([append(1, [entry])])
    );
    await Promise.all(writes);
    // The first one did not wait; all others came while it was flushed.
    assertEquals(syncs(), 2);
    await storage.close();
  });

  it("writes a batch of many groups in one piece", async () => {
    const disk = new FakeFileSystem();
    const storage = await openOn(disk, 1 << 20);
    const groups = Array.from({ length: 50 }, (_, i) => i + 1);
    await storage.write(groups.map((group) => createGroup(group)));
    const writes = count(disk, "write");
    await storage.write(
      groups.map((group) => append(group, commands(1, 1, 9))),
    );
    assertEquals(writes(), 1);
    await storage.close();
  });

  it("flushes nothing for a batch without sync, until much has gathered", async () => {
    const disk = new FakeFileSystem();
    const storage = await openOn(disk, 2 << 20);
    await storage.write([createGroup(1)]);
    const syncs = count(disk, "sync");
    const lazy = { sync: false };
    for (let index = 1; index <= 10; index++) {
      await storage.write([append(1, [command(1, index, 100_000)])], lazy);
    }
    assertEquals(syncs(), 0);
    await storage.write([append(1, [command(1, 11, 100_000)])], lazy);
    assertEquals(syncs(), 1);
    await storage.close();
  });

  it("resolves a batch without sync no sooner than those before it", async () => {
    const disk = new FakeFileSystem();
    const storage = await openOn(disk);
    await storage.write([createGroup(1)]);
    let release: () => void = () => {};
    disk.onOperation = ({ type }) =>
      type === "sync"
        ? new Promise<void>((resolve) => release = resolve)
        : undefined;
    const done: string[] = [];
    const first = storage.write([append(1, [command(1, 1)])]);
    const second = storage.write([append(1, [command(1, 2)])], { sync: false });
    ignore(first.then(() => done.push("synced")));
    ignore(second.then(() => done.push("lazy")));
    await breathe();
    assertEquals(done, []);
    disk.onOperation = () => {};
    release();
    await Promise.all([first, second]);
    assertEquals(done, ["synced", "lazy"]);
    await storage.close();
  });

  it("with flush none resolves without a flush", async () => {
    const disk = new FakeFileSystem();
    const storage = walOn(disk, { flush: "none", segmentBytes: 1 << 20 });
    await storage.open({ deployment: DEPLOYMENT });
    const syncs = count(disk, "sync");
    await storage.write([createGroup(1), append(1, commands(1, 1, 9))]);
    assertEquals(syncs(), 0);
    const { opened } = await inspect(disk.kill());
    assertEquals(opened.groups[0]?.lastIndex, 9);
    await storage.close();
  });
});

function ignore(promise: Promise<unknown>): void {
  promise.catch(() => {});
}

describe("a failing disk", () => {
  for (const type of ["write", "sync"] as const) {
    it(`that fails one ${type} poisons the log: nothing is acknowledged again (H44)`, async () => {
      const disk = new FakeFileSystem();
      const storage = await openOn(disk);
      await storage.write([createGroup(1), append(1, commands(1, 1, 2))]);
      disk.onOperation = (operation) => {
        if (operation.type !== type) return;
        disk.onOperation = () => {};
        throw new SystemError("EIO", type);
      };
      const overlapping = [3, 4, 5].map((index) =>
        failure(() => storage.write([append(1, [command(1, index)])]))
      );
      for (const error of await Promise.all(overlapping)) {
        assertEquals(error.code, "storageFailed");
      }
      const later = await failure(() => storage.write([createGroup(2)]));
      assertEquals(later.code, "storageFailed");
      assert(later.message.includes("EIO"), later.message);
      await storage.close();
      assertEquals(disk.openCount, 0);
      const { opened } = await inspect(disk.kill());
      assert((opened.groups[0]?.lastIndex ?? 0) >= 2);
    });
  }

  for (const type of ["sync", "rename", "syncDirectory"] as const) {
    it(`that fails a ${type} while a segment is prepared poisons the log (H44, H51)`, async () => {
      const disk = new FakeFileSystem();
      const storage = await openOn(disk);
      await storage.write([createGroup(1)]);
      disk.onOperation = (operation) => {
        const isSpare = operation.path.includes(".tmp") ||
          operation.type === "syncDirectory";
        if (operation.type !== type || !isSpare) return;
        throw new SystemError("EIO", type);
      };
      await storage.write([append(1, [command(1, 1, 600)])]);
      await breathe();
      const error = await failure(() =>
        storage.write([append(1, [command(1, 2)])])
      );
      assertEquals(error.code, "storageFailed");
      await storage.close();
      assertEquals(disk.openCount, 0);
    });
  }

  it("that writes little at a time is written to again and again", async () => {
    const disk = new FakeFileSystem();
    disk.maxWriteBytes = 7;
    const storage = await openOn(disk);
    await storage.write([createGroup(1), append(1, commands(1, 1, 30))]);
    const { opened } = await inspect(disk.kill());
    assertEquals(opened.groups[0]?.tail, commands(1, 1, 30));
    await storage.close();
  });

  it("whose reads fail says so and goes on taking writes (H42)", async () => {
    const disk = new FakeFileSystem();
    const storage = await openOn(disk);
    await storage.write([createGroup(1), append(1, commands(1, 1, 3))]);
    disk.onOperation = ({ type }) => {
      if (type === "read") throw new SystemError("EIO", "read");
    };
    const range = { group: 1, from: 1, through: 3, maxBytes: 1000 };
    const error = await failure(() => storage.read(range));
    assertEquals(error.code, "storageFailed");
    disk.onOperation = () => {};
    await storage.write([append(1, [command(1, 4)])]);
    assertEquals((await storage.read(range)).length, 3);
    await storage.close();
  });

  it("that spoils what it holds is found out by the next read (H60)", async () => {
    const disk = new FakeFileSystem();
    const storage = await openOn(disk, 4096);
    await storage.write([createGroup(1)]);
    for (const entry of commands(1, 1, 12)) {
      await storage.write([append(1, [entry])]);
    }
    const content = disk.get(segmentFile(1));
    const end = content.findLastIndex((byte) => byte !== 0);
    const read = (index: number) =>
      storage.read({ group: 1, from: index, through: index, maxBytes: 1 });
    let found = 0;
    for (let at = 60; at < end; at += 7) {
      content[at] = (content[at] ?? 0) ^ 0x10;
      for (let index = 1; index <= 12; index++) {
        const result = await read(index).catch((error: RaftError) => error);
        if (!(result instanceof RaftError)) {
          assertEquals(result, [command(1, index)], `byte ${at}`);
          continue;
        }
        assertEquals(result.code, "corrupt");
        assertEquals(result.file, segmentFile(1));
        assert((result.offset ?? 0) <= at, `byte ${at}: ${result.offset}`);
        found++;
      }
      content[at] = (content[at] ?? 0) ^ 0x10;
    }
    // Nearly every byte belongs to an entry's record.
    assert(found > end / 7 / 2, `found ${found} of ${end / 7}`);
    await storage.close();
  });
});

describe("a process that was killed", () => {
  it("before a flush ended leaves what opening makes durable before it tells of it (H45)", async () => {
    const disk = new FakeFileSystem();
    const storage = await openOn(disk);
    await storage.write([createGroup(1)]);
    // The write reaches the page cache, and the process dies in the flush.
    disk.onOperation = ({ type }) =>
      type === "sync" ? new Promise<void>(() => {}) : undefined;
    ignore(storage.write([append(1, commands(1, 1, 3))]));
    await breathe();
    disk.onOperation = () => {};
    disk.forgetLocks();
    const again = walOn(disk);
    const { groups } = await again.open({ deployment: DEPLOYMENT });
    assertEquals(groups[0]?.lastIndex, 3);
    const after = disk.crash({ keepBytes: () => 0, keepNames: () => 0 });
    const { opened } = await inspect(after);
    assertEquals(opened.groups[0]?.lastIndex, 3);
    await again.close();
  });
});

describe("a full disk", () => {
  it("while a segment is prepared does no harm until the segment is needed (H56)", async () => {
    const disk = new FakeFileSystem();
    const storage = await openOn(disk);
    await storage.write([createGroup(1)]);
    disk.capacity = 1200;
    await storage.write([append(1, [command(1, 1, 500)])]);
    await breathe();
    await storage.write([append(1, [command(1, 2, 50)])]);
    const full = await failure(() =>
      storage.write([append(1, [command(1, 3, 900)])])
    );
    assertEquals(full.code, "storageFailed");
    assert(full.message.includes("ENOSPC"), full.message);
    await storage.close();
    assertEquals(disk.openCount, 0);
    const after = disk.kill();
    const { opened } = await inspect(after);
    assertEquals(opened.groups[0]?.lastIndex, 2);
    assertEquals(opened.repairs, []);
  });

  it("that gets room again in time is not noticed", async () => {
    const disk = new FakeFileSystem();
    const storage = await openOn(disk);
    await storage.write([createGroup(1)]);
    disk.capacity = 1200;
    await storage.write([append(1, [command(1, 1, 500)])]);
    await breathe();
    disk.capacity = Infinity;
    await storage.write([append(1, [command(1, 2, 900)])]);
    await storage.close();
    const { opened } = await inspect(disk.kill());
    assertEquals(opened.groups[0]?.lastIndex, 2);
  });

  it("at the first start is an error of code storageFailed", async () => {
    const disk = new FakeFileSystem();
    disk.capacity = 300;
    const error = await failure(() => openOn(disk));
    assertEquals(error.code, "storageFailed");
    assertEquals(disk.openCount, 0);
    disk.capacity = Infinity;
    await (await openOn(disk)).close();
  });
});

describe("rotation", () => {
  /** What happened to which file, in order. */
  function record(disk: FakeFileSystem): string[] {
    const seen: string[] = [];
    disk.onOperation = ({ type, path }) => {
      seen.push(`${type} ${path.slice(path.lastIndexOf("/") + 1)}`);
    };
    return seen;
  }

  it("syncs the full segment before the first write to the next, which exists durably by then (H51, H52)", async () => {
    const disk = new FakeFileSystem();
    const storage = await openOn(disk);
    await storage.write([createGroup(1)]);
    const seen = record(disk);
    await storage.write([append(1, [command(1, 1, 1500)])]);
    await storage.close();
    // The fake disk knows an open file by the name it was opened under.
    const [one, two] = ["0000000000000001.wal", "0000000000000002.wal.tmp"];
    assertEquals(seen.slice(0, 11), [
      `unlink ${two}`,
      `open ${two}`,
      `write ${two}`,
      `write ${two}`,
      `sync ${two}`,
      `rename ${two}`,
      "syncDirectory data",
      `write ${one}`,
      `sync ${one}`,
      `write ${two}`,
      `sync ${two}`,
    ]);
  });

  it("prepares the next segment before it is needed", async () => {
    const disk = new FakeFileSystem();
    const storage = await openOn(disk);
    await storage.write([createGroup(1)]);
    await storage.write([append(1, [command(1, 1, 400)])]);
    await breathe();
    assert(disk.paths().includes(segmentFile(2)));
    let made = 0;
    disk.onOperation = ({ type, path }) => {
      if (type === "rename" && path.endsWith(".wal.tmp")) made++;
    };
    await storage.write([append(1, [command(1, 2, 400)])]);
    assertEquals(made, 0);
    await storage.close();
  });

  it("keeps every batch, whatever its size", async () => {
    const disk = new FakeFileSystem();
    const storage = await openOn(disk, 256);
    await storage.write([createGroup(1)]);
    const log = Array.from(
      { length: 60 },
      (_, i) => command(1, i + 1, i * i),
    );
    for (const entry of log) await storage.write([append(1, [entry])]);
    const { opened } = await inspect(disk.kill());
    assertEquals(opened.groups[0]?.tail, log);
    await storage.close();
  });
});

describe("WalStorage options", () => {
  it("are refused out of range", () => {
    const directory = "/data";
    for (const segmentBytes of [0, 255, 1.5, NaN, 2 ** 31]) {
      assertThrows(
        () => new WalStorage({ directory, segmentBytes }),
        RangeError,
      );
    }
    for (const tailBytes of [-1, 0.5, 2 ** 30]) {
      assertThrows(() => new WalStorage({ directory, tailBytes }), RangeError);
    }
  });

  it("bound the tail that opening returns", async () => {
    const disk = new FakeFileSystem();
    const storage = await openOn(disk, 1 << 20);
    const log = commands(1, 1, 500, 100);
    await storage.write([createGroup(1)]);
    for (const entry of log) await storage.write([append(1, [entry])]);
    await storage.close();
    const again = walOn(disk, { tailBytes: 5320 });
    const { groups } = await again.open({ deployment: DEPLOYMENT });
    const tail = groups[0]?.tail ?? [];
    assert(tail.length >= 8 && tail.length <= 10, `${tail.length} entries`);
    assertEquals(tail, log.slice(-tail.length));
    await again.close();
  });
});
