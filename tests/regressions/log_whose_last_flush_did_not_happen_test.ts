/**
 * Symptom: a process was killed, its log opened and written to again, and
 * then the power went. The log was refused as corrupt from then on, or an
 * entry that had been acknowledged was gone.
 *
 * Cause: opening flushed the segment that takes the next frame. If the last
 * frame was the one that seals the segment before, that one was not flushed,
 * and frames behind a seal that is missing look like damage. And if the last
 * flush had failed, flushing again wrote nothing: the system held the pages
 * for clean (H44).
 *
 * Why nothing noticed: in the tests a killed process left everything durable
 * that it had written, and a flush that failed could be repeated.
 */
import { describe, it } from "node:test";
import { assertEquals } from "@std/assert";
import {
  append,
  command,
  createGroup,
} from "../../src/testing/storage_samples.ts";
import { FakeFileSystem, SystemError } from "../storage/fake_file_system.ts";
import { DEPLOYMENT, walOn } from "../storage/wal_bench.ts";

/** Entries of a run: enough to fill some segments. */
const ENTRY_COUNT = 12;
const OPTIONS = { segmentBytes: 512 };

/** Everything that can happen without the outside has happened. */
async function breathe(): Promise<void> {
  for (let count = 0; count < 1_000; count++) await Promise.resolve();
}

/**
 * Writes entries until the flush of this number, which `interrupt` stops;
 * returns how many were acknowledged, or `undefined` if there are less.
 */
async function writeUntilFlush(
  disk: FakeFileSystem,
  number: number,
  interrupt: () => void | Promise<void>,
): Promise<number | undefined> {
  let flushes = 0;
  disk.onOperation = ({ type }) => {
    if (type === "sync" && ++flushes >= number) return interrupt();
  };
  let acknowledged = 0;
  const run = async () => {
    const storage = walOn(disk, OPTIONS);
    await storage.open({ deployment: DEPLOYMENT });
    await storage.write([createGroup(1)]);
    for (let index = 1; index <= ENTRY_COUNT; index++) {
      await storage.write([append(1, [command(1, index, 60)])]);
      acknowledged = index;
    }
  };
  run().catch(() => {});
  await breathe();
  return flushes < number ? undefined : acknowledged;
}

/** Opens as a new process does, writes one entry more; its index. */
async function goOn(disk: FakeFileSystem): Promise<number> {
  disk.onOperation = () => {};
  disk.forgetLocks();
  const storage = walOn(disk, OPTIONS);
  const { groups } = await storage.open({ deployment: DEPLOYMENT });
  if (groups.length === 0) await storage.write([createGroup(1)]);
  const index = (groups[0]?.lastIndex ?? 0) + 1;
  await storage.write([append(1, [command(1, index, 60)])]);
  return index;
}

/** Last index of what a power loss leaves, by the flushed bytes alone. */
async function lastIndexAfterPowerLoss(disk: FakeFileSystem): Promise<number> {
  const after = disk.crash({ keepBytes: () => 0, keepNames: () => 0 });
  const storage = walOn(after, OPTIONS);
  const { groups } = await storage.open({ deployment: DEPLOYMENT });
  await storage.close();
  assertEquals(after.openCount, 0);
  return groups[0]?.lastIndex ?? 0;
}

describe("a log that was opened, written to, and then lost its power", () => {
  const interruptions: Record<string, () => void | Promise<void>> = {
    "a flush of which the process was killed": () => new Promise(() => {}),
    "a flush that failed": () => {
      throw new SystemError("EIO", "sync");
    },
  };
  for (const [what, interrupt] of Object.entries(interruptions)) {
    it(`holds everything acknowledged before and after ${what}`, async () => {
      let number = 1;
      for (;; number++) {
        const disk = new FakeFileSystem();
        disk.forgetsFailedSyncs = true;
        const acknowledged = await writeUntilFlush(disk, number, interrupt);
        if (acknowledged === undefined) break;
        const last = await goOn(disk);
        assertEquals(last > acknowledged, true, `flush ${number}`);
        assertEquals(await lastIndexAfterPowerLoss(disk), last);
      }
      assertEquals(number > ENTRY_COUNT, true);
    });
  }
});
