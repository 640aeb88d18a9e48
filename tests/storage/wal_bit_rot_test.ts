/**
 * A small data directory, spoilt in every way in turn: each byte flipped, each
 * file removed, each file cut to each length. Opening it and reading all of
 * it gives everything that was stored, or an error that names file and
 * offset; never anything else (H48, H49, H60).
 *
 * Everything may mean: from an older snapshot on, while the log has what came
 * after it (H54). And one thing cannot be told from a crash: damage in the
 * last frame of a process that was killed. It may cost the batches of that
 * frame, and is reported; a cut is such damage only within a frame larger
 * than what was laid out for it.
 */
import { describe, it } from "node:test";
import { setImmediate } from "node:timers";
import { assert, assertEquals } from "@std/assert";
import { isRaftError } from "../../src/errors.ts";
import type { GroupWrite } from "../../src/storage.ts";
import {
  append,
  command,
  commands,
  createGroup,
  metaAt,
} from "../../src/testing/storage_samples.ts";
import { carryOut, describe as describeAll, type Step } from "./crash/steps.ts";
import { FakeFileSystem } from "./fake_file_system.ts";
import { DEPLOYMENT, HEADER_BYTES, walOn } from "./wal_bench.ts";

/** Small: every byte is tried. */
const OPTIONS = { segmentBytes: 900 } as const;

function write(...batch: readonly GroupWrite[]): Step {
  return { type: "write", batch, sync: true };
}

function snapshot(group: number, index: number, term: number): Step {
  const data = new Uint8Array(20).fill(16 * group + index);
  return { type: "snapshot", group, meta: metaAt(index, term), data };
}

/** All that opening has to do with, in few bytes. */
const STEPS: readonly Step[] = [
  write(createGroup(1), createGroup(2, 2), append(1, commands(1, 1, 4, 8))),
  write(append(2, commands(2, 1, 2, 20))),
  snapshot(1, 3, 1),
  snapshot(2, 2, 2),
  { type: "compact", group: 1, through: 2 },
  { type: "compact", group: 2, through: 2 },
  write({
    group: 2,
    hardState: { term: 2, vote: 3, commit: 2 },
    entries: [command(2, 3, 60)],
  }),
  write(append(1, [command(3, 5, 60)])),
  snapshot(1, 5, 3),
  write(append(1, [command(3, 6, 40)]), append(2, [command(2, 4, 40)])),
  write(append(1, [command(5, 7, 20)])),
];

/** A data directory and what is in it. */
interface DataDirectory {
  readonly disk: FakeFileSystem;
  /** What was stored. */
  readonly whole: string;
  /** What is left without the last frame; the same after an orderly end. */
  readonly torn: string;
  /** Where the last frame is, if it may be taken for a torn one. */
  readonly tail?: { readonly path: string; readonly from: number };
  /** The snapshot that is not needed as long as there is the one before. */
  readonly newest: string;
  /** What is stored, told from the one before on. */
  readonly older: string;
}

async function look(
  disk: FakeFileSystem,
): Promise<{ text: string; repairs: readonly { file: string }[] }> {
  const storage = walOn(disk, OPTIONS);
  const { repairs, ...opened } = await storage.open({ deployment: DEPLOYMENT });
  try {
    const text = await describeAll(storage, { ...opened, repairs });
    return { text, repairs };
  } finally {
    await storage.close();
  }
}

/** Does all steps, then ends in order or is killed. */
async function makeDirectory(
  end: "closed" | "killed",
): Promise<DataDirectory> {
  const disk = new FakeFileSystem();
  const storage = walOn(disk, OPTIONS);
  await storage.open({ deployment: DEPLOYMENT });
  for (const step of STEPS.slice(0, -1)) await carryOut(storage, step);
  await breathe();
  const before = await look(disk.kill());
  for (const step of STEPS.slice(-1)) await carryOut(storage, step);
  await breathe();
  const killed = disk.kill();
  await storage.close();
  const kept = end === "closed" ? disk.kill() : killed;
  const whole = (await look(kept.kill())).text;
  const newest = kept.paths().findLast((path) => path.includes("snapshots/1/"));
  assert(newest !== undefined);
  const without = kept.kill();
  without.remove(newest);
  const older = (await look(without)).text;
  const common = { disk: kept, whole, newest, older };
  if (end === "closed") return { ...common, torn: whole };
  return { ...common, torn: before.text, tail: lastFrame(killed) };
}

