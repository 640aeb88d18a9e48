import { describe, it } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { RaftHost } from "../../src/host/raft_host.ts";
import { Journal, SlowJournal } from "./support/machines.ts";
import {
  collectEvents,
  type TestGroup,
  watch,
  withWorld,
} from "./support/world.ts";

function followersOf(members: TestGroup[], leader: TestGroup): TestGroup[] {
  return members.filter((member) => member !== leader);
}

describe("a group of three", () => {
  it("elects one leader, and all agree who it is", () =>
    withWorld(3, async (world) => {
      const members = await world.group();
      const leader = await world.leader(members);
      assertEquals(
        members.map((member) => member.status().leader),
        [leader.node, leader.node, leader.node],
      );
    }));

  it("gives the proposer the machine's result, index and term, on every member (U01)", () =>
    withWorld(3, async (world) => {
      const members = await world.group();
      const leader = await world.leader(members);
      const { term } = leader.status();
      for (const [position, member] of members.entries()) {
        const committed = await world.value(member.propose(`c${position}`));
        assertEquals(committed, {
          result: position + 1,
          index: position + 2,
          term,
        });
      }
    }));

  it("applies the same commands in the same order everywhere", () =>
    withWorld(3, async (world) => {
      const machines = [new Journal(), new Journal(), new Journal()];
      const members: TestGroup[] = [];
      for (const [position, machine] of machines.entries()) {
        members.push(await world.member(position + 1, machine));
      }
      await world.leader(members);
      const proposals = members.flatMap((member, position) =>
        ["a", "b", "c"].map((name) => member.propose(`${name}${position}`))
      );
      await world.value(Promise.all(proposals));
      await world.advance(200);
      assertEquals(machines[0]?.lines.length, 9);
      assertEquals(machines[1]?.lines, machines[0]?.lines);
      assertEquals(machines[2]?.lines, machines[0]?.lines);
    }));

  it("reads its own writes on every member by default (U55)", () =>
    withWorld(3, async (world) => {
      const members = await world.group();
      await world.leader(members);
      for (const writer of members) {
        await world.value(writer.propose(`by ${writer.node}`));
        for (const reader of members) {
          const lines = await world.value(reader.read(null));
          assertEquals(lines.at(-1), `by ${writer.node}`);
        }
      }
    }));

  it("serves stale reads at once, without leader and without quorum", () =>
    withWorld(3, async (world) => {
      const members = await world.group();
      const leader = await world.leader(members);
      await world.value(leader.propose("a"));
      await world.advance(100);
      for (const { address } of world.places) world.network.isolate(address);
      await world.advance(2_000);
      assertEquals(leader.status().role === "leader", false);
      const [lines] = await Promise.all([
        members[0]?.read(null, { consistency: "stale" }),
      ]);
      assertEquals(lines, ["a"]);
    }));

  it("waits through an election with proposals and reads (U05)", () =>
    withWorld(3, async (world) => {
      const members = await world.group();
      const early = members.map((member) => member.propose("early"));
      const reads = members.map((member) => member.read(null));
      const committed = await world.value(Promise.all(early));
      assertEquals(committed.map(({ result }) => result).sort(), [1, 2, 3]);
      assertEquals((await world.value(Promise.all(reads))).length, 3);
    }));

  it("goes on with a new leader when the old one is cut off", () =>
    withWorld(3, async (world) => {
      const members = await world.group();
      const old = await world.leader(members);
      await world.value(old.propose("before"));
      world.network.isolate(world.place(old.node).address);
      const rest = followersOf(members, old);
      const next = await world.leader(rest);
      await world.value(next.propose("after"));
      world.network.heal();
      await world.leader(members);
      assertEquals(await world.value(old.read(null)), ["before", "after"]);
    }));

  it("keeps everything over a restart of all members", () =>
    withWorld(3, async (world) => {
      const members = await world.group();
      const leader = await world.leader(members);
      for (const line of ["a", "b", "c"]) {
        await world.value(leader.propose(line));
      }
      for (const place of world.places) {
        await world.value(place.host.stop());
        place.host = await world.startHost(
          place.address,
          place.disk,
          place.events,
        );
      }
      const again = await world.group();
      await world.leader(again);
      for (const member of again) {
        assertEquals(await world.value(member.read(null)), ["a", "b", "c"]);
      }
      const committed = await world.value(
        again[1]?.propose("d") ?? Promise.reject(),
      );
      assertEquals(committed.result, 4);
    }));

  it("stores the commit index although no write waits for it", () =>
    withWorld(3, async (world) => {
      const members = await world.group();
      const leader = await world.leader(members);
      const { index } = await world.value(leader.propose("a"));
      await world.advance(500);
      const stored = world.places.map(({ disk }) =>
        disk.groups.get(1)?.hardState.commit
      );
      assertEquals(stored, [index, index, index]);
    }));

  it("hands the leadership to whom it is told, without a lost proposal", () =>
    withWorld(3, async (world) => {
      const members = await world.group();
      const leader = await world.leader(members);
      const [target] = followersOf(members, leader);
      assert(target !== undefined);
      const moved = leader.transferLeadership(target.node);
      const during = leader.propose("during");
      await world.value(moved);
      assertEquals(leader.status().leader, target.node);
      assertEquals((await world.value(during)).result, 1);
    }));

  it("chooses a successor by itself if none is named", () =>
    withWorld(3, async (world) => {
      const members = await world.group();
      const leader = await world.leader(members);
      await world.value(leader.transferLeadership());
      const next = await world.leader(members);
      assert(next !== leader);
    }));

  it("lets proposals that wait finish before a member stops", () =>
    withWorld(3, async (world) => {
      const members = await world.group();
      await world.leader(members);
      // The third would be no quorum.
      for (const member of members.slice(0, 2)) {
        const proposal = watch(member.propose("last words"));
        await world.value(member.stop());
        assertEquals(proposal().type, "resolved");
      }
    }));

  it("hands over when the leader stops, so that no election timeout passes", () =>
    withWorld(3, async (world) => {
      const members = await world.group();
      const leader = await world.leader(members);
      const rest = followersOf(members, leader);
      const before = world.clock.now();
      await world.value(leader.stop());
      const next = await world.leader(rest);
      assert(world.clock.now() - before < 500, "an election was needed");
      assertEquals((await world.value(next.propose("on"))).result, 1);
    }));
});

