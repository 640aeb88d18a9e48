import { describe, it } from "node:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { assert, assertEquals, assertThrows } from "@std/assert";
import { nodeFileSystem, type WalFileSystem } from "@balsa/raft/storage/wal";
import { FrozenFileSystem } from "../../../storage/tools/frozen_file_system.ts";
import { fingerprint, withSite } from "./support.ts";

const PAGE = 64 << 10;
const NAMES = ["a", "b", "c", "d", "e"];

/** A generator of numbers in `[0, below)` that repeats itself. */
function drawing(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 0x1_0000_0000) * below);
  };
}

/** Carries out one operation; what it came to. */
function operate(
  fileSystem: WalFileSystem,
  folder: string,
  seed: number,
): string {
  const draw = drawing(seed);
  const path = join(folder, NAMES[draw(NAMES.length)] ?? "a");
  const other = join(folder, NAMES[draw(NAMES.length)] ?? "a");
  try {
    switch (draw(6)) {
      case 0:
        fileSystem.rename(path, other);
        return "renamed";
      case 1:
        fileSystem.unlink(path);
        return "unlinked";
      case 2:
        fileSystem.close(fileSystem.open(path, "create"));
        return "created";
      case 3: {
        const file = fileSystem.open(path, "update");
        const size = fileSystem.size(file);
        fileSystem.truncate(file, draw(size + 1));
        fileSystem.close(file);
        return "cut";
      }
      default: {
        const file = fileSystem.open(path, "update");
        const bytes = new Uint8Array(draw(2 * PAGE)).fill(draw(3));
        const position = draw(3 * PAGE);
        const count = fileSystem.write(file, bytes, position);
        fileSystem.close(file);
        return `wrote ${count}`;
      }
    }
  } catch (error) {
    assert(error instanceof Error && "code" in error, String(error));
    return String(error.code);
  }
}

/** Every file of a folder and a digest of its bytes. */
async function contentsOf(
  fileSystem: WalFileSystem,
  folder: string,
): Promise<readonly (readonly [string, number, number])[]> {
  const found: (readonly [string, number, number])[] = [];
  for (const name of [...fileSystem.list(folder)].sort()) {
    const file = fileSystem.open(join(folder, name), "read");
    const bytes = new Uint8Array(fileSystem.size(file));
    await fileSystem.read(file, bytes, 0);
    fileSystem.close(file);
    const sum = bytes.reduce((hash, byte) => Math.imul(hash, 31) + byte | 0, 7);
    found.push([name, bytes.length, sum]);
  }
  return found;
}

describe("FrozenFileSystem", () => {
  it("does what a disk does, and leaves the disk as it was", () =>
    withSite(async (site) => {
      for (let seed = 1; seed <= 10; seed++) {
        const frozen = site.path(`frozen-${seed}`);
        const real = site.path(`real-${seed}`);
        for (const folder of [frozen, real]) {
          mkdirSync(folder);
          writeFileSync(join(folder, "a"), new Uint8Array(100).fill(1));
          const large = new Uint8Array(2 * PAGE + 5).fill(2);
          writeFileSync(join(folder, "b"), large);
        }
        const before = fingerprint(frozen);
        const view = new FrozenFileSystem();
        for (let step = 0; step < 150; step++) {
          const at = seed * 1_000 + step;
          assertEquals(
            operate(view, frozen, at),
            operate(nodeFileSystem(), real, at),
            `step ${at}`,
          );
          if (step % 10 !== 0) continue;
          assertEquals(
            await contentsOf(view, frozen),
            await contentsOf(nodeFileSystem(), real),
            `step ${at}`,
          );
        }
        assertEquals(fingerprint(frozen), before);
      }
    }));

  it("shows a file that it holds as it was then", () =>
    withSite(async (site) => {
      const path = site.path("file");
      writeFileSync(path, new Uint8Array(PAGE + 10).fill(1));
      const view = new FrozenFileSystem();
      await view.hold(path);
      writeFileSync(path, new Uint8Array(3 * PAGE).fill(9));
      const file = view.open(path, "read");
      assertEquals(view.size(file), PAGE + 10);
      const bytes = new Uint8Array(PAGE + 10);
      assertEquals(await view.read(file, bytes, 0), PAGE + 10);
      assert(bytes.every((byte) => byte === 1));
      view.close(file);
    }));

  it("sees no locks, and tells missing files as a disk does", () =>
    withSite((site) => {
      writeFileSync(site.path("lock-3"), "");
      const view = new FrozenFileSystem();
      assertEquals(view.list(site.directory), []);
      const error = assertThrows(() => view.open(site.path("lock-3"), "read"));
      assert(error instanceof Error && "code" in error);
      assertEquals(error.code, "ENOENT");
      return Promise.resolve();
    }));
});
