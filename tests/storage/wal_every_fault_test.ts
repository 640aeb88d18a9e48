/**
 * A run in which each operation of the file system fails once: nothing that
 * was acknowledged is lost, no file stays open, a restart recovers (H44, H56).
 */
import { describe, it } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { isRaftError } from "../../src/errors.ts";
import {
  append,
  command,
  createGroup,
  metaAt,
} from "../../src/testing/storage_samples.ts";
import type { WalStorage, WalStorageOptions } from "../../storage/wal/mod.ts";
import {
  FakeFileSystem,
  type Operation,
  SystemError,
} from "./fake_file_system.ts";
import { DEPLOYMENT, inspect, walOn } from "./wal_bench.ts";
import { breathe, ENTRY_BYTES, fill, takeSnapshot } from "./wal_steps.ts";

/** Every so many operations one that fails: others in each of the cases. */
const STRIDE = 13;

/** What a run acknowledged, and what it tried. */
class Run {
  /** Last index of each group; absent once it may be gone. */
  readonly acknowledged = new Map<number, number>();
  readonly tried = new Map<number, number>();
  failures = 0;

  async go(storage: WalStorage): Promise<void> {
    const isOpen = await this.#do(() =>
      storage.open({ deployment: DEPLOYMENT })
    );
    if (isOpen) await this.#work(storage);
    await storage.close();
  }

  async #work(storage: WalStorage): Promise<void> {
    const groups = [1, 2, 3];
    const isMade = await this.#do(() =>
      storage.write(groups.map((group) => createGroup(group)))
    );
    for (const group of isMade ? groups : []) this.acknowledged.set(group, 0);
    await this.#fill(storage, 1, 1, 6);
    await this.#fill(storage, 2, 1, 1);
    await this.#fill(storage, 3, 1, 1);
    await this.#drop(storage, 5, 4);
    await this.#fill(storage, 1, 7, 12);
    await this.#drop(storage, 12, 12);
    this.acknowledged.delete(3);
    await this.#do(() => storage.destroyGroup(3));
    this.#try(1, 13);
    const large = command(1, 13, 10 * ENTRY_BYTES);
    const isIn = await this.#do(() => storage.write([append(1, [large])]));
    if (isIn) this.acknowledged.set(1, 13);
    await breathe();
    this.#try(2, 30);
    const isInstalled = await this.#do(() => install(storage));
    if (isInstalled) this.acknowledged.set(2, 30);
    await this.#fill(storage, 1, 14, 17);
  }

  async #fill(
    storage: WalStorage,
    group: number,
    from: number,
    through: number,
  ): Promise<void> {
    for (let index = from; index <= through; index++) {
      this.#try(group, index);
      const isIn = await this.#do(() => fill(storage, group, index, index));
      if (isIn) this.acknowledged.set(group, index);
      await breathe();
    }
  }

  async #drop(
    storage: WalStorage,
    snapshot: number,
    through: number,
  ): Promise<void> {
    await this.#do(() => takeSnapshot(storage, 1, metaAt(snapshot, 1)));
    await this.#do(() => storage.compact(1, through));
    await breathe();
  }

  #try(group: number, index: number): void {
    this.tried.set(group, Math.max(this.tried.get(group) ?? 0, index));
  }

  async #do(action: () => Promise<unknown>): Promise<boolean> {
    try {
      await action();
      return true;
    } catch (error) {
      // What follows from an earlier failure may not fit any more.
      assert(
        isRaftError(error) || this.failures > 0 && error instanceof RangeError,
        `${error}`,
      );
      this.failures++;
      return false;
    }
  }
}

async function install(storage: WalStorage): Promise<void> {
  const snapshot = metaAt(30, 3);
  await takeSnapshot(storage, 2, snapshot);
  await storage.write([{ group: 2, snapshot, entries: [] }]);
}

/** Runs on a disk on which one operation, or all from it on, fail. */
async function runOn(
  disk: FakeFileSystem,
  options: Partial<WalStorageOptions>,
  fails: (at: number, operation: Operation) => string | undefined,
): Promise<{ readonly run: Run; readonly operations: number }> {
  let operations = 0;
  disk.onOperation = (operation) => {
    const code = fails(operations++, operation);
    if (code !== undefined) throw new SystemError(code, operation.path);
  };
  const run = new Run();
  await run.go(walOn(disk, options));
  disk.onOperation = () => {};
  return { run, operations };
}

async function checkLeft(disk: FakeFileSystem, run: Run): Promise<void> {
  const { opened } = await inspect(disk);
  const found = new Map(
    opened.groups.map(({ group, lastIndex }) => [group, lastIndex]),
  );
  for (const [group, index] of run.acknowledged) {
    const last = found.get(group) ?? -1;
    assert(last >= index, `group ${group} ends at ${last}, not ${index}`);
    assert(last <= (run.tried.get(group) ?? 0), `group ${group}: ${last}`);
  }
}

const CODES: Readonly<Record<string, readonly Operation["type"][] | null>> = {
  EIO: null,
  ENOSPC: ["write", "open", "makeDirectory", "rename", "link", "sync"],
  EMFILE: ["open", "syncDirectory"],
};

describe("a log on a disk that fails at one operation or from it on", () => {
  for (const flush of ["fdatasync", "dsync"] as const) {
    for (const [code, types] of Object.entries(CODES)) {
      it(`by ${code}, with ${flush}, has lost nothing, and opens again`, async () => {
        const whole = await runOn(new FakeFileSystem(), { flush }, () => {});
        assertEquals(whole.run.failures, 0);
        let failures = 0;
        const start = code.length + flush.length;
        for (let at = start % STRIDE; at < whole.operations; at += STRIDE) {
          const disk = new FakeFileSystem();
          const isLasting = at % 2 === 0;
          const { run } = await runOn(disk, { flush }, (now, { type }) => {
            const isHit = isLasting ? now >= at : now === at;
            return isHit && types?.includes(type) !== false ? code : undefined;
          });
          failures += run.failures;
          assertEquals(disk.openCount, 0, `operation ${at}`);
          const lost = { keepBytes: () => 0, keepNames: () => 0 };
          await checkLeft(disk.crash(lost), run);
          await checkLeft(disk.kill(), run);
        }
        assert(failures > 0);
      });
    }
  }
});
