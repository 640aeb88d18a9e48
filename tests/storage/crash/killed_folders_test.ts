/**
 * A process is killed between making a folder and flushing the one above it.
 * The next one finds the folder there, and must not take it for durable: when
 * the power goes, all that was acknowledged in it would go with it (H51).
 */
import { describe, it } from "node:test";
import { assertEquals } from "@std/assert";
import {
  append,
  commands,
  createGroup,
  metaAt,
} from "../../../src/testing/storage_samples.ts";
import { DEPLOYMENT, DIRECTORY } from "../wal_bench.ts";
import { PossibleDisks } from "./possible_disks.ts";
import { Random } from "./random.ts";
import { type Image, Recorder } from "./recorder.ts";
import { carryOut } from "./steps.ts";
import { EMPTY_DISK, logOn } from "./trial.ts";

const random = new Random(1);

/** A disk after what `work` did and a kill, and what may be left of it. */
async function killedAfter(
  work: (disk: Recorder) => Promise<void>,
): Promise<{ disk: Recorder; left: () => Image }> {
  const first = new Recorder(EMPTY_DISK, random);
  await work(first);
  const disks = new PossibleDisks(EMPTY_DISK);
  for (const event of first.events) disks.add(event);
  const live = disks.live();
  const disk = new Recorder(live, random, live);
  const left = () => {
    const then = disks.fork();
    for (const event of disk.events) then.add(event);
    return then.least();
  };
  return { disk, left };
}

describe("a folder that a killed process made", () => {
  it("is durable with the log in it", async () => {
    const { disk, left } = await killedAfter((disk) => {
      disk.makeDirectory(DIRECTORY);
      return Promise.resolve();
    });
    const storage = logOn(disk, {});
    await storage.open({ deployment: DEPLOYMENT });
    await storage.write([createGroup(1)]);
    const again = logOn(new Recorder(left(), random), {});
    const { groups } = await again.open({ deployment: DEPLOYMENT });
    assertEquals(groups.map(({ group }) => group), [1]);
    await again.close();
    await storage.close();
  });

  it("is durable with the snapshot in it", async () => {
    const { disk, left } = await killedAfter(async (disk) => {
      const storage = logOn(disk, {});
      await storage.open({ deployment: DEPLOYMENT });
      await storage.write([createGroup(1), append(1, commands(1, 1, 3))]);
      await storage.close();
      disk.makeDirectory(`${DIRECTORY}/snapshots/1`);
    });
    const storage = logOn(disk, {});
    await storage.open({ deployment: DEPLOYMENT });
    const data = new Uint8Array(9);
    const meta = metaAt(2, 1);
    await carryOut(storage, { type: "snapshot", group: 1, meta, data });
    const again = logOn(new Recorder(left(), random), {});
    const { groups } = await again.open({ deployment: DEPLOYMENT });
    assertEquals(groups[0]?.snapshot, meta);
    await again.close();
    await storage.close();
  });
});
