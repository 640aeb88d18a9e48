/**
 * Index files: opening reads them in the place of full segments, and never
 * believes one that does not fit.
 */
import { describe, it } from "node:test";
import { setImmediate } from "node:timers";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { RaftError } from "../../src/errors.ts";
import type { OpenedStorage } from "../../src/storage.ts";
import {
  append,
  command,
  commands,
  createGroup,
} from "../../src/testing/storage_samples.ts";
import { describe as describeAll } from "./crash/steps.ts";
import { FakeFileSystem } from "./fake_file_system.ts";
import {
  activeSegment,
  DEPLOYMENT,
  DIRECTORY,
  HEADER_BYTES,
  INCARNATION,
  recordedBatches,
  walOn,
} from "./wal_bench.ts";

function indexFiles(disk: FakeFileSystem): string[] {
  return disk.paths().filter((path) => path.endsWith(".idx"));
}

/** A log of several segments that was closed, and what is in it. */
async function closedLog(
  incarnation = INCARNATION,
): Promise<{ disk: FakeFileSystem; whole: string }> {
  const disk = new FakeFileSystem();
  const storage = walOn(disk, { segmentBytes: 512, incarnation });
  await storage.open({ deployment: DEPLOYMENT });
  for (const batch of recordedBatches()) await storage.write(batch);
  await storage.close();
  return { disk, whole: (await look(disk.kill())).text };
}

async function look(
  disk: FakeFileSystem,
): Promise<{ opened: OpenedStorage; text: string }> {
  const storage = walOn(disk, { segmentBytes: 512 });
  const opened = await storage.open({ deployment: DEPLOYMENT });
  try {
    return { opened, text: await describeAll(storage, opened) };
  } finally {
    await storage.close();
  }
}

