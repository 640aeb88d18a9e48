/**
 * Snapshots that are cut on their way, that find no room, or that prove
 * damaged when they are to be sent: none is begun anew for nothing, and none
 * is tried for ever (H56, H60, H65, H66).
 */
import { describe, it } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { isRaftError } from "../../src/errors.ts";
import type { GroupEvent } from "../../src/status.ts";
import { behind, caughtUp, Mortal, type Scene } from "./support/behind.ts";
import {
  lines,
  type MemoryWorld,
  NOTHING_TRAILS,
  withMemoryWorld,
  write,
} from "./support/memory_world.ts";
import { collectEvents, type TestGroup } from "./support/world.ts";

/** Chunks that a connection carries before it breaks. */
const CHUNKS_PER_LINE = 2;

/** Every connection breaks before long, until it is told not to. */
function breakLines(world: MemoryWorld): { heal: () => void } {
  const { bulk } = world.network;
  bulk.breaks = ({ chunkCount }) => chunkCount >= CHUNKS_PER_LINE;
  return { heal: () => void (bulk.breaks = () => false) };
}

/** Waits until that many transfers have failed. */
async function failures(world: MemoryWorld, count: number): Promise<void> {
  const { bulk } = world.network;
  await world.until(
    `${count} cuts`,
    () =>
      bulk.transfers.filter(({ fate }) => fate === "failed").length >= count,
  );
}

/** The machine of a member holds every line. */
async function assertHolds(
  world: MemoryWorld,
  member: TestGroup,
  written: readonly string[],
): Promise<void> {
  const held = await world.value(member.read(null, { consistency: "stale" }));
  assertEquals(held, written);
}

/** Chunks that the leader's snapshot has. */
async function chunkCount(world: MemoryWorld, scene: Scene): Promise<number> {
  const storage = world.disk(scene.leader.node).storage();
  const reader = await storage.snapshotReader(1);
  assert(reader !== undefined);
  reader.release?.();
  return Math.ceil(reader.bytes / (64 << 10));
}

function problemsIn(events: readonly GroupEvent[]): string[] {
  return events.flatMap((event) =>
    event.type === "snapshotProblem" ? [`${event.code} ${event.index}`] : []
  );
}

describe("a snapshot whose connection is cut again and again", () => {
  it("arrives without a byte sent twice (H66)", () =>
    withMemoryWorld(3, async (world) => {
      const scene = await behind(world);
      const { leader, follower, written } = scene;
      const { bulk } = world.network;
      const total = await chunkCount(world, scene);
      assert(total > 3 * CHUNKS_PER_LINE);
      breakLines(world);
      world.network.heal();
      await caughtUp(world, leader, follower);
      await assertHolds(world, follower, written);
      const sent = bulk.transfers.reduce((sum, it) => sum + it.chunkCount, 0);
      assertEquals(sent, total);
      assert(bulk.transfers.length > 3, "it was not cut");
      assertEquals(world.disk(leader.node).readerCount, 0);
    }));

  it("goes on after its receiver was restarted", () =>
    withMemoryWorld(3, async (world) => {
      const scene = await behind(world);
      const { leader, follower, written } = scene;
      const { bulk } = world.network;
      const total = await chunkCount(world, scene);
      const line = breakLines(world);
      world.network.heal();
      await failures(world, 2);
      await world.crash(follower.node);
      line.heal();
      const again = await world.restart(follower.node, new Mortal());
      world.network.heal();
      await caughtUp(world, leader, again);
      await assertHolds(world, again, written);
      const last = bulk.transfers.find(({ fate }) => fate === "taken");
      assert(last !== undefined && last.fromOffset > 0, "it began anew");
      const sent = bulk.transfers.reduce((sum, it) => sum + it.chunkCount, 0);
      assert(sent <= total + CHUNKS_PER_LINE, `${sent} of ${total} chunks`);
    }));

  it("stays the same while its leader takes newer ones, for some time (H66)", () =>
    withMemoryWorld(3, async (world) => {
      const scene = await behind(world);
      const { leader, follower, written } = scene;
      const { bulk } = world.network;
      const line = breakLines(world);
      world.network.heal();
      await failures(world, 1);
      const begun = bulk.transfers[0]?.transfer.meta.index ?? 0;
      await write(world, leader, ["b"]);
      const newer = await world.value(leader.snapshot());
      assert(newer > begun);
      await failures(world, 3);
      line.heal();
      await caughtUp(world, leader, follower);
      await assertHolds(world, follower, [...written, "b"]);
      const indexes = bulk.transfers.map(({ transfer }) => transfer.meta.index);
      assertEquals(new Set(indexes), new Set([begun]));
    }));

  it("gives way to a newer one when the log behind it is too long (H66)", () =>
    withMemoryWorld(3, async (world) => {
      const scene = await behind(world);
      const { leader, follower, written } = scene;
      const { bulk } = world.network;
      bulk.breaks = ({ chunkCount }) => chunkCount >= 1;
      world.network.heal();
      await failures(world, 1);
      const begun = bulk.transfers[0]?.transfer.meta.index ?? 0;
      bulk.breaks = () => true;
      const more = lines("b", 6);
      for (const each of more) {
        await write(world, leader, [each]);
        await world.value(leader.snapshot());
      }
      bulk.breaks = () => false;
      await caughtUp(world, leader, follower);
      await assertHolds(world, follower, [...written, ...more]);
      const last = bulk.transfers.find(({ fate }) => fate === "taken");
      assert(last !== undefined && last.transfer.meta.index > begun);
      assertEquals(last.fromOffset, 0);
      assertEquals(world.disk(leader.node).readerCount, 0);
    }));
});

