/**
 * A follower whose part of the log is gone, and snapshots for it.
 *
 * @module
 */
import { assert } from "@std/assert";
import type { SnapshotTransfer } from "../../../src/transport.ts";
import type { FakeTransfer } from "./fake_bulk.ts";
import { Journal } from "./machines.ts";
import type { MemoryDisk, SnapshotEvent } from "./memory_disk.ts";
import {
  lines,
  type MemoryWorld,
  NOTHING_TRAILS,
  write,
} from "./memory_world.ts";
import { isolate, leaderAndFollower } from "./outcomes.ts";
import type { TestGroup } from "./world.ts";

/** A journal that may wait before it is restored. */
export class Mortal extends Journal {
  onRestore: () => Promise<void> = () => Promise.resolve();

  override async restore(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    await this.onRestore();
    await super.restore(chunks);
  }
}

/** Who leads, and who is behind. */
export interface Scene {
  readonly leader: TestGroup;
  readonly follower: TestGroup;
  readonly written: string[];
}

/** An isolated follower whose part of the log is gone, and its leader. */
export async function behind(world: MemoryWorld): Promise<Scene> {
  const members: TestGroup[] = [];
  for (const id of [1, 2, 3]) {
    members.push(await world.member(id, new Mortal(), NOTHING_TRAILS));
  }
  const [leader, follower] = await leaderAndFollower(world, members);
  await write(world, leader, ["first"]);
  await world.leader(members);
  isolate(world, follower);
  const written = lines("a", 20, 20_000);
  await write(world, leader, written);
  await world.value(leader.snapshot());
  return { leader, follower, written: ["first", ...written] };
}

/** The newest snapshot of a member, as it would send it. */
export async function transferOf(
  world: MemoryWorld,
  { leader, follower }: Scene,
  changes: Partial<SnapshotTransfer> = {},
): Promise<SnapshotTransfer> {
  const reader = await world.disk(leader.node).storage().snapshotReader(1);
  assert(reader !== undefined);
  return {
    group: 1,
    from: leader.node,
    to: follower.node,
    term: leader.status().term,
    meta: reader.meta,
    token: reader.token,
    chunks: (fromOffset) => reader.chunks(fromOffset),
    ...changes,
  };
}

/** Hands a snapshot to the follower as if its sender were at `from`. */
export function inject(
  world: MemoryWorld,
  { leader, follower }: Scene,
  transfer: SnapshotTransfer,
  from: string = world.place(leader.node).address,
): Promise<void> {
  const { address } = world.place(follower.node);
  return world.network.injectSnapshot(from, address, transfer);
}

/** Waits until a member holds what another one holds. */
export async function caughtUp(
  world: MemoryWorld,
  leader: TestGroup,
  follower: TestGroup,
): Promise<void> {
  await world.until("caught up", () => {
    const { appliedIndex, ready } = follower.status();
    return ready && appliedIndex === leader.status().appliedIndex;
  });
}

/** The snapshots on their way, once there are any. */
export async function transfers(world: MemoryWorld): Promise<FakeTransfer[]> {
  const { bulk } = world.network;
  await world.until("on its way", () => bulk.transfers.length > 0);
  return bulk.transfers;
}

/** From this on, nothing gets durable. */
export function holdAt(disk: MemoryDisk, event: SnapshotEvent): void {
  disk.onSnapshot = (it) => {
    if (it === event && !disk.snapshotEvents.includes("abort")) {
      disk.hold = true;
    }
  };
}

/** Where the disk of a follower that died has its snapshot. */
export async function storedIndex(
  world: MemoryWorld,
  follower: TestGroup,
): Promise<number | undefined> {
  return (await world.disk(follower.node).stored())?.snapshot.index;
}
