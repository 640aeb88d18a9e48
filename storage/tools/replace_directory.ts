/**
 * Puts a new data directory in the place of another one, which is kept.
 *
 * @module
 */
import fs from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { nodeFileSystem, WalStorage } from "../wal/mod.ts";
import { lockDirectory } from "../wal/lock.ts";
import { requireDataDirectory } from "./data_directory.ts";
import { Refusal } from "./refusal.ts";

/** A directory in the making. */
export interface Draft {
  /** Whose it will be. */
  readonly deployment: string;
  /** Fills it, once it is open. */
  readonly fill: (
    storage: WalStorage,
    incarnation: string,
  ) => Promise<void>;
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
 * @throws {RaftError} `locked` if somebody uses it; what filling came to.
 */
export async function replaceDirectory(
  directory: string,
  reason: string,
  draft: Draft,
): Promise<Replacement> {
  const path = resolve(directory);
  requireDataDirectory(nodeFileSystem(), path);
  const stamp = stampOf(new Date());
  const kept = `${path}.before-${reason}-${stamp}`;
  refuseIfThere(kept);
  const lock = await lockDirectory(nodeFileSystem(), path);
  let made: Made;
  try {
    made = await makeDirectory(`${path}.new-${stamp}`, draft);
  } catch (error) {
    lock.release();
    throw error;
  }
  fs.renameSync(path, kept);
  fs.renameSync(made.path, path);
  await nodeFileSystem().syncDirectory(dirname(path));
  // The lock went with the old directory, to where nobody looks for it.
  for (const name of fs.readdirSync(kept)) {
    if (name.startsWith("lock-")) fs.rmSync(join(kept, name));
  }
  return { incarnation: made.incarnation, kept };
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
  const path = resolve(directory);
  requireEmpty(path);
  const made = await makeDirectory(`${path}.new-${stampOf(new Date())}`, draft);
  if (fs.existsSync(path)) fs.rmdirSync(path);
  fs.renameSync(made.path, path);
  await nodeFileSystem().syncDirectory(dirname(path));
  return { incarnation: made.incarnation, kept: null };
}

/** @throws {Refusal} If a directory holds anything. */
export function requireEmpty(directory: string): void {
  if (!fs.existsSync(directory)) return;
  const [first] = fs.readdirSync(directory);
  if (first === undefined) return;
  throw new Refusal(
    `Cannot use "${directory}": it holds ${
      join(basename(directory), first)
    }, wanted an empty directory or none`,
  );
}

/** A directory that is whole, but not in its place. */
interface Made {
  readonly path: string;
  readonly incarnation: string;
}

async function makeDirectory(path: string, draft: Draft): Promise<Made> {
  refuseIfThere(path);
  const { deployment, fill } = draft;
  const storage = new WalStorage({ directory: path });
  try {
    const { incarnation } = await storage.open({ deployment });
    await fill(storage, incarnation);
    await storage.close();
    return { path, incarnation };
  } catch (error) {
    await storage.close();
    fs.rmSync(path, { recursive: true, force: true });
    throw error;
  }
}

function refuseIfThere(path: string): void {
  if (!fs.existsSync(path)) return;
  throw new Refusal(
    `Cannot use "${path}": it is there already, left by an attempt before`,
  );
}
