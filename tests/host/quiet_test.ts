import { describe, it } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { leaderAndFollower } from "./support/outcomes.ts";
import {
  addressOf,
  type TestGroup,
  TICK_MS,
  withWorld,
  type World,
} from "./support/world.ts";

const QUIET = { quiesceTicks: 20 } as const;
const GONE = {
  type: "unreachable",
  reason: "refused",
  refused: true,
} as const;

/** A group with nothing to do, asleep. */
async function asleep(world: World): Promise<{
  readonly leader: TestGroup;
  readonly follower: TestGroup;
  readonly members: readonly TestGroup[];
}> {
  const members = await world.group(QUIET);
  const [leader, follower] = await leaderAndFollower(world, members);
  await world.value(leader.propose("a"));
  await world.advance(60 * TICK_MS);
  await assertSilent(world);
  return { leader, follower, members };
}

async function assertSilent(world: World): Promise<void> {
  const before = world.network.sent.length;
  const turns = world.places.map(({ host }) => host.status().turnCount);
  await world.advance(200 * TICK_MS);
  assertEquals(world.network.sent.length, before);
  assertEquals(
    world.places.map(({ host }) => host.status().turnCount),
    turns,
  );
  assertEquals(world.clock.timerCount, 0);
}

/** The others hear that nobody listens where a member was. */
function tellGone(world: World, gone: TestGroup, to: TestGroup): void {
  const [at, address] = [addressOf(to.node), addressOf(gone.node)];
  world.network.peerState(at, address, GONE);
}

describe("an idle group (C21)", () => {
  it("sends nothing, runs no turn and holds no timer", () =>
    withWorld(3, async (world) => {
      await asleep(world);
    }));

  it("wakes for a proposal, on whatever member, and sleeps again", () =>
    withWorld(3, async (world) => {
      const { leader, follower } = await asleep(world);
      const { term } = leader.status();
      await world.value(follower.propose("b"));
      assertEquals(await world.value(leader.read(null)), ["a", "b"]);
      await world.advance(60 * TICK_MS);
      await assertSilent(world);
      assertEquals(leader.status().term, term);
    }));

  it("wakes for a read, on whatever member", () =>
    withWorld(3, async (world) => {
      const { leader, follower } = await asleep(world);
      assertEquals(await world.value(follower.read(null)), ["a"]);
      await world.advance(60 * TICK_MS);
      await assertSilent(world);
      assertEquals(await world.value(leader.read(null)), ["a"]);
    }));

  it("has another leader before one that is asleep stops", () =>
    withWorld(3, async (world) => {
      const { leader, members } = await asleep(world);
      const { term } = leader.status();
      await world.value(leader.stop());
      const others = members.filter((member) => member !== leader);
      const successor = others.find(({ node }) =>
        node === others[0]?.status().leader
      );
      assertEquals(successor?.status().role, "leader");
      assertEquals(successor?.status().term, term + 1);
    }));

  it("elects another leader when its leader's process is gone (H107)", () =>
    withWorld(3, async (world) => {
      const { leader, members } = await asleep(world);
      await world.value(world.place(leader.node).host.stop());
      const others = members.filter((member) => member !== leader);
      for (const other of others) tellGone(world, leader, other);
      await world.leader(others);
    }));

  it("keeps its leader when a follower is restarted meanwhile (H107)", () =>
    withWorld(3, async (world) => {
      const { leader, follower } = await asleep(world);
      const { term } = leader.status();
      const place = world.place(follower.node);
      await world.value(place.host.stop());
      place.host = await world.startHost(place.address, place.disk, []);
      const again = await world.member(follower.node, undefined, QUIET);
      await world.until("it follows", () => again.status().ready);
      assertEquals(again.status().leader, leader.node);
      assertEquals(leader.status().term, term);
    }));
});

describe("a leader whose process is gone (C25)", () => {
  it("is replaced at once, long before the election timeout", () =>
    withWorld(3, async (world) => {
      const members = await world.group();
      const [leader] = await leaderAndFollower(world, members);
      const others = members.filter((member) => member !== leader);
      world.network.isolate(addressOf(leader.node));
      for (const other of others) tellGone(world, leader, other);
      await world.advance(2 * TICK_MS);
      const roles = others.map((member) => member.status().role);
      assert(roles.includes("leader"));
    }));

  it("keeps its office if only one member thinks so: a false alarm", () =>
    withWorld(3, async (world) => {
      const members = await world.group();
      const [leader, follower] = await leaderAndFollower(world, members);
      const { term } = leader.status();
      for (let times = 0; times < 5; times++) {
        tellGone(world, leader, follower);
        await world.advance(3 * TICK_MS);
      }
      assertEquals(leader.status().role, "leader");
      assertEquals(leader.status().term, term);
      assertEquals(follower.status().leader, leader.node);
    }));

  it("is waited for with fastFailover off", () =>
    withWorld(3, async (world) => {
      const members = await world.group({ fastFailover: false });
      const [leader] = await leaderAndFollower(world, members);
      const others = members.filter((member) => member !== leader);
      world.network.isolate(addressOf(leader.node));
      for (const other of others) tellGone(world, leader, other);
      await world.advance(4 * TICK_MS);
      assert(others.every((member) => member.status().role === "follower"));
    }));
});
