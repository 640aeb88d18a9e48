import { describe, it } from "node:test";
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertStrictEquals,
} from "@std/assert";
import { RaftError } from "../../src/errors.ts";
import { Journal } from "./support/machines.ts";
import { isolate, leaderAndFollower, lose, tell } from "./support/outcomes.ts";
import { watch, withWorld } from "./support/world.ts";

describe("a proposal that was certainly not appended says so (H104)", () => {
  it("refused by the machine's schema: invalidCommand", () =>
    withWorld(1, async (world) => {
      const member = await world.member(1);
      const wrong: unknown = 7;
      const error = await world.error(member.propose(wrong as string));
      assertEquals(tell(error), ["invalidCommand", "notAppended"]);
      assertEquals(member.pendingCount, 0);
    }));

  it("larger than an entry may be: tooLarge", () =>
    withWorld(1, async (world) => {
      const member = await world.member(1, new Journal(), {
        maxEntryBytes: 100,
      });
      const error = await world.error(member.propose("x".repeat(200)));
      assertEquals(tell(error), ["tooLarge", "notAppended"]);
    }));

  it("too many wait already: overloaded (H36)", () =>
    withWorld(1, async (world) => {
      const member = await world.member(1, new Journal(), {
        maxPendingCount: 3,
      });
      const taken = ["a", "b", "c"].map((line) => member.propose(line));
      const error = await world.error(member.propose("d"));
      assertEquals(tell(error), ["overloaded", "notAppended"]);
      await world.value(Promise.all(taken));
      assertEquals((await world.value(member.propose("e"))).result, 4);
    }));

  it("too many bytes wait already: overloaded (H36)", () =>
    withWorld(1, async (world) => {
      const member = await world.member(1, new Journal(), {
        maxPendingBytes: 150,
      });
      const taken = member.propose("x".repeat(100));
      const error = await world.error(member.propose("y".repeat(100)));
      assertEquals(tell(error), ["overloaded", "notAppended"]);
      await world.value(taken);
    }));

  it("no leader until the deadline: noLeader", () =>
    withWorld(3, async (world) => {
      const member = await world.member(1);
      const error = await world.error(member.propose("a", { timeoutMs: 900 }));
      assertEquals(tell(error), ["noLeader", "notAppended"]);
    }));

  it("forwarding is off and another member leads: notLeader, naming it (U06)", () =>
    withWorld(3, async (world) => {
      const members = await world.group();
      const [leader, follower] = await leaderAndFollower(world, members);
      const error = await world.error(
        follower.propose("a", { forward: false }),
      );
      assertEquals(tell(error), ["notLeader", "notAppended"]);
      assertInstanceOf(error, RaftError);
      assertEquals(error.leader, leader.node);
    }));

  it("forwarding is off for the whole group: notLeader, naming the leader", () =>
    withWorld(3, async (world) => {
      const members = await world.group({ forwardProposals: false });
      const [leader, follower] = await leaderAndFollower(world, members);
      const error = await world.error(follower.propose("a"));
      assertEquals(tell(error), ["notLeader", "notAppended"]);
      assertInstanceOf(error, RaftError);
      assertEquals(error.leader, leader.node);
    }));

  it("its leader was replaced and another entry took its place: leadershipLost (H105)", () =>
    withWorld(3, async (world) => {
      const members = await world.group();
      const [old] = await leaderAndFollower(world, members);
      isolate(world, old);
      const lost = watch(old.propose("lost"));
      const alsoLost = watch(old.propose("also lost"));
      await world.advance(100);
      const rest = members.filter((member) => member !== old);
      const next = await world.leader(rest);
      // The new leader's own opening entry lands where "lost" was.
      assertEquals(next.status().lastIndex, 2);
      world.network.heal();
      await world.leader(members);
      for (const fate of [lost(), alsoLost()]) {
        assert(fate.type === "rejected");
        assertEquals(tell(fate.error), ["leadershipLost", "notAppended"]);
      }
      assertEquals(await world.value(old.read(null)), []);
    }));

  it("never left this host because the queue to the leader was full: retried until it is taken", () =>
    withWorld(3, async (world) => {
      const members = await world.group();
      const [leader, follower] = await leaderAndFollower(world, members);
      const { address } = world.place(leader.node);
      world.network.full.add(address);
      const proposal = follower.propose("a");
      await world.advance(100);
      world.network.full.delete(address);
      assertEquals((await world.value(proposal)).result, 1);
      await world.advance(200);
      assertEquals(await world.value(leader.read(null)), ["a"]);
    }));

  it("queued when the member stops: stopped", () =>
    withWorld(3, async (world) => {
      const member = await world.member(1);
      const proposal = watch(member.propose("a"));
      await world.value(member.stop());
      const fate = proposal();
      assert(fate.type === "rejected");
      assertEquals(tell(fate.error), ["stopped", "notAppended"]);
    }));

  it("made after the member stopped: stopped", () =>
    withWorld(1, async (world) => {
      const member = await world.member(1);
      await world.value(member.stop());
      assertEquals(
        tell(await world.error(member.propose("a"))),
        ["stopped", "notAppended"],
      );
    }));

  it("with a timeout that is none: RangeError", () =>
    withWorld(1, async (world) => {
      const member = await world.member(1);
      for (const timeoutMs of [0, -1, NaN]) {
        const error = await world.error(member.propose("a", { timeoutMs }));
        assertInstanceOf(error, RangeError);
      }
      assertEquals(member.pendingCount, 0);
    }));
});

