import { describe, it } from "node:test";
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
} from "@std/assert";
import type { SnapshotTransfer } from "../../src/transport.ts";
import {
  behind,
  caughtUp,
  holdAt,
  inject,
  Mortal,
  transferOf,
} from "./support/behind.ts";
import { lines, withMemoryWorld, write } from "./support/memory_world.ts";
import { isolate, leaderAndFollower } from "./support/outcomes.ts";
import { type TestGroup, watch } from "./support/world.ts";

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

  it("of a leader that was replaced is given up before it is whole (H65)", () =>
    withMemoryWorld(3, async (world) => {
      const scene = await behind(world);
      const { leader, follower } = scene;
      const { bulk } = world.network;
      bulk.isHeld = true;
      const coming = watch(
        inject(world, scene, await transferOf(world, scene)),
      );
      await world.settle();
      const other = [1, 2, 3].find((id) =>
        id !== leader.node && id !== follower.node
      );
      await world.value(leader.transferLeadership(other));
      world.network.heal();
      await world.until("given up", () => coming().type !== "pending");
      const fate = coming();
      assert(fate.type === "rejected");
      assertInstanceOf(fate.error, Error);
      assert(/is below|a newer one/.test(fate.error.message));
    }));

  it("that breaks off does not lose the own one that was due (H72)", () =>
    withMemoryWorld(3, async (world) => {
      const members: TestGroup[] = [];
      for (const id of [1, 2, 3]) {
        const options = { snapshotEntries: 10, snapshotTrailing: 0 };
        members.push(await world.member(id, new Mortal(), options));
      }
      const [leader, follower] = await leaderAndFollower(world, members);
      const disk = world.disk(follower.node);
      disk.holdsChunks = true;
      await write(world, leader, lines("a", 10));
      await world.until("begun", () => disk.snapshotEvents.includes("open"));
      isolate(world, follower);
      await write(world, leader, lines("b", 10));
      await world.value(leader.snapshot());
      const scene = { leader, follower, written: [] };
      const { bulk } = world.network;
      bulk.breaks = () => true;
      const coming = watch(
        inject(world, scene, await transferOf(world, scene)),
      );
      await world.settle();
      disk.releaseChunks();
      await world.until("broken", () => coming().type === "rejected");
      assertEquals(follower.status().snapshotIndex, 0);
      await world.until("taken", () => follower.status().snapshotIndex > 0);
      const { appliedIndex, snapshotIndex } = follower.status();
      assertEquals(snapshotIndex, appliedIndex);
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

  it("is kept for later, as far as it came, when the member stops (H66)", () =>
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
      const events = world.disk(follower.node).snapshotEvents;
      assertEquals(events, ["open", "suspend", "abort"]);
    }));
});
