/**
 * Opens a disk as a crash may have left it, and judges what is there.
 *
 * @module
 */
import { crc32 } from "node:zlib";
import {
  WalStorage,
  type WalStorageOptions,
} from "../../../storage/wal/mod.ts";
import { DEPLOYMENT, DIRECTORY, INCARNATION } from "../wal_bench.ts";
import { PossibleDisks } from "./possible_disks.ts";
import type { Random } from "./random.ts";
import { type Image, Recorder } from "./recorder.ts";
import {
  afterNext,
  afterSnapshot,
  nextBatch,
  nextSnapshot,
} from "./second_life.ts";
import { carryOut, describe } from "./steps.ts";

/** How the logs of a run are set up. */
export type LogOptions = Pick<
  WalStorageOptions,
  "segmentBytes" | "flush" | "retainSegments" | "retainSnapshots"
>;

/** What may be found: the states of a run from one to another. */
export interface Wanted {
  readonly states: readonly string[];
  readonly from: number;
  readonly through: number;
  /** The same without a step that was under way beside others. */
  readonly others?: readonly string[] | undefined;
}

/** A disk without anything, but for the folders above the log. */
export const EMPTY_DISK: Image = { files: new Map(), folders: new Set() };

/** A log on a recorded disk. */
export function logOn(disk: Recorder, options: LogOptions): WalStorage {
  return new WalStorage({
    ...options,
    directory: DIRECTORY,
    fileSystem: disk,
    incarnation: INCARNATION,
  });
}

/** Tells one disk from another. */
export function fingerprint({ files, folders }: Image): string {
  let [one, two] = [0, 1];
  const paths = [...files.keys()].sort();
  for (const path of paths) {
    const content = files.get(path) ?? new Uint8Array(0);
    one = crc32(content, crc32(path, one));
    two = crc32(content, crc32(`${path}:${content.length}`, two));
  }
  return `${folders.size}/${one}/${two}`;
}

interface Setting {
  readonly options: LogOptions;
  readonly random: Random;
}

/**
 * Opens a disk, wants one of the states, and goes on with it. Then the power
 * goes somewhere in this second life, and what that leaves is opened.
 *
 * @throws {Error} If anything but what is wanted is there, or opening fails.
 */
export async function judge(
  image: Image,
  wanted: Wanted,
  setting: Setting,
): Promise<void> {
  const disk = new Recorder(image, setting.random);
  await liveAgain(disk, new PossibleDisks(image), wanted, setting);
}

/**
 * The same for the disk of a process that was killed while the machine lives
 * on: what was told once has to stay when the power goes (H45).
 *
 * @throws {Error} If anything but what is wanted is there, or opening fails.
 */
export async function judgeKilled(
  disks: PossibleDisks,
  wanted: Wanted,
  setting: Setting,
): Promise<void> {
  const live = disks.live();
  const disk = new Recorder(live, setting.random, live);
  await liveAgain(disk, disks.fork(), wanted, setting);
}

/** `left` is what `disk` may have left when it stopped. */
async function liveAgain(
  disk: Recorder,
  left: PossibleDisks,
  wanted: Wanted,
  setting: Setting,
): Promise<void> {
  const { options, random } = setting;
  const storage = logOn(disk, options);
  const opened = await storage.open({ deployment: DEPLOYMENT });
  const told = disk.events.length;
  const snapshot = nextSnapshot(opened);
  let state: string;
  try {
    state = await describe(storage, opened);
    requireState(state, wanted);
    disk.submit();
    await storage.write(nextBatch(opened));
    disk.acknowledge(1);
    disk.submit();
    if (snapshot !== undefined) await carryOut(storage, snapshot);
    disk.acknowledge(2);
  } finally {
    await storage.close();
  }
  const until = random.below(disk.events.length + 1);
  for (const event of disk.events.slice(0, until)) left.add(event);
  const found = await look(
    random.chance(0.5) ? left.least() : left.any(random),
    setting,
  );
  if (until < told) return requireState(found, wanted);
  const { submitted, acked } = left.marks;
  const next = afterNext(state);
  const states = [state, next, afterSnapshot(next, snapshot)];
  requireState(found, { states, from: acked, through: submitted });
}

async function look(
  image: Image,
  { options, random }: Setting,
): Promise<string> {
  const storage = logOn(new Recorder(image, random), options);
  const opened = await storage.open({ deployment: DEPLOYMENT });
  try {
    return await describe(storage, opened);
  } finally {
    await storage.close();
  }
}

function requireState(
  state: string,
  { states, from, through, others = [] }: Wanted,
): void {
  if (states.slice(from, through + 1).includes(state)) return;
  if (others.slice(from, through + 1).includes(state)) return;
  const known = states.indexOf(state);
  throw new Error(
    known >= 0
      ? `the disk holds step ${known}, wanted ${from} to ${through}`
      : `the disk holds no state of the run, wanted step ${from} to ${through}: ${state}, wanted ${
        states[through]
      }`,
  );
}