describe("a group of one", () => {
  it("commits alone, once its own write is durable (H46)", () =>
    withWorld(1, async (world) => {
      const [member] = await world.group();
      assert(member !== undefined);
      await world.leader([member]);
      const { disk } = world.place(1);
      disk.hold = true;
      const proposal = member.propose("a");
      await world.advance(200);
      assertEquals(member.status().appliedIndex, 1);
      assertEquals(member.pendingCount, 1);
      disk.release();
      assertEquals((await world.value(proposal)).index, 2);
    }));

  it("stops without handing over", () =>
    withWorld(1, async (world) => {
      const [member] = await world.group();
      assert(member !== undefined);
      await world.leader([member]);
      await world.value(member.stop());
      assertEquals(member.status().stopped?.code, "stopped");
    }));
});

describe("an asynchronous machine", () => {
  it("is never called again while a call is pending, and keeps no other group waiting (H110)", () =>
    withWorld(1, async (world) => {
      const slow = new SlowJournal();
      const one = await world.member(1, slow, { group: 1 });
      const two = await world.member(1, new Journal(), { group: 2 });
      await world.leader([two]);
      await world.until("one leads", () => one.status().role === "leader");
      const stuck = one.propose("slow");
      await world.until("an apply began", () => slow.applyCount === 1);
      const more = one.propose("more");
      assertEquals((await world.value(two.propose("quick"))).result, 1);
      await world.advance(1_000);
      assertEquals(slow.applyCount, 1);
      assertEquals(one.status().role, "leader");
      slow.pass();
      await world.value(stuck);
      await world.until("the next apply began", () => slow.applyCount === 2);
      slow.pass();
      await world.value(more);
      assertEquals(slow.lines, ["slow", "more"]);
    }));

  it("answers reads only once their index is applied (H101)", () =>
    withWorld(1, async (world) => {
      const slow = new SlowJournal();
      const member = await world.member(1, slow);
      await world.until("it leads", () => member.status().role === "leader");
      const first = member.propose("a");
      await world.until("an apply began", () => slow.applyCount === 1);
      const second = member.propose("b");
      await world.settle();
      assertEquals(member.status().commitIndex, 3);
      const read = watch(member.read(null));
      await world.advance(500);
      assertEquals(read().type, "pending");
      slow.pass();
      await world.value(first);
      await world.advance(500);
      assertEquals(read().type, "pending");
      slow.pass();
      await world.value(second);
      await world.settle();
      assertEquals(read(), { type: "resolved", value: ["a", "b"] });
    }));

  it("answers stale reads between its applies, never during one", () =>
    withWorld(1, async (world) => {
      const slow = new SlowJournal();
      const member = await world.member(1, slow);
      await world.until("it leads", () => member.status().role === "leader");
      const proposal = member.propose("a");
      await world.until("an apply began", () => slow.applyCount === 1);
      const read = watch(member.read(null, { consistency: "stale" }));
      await world.settle();
      assertEquals(read().type, "pending");
      slow.pass();
      await world.value(proposal);
      assertEquals(read(), { type: "resolved", value: ["a"] });
    }));
});

describe("RaftHost.stop()", () => {
  it("ends every event stream, closes the storage and leaves no timer", () =>
    withWorld(3, async (world) => {
      const members = await world.group();
      const leader = await world.leader(members);
      const collected = collectEvents(leader);
      await world.value(
        Promise.all(world.places.map(({ host }) => host.stop())),
      );
      await world.value(collected.ended);
      assertEquals(collected.events.at(-1)?.type, "stopped");
      assertEquals(world.places.map(({ disk }) => disk.closed), [
        true,
        true,
        true,
      ]);
      assertEquals(world.clock.timerCount, 0);
      assertEquals(world.clock.scheduledCount, 0);
    }));

  it("may be called twice, and is what disposing does", () =>
    withWorld(1, async (world) => {
      const { host } = world.place(1);
      assertEquals(host.stop(), host.stop());
      await world.value(host[Symbol.asyncDispose]());
      assert(host instanceof RaftHost);
    }));
});
