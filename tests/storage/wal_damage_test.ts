/**
 * What opening makes of a log that was cut or damaged: a cut loses whole
 * batches from the end and nothing else (H47), damage is told (H48, H49).
 */
import { Buffer } from "node:buffer";
import { describe, it } from "node:test";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { RaftError } from "../../src/errors.ts";
import type { GroupWrite } from "../../src/storage.ts";
import {
  append,
  command,
  createGroup,
} from "../../src/testing/storage_samples.ts";
import { FakeFileSystem } from "./fake_file_system.ts";
import {
  activeSegment,
  DEPLOYMENT,
  DIRECTORY,
  HEADER_BYTES,
  inspect,
  recordedBatches,
  type RecordedRun,
  recordRun,
  SEGMENT_BYTES,
  segmentFile,
  walOn,
} from "./wal_bench.ts";

/** A disk with the same files, one of them with other content. */
function withFile(
  disk: FakeFileSystem,
  path: string,
  content: Uint8Array,
): FakeFileSystem {
  const other = disk.kill();
  other.put(path, content);
  return other;
}

/** Where each frame of a segment begins, and where the last one ends. */
function frameBounds(content: Uint8Array): number[] {
  const view = new DataView(content.buffer, content.byteOffset);
  const bounds = [HEADER_BYTES];
  for (let at = HEADER_BYTES; content[at] === 0xb5;) {
    at += 32 + view.getUint32(at + 4, true);
    bounds.push(at);
  }
  return bounds;
}

/** How many of the batches of a run are in the segments before one. */
async function batchesBefore(run: RecordedRun, path: string): Promise<number> {
  const disk = run.fileSystem.kill();
  for (const other of disk.paths()) {
    if (other > path && other.endsWith(".wal")) disk.remove(other);
  }
  const content = disk.get(path);
  disk.put(path, content.slice().fill(0, HEADER_BYTES));
  const { state } = await inspect(disk);
  return indexOfState(run, state);
}

function indexOfState(run: RecordedRun, state: unknown): number {
  const text = JSON.stringify(state);
  return run.states.findIndex((one) => JSON.stringify(one) === text);
}

