/**
 * Small files that are written as a whole: under their name they are whole or
 * not there, and a name that resolves has survived every crash (H51).
 *
 * @module
 */
import { dirname } from "node:path";
import {
  errorCode,
  readFully,
  type WalFileSystem,
  writeFullyLater,
} from "./file_system.ts";

/**
 * Writes a file in parts, over one of that name; durable when this resolves.
 */
export async function writeDurably(
  fileSystem: WalFileSystem,
  path: string,
  ...parts: readonly Uint8Array[]
): Promise<void> {
  const draft = `${path}.tmp`;
  removeIfThere(fileSystem, draft);
  const file = fileSystem.open(draft, "create");
  try {
    let at = 0;
    for (const part of parts) {
      await writeFullyLater(fileSystem, file, part, at);
      at += part.length;
    }
    await fileSystem.sync(file);
  } finally {
    fileSystem.close(file);
  }
  fileSystem.rename(draft, path);
  await fileSystem.syncDirectory(dirname(path));
}

/** Removes a file for good, before this resolves. */
export async function removeDurably(
  fileSystem: WalFileSystem,
  path: string,
): Promise<void> {
  removeIfThere(fileSystem, path);
  await fileSystem.syncDirectory(dirname(path));
}

/** The first bytes of a file, at most `limit`; `undefined`: no such file. */
export async function readStart(
  fileSystem: WalFileSystem,
  path: string,
  limit: number,
): Promise<Uint8Array | undefined> {
  let file: number;
  try {
    file = fileSystem.open(path, "read");
  } catch (error) {
    if (errorCode(error) === "ENOENT") return undefined;
    throw error;
  }
  try {
    const bytes = new Uint8Array(limit);
    const length = await readFully(fileSystem, file, bytes, 0);
    return bytes.subarray(0, length);
  } finally {
    fileSystem.close(file);
  }
}

/** Removes a file that may not exist, off the caller's thread. */
export async function removeLater(
  fileSystem: WalFileSystem,
  path: string,
): Promise<void> {
  try {
    await fileSystem.unlinkLater(path);
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw error;
  }
}

/** Removes a file that may not exist. */
export function removeIfThere(fileSystem: WalFileSystem, path: string): void {
  try {
    fileSystem.unlink(path);
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw error;
  }
}
