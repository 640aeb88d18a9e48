/** What the tests of the log share: a log in memory, and a run to record. */
import { join } from "node:path";
import { WalStorage, type WalStorageOptions } from "../../storage/wal/mod.ts";
import type { GroupWrite, OpenedStorage, Storage } from "../../src/storage.ts";
import {
  append,
  command,
  commands,
  contents,
  createGroup,
  RICH_CONF,
} from "../../src/testing/storage_samples.ts";
import type { FakeFileSystem } from "./fake_file_system.ts";

/** The directory that every fake log is in. */
export const DIRECTORY = "/data";
/** Small, so that a short run fills several. */
export const SEGMENT_BYTES = 1024;
export const DEPLOYMENT = "suite";
export const INCARNATION: string = "0123456789abcdef".repeat(2);

/** A log on a fake disk. */
export function walOn(
  fileSystem: FakeFileSystem,
  options: Partial<WalStorageOptions> = {},
): WalStorage {
  return new WalStorage({
    directory: DIRECTORY,
    segmentBytes: SEGMENT_BYTES,
    fileSystem,
    incarnation: INCARNATION,
    ...options,
  });
}

/** Path of a segment. */
export function segmentFile(sequence: number): string {
  return join(DIRECTORY, `${String(sequence).padStart(16, "0")}.wal`);
}

/** Path of the newest segment that holds frames. */
export function activeSegment(fileSystem: FakeFileSystem): string {
  const segments = fileSystem.paths().filter((path) => path.endsWith(".wal"));
  const used = segments.filter((path) => frameAt(fileSystem, path));
  return used.at(-1) ?? segmentFile(1);
}

function frameAt(fileSystem: FakeFileSystem, path: string): boolean {
  return fileSystem.get(path)[HEADER_BYTES] !== 0;
}

/** Bytes of a segment's header in these tests. */
export const HEADER_BYTES: number = 56 + DEPLOYMENT.length;

/** Opens what a disk holds, tells everything about it, and leaves it. */
export async function inspect(
  fileSystem: FakeFileSystem,
): Promise<{ opened: OpenedStorage; state: unknown }> {
  const storage = walOn(fileSystem);
  const opened = await storage.open({ deployment: DEPLOYMENT });
  try {
    return { opened, state: await contents(storage, opened) };
  } finally {
    await storage.close();
  }
}

/** Batches of three groups: truncations, states, configurations, noops. */
export function recordedBatches(): GroupWrite[][] {
  const state = (term: number, vote: number | null, commit: number) => ({
    term,
    vote,
    commit,
  });
  return [
    [createGroup(1)],
    [createGroup(2, 2), append(1, commands(1, 1, 3))],
    [{ group: 2, hardState: state(1, 3, 0), entries: commands(1, 1, 2, 60) }],
    [append(1, commands(1, 4, 8)), append(2, [command(1, 3, 0)])],
    [append(1, commands(2, 5, 6))],
    [createGroup(7), {
      group: 2,
      hardState: state(3, null, 2),
      entries: [{ type: "noop", term: 3, index: 3 }],
      conf: { index: 2, conf: RICH_CONF },
    }],
    [append(7, commands(4, 1, 20, 30))],
    [append(1, [command(3, 2)]), append(7, [command(5, 9, 90)])],
    [{ group: 7, hardState: state(5, 7, 9), entries: [] }],
    [append(2, commands(4, 4, 9, 40)), append(7, commands(5, 10, 12, 100))],
  ];
}

/** A run whose batches were flushed one by one. */
export interface RecordedRun {
  readonly fileSystem: FakeFileSystem;
  /** Contents after 0, 1, 2 … batches. */
  readonly states: readonly unknown[];
  /** The storage, still open. */
  readonly storage: Storage;
}

/** Carries out a run and records what each batch left. */
export async function recordRun(
  fileSystem: FakeFileSystem,
  batches: readonly GroupWrite[][],
): Promise<RecordedRun> {
  const storage = walOn(fileSystem);
  const opened = await storage.open({ deployment: DEPLOYMENT });
  const states = [await contents(storage, opened)];
  for (const batch of batches) {
    await storage.write(batch);
    states.push((await inspect(fileSystem.kill())).state);
  }
  return { fileSystem, states, storage };
}

/** The type of every record that stands in the segments of a disk. */
export function recordTypes(fileSystem: FakeFileSystem): number[] {
  const types: number[] = [];
  for (const path of fileSystem.paths()) {
    if (path.endsWith(".wal")) types.push(...typesIn(fileSystem.get(path)));
  }
  return types;
}

function typesIn(content: Uint8Array): number[] {
  const types: number[] = [];
  const view = new DataView(content.buffer, content.byteOffset);
  for (let at = HEADER_BYTES; content[at] === 0xb5;) {
    const end = at + 32 + view.getUint32(at + 4, true);
    for (at += 32; at < end; at += 20 + view.getUint32(at + 4, true)) {
      types.push(view.getUint32(at + 8, true));
    }
  }
  return types;
}