describe("a log whose last segment is cut", () => {
  it("at every byte, filled with zeros, opens with exactly the whole batches before the cut (H47)", async () => {
    const run = await recordRun(new FakeFileSystem(), recordedBatches());
    const path = activeSegment(run.fileSystem);
    assert(path > segmentFile(2), "the run did not fill three segments");
    const content = run.fileSystem.get(path);
    const bounds = frameBounds(content);
    const before = await batchesBefore(run, path);
    assert(bounds.length > 1 && before > 0);
    const end = bounds.at(-1) ?? 0;
    for (let cut = HEADER_BYTES; cut <= end; cut++) {
      const disk = withFile(run.fileSystem, path, content.slice().fill(0, cut));
      const { opened, state } = await inspect(disk);
      // The first frame is the checkpoint, which changes nothing.
      const whole = bounds.filter((bound) => bound <= cut).length - 2;
      const wanted = run.states[before + Math.max(0, whole)];
      assertEquals(state, wanted, `cut at ${cut}`);
      const isClean = bounds.includes(cut) || content.at(cut - 1) === 0;
      if (bounds.includes(cut)) assertEquals(opened.repairs, []);
      if (!isClean) assertEquals(opened.repairs[0]?.file, path);
      // What was repaired stays repaired (the second generation).
      const again = await inspect(disk.kill());
      assertEquals(again.state, wanted, `cut at ${cut}, opened twice`);
      assertEquals(again.opened.repairs, []);
    }
    await run.storage.close();
  });

  it("within its header is refused: that was durable before the file had its name", async () => {
    const run = await recordRun(new FakeFileSystem(), recordedBatches());
    const path = activeSegment(run.fileSystem);
    const content = run.fileSystem.get(path);
    for (let cut = 0; cut < HEADER_BYTES; cut++) {
      if (content[cut] === 0) continue;
      const disk = withFile(run.fileSystem, path, content.slice().fill(0, cut));
      const error = await assertRejects(() => inspect(disk), RaftError);
      assertEquals(error.code, "corrupt", `cut at ${cut}`);
      assertEquals([error.file, error.offset], [path, 0], `cut at ${cut}`);
    }
    await run.storage.close();
  });

  it("shorter than it was laid out is refused where it ends, whatever it holds", async () => {
    const run = await recordRun(new FakeFileSystem(), recordedBatches());
    const newest = run.fileSystem.paths().findLast((path) =>
      path.endsWith(".wal")
    );
    assert(newest !== undefined);
    // The newest is perhaps a prepared one, without a single frame.
    for (const path of new Set([activeSegment(run.fileSystem), newest])) {
      const content = run.fileSystem.get(path);
      // It may have grown beyond its plan; what is there then may be torn.
      assert(content.length >= SEGMENT_BYTES);
      for (let length = 0; length < SEGMENT_BYTES; length++) {
        const disk = withFile(run.fileSystem, path, content.slice(0, length));
        const error = await assertRejects(() => inspect(disk), RaftError);
        assertEquals(error.code, "corrupt", `cut to ${length}`);
        const offset = length < HEADER_BYTES ? 0 : length;
        assertEquals([error.file, error.offset], [path, offset]);
      }
    }
    await run.storage.close();
  });

  it("goes on behind the cut, and the old bytes never count again (H47, H53, H61)", async () => {
    const run = await recordRun(new FakeFileSystem(), recordedBatches());
    const path = activeSegment(run.fileSystem);
    const content = run.fileSystem.get(path);
    const [first = 0, second = 0] = frameBounds(content);
    for (let cut = first + 1; cut < second; cut++) {
      // The head of the batch is torn, and the rest of it reached the disk.
      const torn = content.slice();
      torn.fill(0, first, cut);
      torn.fill(0, second);
      const disk = withFile(run.fileSystem, path, torn);
      const storage = walOn(disk);
      const opened = await storage.open({ deployment: DEPLOYMENT });
      assertEquals(opened.repairs.length, 1);
      const last = opened.groups[0]?.lastIndex ?? 0;
      await storage.write([append(1, [command(9, last + 1, 3)])]);
      const { opened: again } = await inspect(disk.kill());
      assertEquals(again.repairs, []);
      assertEquals(again.groups[0]?.lastIndex, last + 1);
      await storage.close();
    }
    await run.storage.close();
  });
});

/** Two segments: every bit of it can be tried. */
function shortRun(): GroupWrite[][] {
  return recordedBatches().slice(0, 6);
}

