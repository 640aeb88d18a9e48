import { describe, it } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { Journal } from "./support/machines.ts";
import {
  addressOf,
  type TestGroup,
  TICK_MS,
  watch,
  withWorld,
  type World,
} from "./support/world.ts";

const GROUP_COUNT = 20;

/** Many groups of three, one member each per host. */
async function manyGroups(world: World): Promise<TestGroup[][]> {
  const groups: TestGroup[][] = [];
  for (let group = 1; group <= GROUP_COUNT; group++) {
    const members: TestGroup[] = [];
    for (let id = 1; id <= 3; id++) {
      members.push(await world.member(id, new Journal(), { group }));
    }
    groups.push(members);
  }
  return groups;
}

/** Makes host 1 lead all groups. */
async function leadOnHostOne(world: World): Promise<TestGroup[]> {
  const leaders: TestGroup[] = [];
  for (const members of await manyGroups(world)) {
    await world.leader(members);
    const [first] = members;
    assert(first !== undefined);
    await world.value(first.transferLeadership(1));
    await world.leader(members);
    leaders.push(first);
  }
  await world.advance(500);
  return leaders;
}

describe("one turn of a host", () => {
  it("joins the writes of all groups into one, and its messages into a frame per peer", () =>
    withWorld(3, async (world) => {
      const leaders = await leadOnHostOne(world);
      const before = world.places.map(({ disk }) => disk.writes.length);
      const framesBefore = world.network.sent.length;
      const proposals = leaders.map((leader) => watch(leader.propose("a")));
      await world.settle();
      for (const fate of proposals) assertEquals(fate().type, "resolved");
      const writes = world.places.map(({ disk }, position) =>
        disk.writes.length - (before[position] ?? 0)
      );
      assertEquals(writes, [1, 1, 1]);
      const frames = world.network.sent.slice(framesBefore);
      const appends = frames.filter(({ envelopes }) =>
        envelopes.some(({ message }) =>
          message.type === "appendEntries" && message.entries.length > 0
        )
      );
      assertEquals(appends.map(({ envelopes }) => envelopes.length), [
        GROUP_COUNT,
        GROUP_COUNT,
      ]);
      const answers = frames.filter(({ envelopes }) =>
        envelopes.some(({ message }) =>
          message.type === "appendEntriesResponse"
        )
      );
      assert(answers.length <= 4, `${answers.length} frames with answers`);
    }));

  it("sends the appends before its own write is handed over (§10.2.1)", () =>
    withWorld(3, async (world) => {
      const members = await world.group();
      const leader = await world.leader(members);
      const { disk } = world.place(leader.node);
      await world.advance(500);
      const before = disk.writes.length;
      const writesAtSend: number[] = [];
      world.network.onSend = ({ envelopes }) => {
        if (envelopes.some(({ message }) => message.type === "appendEntries")) {
          writesAtSend.push(disk.writes.length - before);
        }
      };
      disk.hold = true;
      const proposal = watch(leader.propose("a"));
      await world.settle();
      assertEquals(writesAtSend.slice(0, 2), [0, 0]);
      // A quorum of followers has it durably: the leader's disk is not needed.
      assertEquals(disk.heldCount, 1);
      assertEquals(leader.status().commitIndex, 2);
      // But nothing is applied that is not durable here (H46).
      assertEquals(proposal().type, "pending");
      disk.release();
      await world.settle();
      assertEquals(proposal().type, "resolved");
    }));

  it("gathers what comes while a write is under way behind that write", () =>
    withWorld(1, async (world) => {
      const [member] = await world.group();
      assert(member !== undefined);
      await world.leader([member]);
      const { disk } = world.place(1);
      await world.advance(500);
      const before = disk.writes.length;
      disk.hold = true;
      const fates = [];
      for (let count = 0; count < 10; count++) {
        fates.push(watch(member.propose(`${count}`)));
        await world.settle();
      }
      assertEquals(disk.writes.length - before, 1);
      disk.release();
      await world.settle();
      assertEquals(disk.writes.length - before, 2);
      assertEquals(
        fates.map((fate) => fate().type),
        fates.map(() => "resolved"),
      );
    }));

  it("hands many proposals to the core at once, in their order", () =>
    withWorld(3, async (world) => {
      const members = await world.group();
      const leader = await world.leader(members);
      const before = world.place(leader.node).disk.writes.length;
      const proposals = Array.from(
        { length: 100 },
        (_, number) => leader.propose(`${number}`),
      );
      const committed = await world.value(Promise.all(proposals));
      assertEquals(
        committed.map(({ result }) => result),
        committed.map((_, position) => position + 1),
      );
      assertEquals(
        world.place(leader.node).disk.writes.length - before,
        1,
      );
    }));

  it("asks for no flush when only a commit index moved", () =>
    withWorld(3, async (world) => {
      const members = await world.group();
      const leader = await world.leader(members);
      await world.advance(500);
      const { disk } = world.place(leader.node);
      const before = disk.writes.length;
      await world.value(leader.propose("a"));
      await world.advance(4 * TICK_MS);
      assertEquals(
        disk.writes.slice(before).map(({ sync }) => sync),
        [true, false],
      );
    }));

  it("happens only when there is something to do", () =>
    withWorld(1, async (world) => {
      const [member] = await world.group();
      assert(member !== undefined);
      await world.leader([member]);
      await world.advance(1_000);
      const { host, disk } = world.place(1);
      const turns = host.status().turnCount;
      const writes = disk.writes.length;
      await world.advance(100 * TICK_MS);
      assertEquals(host.status().turnCount - turns, 100);
      assertEquals(disk.writes.length, writes);
    }));

  it("shares one round of heartbeats among all reads of a group", () =>
    withWorld(3, async (world) => {
      const members = await world.group();
      const leader = await world.leader(members);
      const before = world.network.sent.length;
      const reads = Array.from({ length: 50 }, () => watch(leader.read(null)));
      await world.settle();
      for (const fate of reads) assertEquals(fate().type, "resolved");
      const rounds = world.network.sent.slice(before)
        .flatMap(({ envelopes }) => envelopes)
        .filter(({ message }) => message.type === "heartbeat");
      assertEquals(rounds.length, 2);
    }));
});

