/**
 * Puts a new data directory in the place of another one, which is kept.
 *
 * @module
 */
import fs from "node:fs";
import { basename, dirname, join } from "node:path";
import { nodeFileSystem, WalStorage } from "../wal/mod.ts";
import { lockDirectory, lockHolder } from "../wal/lock.ts";
import { requireDataDirectory } from "./data_directory.ts";
import { Refusal } from "./refusal.ts";
import { realPathOf, unfinishedSwap } from "./swap.ts";

/** A directory in the making. */
export interface Draft {
  /** Whose it will be. */
  readonly deployment: string;
  /** Fills it, once it is open. */
  readonly fill: (
    storage: WalStorage,
    incarnation: string,
  ) => Promise<void>;
  /** It is whole and durable, and not in its place yet. */
  readonly announce?: ((replacement: Replacement) => Promise<void>) | undefined;
  /** Lets go of what it is filled from. */
  readonly end?: (() => Promise<void>) | undefined;
}

/** What took whose place. */
export interface Replacement {
  /** Name of the new directory, 32 hexadecimal digits. */
  readonly incarnation: string;
  /** Where the old one is now; `null` if there was none. */
  readonly kept: string | null;
}

/** A time of day that sorts, for names. */
export function stampOf(now: Date): string {
  return now.toISOString().replace(/[-:]/g, "").replace(/\..*/, "");
}

/**
 * Makes a directory beside the old one, then swaps them: whenever it is cut
 * short, the old one is whole, here or under the name it is kept by. Nobody
 * can open the old one meanwhile.
 *
 * @param reason Goes into the name the old one is kept by.
 * @param prepare Called once the old one is locked: it does not change any
 * more.
 * @throws {RaftError} `locked` if somebody uses it; what preparing and filling
 * came to.
 */
export async function replaceDirectory(
  directory: string,
  reason: string,
  prepare: () => Promise<Draft>,
): Promise<Replacement> {
  const path = realPathOf(directory);
  requireDataDirectory(nodeFileSystem(), path);
  refuseMount(path);
  const stamp = stampOf(new Date());
  const kept = `${path}.before-${reason}-${stamp}`;
  refuseIfThere(kept);
  const lock = await lockDirectory(nodeFileSystem(), path);
  let incarnation: string;
  try {
    incarnation = await drawUp({ path, stamp, kept }, await prepare());
  } catch (error) {
    lock.release();
    throw error;
  }
  await nodeFileSystem().syncDirectory(dirname(path));
  // The lock went with the old directory, to where nobody looks for it.
  for (const name of fs.readdirSync(kept)) {
    if (name.startsWith("lock-")) fs.rmSync(join(kept, name));
  }
  return { incarnation, kept };
}

/** Makes the new directory and swaps; if it throws, all is as it was. */
async function drawUp(
  { path, stamp, kept }: {
    readonly path: string;
    readonly stamp: string;
    readonly kept: string;
  },
  draft: Draft,
): Promise<string> {
  try {
    const made = await makeDirectory(path, stamp, draft);
    const { incarnation } = made;
    try {
      await draft.announce?.({ incarnation, kept });
      fs.renameSync(path, kept);
      putInPlace(made.path, path, () => fs.renameSync(kept, path));
    } catch (error) {
      fs.rmSync(made.path, { recursive: true, force: true });
      throw error;
    }
    return incarnation;
  } finally {
    await draft.end?.();
  }
}

function putInPlace(made: string, path: string, undo: () => void): void {
  try {
    fs.renameSync(made, path);
  } catch (error) {
    undo();
    throw error;
  }
}

/**
 * Puts the old directory back if a replacement was killed between its two
 * renames; what was to replace it goes. Else nothing happens.
 *
 * @returns The path of the directory, links followed.
 * @throws {Refusal} If the replacement is still at work.
 */
export async function undoReplacement(directory: string): Promise<string> {
  const path = realPathOf(directory);
  const swap = unfinishedSwap(path);
  if (swap === undefined) return path;
  const heldBy = await lockHolder(nodeFileSystem(), swap.kept);
  if (heldBy !== undefined) {
    throw new Refusal(
      `Cannot use "${path}": process ${heldBy} is replacing it`,
    );
  }
  fs.renameSync(swap.kept, path);
  await nodeFileSystem().syncDirectory(dirname(path));
  fs.rmSync(swap.made, { recursive: true });
  return path;
}

/**
 * Makes a directory where there is none, whole or not at all.
 *
 * @throws {Refusal} If something is there.
 */
export async function placeDirectory(
  directory: string,
  draft: Draft,
): Promise<Replacement> {
  const path = realPathOf(directory);
  requireEmpty(path);
  const made = await makeDirectory(path, stampOf(new Date()), draft);
  try {
    if (fs.existsSync(path)) fs.rmdirSync(path);
    fs.renameSync(made.path, path);
  } catch (error) {
    fs.rmSync(made.path, { recursive: true, force: true });
    throw error;
  }
  await nodeFileSystem().syncDirectory(dirname(path));
  return { incarnation: made.incarnation, kept: null };
}

/** @throws {Refusal} If a directory holds anything, or is none. */
export function requireEmpty(directory: string): void {
  const path = realPathOf(directory);
  const there = fs.statSync(path, { throwIfNoEntry: false });
  if (there === undefined) return;
  const what = there.isDirectory()
    ? fs.readdirSync(path).map((name) => join(basename(directory), name))[0]
    : "a file";
  if (what === undefined) return refuseMount(path);
  throw new Refusal(
    `Cannot use "${directory}": it ${
      there.isDirectory() ? "holds" : "is"
    } ${what}, wanted an empty directory or none`,
  );
}

/** Where a disk is mounted, nothing can be put in the place of the folder. */
function refuseMount(path: string): void {
  if (fs.statSync(path).dev === fs.statSync(dirname(path)).dev) return;
  throw new Refusal(
    `Cannot use "${path}": a disk is mounted there, wanted a directory on it`,
  );
}

/** A directory that is whole, but not in its place. */
interface Made {
  readonly path: string;
  readonly incarnation: string;
}

/** Until it is whole it is called otherwise, so that nobody takes it. */
async function makeDirectory(
  target: string,
  stamp: string,
  { deployment, fill }: Draft,
): Promise<Made> {
  const part = `${target}.part-${stamp}`;
  const path = `${target}.new-${stamp}`;
  for (const name of [part, path]) refuseIfThere(name);
  const storage = new WalStorage({ directory: part });
  try {
    const { incarnation } = await storage.open({ deployment });
    await fill(storage, incarnation);
    await storage.close();
    fs.renameSync(part, path);
    return { path, incarnation };
  } catch (error) {
    await storage.close();
    fs.rmSync(part, { recursive: true, force: true });
    throw error;
  }
}

function refuseIfThere(path: string): void {
  if (!fs.existsSync(path)) return;
  throw new Refusal(
    `Cannot use "${path}": it is there already, left by an attempt before`,
  );
}
