import { describe, it } from "node:test";
import { assert, assertEquals } from "@std/assert";
import type { ConfChange, Entry } from "../../src/core/types.ts";
import { Journal } from "./support/machines.ts";
import {
  addressOf,
  collectEvents,
  type TestGroup,
  watch,
  withWorld,
  type World,
} from "./support/world.ts";

/** Plays a leader of term 3 towards member 1 of a group of three. */
async function append(
  world: World,
  entries: readonly Entry[],
  commitIndex: number,
): Promise<void> {
  world.network.inject(addressOf(2), addressOf(1), [{
    group: 1,
    message: {
      type: "appendEntries",
      from: 2,
      to: 1,
      term: 3,
      prevLogIndex: 0,
      prevLogTerm: 0,
      commitIndex,
      entries,
    },
  }]);
  await world.settle();
}

const ADD_FOURTH: ConfChange = {
  transition: "auto",
  steps: [{ type: "addLearner", node: 4, address: "fourth:1" }],
};

describe("an applied membership change", () => {
  it("is in force, announced and stored, and its members are heard", () =>
    withWorld(3, async (world) => {
      const member = await world.member(1);
      const collected = collectEvents(member);
      const fromFourth = {
        group: 1,
        message: {
          type: "readIndex",
          from: 4,
          to: 1,
          term: 0,
          context: 1,
        },
      } as const;
      const entry: Entry = {
        type: "confChange",
        term: 3,
        index: 1,
        change: ADD_FOURTH,
      };
      world.network.inject("fourth:1", addressOf(1), [fromFourth]);
      await append(world, [entry], 1);
      assertEquals(world.place(1).host.status().ignoredCount, 1);
      const { conf, members } = member.status();
      assertEquals(conf.learners, [4]);
      assertEquals(members.at(-1)?.address, "fourth:1");
      assertEquals(collected.events.at(-1), {
        type: "membership",
        conf,
        index: 1,
      });
      await world.advance(200);
      assertEquals(world.place(1).disk.groups.get(1)?.conf, { index: 1, conf });
      world.network.inject("fourth:1", addressOf(1), [fromFourth]);
      await world.settle();
      assertEquals(world.place(1).host.status().ignoredCount, 1);
      assert(member.status().members.at(-1)?.lastContactMs !== null);
      collected.stop();
    }));

  it("is not waited for by who is behind: strangers may lead (thesis §4.1)", () =>
    withWorld(3, async (world) => {
      const member = await world.member(1);
      const type = "heartbeat";
      const header = { from: 4, to: 1, term: 3, commitIndex: 0 };
      world.network.inject("fourth:1", addressOf(1), [{
        group: 1,
        message: { type, ...header, round: 0, sentAt: 0 },
      }]);
      await world.settle();
      assertEquals(world.place(1).host.status().ignoredCount, 0);
      assertEquals(member.status().leader, 4);
    }));

  it("takes effect again when the log is replayed", () =>
    withWorld(3, async (world) => {
      const entry: Entry = {
        type: "confChange",
        term: 3,
        index: 1,
        change: ADD_FOURTH,
      };
      await world.member(1);
      await append(world, [entry], 1);
      await world.advance(200);
      const place = world.place(1);
      await world.value(place.host.stop());
      place.host = await world.startHost(place.address, place.disk, []);
      const again = await world.member(1);
      await world.settle();
      assertEquals(again.status().conf.learners, [4]);
    }));
});