/** Index files are written, and what is not needed is removed. */
function breathe(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function lastFrame(
  disk: FakeFileSystem,
): { readonly path: string; readonly from: number } {
  const segments = disk.paths().filter((path) => path.endsWith(".wal"));
  const path = segments.findLast((one) => disk.get(one)[HEADER_BYTES] !== 0);
  assert(path !== undefined);
  const content = disk.get(path);
  const view = new DataView(content.buffer, content.byteOffset);
  let last = HEADER_BYTES;
  for (let at = last; content[at] === 0xb5;) {
    last = at;
    at += 32 + view.getUint32(at + 4, true);
  }
  return { path, from: last };
}

/** What came of a spoilt directory. */
type Outcome = "whole" | "older" | "torn" | "refused";

/** Opens a spoilt directory; anything but the allowed outcomes throws. */
async function judge(
  directory: DataDirectory,
  disk: FakeFileSystem,
  damage: { readonly path: string; readonly at: number; readonly how: string },
): Promise<Outcome> {
  const what = `${damage.how} ${damage.at} of ${damage.path}`;
  let found: Awaited<ReturnType<typeof look>>;
  try {
    found = await look(disk);
  } catch (error) {
    assert(isRaftError(error), `${what}: ${error}`);
    assert(
      error.code === "corrupt" || error.code === "identityMismatch",
      `${what}: ${error}`,
    );
    assert(error.file !== undefined, `${what}: no file in ${error}`);
    assert(error.offset !== undefined, `${what}: no offset in ${error}`);
    return "refused";
  }
  if (found.text === directory.whole) return "whole";
  const repaired = found.repairs.map(({ file }) => file);
  const { newest, older, tail } = directory;
  if (found.text === older && damage.path === newest) {
    const isTold = damage.how === "without" || repaired.includes(newest);
    assert(isTold, `${what}: nobody is told`);
    return "older";
  }
  const isTail = tail?.path === damage.path && damage.at >= tail.from;
  assert(isTail, `${what} changes what is read: ${found.text}`);
  assertEquals(found.text, directory.torn, what);
  assert(repaired.includes(damage.path), what);
  return "torn";
}

/** How often each outcome came about. */
class Tally {
  readonly counts: Record<Outcome, number> = {
    ...{ whole: 0, older: 0, torn: 0, refused: 0 },
  };

  add(outcome: Outcome): void {
    this.counts[outcome]++;
  }
}

async function flipEach(
  directory: DataDirectory,
  mask: (at: number) => number,
): Promise<Tally["counts"]> {
  const tally = new Tally();
  for (const path of directory.disk.paths()) {
    const content = directory.disk.get(path);
    for (let at = 0; at < content.length; at++) {
      const spoilt = content.slice();
      spoilt[at] = (content[at] ?? 0) ^ mask(at);
      const disk = directory.disk.kill();
      disk.put(path, spoilt);
      tally.add(await judge(directory, disk, { path, at, how: "byte" }));
    }
  }
  return tally.counts;
}

for (const end of ["closed", "killed"] as const) {
  describe(`a small data directory, ${end}`, () => {
    it("holds several segments, and everything in them can be read", async () => {
      const { disk, whole, torn } = await makeDirectory(end);
      const segments = disk.paths().filter((path) => path.endsWith(".wal"));
      assert(segments.length >= 3, `${segments}`);
      assert(disk.paths().some((path) => path.endsWith(".idx")));
      assertEquals((await look(disk.kill())).text, whole);
      assertEquals(torn === whole, end === "closed");
    });

    // One bit is the least that can be wrong, all eight are the most.
    const masks = { closed: [1, 0xff], killed: [1] }[end];
    for (const mask of masks) {
      const what = mask === 1 ? "one bit" : "all bits";
      it(`with ${what} of any byte flipped is read whole or refused`, async () => {
        const directory = await makeDirectory(end);
        const flip = mask === 1 ? (at: number) => 1 << at % 8 : () => mask;
        const counts = await flipEach(directory, flip);
        const { older, refused, whole } = counts;
        const isAll = refused > 500 && whole > 500 && older > 100;
        assert(isAll, JSON.stringify(counts));
        assertEquals(counts.torn > 0, end === "killed");
      });
    }

    it("without any one of its files is read whole or refused", async () => {
      const directory = await makeDirectory(end);
      for (const path of directory.disk.paths()) {
        const disk = directory.disk.kill();
        disk.remove(path);
        const damage = { path, at: 0, how: "without" };
        const outcome = await judge(directory, disk, damage);
        const isExtra = path.endsWith(".idx") || path.endsWith("/closed");
        if (isExtra) assertEquals(outcome, "whole", path);
        if (path.endsWith("/identity")) assertEquals(outcome, "refused");
        if (path === directory.newest) assertEquals(outcome, "older");
      }
    });

    it("with any file cut to any length is read whole or refused where that ends", async () => {
      const directory = await makeDirectory(end);
      const tally = new Tally();
      for (const path of directory.disk.paths()) {
        const content = directory.disk.get(path);
        for (let length = 0; length < content.length; length++) {
          const disk = directory.disk.kill();
          disk.put(path, content.slice(0, length));
          const damage = { path, at: length, how: "cut to" };
          tally.add(await judge(directory, disk, damage));
        }
      }
      assert(tally.counts.refused > 500);
    });
  });
}
