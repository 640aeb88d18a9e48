import { describe, it } from "node:test";
import { assert, assertEquals } from "@std/assert";
import type { GroupEvent } from "../../src/status.ts";
import { Journal } from "./support/machines.ts";
import {
  lines,
  type MemoryWorld,
  NOTHING_TRAILS,
  withMemoryWorld,
  write,
} from "./support/memory_world.ts";
import { isolate, leaderAndFollower, tell } from "./support/outcomes.ts";
import { collectEvents, type TestGroup, watch } from "./support/world.ts";

const FOURTH = { id: 4, address: "host-4:1" };
/** A line long enough for its snapshot to need chunks of its own. */
const LONG = 20_000;

/** A machine that waits before it is restored. */
class SlowRestore extends Journal {
  isHeld = true;
  #waiting: (() => void)[] = [];

  override async restore(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    if (this.isHeld) {
      await new Promise<void>((pass) => this.#waiting.push(pass));
    }
    await super.restore(chunks);
  }

  get isWaiting(): boolean {
    return this.#waiting.length > 0;
  }

  release(): void {
    this.isHeld = false;
    for (const pass of this.#waiting.splice(0)) pass();
  }
}

/** A group whose leader has cut the log that an isolated follower needs. */
async function behind(
  world: MemoryWorld,
  length = LONG,
): Promise<{
  readonly leader: TestGroup;
  readonly follower: TestGroup;
  readonly members: TestGroup[];
  readonly written: string[];
}> {
  const members = await world.group(NOTHING_TRAILS);
  const [leader, follower] = await leaderAndFollower(world, members);
  isolate(world, follower);
  const written = lines("a", 20, length);
  await write(world, leader, written);
  await world.value(leader.snapshot());
  return { leader, follower, members, written };
}

/** Waits until a member holds what another one holds. */
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

/** What a member holds itself. */
function held(world: MemoryWorld, member: TestGroup): Promise<string[]> {
  return world.value(member.read(null, { consistency: "stale" }));
}

describe("a follower behind the leader's log", () => {
  it("catches up by snapshot while writes go on", () =>
    withMemoryWorld(3, async (world) => {
      const { leader, follower, written } = await behind(world);
      world.network.bulk.isHeld = true;
      world.network.heal();
      await world.until(
        "a snapshot is on its way",
        () => world.network.bulk.running.length === 1,
      );
      await write(world, leader, lines("b", 10));
      assertEquals(follower.status().snapshotIndex, 0);
      world.network.bulk.release();
      await write(world, leader, lines("c", 10));
      await caughtUp(world, leader, follower);
      const all = [...written, ...lines("b", 10), ...lines("c", 10)];
      assertEquals(await held(world, follower), all);
      assertEquals(world.network.bulk.transfers.length, 1);
    }));

  it("tells of the snapshot and of a membership that is new to it (H69, H75)", () =>
    withMemoryWorld(3, async (world) => {
      const members = [
        await world.member(1, new Journal(), NOTHING_TRAILS),
        await world.member(2, new Journal(), NOTHING_TRAILS),
      ];
      const leader = await world.leader(members);
      await write(world, leader, lines("a", 20));
      await world.value(leader.snapshot());
      const known = [...leader.status().conf.addresses, FOURTH];
      const follower = await world.member(3, new Journal(), {
        ...NOTHING_TRAILS,
        members: known,
      });
      const collected = collectEvents(follower);
      await caughtUp(world, leader, follower);
      const { conf } = leader.status();
      assertEquals(follower.status().conf, conf);
      const types: GroupEvent["type"][] = ["membership", "snapshot"];
      const told = collected.events.filter(({ type }) => types.includes(type))
        .slice(1);
      const { snapshotIndex, term } = follower.status();
      assertEquals(snapshotIndex, leader.status().snapshotIndex);
      assertEquals(told, [
        { type: "membership", conf, index: snapshotIndex },
        { type: "snapshot", index: snapshotIndex, term, kind: "installed" },
      ]);
      collected.stop();
      await collected.ended;
    }));

  it("finds the others where the snapshot puts them (H69)", () =>
    withMemoryWorld(3, async (world) => {
      const members = [
        await world.member(1, new Journal(), NOTHING_TRAILS),
        await world.member(2, new Journal(), NOTHING_TRAILS),
      ];
      const leader = await world.leader(members);
      const other = members.find((member) => member !== leader);
      assert(other !== undefined);
      await write(world, leader, lines("a", 20));
      await world.value(leader.snapshot());
      const known = leader.status().conf.addresses.map((member) =>
        member.id === other.node ? { ...member, address: "moved:1" } : member
      );
      const comer = await world.member(3, new Journal(), {
        ...NOTHING_TRAILS,
        members: known,
      });
      await caughtUp(world, leader, comer);
      await world.value(leader.transferLeadership(other.node));
      await caughtUp(world, other, comer);
      assertEquals(comer.status().leader, other.node);
    }));

  it("may be new and empty", () =>
    withMemoryWorld(3, async (world) => {
      const members = [
        await world.member(1, new Journal(), NOTHING_TRAILS),
        await world.member(2, new Journal(), NOTHING_TRAILS),
      ];
      const leader = await world.leader(members);
      await write(world, leader, lines("a", 20));
      await world.value(leader.snapshot());
      const comer = await world.member(3, new Journal(), NOTHING_TRAILS);
      await caughtUp(world, leader, comer);
      assertEquals(await held(world, comer), lines("a", 20));
      assertEquals(comer.status().firstIndex, leader.status().firstIndex);
    }));

  it("answers reads only from the restored state (H93)", () =>
    withMemoryWorld(3, async (world) => {
      const machine = new SlowRestore();
      const members = [
        await world.member(1, new Journal(), NOTHING_TRAILS),
        await world.member(2, new Journal(), NOTHING_TRAILS),
      ];
      const leader = await world.leader(members);
      const written = lines("a", 20);
      await write(world, leader, written);
      const index = await world.value(leader.snapshot());
      const comer = await world.member(3, machine, NOTHING_TRAILS);
      await world.until("it restores", () => machine.isWaiting);
      const read = watch(comer.read(null));
      await world.advance(1_000);
      assertEquals(read().type, "pending");
      const { appliedIndex, ready, snapshotIndex } = comer.status();
      assertEquals([appliedIndex, ready, snapshotIndex], [0, false, 0]);
      await write(world, leader, ["b"]);
      machine.release();
      await world.until("it answers", () => read().type === "resolved");
      const fate = read();
      assert(fate.type === "resolved");
      assertEquals(fate.value.slice(0, 20), written);
      assertEquals(comer.status().snapshotIndex, index);
      await caughtUp(world, leader, comer);
      assertEquals(machine.lines, [...written, "b"]);
    }));

  it("does not apply commands of a session again (H70)", () =>
    withMemoryWorld(3, async (world) => {
      const members = await world.group(NOTHING_TRAILS);
      const [leader, follower] = await leaderAndFollower(world, members);
      isolate(world, follower);
      const first = await world.value(
        leader.session("client").propose("once", { sequence: 1 }),
      );
      await world.value(leader.snapshot());
      world.network.heal();
      await caughtUp(world, leader, follower);
      assertEquals(world.network.bulk.transfers.length, 1);
      await world.value(leader.transferLeadership(follower.node));
      const again = await world.value(
        follower.session("client").propose("once", { sequence: 1 }),
      );
      assertEquals(again.result, first.result);
      assertEquals(await held(world, follower), ["once"]);
    }));

  it("restarts from snapshot and log, with nothing missing or doubled (H54)", () =>
    withMemoryWorld(3, async (world) => {
      const { leader, follower, written } = await behind(world);
      world.network.heal();
      await caughtUp(world, leader, follower);
      await write(world, leader, lines("b", 10));
      await caughtUp(world, leader, follower);
      await world.crash(follower.node);
      const again = await world.restart(follower.node);
      await caughtUp(world, leader, again);
      assertEquals(
        again.status().snapshotIndex,
        leader.status().snapshotIndex,
      );
      assertEquals(await held(world, again), [...written, ...lines("b", 10)]);
      assertEquals(world.network.bulk.transfers.length, 1);
    }));

  it("settles what it proposed below the snapshot as unknown (H71)", () =>
    withMemoryWorld(3, async (world) => {
      const members = await world.group(NOTHING_TRAILS);
      const old = await world.leader(members);
      isolate(world, old);
      const fates = lines("lost", 3).map((line) => watch(old.propose(line)));
      await world.settle();
      const others = members.filter((member) => member !== old);
      const leader = await world.leader(others);
      await write(world, leader, lines("a", 20));
      await world.value(leader.snapshot());
      world.network.heal();
      await caughtUp(world, leader, old);
      for (const fate of fates) {
        const settled = fate();
        assert(settled.type === "rejected");
        assertEquals(tell(settled.error)[1], "unknown");
      }
      assertEquals(old.pendingCount, 0);
      assertEquals(await held(world, old), lines("a", 20));
      assertEquals(world.network.bulk.transfers.length, 1);
    }));
});

describe("a transfer", () => {
  it("that is cut off is reported, leaves nothing, and is tried again (H65)", () =>
    withMemoryWorld(3, async (world) => {
      const { leader, follower, written } = await behind(world);
      const { bulk } = world.network;
      bulk.breaks = ({ chunkCount }) =>
        chunkCount > 1 && bulk.transfers.length < 3;
      world.network.heal();
      await caughtUp(world, leader, follower);
      assertEquals(bulk.transfers.map(({ fate }) => fate), [
        "failed",
        "failed",
        "taken",
      ]);
      const events = world.disk(follower.node).snapshotEvents;
      assertEquals(events.filter((it) => it === "open").length, 3);
      assertEquals(events.filter((it) => it === "commit").length, 1);
      assertEquals(await held(world, follower), written);
    }));

  it("that keeps failing is not tried at every heartbeat (H66)", () =>
    withMemoryWorld(3, async (world) => {
      const { leader } = await behind(world);
      const { bulk } = world.network;
      bulk.breaks = () => true;
      world.network.heal();
      await world.advance(6_000);
      const count = bulk.transfers.length;
      assert(count >= 3 && count <= 5, `tried ${count} times`);
      await write(world, leader, ["b"]);
    }));

  it("is one per member, however long it takes, and the log behind it stays (H66, H73)", () =>
    withMemoryWorld(3, async (world) => {
      const { leader, follower, written } = await behind(world);
      const { bulk } = world.network;
      bulk.isHeld = true;
      world.network.heal();
      await world.until("on its way", () => bulk.running.length === 1);
      const sent = leader.status().snapshotIndex;
      for (const prefix of ["b", "c", "d"]) {
        await write(world, leader, lines(prefix, 10));
        await world.value(leader.snapshot());
        await world.advance(2_000);
      }
      assert(leader.status().snapshotIndex > sent);
      assertEquals(leader.status().firstIndex, sent + 1);
      bulk.release();
      await caughtUp(world, leader, follower);
      assertEquals(bulk.transfers.length, 1);
      const rest = ["b", "c", "d"].flatMap((prefix) => lines(prefix, 10));
      assertEquals(await held(world, follower), [...written, ...rest]);
      // Needed no longer: the log is cut after all.
      const { snapshotIndex } = leader.status();
      await world.until(
        "cut",
        () => leader.status().firstIndex === snapshotIndex + 1,
      );
    }));

  it("does not keep the log for ever (H66)", () =>
    withMemoryWorld(3, async (world) => {
      const { leader } = await behind(world);
      const { bulk } = world.network;
      bulk.isHeld = true;
      world.network.heal();
      await world.until("on its way", () => bulk.running.length === 1);
      for (const prefix of ["b", "c", "d", "e", "f", "g"]) {
        await write(world, leader, lines(prefix, 10));
        await world.value(leader.snapshot());
      }
      const { firstIndex, snapshotIndex } = leader.status();
      assertEquals(firstIndex, snapshotIndex + 1);
    }));

  it("ends with the leadership, and the next leader's takes its place (H65, H73)", () =>
    withMemoryWorld(3, async (world) => {
      const { leader, follower, members, written } = await behind(world);
      const { bulk } = world.network;
      const other = members.find((it) => it !== leader && it !== follower);
      assert(other !== undefined);
      await world.value(other.snapshot());
      bulk.isHeld = true;
      world.network.heal();
      await world.until("on its way", () => bulk.running.length === 1);
      await world.value(leader.transferLeadership(other.node));
      await world.until(
        "the next one is on its way",
        () => bulk.running.some(({ from }) => from.includes(`${other.node}`)),
      );
      assertEquals(bulk.transfers[0]?.fate, "failed");
      bulk.release();
      await write(world, other, ["b"]);
      await caughtUp(world, other, follower);
      assertEquals(await held(world, follower), [...written, "b"]);
      assertEquals(bulk.transfers.at(-1)?.fate, "taken");
    }));

  it("does not keep its sender from stopping", () =>
    withMemoryWorld(3, async (world) => {
      const { leader, follower } = await behind(world);
      const { bulk } = world.network;
      bulk.isHeld = true;
      world.network.heal();
      await world.until("on its way", () => bulk.running.length === 1);
      await world.value(leader.stop());
      await world.until("given up", () => bulk.running.length === 0);
      assertEquals(follower.status().snapshotIndex, 0);
      assertEquals(follower.status().stopped, null);
    }));
});