describe("ticks", () => {
  it("of a thousand groups share one timer", () =>
    withWorld(1, async (world) => {
      for (let group = 1; group <= 1_000; group++) {
        const starting = world.place(1).host.startGroup({
          group,
          node: 1,
          members: [{ id: 1, address: world.place(1).address }],
          machine: new Journal(),
        });
        await world.settle();
        await starting;
      }
      assertEquals(world.clock.timerCount, 1);
    }));

  it("that were slept through are left out: one tick, after the network (H116)", () =>
    withWorld(3, async (world) => {
      const members = await world.group();
      const leader = await world.leader(members);
      const follower = members.find((member) => member !== leader);
      assert(follower !== undefined);
      const { term } = leader.status();
      await world.advance(200);
      // All three sleep for a hundred election timeouts; then they wake.
      world.clock.skip(100_000);
      await world.advance(400);
      assertEquals(
        members.map((member) => [member.status().term, member.status().leader]),
        members.map(() => [term, leader.node]),
      );
    }));

  it("of a host that slept alone do not make it campaign while heartbeats wait for it (H116)", () =>
    withWorld(3, async (world) => {
      const members = await world.group({ preVote: false });
      const leader = await world.leader(members);
      const { term } = leader.status();
      for (let count = 0; count < 20; count++) {
        world.clock.skip(30 * TICK_MS);
        await world.advance(TICK_MS);
      }
      assertEquals(
        members.map((member) => member.status().term),
        members.map(() => term),
      );
    }));

  it("come after the messages of the same turn (H116)", () =>
    withWorld(3, async (world) => {
      const member = await world.member(1, new Journal(), {
        preVote: false,
        random: () => 0,
      });
      const heartbeat = {
        type: "heartbeat",
        from: 2,
        to: 1,
        term: 1,
        commitIndex: 0,
        round: 0,
        sentAt: 0,
      } as const;
      const beat = () =>
        world.network.inject(addressOf(2), addressOf(1), [
          { group: 1, message: heartbeat },
        ]);
      for (let count = 0; count < 10; count++) {
        beat();
        await world.settle();
        // Nine silent ticks; the next heartbeat comes with the tenth, which
        // would be the election timeout.
        for (let tick = 0; tick < 9; tick++) {
          world.clock.fireNext(Infinity);
          await world.settle();
        }
        world.clock.fireNext(Infinity);
        beat();
        world.network.deliver();
        await world.settle();
      }
      assertEquals([member.status().term, member.status().leader], [1, 2]);
    }));
});