describe("a member that starts from its snapshot", () => {
  it("holds on to none of it, so that it can be replaced", () =>
    withMemoryWorld(1, async (world) => {
      const member = await world.member(1, new Mortal(), NOTHING_TRAILS);
      await world.leader([member]);
      await write(world, member, ["a"]);
      await world.value(member.snapshot());
      await world.crash(1);
      const again = await world.restart(1, new Mortal());
      await world.leader([again]);
      await assertHolds(world, again, ["a"]);
      assertEquals(world.disk(1).readerCount, 0);
    }));
});

describe("a stored snapshot that proves damaged when it is sent", () => {
  it("is told about and taken anew, and the follower gets that (H60)", () =>
    withMemoryWorld(3, async (world) => {
      const scene = await behind(world);
      const { leader, follower, written } = scene;
      const disk = world.disk(leader.node);
      const { events, stop, ended } = collectEvents(leader);
      const index = leader.status().snapshotIndex;
      disk.isRotten = true;
      disk.onSnapshot = (event) => {
        if (event === "committed") disk.isRotten = false;
      };
      world.network.heal();
      await caughtUp(world, leader, follower);
      await assertHolds(world, follower, written);
      assertEquals(problemsIn(events), [`corrupt ${index}`]);
      const taken = events.filter((event) => event.type === "snapshot");
      assertEquals(taken.length, 1, "another one was to be taken");
      assertEquals(leader.status().stopped, null);
      assertEquals(disk.readerCount, 0);
      stop();
      await ended;
    }));
});

describe("a member without room for a snapshot", () => {
  it("goes on, tells, and takes one when there is room (H56)", () =>
    withMemoryWorld(1, async (world) => {
      const options = { ...NOTHING_TRAILS, snapshotEntries: 5 };
      const member = await world.member(1, new Mortal(), options);
      await world.leader([member]);
      const disk = world.disk(1);
      const { events, stop, ended } = collectEvents(member);
      disk.isFull = true;
      await write(world, member, lines("a", 20));
      await world.until("told", () => problemsIn(events).length > 0);
      await write(world, member, lines("b", 20));
      assertEquals(member.status().stopped, null);
      await world.advance(60_000);
      const tries = problemsIn(events).length;
      assert(tries > 1 && tries < 12, `${tries} tries in a minute`);
      assertEquals(member.status().snapshotIndex, 0);
      disk.isFull = false;
      await world.advance(60_000);
      assertEquals(
        member.status().snapshotIndex,
        member.status().appliedIndex,
      );
      stop();
      await ended;
    }));

  it("says so to who asks for one, and tries at once when asked again", () =>
    withMemoryWorld(1, async (world) => {
      const member = await world.member(1, new Mortal(), NOTHING_TRAILS);
      await world.leader([member]);
      const disk = world.disk(1);
      await write(world, member, ["a"]);
      disk.isFull = true;
      const error = await world.error(member.snapshot());
      assert(isRaftError(error, "snapshotFailed"), String(error));
      disk.isFull = false;
      const index = await world.value(member.snapshot());
      assertEquals(index, member.status().appliedIndex);
    }));

  it("tells when one comes in, and takes it when there is room (H56)", () =>
    withMemoryWorld(3, async (world) => {
      const { leader, follower, written } = await behind(world);
      const disk = world.disk(follower.node);
      const { events, stop, ended } = collectEvents(follower);
      disk.isFull = true;
      world.network.heal();
      await world.until("told", () => problemsIn(events).length > 1);
      assertEquals(follower.status().stopped, null);
      disk.isFull = false;
      await caughtUp(world, leader, follower);
      await assertHolds(world, follower, written);
      stop();
      await ended;
    }));
});