describe("a proposal whose outcome nobody knows says so (H104)", () => {
  it("appended by a leader that reaches nobody until the deadline: timeout", () =>
    withWorld(3, async (world) => {
      const members = await world.group({ checkQuorum: false });
      const [leader] = await leaderAndFollower(world, members);
      isolate(world, leader);
      const error = await world.error(
        leader.propose("maybe", { timeoutMs: 300 }),
      );
      assertEquals(tell(error), ["timeout", "unknown"]);
      assertEquals(leader.pendingCount, 0);
    }));

  it("and it may be applied afterwards all the same", () =>
    withWorld(3, async (world) => {
      const members = await world.group({ checkQuorum: false });
      const [leader] = await leaderAndFollower(world, members);
      isolate(world, leader);
      await world.error(leader.propose("maybe", { timeoutMs: 300 }));
      world.network.heal();
      await world.advance(1_000);
      assertEquals(await world.value(leader.read(null)), ["maybe"]);
    }));

  it("forwarded, but the answer is lost: timeout, and it is not sent again (H102)", () =>
    withWorld(3, async (world) => {
      const members = await world.group();
      const [leader, follower] = await leaderAndFollower(world, members);
      lose(world, leader, "proposeResponse");
      const error = await world.error(
        follower.propose("once", { timeoutMs: 2_000 }),
      );
      assertEquals(tell(error), ["timeout", "unknown"]);
      world.network.heal();
      await world.advance(2_000);
      assertEquals(await world.value(leader.read(null)), ["once"]);
    }));

  it("forwarded to a leader that is replaced before it answers: leadershipLost, without waiting for the deadline", () =>
    withWorld(3, async (world) => {
      const members = await world.group();
      const [leader, follower] = await leaderAndFollower(world, members);
      isolate(world, leader);
      const before = world.clock.now();
      const error = await world.error(
        follower.propose("a", { timeoutMs: 60_000 }),
      );
      assertEquals(tell(error), ["leadershipLost", "unknown"]);
      assert(world.clock.now() - before < 10_000);
    }));

  it("appended when the member is stopped: stopped", () =>
    withWorld(3, async (world) => {
      const members = await world.group();
      const [leader] = await leaderAndFollower(world, members);
      isolate(world, leader);
      const proposal = watch(leader.propose("a"));
      await world.advance(100);
      await world.value(leader.stop());
      const fate = proposal();
      assert(fate.type === "rejected");
      assertEquals(tell(fate.error), ["stopped", "unknown"]);
    }));
});

