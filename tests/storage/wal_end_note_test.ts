/**
 * The note that an orderly end leaves: with it, a log that lost its end is
 * damage, even if what is left of it is sound (H48).
 */
import { describe, it } from "node:test";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { crc32 } from "node:zlib";
import { RaftError } from "../../src/errors.ts";
import {
  append,
  command,
  createGroup,
} from "../../src/testing/storage_samples.ts";
import { FakeFileSystem, SystemError } from "./fake_file_system.ts";
import {
  activeSegment,
  DEPLOYMENT,
  DIRECTORY,
  HEADER_BYTES,
  inspect,
  recordedBatches,
  recordRun,
  segmentFile,
  walOn,
} from "./wal_bench.ts";

const NOTE = `${DIRECTORY}/closed`;

/** A log that was closed behind three batches, in one segment. */
async function closedLog(): Promise<FakeFileSystem> {
  const disk = new FakeFileSystem();
  const storage = walOn(disk);
  await storage.open({ deployment: DEPLOYMENT });
  await storage.write([createGroup(1)]);
  await storage.write([append(1, [command(1, 1)])]);
  await storage.write([append(1, [command(1, 2)])]);
  await storage.close();
  return disk;
}

/** Where the frames of a segment begin, and where the last one ends. */
function frameBounds(content: Uint8Array): number[] {
  const view = new DataView(content.buffer, content.byteOffset);
  const bounds = [HEADER_BYTES];
  for (let at = HEADER_BYTES; content[at] === 0xb5;) {
    at += 32 + view.getUint32(at + 4, true);
    bounds.push(at);
  }
  return bounds;
}

describe("the note of an orderly end", () => {
  it("refuses a log cut between two batches, and names the place", async () => {
    const disk = await closedLog();
    const path = segmentFile(1);
    const content = disk.get(path).slice();
    const bounds = frameBounds(content);
    assertEquals(bounds.length, 5);
    for (const cut of bounds.slice(0, -1)) {
      const short = disk.kill();
      short.put(path, content.slice().fill(0, cut));
      const before = short.fingerprint();
      const error = await assertRejects(() => inspect(short), RaftError);
      assertEquals(error.code, "corrupt");
      assertEquals([error.file, error.offset], [path, cut]);
      assertEquals(short.kill().fingerprint(), before);
      // Without the note it is what a killed process may have left.
      short.remove(NOTE);
      assertEquals((await inspect(short)).opened.repairs, []);
    }
  });

  it("refuses a log that lost the segments behind a batch, across files", async () => {
    const run = await recordRun(new FakeFileSystem(), recordedBatches());
    await run.storage.close();
    const disk = run.fileSystem.kill();
    const last = activeSegment(disk);
    assert(last > segmentFile(2));
    disk.get(last).fill(0, HEADER_BYTES);
    const error = await assertRejects(() => inspect(disk), RaftError);
    assertEquals(error.code, "corrupt");
    assertEquals([error.file, error.offset], [last, HEADER_BYTES]);
  });

  it("stays as long as nothing is written, and is gone for good before the first frame", async () => {
    const disk = await closedLog();
    const before = disk.get(NOTE).slice();
    const idle = walOn(disk);
    await idle.open({ deployment: DEPLOYMENT });
    await idle.close();
    assertEquals(disk.get(NOTE), before);
    const storage = walOn(disk);
    await storage.open({ deployment: DEPLOYMENT });
    const written: string[] = [];
    disk.onOperation = ({ type, path }) => {
      if (type !== "write" || !path.endsWith(".wal")) return;
      written.push(path);
      const lost = disk.crash({ keepBytes: () => 0, keepNames: () => 0 });
      assert(!lost.paths().includes(NOTE), "a crash brings the note back");
    };
    await storage.write([append(1, [command(1, 3)])]);
    assertEquals(written, [segmentFile(1)]);
    await storage.close();
    assertEquals((await inspect(disk.kill())).opened.repairs, []);
  });

  it("is not left by a log that failed, or that was refused", async () => {
    const disk = await closedLog();
    const storage = walOn(disk);
    await storage.open({ deployment: DEPLOYMENT });
    disk.onOperation = ({ type }) => {
      if (type === "sync") throw new SystemError("EIO", "The disk is ill");
    };
    await assertRejects(() => storage.write([append(1, [command(1, 3)])]));
    await storage.close();
    assert(!disk.paths().includes(NOTE));
  });

  it("survives as a whole or not at all when closing is cut short", async () => {
    for (let steps = 0;; steps++) {
      const disk = new FakeFileSystem();
      const storage = walOn(disk);
      await storage.open({ deployment: DEPLOYMENT });
      await storage.write([createGroup(1)]);
      let left = steps;
      let isCut = false;
      disk.onOperation = () => {
        if (left-- > 0) return;
        isCut = true;
        throw new SystemError("EIO", "The power is gone");
      };
      await storage.close();
      for (const keep of [0, 1]) {
        const after = disk.crash({
          keepBytes: (count) => keep * count,
          keepNames: (count) => keep * count,
        });
        assertEquals((await inspect(after)).opened.groups.length, 1);
      }
      if (!isCut) break;
      assert(steps < 100, "closing never ends");
    }
  });

  it("of another version is refused as unsupportedFormat, of another log as corrupt", async () => {
    const disk = await closedLog();
    const bytes = disk.get(NOTE);
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    view.setUint32(8, 2, true);
    view.setUint32(12, crc32(bytes.subarray(0, 12)), true);
    const version = await assertRejects(() => inspect(disk), RaftError);
    assertEquals(version.code, "unsupportedFormat");
    assertEquals(version.file, NOTE);
    const other = new FakeFileSystem();
    const storage = walOn(other, { incarnation: "f".repeat(32) });
    await storage.open({ deployment: DEPLOYMENT });
    await storage.close();
    disk.put(NOTE, other.get(NOTE));
    const foreign = await assertRejects(() => inspect(disk), RaftError);
    assertEquals([foreign.code, foreign.file], ["corrupt", NOTE]);
  });
});
