import { describe, it } from "node:test";
import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { RaftError } from "../../src/errors.ts";
import { isolate, leaderAndFollower, lose, tell } from "./support/outcomes.ts";
import { watch, withWorld } from "./support/world.ts";

describe("Session.propose()", () => {
  it("gives the first result again for a sequence that was applied (U07)", () =>
    withWorld(3, async (world) => {
      const members = await world.group();
      const [leader, follower] = await leaderAndFollower(world, members);
      const session = leader.session("client");
      const first = await world.value(session.propose("a"));
      const again = await world.value(
        follower.session("client").propose("a", { sequence: 0 }),
      );
      assertEquals([first.result, again.result], [1, 1]);
      assertEquals(await world.value(leader.read(null)), ["a"]);
    }));

  it("finds out by itself what became of a command whose leader died (H102)", () =>
    withWorld(3, async (world) => {
      const members = await world.group();
      const [leader, follower] = await leaderAndFollower(world, members);
      lose(world, leader, "proposeResponse");
      const proposal = watch(follower.session("client").propose("a"));
      await world.settle();
      isolate(world, leader);
      await world.until(
        "the session knows",
        () => proposal().type !== "pending",
      );
      const fate = proposal();
      assert(fate.type === "resolved");
      assertEquals(fate.value.result, 1);
      assertEquals(await world.value(follower.read(null)), ["a"]);
    }));

  it("numbers its commands by itself, also when they wait together", () =>
    withWorld(1, async (world) => {
      const member = await world.member(1);
      const session = member.session("client");
      const all = await world.value(
        Promise.all(["a", "b", "c"].map((line) => session.propose(line))),
      );
      assertEquals(all.map(({ result }) => result), [1, 2, 3]);
    }));

  it("gives up at its deadline", () =>
    withWorld(3, async (world) => {
      const member = await world.member(1);
      const before = world.clock.now();
      const error = await world.error(
        member.session("client").propose("a", { timeoutMs: 5_000 }),
      );
      assertEquals(tell(error), ["noLeader", "notAppended"]);
      assert(world.clock.now() - before < 6_000);
    }));

  it("never calls a command not appended that an attempt left in a log (H104)", () =>
    withWorld(3, async (world) => {
      const members = await world.group();
      const [leader, follower] = await leaderAndFollower(world, members);
      isolate(world, leader);
      const proposal = watch(
        leader.session("client").propose("a", { timeoutMs: 5_000 }),
      );
      await world.until("it gave up", () => proposal().type !== "pending");
      const fate = proposal();
      assert(fate.type === "rejected");
      assertEquals(tell(fate.error), ["noLeader", "unknown"]);
      assertEquals(leader.status().lastIndex, leader.status().commitIndex + 1);
      const repeat = follower.session("client").propose("a", { sequence: 0 });
      assertEquals((await world.value(repeat)).result, 1);
    }));

  it("is passed on by nobody without forwarding: notLeader, naming the leader (U06)", () =>
    withWorld(3, async (world) => {
      const members = await world.group();
      const [leader, follower] = await leaderAndFollower(world, members);
      const options = { sequence: 7, forward: false };
      const error = await world.error(
        follower.session("client").propose("a", options),
      );
      assertEquals(tell(error), ["notLeader", "notAppended"]);
      assertInstanceOf(error, RaftError);
      assertEquals(error.leader, leader.node);
      assertEquals(await world.value(leader.read(null)), []);
      const there = leader.session("client").propose("a", options);
      assertEquals((await world.value(there)).result, 1);
    }));

  it("refuses a client id that is none", () =>
    withWorld(1, async (world) => {
      const member = await world.member(1);
      const error = await world.error(member.session("").propose("a"));
      assertEquals(tell(error), ["invalidCommand", "notAppended"]);
    }));
});

describe("transferLeadership()", () => {
  it("rejects with unreachable when the target does not take over (H113)", () =>
    withWorld(3, async (world) => {
      const members = await world.group();
      const [leader, follower] = await leaderAndFollower(world, members);
      isolate(world, follower);
      const error = await world.error(
        leader.transferLeadership(follower.node),
      );
      assertEquals(tell(error)[0], "unreachable");
      assertEquals((await world.value(leader.propose("a"))).result, 1);
    }));

  it("rejects with notMember for somebody who is none", () =>
    withWorld(1, async (world) => {
      const member = await world.member(1);
      await world.leader([member]);
      const error = await world.error(member.transferLeadership(9));
      assertEquals(tell(error)[0], "notMember");
    }));

  it("is passed on by a follower that names the target, and refused to one that does not", () =>
    withWorld(3, async (world) => {
      const members = await world.group();
      const [leader, follower] = await leaderAndFollower(world, members);
      const error = await world.error(follower.transferLeadership());
      assertEquals(tell(error)[0], "notLeader");
      await world.value(follower.transferLeadership(follower.node));
      assertEquals((await world.leader(members)).node, follower.node);
      assert(leader.status().role === "follower");
    }));
});
