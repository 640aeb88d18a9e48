/**
 * Where a directory really is, and what became of one that is missing.
 *
 * @module
 */
import fs from "node:fs";
import { basename, dirname, join, resolve } from "node:path";

/** Two directories, one of which belongs in the place of a missing one. */
export interface UnfinishedSwap {
  /** The old one, whole. */
  readonly kept: string;
  /** The new one, whole. */
  readonly made: string;
}

/**
 * The path with links followed: a directory is replaced where it is, on its
 * own disk, and links to it stay as they are.
 */
export function realPathOf(path: string): string {
  const absolute = resolve(path);
  if (fs.existsSync(absolute)) return fs.realpathSync(absolute);
  const link = fs.lstatSync(absolute, { throwIfNoEntry: false });
  return link?.isSymbolicLink() === true
    ? resolve(dirname(absolute), fs.readlinkSync(absolute))
    : absolute;
}

/** What a replacement left that was killed between its two renames. */
export function unfinishedSwap(path: string): UnfinishedSwap | undefined {
  const folder = dirname(path);
  if (fs.existsSync(path) || !fs.existsSync(folder)) return undefined;
  const names = fs.readdirSync(folder);
  const start = `${basename(path)}.before-`;
  for (const name of names) {
    if (!name.startsWith(start)) continue;
    const stamp = name.slice(name.lastIndexOf("-") + 1);
    const made = `${basename(path)}.new-${stamp}`;
    if (!names.includes(made)) continue;
    return { kept: join(folder, name), made: join(folder, made) };
  }
  return undefined;
}
