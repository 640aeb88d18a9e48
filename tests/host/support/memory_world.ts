/**
 * Hosts whose disks keep snapshots, and whose processes can die.
 *
 * @module
 */
import type { GroupOptions } from "../../../src/host/options.ts";
import type { HostEvent } from "../../../src/host/options.ts";
import { Journal } from "./machines.ts";
import { MemoryDisk } from "./memory_disk.ts";
import { addressOf, type TestGroup, type TestMachine, World } from "./world.ts";

/** Options that make a snapshot cut the log at once. */
export const NOTHING_TRAILS = { snapshotTrailing: 0 } as const;

type Options = Partial<GroupOptions<string, number, null, string[]>>;

export class MemoryWorld extends World {
  readonly disks: MemoryDisk[] = [];

  /** Starts that many hosts. */
  async start(count: number): Promise<void> {
    for (let id = 1; id <= count; id++) {
      const address = addressOf(id);
      const disk = new MemoryDisk();
      const events: HostEvent[] = [];
      const host = await this.startHost(address, disk, events);
      this.disks.push(disk);
      this.places.push({ address, disk, events, host });
    }
  }

  /** The disk of a host. */
  disk(id: number): MemoryDisk {
    const disk = this.disks[id - 1];
    if (disk === undefined) throw new Error(`No disk ${id}`);
    return disk;
  }

  /** A host's process dies, and what was not flushed with it. */
  async crash(id: number): Promise<void> {
    const { address, host } = this.place(id);
    this.network.unplug(address);
    this.disk(id).crash();
    await this.value(host.stop());
  }

  /** Starts a host and its member again. */
  async restart(
    id: number,
    machine: TestMachine = new Journal(),
    options: Options = NOTHING_TRAILS,
  ): Promise<TestGroup> {
    const place = this.place(id);
    place.host = await this.startHost(place.address, place.disk, place.events);
    return await this.member(id, machine, options);
  }
}

/** Runs a test in a world with snapshots and stops the world afterwards. */
export async function withMemoryWorld(
  count: number,
  test: (world: MemoryWorld) => Promise<void>,
): Promise<void> {
  const world = new MemoryWorld();
  await world.start(count);
  try {
    await test(world);
  } finally {
    world.network.bulk.release();
    for (const disk of world.disks) disk.releaseChunks();
    await world.stop();
  }
}

/** Proposes that many lines and waits for all of them. */
export async function write(
  world: World,
  member: TestGroup,
  lines: readonly string[],
): Promise<void> {
  await world.value(Promise.all(lines.map((line) => member.propose(line))));
}

/** That many lines, each of that many characters. */
export function lines(prefix: string, count: number, length = 8): string[] {
  return Array.from(
    { length: count },
    (_, at) => `${prefix}${at}`.padEnd(length, "."),
  );
}
