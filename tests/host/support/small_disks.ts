/**
 * Disks with little room, and disks that fail, beneath real files.
 *
 * @module
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type FileHandle,
  nodeFileSystem,
  type WalFileSystem,
} from "../../../storage/wal/file_system.ts";

/** A folder on a disk that has little room. */
export interface SmallDisk {
  readonly directory: string;
  readonly fileSystem: WalFileSystem;
  /** Makes room. */
  grow(): void;
  /** Removes it with all it holds. */
  remove(): void;
}

const SMALL_MIB = 6;
const LARGE_MIB = 64;

/** An error as the operating system raises it. */
export function systemError(code: string, action: string): Error {
  return Object.assign(new Error(`${code}: ${action}`), { code });
}

/** The machine's file system with some operations replaced. */
export function replaceOperations(
  replacements: (real: WalFileSystem) => Partial<WalFileSystem>,
): WalFileSystem {
  const real = nodeFileSystem();
  return { ...real, ...replacements(real) };
}

/**
 * A file system of its own, by the kernel; `undefined` where this process may
 * not mount one.
 */
export function mountSmallDisk(): SmallDisk | undefined {
  const directory = mkdtempSync(join(tmpdir(), "balsa-full-"));
  const mount = (...args: string[]) =>
    execFileSync("mount", args, { stdio: "ignore" });
  try {
    mount("-t", "tmpfs", "-o", `size=${SMALL_MIB}m`, "balsa", directory);
  } catch {
    rmSync(directory, { recursive: true });
    return undefined;
  }
  return {
    directory,
    fileSystem: nodeFileSystem(),
    grow: () => mount("-o", `remount,size=${LARGE_MIB}m`, directory),
    remove: () => {
      execFileSync("umount", ["--lazy", directory]);
      rmSync(directory, { recursive: true });
    },
  };
}

/** The machine's disk, with a limit on what files may grow by. */
export function limitedDisk(): SmallDisk {
  const directory = mkdtempSync(join(tmpdir(), "balsa-full-"));
  let room = SMALL_MIB << 20;
  const take = (real: WalFileSystem, file: FileHandle, end: number) => {
    const growth = Math.max(0, end - real.size(file));
    if (growth > room) throw systemError("ENOSPC", "no space left on device");
    room -= growth;
  };
  const fileSystem = replaceOperations((real) => ({
    write: (file, bytes, position) => {
      take(real, file, position + bytes.length);
      return real.write(file, bytes, position);
    },
    writeLater: async (file, bytes, position) => {
      take(real, file, position + bytes.length);
      return await real.writeLater(file, bytes, position);
    },
  }));
  return {
    directory,
    fileSystem,
    grow: () => {
      room += LARGE_MIB << 20;
    },
    remove: () => rmSync(directory, { recursive: true }),
  };
}
