/**
 * Every disk that a crash may leave of a run is opened: what was acknowledged
 * is there, nothing else is there half, opening never fails, and what is
 * written after it survives the next crash (H44, H45, H47, H50 to H53).
 * `deno task crash` tries more of them.
 */
import { describe, it } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { runCampaign } from "./campaign.ts";
import { PossibleDisks } from "./possible_disks.ts";
import { Random } from "./random.ts";
import { type Image, Recorder } from "./recorder.ts";
import { fingerprint } from "./trial.ts";

const STATES = 3_000;

describe("a log of which a crash left what it may", () => {
  it(`holds what it acknowledged, in ${STATES} states`, async () => {
    const { failures, states, runs } = await runCampaign({
      seed: 1,
      states: STATES,
      disksPerMoment: 12,
      momentShare: 0.15,
    });
    assertEquals(
      failures.map(({ seed, moment, error }) => ({
        seed,
        moment,
        error: `${error}`.slice(0, 500),
      })),
      [],
    );
    assertEquals(states, STATES);
    assert(runs > 5, `only ${runs} runs`);
  });

  for (const lie of ["sync", "syncDirectory"] as const) {
    it(`is missed when ${lie} does nothing: the search finds what it is for`, async () => {
      const { failures } = await runCampaign({ seed: 1, states: 150, lie });
      assert(failures.length > 0);
    });
  }
});

/** All disks that some operations may leave. */
async function disksAfter(
  work: (disk: Recorder) => Promise<void> | void,
): Promise<Map<string, Image>> {
  const nothing: Image = { files: new Map(), folders: new Set(["/d"]) };
  const random = new Random(1);
  const disk = new Recorder(nothing, random);
  await work(disk);
  const possible = new PossibleDisks(nothing);
  for (const event of disk.events) possible.add(event);
  const images = [...possible.images(1_000, random)];
  return new Map(images.map((image) => [fingerprint(image), image]));
}

/** The files of each disk, as names and lengths. */
function listed(disks: Map<string, Image>): string[] {
  const lists = [...disks.values()].map(({ files }) =>
    [...files].map(([path, { length }]) => `${path}=${length}`).sort().join()
  );
  return [...new Set(lists)].sort();
}

describe("the model of the file system", () => {
  it("loses a name whose folder was not flushed, however well the file was", async () => {
    const disks = await disksAfter(async (disk) => {
      const file = disk.open("/d/a", "create");
      disk.write(file, new Uint8Array(3).fill(1), 0);
      await disk.sync(file);
    });
    assertEquals(listed(disks), ["", "/d/a=3"]);
  });

  it("carries out a rename as a whole or not, and no rename without its file", async () => {
    const disks = await disksAfter(async (disk) => {
      const file = disk.open("/d/a", "create");
      await disk.syncDirectory("/d");
      disk.rename("/d/a", "/d/b");
      disk.close(file);
    });
    assertEquals(listed(disks), ["/d/a=0", "/d/b=0"]);
    const early = await disksAfter((disk) => {
      disk.close(disk.open("/d/a", "create"));
      disk.rename("/d/a", "/d/b");
    });
    assertEquals(listed(early), ["", "/d/a=0", "/d/b=0"]);
  });

  it("finds a folder empty that was removed for good and made anew", async () => {
    const disks = await disksAfter(async (disk) => {
      disk.makeDirectory("/d/f");
      disk.close(disk.open("/d/f/a", "create"));
      await disk.syncDirectory("/d/f");
      await disk.syncDirectory("/d");
      disk.unlink("/d/f/a");
      disk.removeDirectory("/d/f");
      await disk.syncDirectory("/d");
      disk.makeDirectory("/d/f");
    });
    assertEquals(listed(disks), [""]);
  });

  it("knows no order between the removals of two files", async () => {
    const disks = await disksAfter(async (disk) => {
      for (const path of ["/d/a", "/d/b"]) {
        disk.close(disk.open(path, "create"));
      }
      await disk.syncDirectory("/d");
      disk.unlink("/d/a");
      disk.unlink("/d/b");
    });
    assertEquals(listed(disks), ["", "/d/a=0", "/d/a=0,/d/b=0", "/d/b=0"]);
  });

  it("keeps any of the sectors that were not flushed, and tears them", async () => {
    const disks = await disksAfter(async (disk) => {
      const file = disk.open("/d/a", "create");
      disk.write(file, new Uint8Array(1_024), 0);
      await disk.sync(file);
      await disk.syncDirectory("/d");
      disk.write(file, new Uint8Array(1_024).fill(1), 0);
    });
    const seen = [...disks.values()].map(({ files }) => {
      const content = files.get("/d/a") ?? new Uint8Array(0);
      return [content.subarray(0, 512), content.subarray(512)].map((sector) =>
        sector.every((byte) => byte === 0)
          ? "old"
          : sector.every((byte) => byte === 1)
          ? "new"
          : "torn"
      ).join("/");
    });
    const ways = ["old", "new", "torn"];
    assertEquals(
      [...new Set(seen)].sort(),
      ways.flatMap((one) => ways.map((two) => `${one}/${two}`)).sort(),
    );
  });

  it("never touches what was flushed, nor what went through", async () => {
    const disks = await disksAfter(async (disk) => {
      const made = disk.open("/d/a", "create");
      disk.write(made, new Uint8Array(512), 0);
      await disk.sync(made);
      await disk.syncDirectory("/d");
      const file = disk.open("/d/a", "durable");
      disk.write(file, new Uint8Array(300).fill(1), 100);
      await disk.writeLater(file, new Uint8Array(300).fill(2), 600);
    });
    assertEquals(disks.size, 1);
    assertEquals(listed(disks), ["/d/a=900"]);
  });
});