describe("a peer that cannot be reached", () => {
  function stateOf(leader: TestGroup, node: number): string | null | undefined {
    return leader.status().members.find(({ id }) => id === node)?.state;
  }

  it("is probed, not streamed to, once the transport says so", () =>
    withWorld(3, async (world) => {
      const members = await world.group();
      const leader = await world.leader(members);
      const peer = leader.node % 3 + 1;
      await world.value(leader.propose("a"));
      await world.advance(200);
      assertEquals(stateOf(leader, peer), "replicate");
      world.network.isolate(addressOf(peer));
      world.network.peerState(addressOf(leader.node), addressOf(peer), {
        type: "unreachable",
        reason: "refused",
        refused: true,
      });
      await world.settle();
      assertEquals(stateOf(leader, peer), "probe");
    }));

  it("is probed once a frame to it was dropped", () =>
    withWorld(3, async (world) => {
      const members = await world.group();
      const leader = await world.leader(members);
      const peer = leader.node % 3 + 1;
      await world.value(leader.propose("a"));
      await world.advance(200);
      assertEquals(stateOf(leader, peer), "replicate");
      world.network.full.add(addressOf(peer));
      await world.value(leader.propose("b"));
      assertEquals(stateOf(leader, peer), "probe");
      world.network.full.clear();
      await world.until(
        "it has everything",
        () => stateOf(leader, peer) === "replicate",
      );
    }));
});

describe("entries that are no longer in memory", () => {
  const small = { maxTailBytes: 0 };

  /** A leader, and a follower that missed what memory does not hold. */
  async function laggard(
    world: World,
    members: readonly TestGroup[],
  ): Promise<readonly [TestGroup, TestGroup]> {
    const leader = await world.leader(members);
    const follower = members.find((member) => member !== leader);
    assert(follower !== undefined);
    world.network.isolate(addressOf(follower.node));
    for (let number = 0; number < 30; number++) {
      await world.value(leader.propose(`${number}`));
    }
    await world.advance(200);
    return [leader, follower];
  }

  it("are read back from storage for a follower that lags", () =>
    withWorld(3, async (world) => {
      const members = await world.group(small);
      const [leader, follower] = await laggard(world, members);
      world.network.heal();
      await world.leader(members);
      await world.value(leader.propose("more"));
      assertEquals((await world.value(follower.read(null))).length, 31);
      assert(world.places.some(({ disk }) => disk.readCount > 0));
    }));

  it("and if they cannot be read, the leader steps down and lives (H42)", () =>
    withWorld(3, async (world) => {
      const members = await world.group(small);
      const [leader, follower] = await laggard(world, members);
      world.place(leader.node).disk.failReads = true;
      world.network.heal();
      await world.until(
        "somebody else leads",
        () =>
          members.some((member) =>
            member !== leader && member.status().role === "leader"
          ),
      );
      await world.until(
        "the follower has everything",
        () => follower.status().appliedIndex >= 31,
      );
      assertEquals(leader.status().stopped, null);
    }));

  it("are read back at a restart, to be applied", () =>
    withWorld(1, async (world) => {
      const member = await world.member(1);
      await world.leader([member]);
      for (let number = 0; number < 30; number++) {
        await world.value(member.propose(`${number}`));
      }
      await world.advance(200);
      const place = world.place(1);
      await world.value(place.host.stop());
      place.disk.tailCount = 3;
      place.host = await world.startHost(place.address, place.disk, []);
      const again = await world.member(1);
      await world.leader([again]);
      assertEquals((await world.value(again.read(null))).length, 30);
      assert(place.disk.readCount > 0);
    }));

  it("and if they cannot be, the member stops and says why", () =>
    withWorld(1, async (world) => {
      const member = await world.member(1);
      await world.leader([member]);
      for (let number = 0; number < 30; number++) {
        await world.value(member.propose(`${number}`));
      }
      await world.advance(200);
      const place = world.place(1);
      await world.value(place.host.stop());
      place.disk.tailCount = 3;
      place.disk.failReads = true;
      place.host = await world.startHost(place.address, place.disk, []);
      const again = await world.member(1, new Journal());
      const read = watch(again.read(null));
      await world.until("it stopped", () => again.status().stopped !== null);
      assertEquals(again.status().stopped?.code, "corrupt");
      await world.settle();
      assertEquals(read().type, "rejected");
    }));
});