describe("a forwarded proposal", () => {
  it("gets its result although the answer arrives after the entry was applied", () =>
    withWorld(3, async (world) => {
      const members = await world.group();
      const [leader, follower] = await leaderAndFollower(world, members);
      const from = world.place(leader.node).address;
      const to = world.place(follower.node).address;
      lose(world, leader, "proposeResponse");
      const late = watch(follower.propose("late"));
      await world.settle();
      world.network.heal();
      // What was lost comes after all, behind everything else.
      const answers = world.network.sent.filter((frame) => frame.to === to)
        .flatMap(({ envelopes }) => envelopes)
        .filter(({ message }) => message.type === "proposeResponse");
      assertEquals(answers.length, 1);
      await world.leader(members);
      await world.value(leader.propose("more"));
      await world.advance(200);
      assertEquals(late().type, "pending");
      world.network.inject(from, to, answers);
      await world.settle();
      const fate = late();
      assert(fate.type === "resolved");
      assertEquals([fate.value.result, fate.value.index], [1, 2]);
    }));

  it("is taken once although the network delivers everything twice", () =>
    withWorld(3, async (world) => {
      const members = await world.group();
      const [leader, follower] = await leaderAndFollower(world, members);
      let count = 0;
      world.network.drop = (frame) => {
        const answers = frame.envelopes.filter(({ message }) =>
          message.type === "proposeResponse"
        );
        if (answers.length > 0 && count++ < 20) {
          world.network.inject(frame.from, frame.to, answers);
        }
        return false;
      };
      assertEquals((await world.value(follower.propose("a"))).result, 1);
      assertEquals((await world.value(follower.propose("b"))).result, 2);
      assertEquals(await world.value(leader.read(null)), ["a", "b"]);
    }));
});

describe("AbortSignal", () => {
  it("ends the wait with the signal's reason, not the proposal", () =>
    withWorld(3, async (world) => {
      const members = await world.group({ checkQuorum: false });
      const [leader] = await leaderAndFollower(world, members);
      isolate(world, leader);
      const controller = new AbortController();
      const proposal = watch(
        leader.propose("a", { signal: controller.signal }),
      );
      await world.advance(100);
      const reason = new Error("changed my mind");
      controller.abort(reason);
      await world.settle();
      const fate = proposal();
      assert(fate.type === "rejected");
      assertStrictEquals(fate.error, reason);
      assertEquals(leader.pendingCount, 0);
      world.network.heal();
      await world.advance(1_000);
      assertEquals(await world.value(leader.read(null)), ["a"]);
    }));

  it("keeps a proposal that was still queued out of the log", () =>
    withWorld(3, async (world) => {
      const first = await world.member(1);
      const controller = new AbortController();
      const proposal = watch(first.propose("a", { signal: controller.signal }));
      await world.advance(100);
      controller.abort();
      await world.settle();
      assertEquals(proposal().type, "rejected");
      const members = [first, await world.member(2), await world.member(3)];
      await world.leader(members);
      assertEquals(await world.value(first.read(null)), []);
    }));

  it("refuses at once what was aborted before, and lets go of signals that settle", () =>
    withWorld(1, async (world) => {
      const member = await world.member(1);
      await world.leader([member]);
      const gone = AbortSignal.abort(new Error("gone"));
      const error = await world.error(member.propose("a", { signal: gone }));
      assertStrictEquals(error, gone.reason);
      await world.error(member.read(null, { signal: gone }));
      const controller = new AbortController();
      const { signal } = controller;
      await world.value(member.propose("b", { signal }));
      await world.value(member.read(null, { signal }));
      controller.abort();
      await world.settle();
      assertEquals(await world.value(member.read(null)), ["b"]);
    }));

  it("ends reads and transfers too", () =>
    withWorld(3, async (world) => {
      const member = await world.member(1);
      const controller = new AbortController();
      const { signal } = controller;
      const fates = [
        watch(member.read(null, { signal })),
        watch(member.transferLeadership(2, { signal })),
      ];
      await world.advance(100);
      const reason = new Error("enough");
      controller.abort(reason);
      await world.settle();
      for (const fate of fates) {
        assertEquals(fate(), { type: "rejected", error: reason });
      }
      assertEquals(member.pendingCount, 0);
    }));
});
