/** The log keeps the contract of storages, on a fake disk and on a real one. */
import { Buffer } from "node:buffer";
import { describe, it } from "node:test";
import {
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate } from "node:timers";
import { storageCases, type StorageUnderTest } from "../../src/testing/mod.ts";
import { nodeFileSystem, WalStorage } from "../../storage/wal/mod.ts";
import { commands } from "../../src/testing/storage_samples.ts";
import { FakeFileSystem, SystemError } from "./fake_file_system.ts";
import { DIRECTORY, walOn } from "./wal_bench.ts";

/** Flips a bit of the payload that the suite gives an entry. */
function spoil(content: Uint8Array, index: number): void {
  const [entry] = commands(1, index, index);
  if (entry?.type !== "command") throw new Error("There is no such command");
  const at = Buffer.from(content).indexOf(entry.data);
  if (at >= 0) content[at] = (content[at] ?? 0) ^ 4;
}

/** Power loss: everything unsynced is gone. */
function onFakeDisk(segmentBytes: number): StorageUnderTest {
  let disk = new FakeFileSystem();
  let isFailing = false;
  const wire = () => {
    disk.onOperation = ({ type }) => {
      if (type !== "sync" || !isFailing) return;
      isFailing = false;
      throw new SystemError("EIO", "fdatasync");
    };
  };
  wire();
  return {
    attach: () => walOn(disk, { segmentBytes }),
    crash: () => {
      disk = disk.crash({ keepBytes: () => 0, keepNames: () => 0 });
      wire();
      return Promise.resolve();
    },
    failNextFlush: () => void (isFailing = true),
    damage: (_group, index) => {
      for (const path of disk.paths()) spoil(disk.get(path), index);
      return Promise.resolve();
    },
    fingerprint: async () => {
      // Lets a segment that is being prepared be finished.
      await new Promise((resolve) => setImmediate(resolve));
      return disk.fingerprint();
    },
    dispose: () => Promise.resolve(),
  };
}

/** Death of the process: the page cache stays, the lock names the dead. */
class RealDisk implements StorageUnderTest {
  readonly #root = mkdtempSync(join(tmpdir(), "balsa-wal-"));
  #generation = 0;
  #isFailing = false;
  #last: WalStorage | undefined;

  attach(): WalStorage {
    const real = nodeFileSystem();
    const sync = (file: number) => {
      if (!this.#isFailing) return real.sync(file);
      this.#isFailing = false;
      return Promise.reject(new SystemError("EIO", "fdatasync"));
    };
    this.#last = new WalStorage({
      directory: this.#directory(),
      segmentBytes: 64 << 10,
      fileSystem: { ...real, sync },
    });
    return this.#last;
  }

  /** The dead process would leave its files as they are at this moment. */
  async crash(): Promise<void> {
    const from = this.#directory();
    this.#generation++;
    cpSync(from, this.#directory(), { recursive: true });
    await this.#last?.close();
  }

  failNextFlush(): void {
    this.#isFailing = true;
  }

  damage(_group: number, index: number): Promise<void> {
    const path = join(this.#directory(), "0000000000000001.wal");
    const content = readFileSync(path);
    spoil(content, index);
    writeFileSync(path, content);
    return Promise.resolve();
  }

  fingerprint(): Promise<string> {
    const directory = this.#directory();
    const files = readdirSync(directory).sort().map((name) =>
      `${name}=${readFileSync(join(directory, name)).toString("base64")}`
    );
    return Promise.resolve(files.join("\n"));
  }

  dispose(): Promise<void> {
    rmSync(this.#root, { recursive: true });
    return Promise.resolve();
  }

  #directory(): string {
    return join(this.#root, "deep", `data-${this.#generation}`);
  }
}

describe("WalStorage on a disk that loses what was not synced", () => {
  const create = () => onFakeDisk(1 << 20);
  for (const { name, run } of storageCases({ create, snapshots: true })) {
    it(name, run);
  }
});

describe("WalStorage in segments smaller than its batches", () => {
  const create = () => onFakeDisk(256);
  for (const { name, run } of storageCases({ create, snapshots: true })) {
    it(name, run);
  }
});

describe("WalStorage in real files, killed", () => {
  const create = () => new RealDisk();
  for (const { name, run } of storageCases({ create, snapshots: true })) {
    it(name, run);
  }
});

// The fake disk is the judge of all the other tests: it has to be one.
describe("FakeFileSystem", () => {
  it("loses what was not synced, and only that", async () => {
    const disk = new FakeFileSystem();
    const path = `${DIRECTORY}/a`;
    const file = disk.open(path, "create");
    disk.write(file, new Uint8Array([1, 2, 3]), 0);
    await disk.sync(file);
    disk.write(file, new Uint8Array([9]), 1);
    const nothing = { keepBytes: () => 0, keepNames: () => 0 };
    if (disk.crash(nothing).paths().length !== 0) {
      throw new Error("An unsynced name survived");
    }
    await disk.syncDirectory(DIRECTORY);
    const left = disk.crash(nothing).get(path);
    if (left.join() !== "1,2,3") throw new Error(`Left: ${left.join()}`);
  });
});