describe("a log with one bit flipped", () => {
  /** Flips each bit of a range in turn and opens what that makes. */
  async function flip(
    run: RecordedRun,
    path: string,
    range: { from: number; to: number; step?: number },
    judge: (disk: FakeFileSystem, bit: string, at: number) => Promise<void>,
  ): Promise<number> {
    const content = run.fileSystem.get(path).slice();
    let tried = 0;
    for (let at = range.from; at < range.to; at++) {
      for (let bit = 0; bit < 8; bit++) {
        content[at] = (content[at] ?? 0) ^ (1 << bit);
        const disk = withFile(run.fileSystem, path, content);
        content[at] = (content[at] ?? 0) ^ (1 << bit);
        await judge(disk, `bit ${bit} of byte ${at}`, at);
        tried++;
      }
    }
    return tried;
  }

  it("anywhere before the last batch is refused with file and offset of the bad frame (H48)", async () => {
    const run = await recordRun(new FakeFileSystem(), shortRun());
    await run.storage.close();
    const disk = run.fileSystem;
    let tried = 0;
    // With them, a segment is not gone through, and damage is found by reads.
    for (const path of disk.paths()) {
      if (path.endsWith(".idx")) disk.remove(path);
    }
    for (const path of disk.paths()) {
      if (!path.endsWith(".wal") || path > activeSegment(disk)) continue;
      const bounds = frameBounds(disk.get(path));
      // Closing has left a mark behind the last batch: all of them count.
      const last = path === activeSegment(disk) ? -2 : -1;
      const to = bounds.at(last) ?? 0;
      tried += await flip(run, path, { from: 0, to }, async (bad, bit, at) => {
        const before = bad.get(path).slice();
        const error = await assertRejects(() => inspect(bad), RaftError);
        assertEquals(error.code, "corrupt", `${bit} of ${path}: ${error}`);
        assertEquals(error.file, path, bit);
        const bound = bounds.findLast((one) => one <= at) ?? 0;
        assertEquals(error.offset, at < HEADER_BYTES ? 0 : bound, bit);
        assert(isEqual(bad.get(path), before), `${bit} was "repaired"`);
      });
    }
    assert(tried > 10_000, `only ${tried} flips`);
  });

  it("in the mark that closing leaves is refused where that stands", async () => {
    const run = await recordRun(new FakeFileSystem(), shortRun());
    await run.storage.close();
    const path = activeSegment(run.fileSystem);
    const bounds = frameBounds(run.fileSystem.get(path));
    const [from = 0, to = 0] = bounds.slice(-2);
    await flip(run, path, { from, to }, async (disk, bit) => {
      const error = await assertRejects(() => inspect(disk), RaftError);
      assertEquals(error.code, "corrupt", bit);
      assertEquals([error.file, error.offset], [path, from], bit);
    });
  });

  it("in the last batch of a killed process loses that batch at most, and says so", async () => {
    const run = await recordRun(new FakeFileSystem(), shortRun());
    const path = activeSegment(run.fileSystem);
    const bounds = frameBounds(run.fileSystem.get(path));
    const [from = 0, to = 0] = bounds.slice(-2);
    await flip(run, path, { from, to }, async (disk, bit) => {
      const { opened, state } = await inspect(disk);
      assertEquals(state, run.states.at(-2), bit);
      assertEquals(opened.repairs.length, 1, bit);
      assertEquals(opened.repairs[0]?.offset, from, bit);
    });
    await run.storage.close();
  });

  it("in what is laid out behind the end costs nothing", async () => {
    const run = await recordRun(new FakeFileSystem(), shortRun());
    const disk = run.fileSystem;
    const path = activeSegment(disk);
    const from = frameBounds(disk.get(path)).at(-1) ?? 0;
    const range = { from, to: disk.get(path).length };
    await flip(run, path, range, async (bad, bit) => {
      const { opened, state } = await inspect(bad);
      assertEquals(state, run.states.at(-1), bit);
      assertEquals(opened.repairs.length, 1, bit);
    });
    await run.storage.close();
  });

  for (const name of ["identity", "closed"]) {
    it(`in the file "${name}" is refused with its name`, async () => {
      const run = await recordRun(new FakeFileSystem(), shortRun());
      await run.storage.close();
      const path = `${DIRECTORY}/${name}`;
      const range = { from: 0, to: run.fileSystem.get(path).length };
      const tried = await flip(run, path, range, async (disk, bit) => {
        const error = await assertRejects(() => inspect(disk), RaftError);
        assertEquals(error.code, "corrupt", bit);
        assertEquals([error.file, error.offset], [path, 0], bit);
      });
      assertEquals(tried, 8 * range.to);
      assert(tried >= 8 * HEADER_BYTES);
    });
  }
});

function isEqual(left: Uint8Array, right: Uint8Array): boolean {
  return Buffer.compare(left, right) === 0;
}

/** Two logs of one identity whose frames differ in nothing but bytes. */
async function twins(): Promise<{
  readonly one: FakeFileSystem;
  readonly other: FakeFileSystem;
  /** Where their frames begin: creation, entry 1, entry 2, the end. */
  readonly bounds: readonly number[];
}> {
  const [one, other] = [new FakeFileSystem(), new FakeFileSystem()];
  for (const [i, disk] of [one, other].entries()) {
    const storage = walOn(disk);
    await storage.open({ deployment: DEPLOYMENT });
    await storage.write([createGroup(1, 1 + i)]);
    await storage.write([append(1, [command(1 + i, 1)])]);
    await storage.write([append(1, [command(1 + i, 2)])]);
    await storage.close();
  }
  return { one, other, bounds: frameBounds(one.get(segmentFile(1))) };
}