describe("index files", () => {
  it("stand beside each full segment, and beside no other", async () => {
    const { disk } = await closedLog();
    const active = activeSegment(disk);
    const full = disk.paths().filter((path) =>
      path.endsWith(".wal") && path < active
    );
    assert(full.length >= 3);
    assertEquals(
      indexFiles(disk),
      full.map((path) => path.replace(".wal", ".idx")),
    );
  });

  it("are made anew, byte for byte, when they are missing", async () => {
    const { disk, whole } = await closedLog();
    const before = indexFiles(disk).map((path) => [...disk.get(path)]);
    for (const path of indexFiles(disk)) disk.remove(path);
    const { opened, text } = await look(disk);
    assertEquals(opened.repairs, []);
    assertEquals(text, whole);
    const after = indexFiles(disk).map((path) => [...disk.get(path)]);
    assertEquals(after, before);
  });

  it("keep opening from going through full segments", async () => {
    const disk = new FakeFileSystem();
    const options = { segmentBytes: 64 << 10, tailBytes: 0 };
    const storage = walOn(disk, options);
    await storage.open({ deployment: DEPLOYMENT });
    await storage.write([createGroup(1)]);
    for (let index = 1; index <= 40; index++) {
      await storage.write([append(1, [command(1, index, 8_000)])]);
    }
    await storage.close();
    const readAtOpening = async (from: FakeFileSystem) => {
      const full = new Set(
        indexFiles(disk).map((path) => path.replace(".idx", ".wal")),
      );
      let [bytes, path] = [0, ""];
      const read = from.read.bind(from);
      from.onOperation = (operation) => {
        if (operation.type === "read") path = operation.path;
      };
      from.read = async (...args) => {
        const count = await read(...args);
        if (full.has(path)) bytes += count;
        return count;
      };
      const again = walOn(from, options);
      await again.open({ deployment: DEPLOYMENT });
      await again.close();
      return bytes / full.size;
    };
    assert(indexFiles(disk).length >= 4);
    const without = disk.kill();
    for (const path of indexFiles(disk)) without.remove(path);
    assert(await readAtOpening(without) > 50_000);
    assert(await readAtOpening(disk.kill()) < 2_000);
  });

  it("that are damaged are told of as repaired and made anew", async () => {
    const { disk, whole } = await closedLog();
    for (const path of indexFiles(disk)) {
      const content = disk.get(path).slice();
      for (let at = 0; at < content.length; at += 7) {
        const bad = disk.kill();
        const spoilt = content.slice();
        spoilt[at] = (content[at] ?? 0) ^ 1 << at % 8;
        bad.put(path, spoilt);
        const { opened, text } = await look(bad);
        assertEquals(text, whole);
        assertEquals(opened.repairs, [
          {
            type: "damagedIndex",
            file: path,
            offset: 0,
            bytes: content.length,
          },
        ]);
        assertEquals(bad.get(path), content);
      }
    }
  });

  it("of other segments, other logs or other lives are passed over", async () => {
    const { disk, whole } = await closedLog();
    const other = await closedLog("f".repeat(32));
    const [one = "", two = ""] = indexFiles(disk);
    const own = disk.get(one);
    const twin = await closedTwin();
    const strangers = [disk.get(two), other.disk.get(one), twin.get(one)];
    for (const content of strangers) {
      assert(content.join() !== own.join());
      const mixed = disk.kill();
      mixed.put(one, content);
      const { opened, text } = await look(mixed);
      assertEquals(opened.repairs, []);
      assertEquals(text, whole);
      assertEquals(mixed.get(one), own);
    }
  });

  it("do not hide that a segment took another turn than the one before it (H61)", async () => {
    const { disk } = await closedLog();
    const [, two = ""] = indexFiles(disk);
    const path = two.replace(".idx", ".wal");
    const twin = await closedTwin();
    for (const one of [path, two]) disk.put(one, twin.get(one));
    const error = await assertRejects(() => look(disk), RaftError);
    assertEquals(
      [error.code, error.file, error.offset],
      ["corrupt", path, HEADER_BYTES],
    );
  });

  it("do not hide that the frame which seals a segment is damaged (H48)", async () => {
    const { disk } = await closedLog();
    const [one = ""] = indexFiles(disk);
    const path = one.replace(".idx", ".wal");
    const content = disk.get(path);
    const view = new DataView(content.buffer, content.byteOffset);
    let last = HEADER_BYTES;
    for (let at = last; content[at] === 0xb5;) {
      last = at;
      at += 32 + view.getUint32(at + 4, true);
    }
    content[last + 20] = (content[last + 20] ?? 0) ^ 1;
    const error = await assertRejects(() => look(disk), RaftError);
    assertEquals(
      [error.code, error.file, error.offset],
      ["corrupt", path, last],
    );
  });

  it("do not hide damage from whoever reads it (H60)", async () => {
    const { disk } = await closedLog();
    const [one = ""] = indexFiles(disk);
    const path = one.replace(".idx", ".wal");
    // Group 1 never replaced its first entry.
    const entry = command(1, 1).type === "command"
      ? commands(1, 1, 1)[0]
      : undefined;
    assert(entry?.type === "command");
    const content = disk.get(path);
    const at = content.findIndex((_, i) =>
      entry.data.every((byte, j) => content[i + j] === byte)
    );
    assert(at > 0);
    content[at] = (content[at] ?? 0) ^ 1;
    const error = await assertRejects(() => look(disk), RaftError);
    assertEquals([error.code, error.file], ["corrupt", path]);
  });

  it("go with their segments, also when a crash came between", async () => {
    const { disk } = await closedLog();
    const stray = `${DIRECTORY}/0000000000000099.idx`;
    disk.put(stray, new Uint8Array(9));
    disk.put(`${stray}.tmp`, new Uint8Array(9));
    const { opened } = await look(disk);
    assertEquals(opened.repairs, []);
    assert(!disk.paths().some((path) => path.startsWith(stray)));
  });

  it("harm nobody when there is no room for them (H56)", async () => {
    const disk = new FakeFileSystem();
    const storage = walOn(disk, { segmentBytes: 512 });
    await storage.open({ deployment: DEPLOYMENT });
    await storage.write([createGroup(1)]);
    disk.onOperation = ({ type, path }) => {
      if (type !== "write" || !path.endsWith(".idx.tmp")) return;
      throw Object.assign(new Error("no room"), { code: "ENOSPC" });
    };
    for (let index = 1; index <= 20; index++) {
      await storage.write([append(1, [command(1, index, 100)])]);
    }
    await new Promise((resolve) => setImmediate(resolve));
    await storage.write([append(1, [command(1, 21, 100)])]);
    await storage.close();
    assertEquals(indexFiles(disk), []);
    disk.onOperation = () => {};
    assertEquals((await look(disk)).opened.groups[0]?.lastIndex, 21);
    assert(indexFiles(disk).length > 0);
  });
});

/** A log with the same name that took another turn. */
async function closedTwin(): Promise<FakeFileSystem> {
  const disk = new FakeFileSystem();
  const storage = walOn(disk, { segmentBytes: 512 });
  await storage.open({ deployment: DEPLOYMENT });
  await storage.write([createGroup(1, 3)]);
  for (let index = 1; index <= 9; index++) {
    await storage.write([append(1, [command(1, index, 90)])]);
  }
  await storage.close();
  return disk;
}
