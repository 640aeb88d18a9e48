import { describe, it } from "node:test";
import { assert, assertEquals, assertRejects } from "@std/assert";
import type { SnapshotTransfer } from "../../src/transport.ts";
import {
  lines,
  type MemoryWorld,
  NOTHING_TRAILS,
  withMemoryWorld,
  write,
} from "./support/memory_world.ts";
import type { MemoryDisk, SnapshotEvent } from "./support/memory_disk.ts";
import { isolate, leaderAndFollower } from "./support/outcomes.ts";
import { Journal } from "./support/machines.ts";
import { type TestGroup, watch } from "./support/world.ts";

/** A journal that dies when it is restored for the first time. */
class Mortal extends Journal {
  onRestore: () => Promise<void> = () => Promise.resolve();

  override async restore(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    await this.onRestore();
    await super.restore(chunks);
  }
}

interface Scene {
  readonly leader: TestGroup;
  readonly follower: TestGroup;
  readonly written: string[];
}

/** An isolated follower whose part of the log is gone, and its leader. */
async function behind(world: MemoryWorld): Promise<Scene> {
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
async function transferOf(
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
    chunks: reader.chunks(),
    ...changes,
  };
}

/** Hands a snapshot to the follower as if its sender were at `from`. */
function inject(
  world: MemoryWorld,
  { leader, follower }: Scene,
  transfer: SnapshotTransfer,
  from: string = world.place(leader.node).address,
): Promise<void> {
  const { address } = world.place(follower.node);
  return world.network.injectSnapshot(from, address, transfer);
}

async function caughtUp(
  world: MemoryWorld,
  leader: TestGroup,
  follower: TestGroup,
): Promise<void> {
  await world.until("caught up", () => {
    const { appliedIndex, ready } = follower.status();
    return ready && appliedIndex === leader.status().appliedIndex;
  });
}

/** From this on, nothing gets durable. */
function holdAt(disk: MemoryDisk, event: SnapshotEvent): void {
  disk.onSnapshot = (it) => {
    if (it === event && !disk.snapshotEvents.includes("abort")) {
      disk.hold = true;
    }
  };
}

/** Where the disk of a follower that died has its snapshot. */
async function storedIndex(
  world: MemoryWorld,
  follower: TestGroup,
): Promise<number | undefined> {
  return (await world.disk(follower.node).stored())?.snapshot.index;
}

describe("a receiver that dies", () => {
  const stages: Readonly<
    Record<string, (world: MemoryWorld, scene: Scene) => Promise<void>>
  > = {
    "while the data arrives": async (world) => {
      const { bulk } = world.network;
      bulk.isHeld = true;
      world.network.heal();
      await world.until("on its way", () => bulk.running.length === 1);
      bulk.step();
      await world.settle();
      bulk.step();
      await world.settle();
      assert((bulk.running[0]?.chunkCount ?? 0) > 0);
    },
    "before the data is durable": async (world, { follower }) => {
      const disk = world.disk(follower.node);
      holdAt(disk, "commit");
      world.network.heal();
      await world.until("all is written", () => disk.hold);
      await world.advance(200);
      assertEquals(disk.snapshotEvents.includes("committed"), false);
    },
    "before the log is replaced": async (world, { follower }) => {
      const disk = world.disk(follower.node);
      holdAt(disk, "committed");
      world.network.heal();
      await world.until("stored", () => disk.hold);
      await world.advance(200);
      assertEquals(follower.status().snapshotIndex, 0);
    },
  };

  for (const [stage, arrive] of Object.entries(stages)) {
    it(`${stage} starts again with its old state, and catches up (H54, H65)`, () =>
      withMemoryWorld(3, async (world) => {
        const scene = await behind(world);
        const { leader, follower, written } = scene;
        await arrive(world, scene);
        await world.crash(follower.node);
        assertEquals(await storedIndex(world, follower), 0);
        world.network.bulk.release();
        const machine = new Mortal();
        const again = await world.restart(follower.node, machine);
        assertEquals(again.status().snapshotIndex, 0);
        await caughtUp(world, leader, again);
        assertEquals(machine.lines, written);
        assertEquals(world.network.bulk.transfers.at(-1)?.fate, "taken");
      }));
  }

  it("once the log is replaced restores the machine at its start (H54)", () =>
    withMemoryWorld(3, async (world) => {
      const { leader, follower, written } = await behind(world);
      const index = leader.status().snapshotIndex;
      const slow = new Mortal();
      let isRestoring = false;
      let pass = () => {};
      slow.onRestore = () => {
        isRestoring = true;
        return new Promise((resolve) => {
          pass = resolve;
        });
      };
      await world.crash(follower.node);
      await world.restart(follower.node, slow);
      world.network.heal();
      await world.until("it restores", () => isRestoring);
      const died = world.crash(follower.node);
      pass();
      await died;
      assertEquals(await storedIndex(world, follower), index);
      const machine = new Mortal();
      const again = await world.restart(follower.node, machine);
      assertEquals(again.status().snapshotIndex, index);
      assertEquals(again.status().appliedIndex, index);
      await caughtUp(world, leader, again);
      assertEquals(machine.lines, written);
    }));
});