describe("a log with a file missing or foreign", () => {
  it("is refused for every file that held something (H49)", async () => {
    const run = await recordRun(new FakeFileSystem(), recordedBatches());
    await run.storage.close();
    const last = activeSegment(run.fileSystem);
    for (const path of run.fileSystem.paths()) {
      const disk = run.fileSystem.kill();
      disk.remove(path);
      const isNeeded = path.endsWith(".wal")
        ? path <= last
        : path.endsWith("/identity");
      if (!isNeeded) {
        const { state } = await inspect(disk);
        assertEquals(state, run.states.at(-1));
        continue;
      }
      const error = await assertRejects(() => inspect(disk), RaftError);
      assertEquals(error.code, "corrupt", path);
      assertEquals(error.file, path);
    }
  });

  it("refuses a segment of another log, or in the place of another (H61)", async () => {
    const run = await recordRun(new FakeFileSystem(), recordedBatches());
    await run.storage.close();
    const [one, two] = [segmentFile(1), segmentFile(2)];
    const swapped = withFile(run.fileSystem, two, run.fileSystem.get(one));
    const misplaced = await assertRejects(() => inspect(swapped), RaftError);
    assertEquals(misplaced.code, "corrupt");
    assertEquals(misplaced.file, two);
    const other = new FakeFileSystem();
    const storage = walOn(other, { incarnation: "f".repeat(32) });
    await storage.open({ deployment: DEPLOYMENT });
    await storage.close();
    const mixed = withFile(run.fileSystem, one, other.get(one));
    const error = await assertRejects(() => inspect(mixed), RaftError);
    assertEquals(error.code, "identityMismatch");
    assertEquals(error.file, one);
  });

  it("refuses a frame of its own place that followed other frames (H61)", async () => {
    const { one, other, bounds } = await twins();
    const [, from = 0, to = 0] = bounds;
    const path = segmentFile(1);
    const mixed = one.get(path).slice();
    mixed.set(other.get(path).subarray(from, to), from);
    const error = await assertRejects(
      () => inspect(withFile(one, path, mixed)),
      RaftError,
    );
    assertEquals(error.code, "corrupt");
    assertEquals(error.offset, from);
  });

  it("does not read a sound record in the place of another one (H61)", async () => {
    const { one, other, bounds } = await twins();
    const path = segmentFile(1);
    const disk = one.kill();
    const storage = walOn(disk);
    await storage.open({ deployment: DEPLOYMENT });
    const [, from = 0, to = 0] = bounds;
    disk.get(path).set(other.get(path).subarray(from, to), from);
    const error = await assertRejects(
      () => storage.read({ group: 1, from: 1, through: 1, maxBytes: 1 }),
      RaftError,
    );
    assertEquals(error.code, "corrupt");
    assertEquals(error.file, path);
    await storage.close();
  });

  it("finishes a log whose making was cut short, at every step (H51)", async () => {
    for (let steps = 0;; steps++) {
      const disk = new FakeFileSystem();
      let left = steps;
      disk.onOperation = () => {
        if (left-- <= 0) throw new Error("The power is gone");
      };
      const storage = walOn(disk);
      let isMade = true;
      await storage.open({ deployment: DEPLOYMENT }).catch(() => {
        isMade = false;
      });
      for (const keep of [0, 1]) {
        const after = disk.crash({
          keepBytes: (count) => keep * count,
          keepNames: (count) => keep * count,
        });
        const { opened } = await inspect(after);
        assertEquals(opened.groups, []);
      }
      if (isMade) break;
      assert(steps < 100, "the making never ends");
    }
  });
});
