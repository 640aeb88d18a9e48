/** Segments that are opened so that a write is durable when it returns. */
import { describe, it } from "node:test";
import {
  constants,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { RaftError } from "../../src/errors.ts";
import { nodeFileSystem, WalStorage } from "../../storage/wal/mod.ts";
import {
  append,
  command,
  createGroup,
} from "../../src/testing/storage_samples.ts";
import { FakeFileSystem, SystemError } from "./fake_file_system.ts";
import { DEPLOYMENT, inspect, segmentFile, walOn } from "./wal_bench.ts";

/** The flags of an open file, where the system tells them. */
function flagsOf(file: number): number | undefined {
  const path = `/proc/self/fdinfo/${file}`;
  if (!existsSync(path)) return undefined;
  const line = /^flags:\s+([0-7]+)$/m.exec(readFileSync(path, "utf8"));
  return Number.parseInt(line?.[1] ?? "", 8);
}

describe("a log with flush dsync", () => {
  it("resolves when the write has, without a flush, and loses nothing then", async () => {
    const disk = new FakeFileSystem();
    const storage = walOn(disk, { flush: "dsync", segmentBytes: 4096 });
    await storage.open({ deployment: DEPLOYMENT });
    let syncs = 0;
    disk.onOperation = ({ type, path }) => {
      if (type === "sync" && !path.endsWith(".tmp")) syncs++;
    };
    const nothing = { keepBytes: () => 0, keepNames: () => 0 };
    await storage.write([createGroup(1)]);
    // Through several segments: sealing one needs no flush either.
    for (let index = 1; index <= 60; index++) {
      await storage.write([append(1, [command(1, index, 200)])]);
      const { opened } = await inspect(disk.crash(nothing));
      assertEquals(opened.groups[0]?.lastIndex, index);
    }
    assertEquals(syncs, 0);
    assert(disk.paths().includes(segmentFile(3)));
    await storage.close();
    assertEquals(disk.openCount, 0);
  });

  it("opens segments for frames in mode durable", async () => {
    const disk = new FakeFileSystem();
    const modes: string[] = [];
    const open = disk.open.bind(disk);
    disk.open = (path, mode) => {
      if (path.endsWith(".wal")) modes.push(mode);
      return open(path, mode);
    };
    const storage = walOn(disk, { flush: "dsync" });
    await storage.open({ deployment: DEPLOYMENT });
    await storage.write([createGroup(1)]);
    await storage.write([append(1, [command(1, 1, 1500)])]);
    await storage.close();
    assert(modes.length > 1);
    assertEquals([...new Set(modes)], ["durable"]);
  });

  it("is poisoned by a write that fails (H44)", async () => {
    const disk = new FakeFileSystem();
    const storage = walOn(disk, { flush: "dsync", segmentBytes: 1 << 20 });
    await storage.open({ deployment: DEPLOYMENT });
    await storage.write([createGroup(1)]);
    let isFailing = true;
    disk.onOperation = ({ type }) => {
      if (type !== "write" || !isFailing) return;
      isFailing = false;
      throw new SystemError("EIO", "write");
    };
    const write = () => storage.write([append(1, [command(1, 1)])]);
    for (let i = 0; i < 2; i++) {
      const error = await assertRejects(write, RaftError);
      assertEquals(error.code, "storageFailed");
    }
    await storage.close();
  });

  it("has O_DSYNC set on real segments, and only on those", async () => {
    const directory = mkdtempSync(join(tmpdir(), "balsa-dsync-"));
    const real = nodeFileSystem();
    const seen: string[] = [];
    const fileSystem = {
      ...real,
      open: (...args: Parameters<typeof real.open>) => {
        const file = real.open(...args);
        const flags = flagsOf(file);
        // Both, or it would be the stronger O_SYNC.
        const isDurable = flags === undefined
          ? args[1] === "durable"
          : (flags & constants.O_SYNC) === constants.O_DSYNC;
        if (isDurable) seen.push(args[0]);
        return file;
      },
    };
    try {
      const options = { directory, fileSystem, segmentBytes: 4096 };
      const storage = new WalStorage({ ...options, flush: "dsync" });
      await storage.open({ deployment: DEPLOYMENT });
      await storage.write([createGroup(1), append(1, [command(1, 1, 5000)])]);
      await storage.write([append(1, [command(1, 2, 5000)])]);
      await storage.close();
      assert(seen.length > 1);
      assert(seen.every((path) => path.endsWith(".wal")), `${seen}`);
      const again = new WalStorage({ directory });
      const { groups } = await again.open({ deployment: DEPLOYMENT });
      assertEquals(groups[0]?.lastIndex, 2);
      await again.close();
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});
