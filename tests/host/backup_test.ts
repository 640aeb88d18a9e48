import { describe, it } from "node:test";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { BackupReader } from "../../src/backup_format.ts";
import { FrameReader } from "../../src/snapshot_frames.ts";
import { readSessions } from "../../src/rsm/session_snapshot.ts";
import { parseLimits } from "../../src/rsm/limits.ts";
import type { SnapshotSource } from "../../src/state_machine.ts";
import { Journal, SlowJournal } from "./support/machines.ts";
import { isolate, leaderAndFollower, lose, tell } from "./support/outcomes.ts";
import { lines, withMemoryWorld, write } from "./support/memory_world.ts";
import { watch, type World } from "./support/world.ts";
import type { GroupBackup } from "../../src/host/backup.ts";

/** What a journal in a backup holds. */
async function linesOf(backup: GroupBackup): Promise<readonly string[]> {
  const reader = await BackupReader.open(backup.chunks());
  assertEquals(reader.manifest, backup.manifest);
  const frames = new FrameReader(reader.chunks());
  const { index } = await readSessions(frames, parseLimits({}));
  assertEquals(index, backup.manifest.index);
  const journal = new Journal();
  await journal.restore(frames.rest());
  assert(reader.digest !== null);
  return journal.lines;
}

/** Draws a backup with the clock running. */
function read(world: World, backup: GroupBackup): Promise<readonly string[]> {
  return world.value(linesOf(backup));
}

/** Counts who lets go of it. */
class CountedJournal extends Journal {
  releaseCount = 0;

  override snapshot(): SnapshotSource {
    const source = super.snapshot();
    return {
      chunks: () => source.chunks(),
      release: () => {
        this.releaseCount++;
      },
    };
  }
}

describe("group.backup()", () => {
  it("on a follower holds every write acknowledged before the call", () =>
    withMemoryWorld(3, async (world) => {
      const members = await world.group();
      const [leader, follower] = await leaderAndFollower(world, members);
      // The follower gets the entries, but learns late that they count.
      lose(world, leader, "heartbeat");
      await write(world, leader, lines("a", 20));
      const backup = await world.value(follower.backup());
      world.network.heal();
      assertEquals(await read(world, backup), lines("a", 20));
      const { manifest } = backup;
      assertEquals([manifest.deployment, manifest.group], ["tests", 1]);
      assertEquals(manifest.conf.voters, [1, 2, 3]);
      assertEquals(manifest.term, leader.status().term);
    }));

  it("is of one instant, while writes go on", () =>
    withMemoryWorld(1, async (world) => {
      const member = await world.member(1);
      await world.leader([member]);
      await write(world, member, lines("a", 5));
      const backup = await world.value(member.backup());
      await write(world, member, lines("b", 5));
      assertEquals(await read(world, backup), lines("a", 5));
      assertEquals(member.status().appliedIndex, backup.manifest.index + 5);
    }));

  it("waits for a machine that is in the middle of an apply", () =>
    withMemoryWorld(1, async (world) => {
      const machine = new SlowJournal();
      const member = await world.member(1, machine);
      await world.leader([member]);
      const first = watch(member.propose("a"));
      await world.until("applying", () => machine.applyCount === 1);
      const asked = watch(member.backup({ consistency: "stale" }));
      await world.settle();
      assertEquals(asked().type, "pending");
      assertEquals(member.pendingCount, 2);
      machine.pass();
      await world.until("applied", () => first().type === "resolved");
      await world.until("captured", () => asked().type === "resolved");
      const fate = asked();
      assert(fate.type === "resolved");
      assertEquals(await read(world, fate.value), ["a"]);
    }));

  it("without a quorum says so, and `stale` gives what is there", () =>
    withMemoryWorld(3, async (world) => {
      const members = await world.group();
      const leader = await world.leader(members);
      await write(world, leader, ["a"]);
      isolate(world, leader);
      await world.advance(3_000);
      const error = await world.error(leader.backup({ timeoutMs: 500 }));
      assertEquals(tell(error), ["noLeader", undefined]);
      const backup = await world.value(leader.backup({ consistency: "stale" }));
      assertEquals(await read(world, backup), ["a"]);
    }));

  it("settles when aborted, late, or stopped (H124)", () =>
    withMemoryWorld(1, async (world) => {
      const machine = new SlowJournal();
      const member = await world.member(1, machine);
      await world.leader([member]);
      const pending = watch(member.propose("a"));
      await world.until("applying", () => machine.applyCount === 1);
      const stale = { consistency: "stale" } as const;
      const controller = new AbortController();
      const { signal } = controller;
      const aborted = watch(member.backup({ ...stale, signal }));
      await world.settle();
      controller.abort(new Error("enough"));
      await world.settle();
      assertEquals(aborted().type, "rejected");
      const late = await world.error(
        member.backup({ ...stale, timeoutMs: 200 }),
      );
      assertEquals(tell(late), ["timeout", undefined]);
      const orphan = watch(member.backup(stale));
      await world.settle();
      const stopping = watch(member.stop());
      await world.until("rejected", () => orphan().type === "rejected");
      machine.pass();
      await world.until("stopped", () => stopping().type === "resolved");
      await world.until("settled", () => pending().type !== "pending");
      assertEquals(member.pendingCount, 0);
      const after = await world.error(member.backup());
      assertEquals(tell(after), ["stopped", undefined]);
    }));

  it("lets go of the state once, drawn to the end, in part, or not at all", () =>
    withMemoryWorld(1, async (world) => {
      const machine = new CountedJournal();
      const member = await world.member(1, machine);
      await world.leader([member]);
      await write(world, member, lines("a", 3));
      const whole = await world.value(member.backup());
      await read(world, whole);
      whole.release();
      assertEquals(machine.releaseCount, 1);
      const part = await world.value(member.backup());
      for await (const _ of part.chunks()) break;
      assertEquals(machine.releaseCount, 2);
      const unread = await world.value(member.backup());
      unread.release();
      assertEquals(machine.releaseCount, 3);
    }));

  it("draws from the machine only as fast as it is drawn from", () =>
    withMemoryWorld(1, async (world) => {
      const machine = new Journal();
      const member = await world.member(1, machine);
      await world.leader([member]);
      let drawn = 0;
      machine.snapshot = () => ({
        async *chunks() {
          for (; drawn < 1_000; drawn++) {
            await Promise.resolve();
            yield new Uint8Array(100_000);
          }
        },
      });
      const backup = await world.value(member.backup());
      const chunks = backup.chunks();
      for (let count = 1; count <= 100; count++) {
        await world.value(chunks.next());
        assert(drawn <= count, `${drawn} chunks were drawn for ${count}`);
      }
      await chunks.return();
    }));

  it("ends with an error, not early, when the machine's stream breaks", () =>
    withMemoryWorld(1, async (world) => {
      const machine = new Journal();
      const member = await world.member(1, machine);
      await world.leader([member]);
      machine.snapshot = () => ({
        // deno-lint-ignore require-yield
        async *chunks() {
          await Promise.resolve();
          throw new Error("the source broke");
        },
      });
      const backup = await world.value(member.backup());
      await assertRejects(() => read(world, backup), Error, "the source broke");
      assertEquals(member.status().stopped, null);
    }));
});