describe("a snapshot", () => {
  it("that is stale or comes twice changes nothing, and is answered (H63)", () =>
    withMemoryWorld(3, async (world) => {
      const scene = await behind(world);
      const { leader, follower, written } = scene;
      const old = await transferOf(world, scene);
      world.network.heal();
      await caughtUp(world, leader, follower);
      await write(world, leader, ["b"]);
      await caughtUp(world, leader, follower);
      const before = follower.status();
      const sent = world.network.sent.length;
      await assertRejects(
        () => world.value(inject(world, scene, old)),
        Error,
        "is committed here",
      );
      assertEquals(follower.status().appliedIndex, before.appliedIndex);
      assertEquals(follower.status().snapshotIndex, before.snapshotIndex);
      const answers = world.network.sent.slice(sent).filter(({ envelopes }) =>
        envelopes.some(({ message }) =>
          message.type === "appendEntriesResponse" &&
          message.from === follower.node &&
          message.index === before.commitIndex
        )
      );
      assert(answers.length > 0);
      const machine = await world.value(
        follower.read(null, { consistency: "stale" }),
      );
      assertEquals(machine, [...written, "b"]);
    }));

  it("of somebody who leads no more, of a stranger's address, or of no group here is refused (H131)", () =>
    withMemoryWorld(3, async (world) => {
      const scene = await behind(world);
      const { follower } = scene;
      const disk = world.disk(follower.node);
      const { address } = world.place(follower.node);
      const refusals: [Partial<SnapshotTransfer>, string, string][] = [
        [{}, "elsewhere:1", "wrongAddress"],
        [{ to: 7 }, "", "wrongReceiver"],
        [{ from: follower.node }, address, "unknownSender"],
        [{ group: 9 }, "", "does not run here"],
        [{ term: 0 }, "", "is below"],
      ];
      for (const [changes, from, why] of refusals) {
        const transfer = await transferOf(world, scene, changes);
        const attempt = inject(world, scene, transfer, from || undefined);
        await assertRejects(() => world.value(attempt), Error, why);
      }
      assertEquals(disk.snapshotEvents, []);
      const ignored = world.place(follower.node).events.filter(({ type }) =>
        type === "ignored"
      );
      assertEquals(ignored.length, 4);
    }));

  it("that contradicts what is committed stops the member (H64)", () =>
    withMemoryWorld(3, async (world) => {
      const scene = await behind(world);
      const { follower } = scene;
      const transfer = await transferOf(world, scene);
      const { commitIndex: index } = follower.status();
      const meta = { ...transfer.meta, index, term: transfer.term + 1 };
      const fate = watch(inject(world, scene, { ...transfer, meta }));
      await world.until("stopped", () => follower.status().stopped !== null);
      assertEquals(follower.status().stopped?.code, "invariantBroken");
      await world.settle();
      assertEquals(fate().type, "rejected");
    }));

  it("that is newer takes the place of one that is still coming in (H73)", () =>
    withMemoryWorld(3, async (world) => {
      const scene = await behind(world);
      const { leader, follower, written } = scene;
      const disk = world.disk(follower.node);
      disk.holdsChunks = true;
      const first = watch(inject(world, scene, await transferOf(world, scene)));
      await world.settle();
      await write(world, leader, ["b"]);
      await world.value(leader.snapshot());
      const transfer = await transferOf(world, scene);
      const second = watch(inject(world, scene, transfer));
      await world.settle();
      disk.releaseChunks();
      await world.until(
        "both over",
        () => first().type !== "pending" && second().type !== "pending",
      );
      assertEquals(first().type, "rejected");
      assertEquals(second().type, "resolved");
      assertEquals(follower.status().snapshotIndex, transfer.meta.index);
      world.network.heal();
      await caughtUp(world, leader, follower);
      const lines = follower.read(null, { consistency: "stale" });
      assertEquals(await world.value(lines), [...written, "b"]);
    }));

  it("that is older does not disturb one that is coming in (H73)", () =>
    withMemoryWorld(3, async (world) => {
      const scene = await behind(world);
      const { leader, follower } = scene;
      const older = await transferOf(world, scene);
      await write(world, leader, ["b"]);
      await world.value(leader.snapshot());
      const disk = world.disk(follower.node);
      disk.holdsChunks = true;
      const newer = await transferOf(world, scene);
      const first = watch(inject(world, scene, newer));
      await world.settle();
      await assertRejects(
        () => world.value(inject(world, scene, older)),
        Error,
        "a newer one is coming in",
      );
      disk.releaseChunks();
      await world.until("taken", () => first().type === "resolved");
      assertEquals(follower.status().snapshotIndex, newer.meta.index);
    }));

  it("waits for the one that is being installed (H73)", () =>
    withMemoryWorld(3, async (world) => {
      const scene = await behind(world);
      const { leader, follower, written } = scene;
      const disk = world.disk(follower.node);
      holdAt(disk, "committed");
      const first = watch(inject(world, scene, await transferOf(world, scene)));
      await world.until("installing", () => disk.hold);
      await write(world, leader, ["b"]);
      await world.value(leader.snapshot());
      const transfer = await transferOf(world, scene);
      const second = watch(inject(world, scene, transfer));
      await world.advance(200);
      assertEquals([first().type, second().type], ["pending", "pending"]);
      disk.release();
      await world.until("both taken", () => second().type === "resolved");
      assertEquals(first().type, "resolved");
      assertEquals(follower.status().snapshotIndex, transfer.meta.index);
      const lines = follower.read(null, { consistency: "stale" });
      assertEquals(await world.value(lines), [...written, "b"]);
    }));

  it("that comes in is taken rather than an own one (H73)", () =>
    withMemoryWorld(3, async (world) => {
      const scene = await behind(world);
      const { follower } = scene;
      const disk = world.disk(follower.node);
      disk.holdsChunks = true;
      const own = watch(follower.snapshot());
      await world.settle();
      const transfer = await transferOf(world, scene);
      const coming = watch(inject(world, scene, transfer));
      await world.settle();
      disk.releaseChunks();
      await world.until("taken", () => coming().type === "resolved");
      await world.settle();
      assertEquals(own(), { type: "resolved", value: transfer.meta.index });
      const commits = disk.snapshotEvents.filter((it) => it === "commit");
      assertEquals(commits.length, 1);
    }));

  it("is given up when the member stops", () =>
    withMemoryWorld(3, async (world) => {
      const scene = await behind(world);
      const { follower } = scene;
      world.network.bulk.isHeld = true;
      const coming = watch(
        inject(world, scene, await transferOf(world, scene)),
      );
      await world.settle();
      await world.value(follower.stop());
      await world.settle();
      assertEquals(coming().type, "rejected");
      assertEquals(world.disk(follower.node).snapshotEvents, ["open", "abort"]);
    }));
});
