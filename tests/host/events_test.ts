import { describe, it } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { GroupEvents } from "../../src/host/events.ts";
import type { GroupEvent } from "../../src/status.ts";
import { addressOf, collectEvents, withWorld } from "./support/world.ts";

function follower(term: number): GroupEvent {
  return { type: "role", role: "follower", term };
}

describe("RaftGroup.events()", () => {
  it("tells first how things are, then every change in order (U13)", () =>
    withWorld(1, async (world) => {
      const [member] = await world.group();
      assert(member !== undefined);
      const collected = collectEvents(member);
      await world.leader([member]);
      await world.value(member.stop());
      await world.value(collected.ended);
      const { conf } = member.status();
      assertEquals(collected.events, [
        { type: "role", role: "follower", term: 0 },
        { type: "leader", leader: null, term: 0 },
        { type: "membership", conf, index: 0 },
        { type: "role", role: "preCandidate", term: 0 },
        { type: "role", role: "candidate", term: 1 },
        { type: "role", role: "leader", term: 1 },
        { type: "leader", leader: 1, term: 1 },
        { type: "leading", term: 1 },
        {
          type: "stopped",
          reason: { code: "stopped", message: "It was told to stop" },
        },
      ]);
    }));

  it("tells late subscribers the present, and those after the end also why", () =>
    withWorld(1, async (world) => {
      const [member] = await world.group();
      assert(member !== undefined);
      await world.leader([member]);
      const late = collectEvents(member);
      await world.settle();
      assertEquals(late.events.map(({ type }) => type), [
        "role",
        "leader",
        "leading",
        "membership",
      ]);
      await world.value(member.stop());
      const after = collectEvents(member);
      await world.value(after.ended);
      assertEquals(after.events.map(({ type }) => type), [
        "role",
        "leader",
        "leading",
        "membership",
        "stopped",
      ]);
    }));

  it("never hides a leadership that was lost and won again: the term tells (U13)", () =>
    withWorld(3, async (world) => {
      const members = await world.group();
      const leader = await world.leader(members);
      const collected = collectEvents(leader);
      const { term } = leader.status();
      await world.value(leader.transferLeadership());
      await world.value(leader.transferLeadership(leader.node));
      await world.leader(members);
      const leading = collected.events.filter(({ type }) => type === "leading");
      assertEquals(leading, [
        { type: "leading", term },
        { type: "leading", term: term + 2 },
      ]);
      collected.stop();
      await world.value(collected.ended);
    }));

  it("tells every campaign by its term", () =>
    withWorld(3, async (world) => {
      const member = await world.member(1, undefined, { preVote: false });
      const collected = collectEvents(member);
      await world.until("three campaigns", () => member.status().term === 3);
      const roles = collected.events.filter(({ type }) => type === "role");
      assertEquals(roles, [
        { type: "role", role: "follower", term: 0 },
        { type: "role", role: "candidate", term: 1 },
        { type: "role", role: "candidate", term: 2 },
        { type: "role", role: "candidate", term: 3 },
      ]);
      collected.stop();
    }));

  it("tells of peers, once per change", () =>
    withWorld(3, async (world) => {
      const [member] = await world.group();
      assert(member !== undefined);
      const collected = collectEvents(member);
      await world.settle();
      const before = collected.events.length;
      const tell = (state: Parameters<typeof world.network.peerState>[2]) =>
        world.network.peerState(addressOf(1), addressOf(2), state);
      const unreachable = {
        type: "unreachable",
        reason: "refused",
        refused: true,
      } as const;
      tell(unreachable);
      tell(unreachable);
      tell({ type: "connected", clientAddress: "web:80", incarnation: null });
      world.network.peerState(addressOf(1), "stranger:1", unreachable);
      await world.settle();
      assertEquals(collected.events.slice(before), [
        { type: "peer", node: 2, state: "unreachable", reason: "refused" },
        { type: "peer", node: 2, state: "connected", reason: null },
      ]);
      collected.stop();
    }));

  it("ends when the signal aborts, and lets go of the subscription", () =>
    withWorld(1, async (world) => {
      const [member] = await world.group();
      assert(member !== undefined);
      const one = collectEvents(member);
      const two = collectEvents(member);
      await world.settle();
      one.stop();
      await world.value(one.ended);
      const before = one.events.length;
      await world.leader([member]);
      assertEquals(one.events.length, before);
      assert(two.events.length > before);
    }));
});

describe("GroupEvents", () => {
  it("leaves out the oldest events for a slow reader and says how many", async () => {
    const events = new GroupEvents(() => []);
    const iterator = events.iterable(undefined)[Symbol.asyncIterator]();
    for (let term = 1; term <= 1_500; term++) events.emit(follower(term));
    assertEquals(await iterator.next(), {
      done: false,
      value: { type: "dropped", count: 476 },
    });
    for (let term = 477; term <= 1_500; term++) {
      assertEquals(await iterator.next(), {
        done: false,
        value: follower(term),
      });
    }
    events.emit(follower(9));
    assertEquals((await iterator.next()).value, follower(9));
  });

  it("hands events to calls that wait, in order", async () => {
    const events = new GroupEvents(() => []);
    const iterator = events.iterable(undefined)[Symbol.asyncIterator]();
    const waiting = [iterator.next(), iterator.next(), iterator.next()];
    events.emit(follower(1));
    events.emit(follower(2));
    events.end(follower(3));
    const values = (await Promise.all(waiting)).map(({ value }) => value);
    assertEquals(values, [follower(1), follower(2), follower(3)]);
    assertEquals((await iterator.next()).done, true);
    assertEquals(events.subscriberCount, 0);
  });

  it("forgets who leaves the loop", async () => {
    const events = new GroupEvents(() => [follower(1)]);
    for await (const event of events.iterable(undefined)) {
      assertEquals(event, follower(1));
      assertEquals(events.subscriberCount, 1);
      break;
    }
    assertEquals(events.subscriberCount, 0);
  });

  it("gives nothing to a signal that was aborted before", async () => {
    const events = new GroupEvents(() => [follower(1)]);
    const seen: GroupEvent[] = [];
    for await (const event of events.iterable(AbortSignal.abort())) {
      seen.push(event);
    }
    assertEquals(seen, []);
    assertEquals(events.subscriberCount, 0);
  });

  it("subscribes with the iteration, not with the call", () => {
    const events = new GroupEvents(() => []);
    events.iterable(undefined);
    assertEquals(events.subscriberCount, 0);
  });
});
