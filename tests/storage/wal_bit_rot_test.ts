/**
 * A small data directory, spoilt in every way in turn: each byte flipped, each
 * file removed, each file cut to each length. Opening it and reading all of
 * it gives everything that was stored, or an error that names file and
 * offset; never anything else (H48, H49, H60).
 *
 * One thing cannot be told from a crash: damage in the last frame of a process
 * that was killed. It may cost the batches of that frame, and is reported.
 */
import { describe, it } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { isRaftError } from "../../src/errors.ts";
import type { GroupWrite } from "../../src/storage.ts";
import {
  append,
  command,
  commands,
  createGroup,
  RICH_CONF,
} from "../../src/testing/storage_samples.ts";
import { describe as describeAll } from "./crash/steps.ts";
import { FakeFileSystem } from "./fake_file_system.ts";
import { DEPLOYMENT, HEADER_BYTES, walOn } from "./wal_bench.ts";

/** Small: every byte is tried. */
const OPTIONS = { segmentBytes: 512 } as const;

const BATCHES: readonly GroupWrite[][] = [
  [createGroup(1), createGroup(2, 2), append(1, commands(1, 1, 3, 8))],
  [{
    group: 2,
    hardState: { term: 2, vote: 3, commit: 0 },
    entries: commands(2, 1, 2, 40),
  }],
  [append(1, commands(3, 3, 5, 30))],
  [append(1, [command(3, 6, 90)]), append(2, [command(2, 3, 50)])],
  [{ group: 1, entries: [], conf: { index: 2, conf: RICH_CONF } }],
  [append(2, commands(4, 3, 4, 60))],
  [append(1, [command(5, 7, 20)])],
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

/** Writes the batches, then ends in order or is killed. */
async function makeDirectory(
  end: "closed" | "killed",
): Promise<DataDirectory> {
  const disk = new FakeFileSystem();
  const storage = walOn(disk, OPTIONS);
  await storage.open({ deployment: DEPLOYMENT });
  for (const batch of BATCHES.slice(0, -1)) await storage.write(batch);
  const before = await look(disk.kill());
  for (const batch of BATCHES.slice(-1)) await storage.write(batch);
  const killed = disk.kill();
  await storage.close();
  const whole = (await look(disk.kill())).text;
  if (end === "closed") return { disk: disk.kill(), whole, torn: whole };
  const tail = lastFrame(killed);
  return { disk: killed, whole, torn: before.text, tail };
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
type Outcome = "whole" | "torn" | "refused";

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
  const { tail } = directory;
  const isTail = tail?.path === damage.path && damage.at >= tail.from;
  assert(isTail, `${what} changes what is read: ${found.text}`);
  assertEquals(found.text, directory.torn, what);
  assertEquals(found.repairs[0]?.file, damage.path, what);
  return "torn";
}

/** How often each outcome came about. */
class Tally {
  readonly counts: Record<Outcome, number> = { whole: 0, torn: 0, refused: 0 };

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
      assertEquals((await look(disk.kill())).text, whole);
      assertEquals(torn === whole, end === "closed");
    });

    it("with one bit of any byte flipped is read whole or refused", async () => {
      const directory = await makeDirectory(end);
      const counts = await flipEach(directory, (at) => 1 << at % 8);
      assert(counts.refused > 900 && counts.whole > 0, JSON.stringify(counts));
      assertEquals(counts.torn > 0, end === "killed");
    });

    it("with any byte turned into its opposite is read whole or refused", async () => {
      const directory = await makeDirectory(end);
      const counts = await flipEach(directory, () => 0xff);
      assert(counts.refused > 900 && counts.whole > 0, JSON.stringify(counts));
      assertEquals(counts.torn > 0, end === "killed");
    });

    it("without any one of its files is read whole or refused", async () => {
      const directory = await makeDirectory(end);
      for (const path of directory.disk.paths()) {
        const disk = directory.disk.kill();
        disk.remove(path);
        const damage = { path, at: 0, how: "without" };
        const outcome = await judge(directory, disk, damage);
        const isNeeded = disk.paths().at(-1) !== path &&
          !path.endsWith("/closed");
        if (outcome === "whole") continue;
        assert(isNeeded, `${path} is not needed`);
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
      assert(tally.counts.refused > 900);
    });
  });
}
