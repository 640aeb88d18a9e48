import { describe, it } from "node:test";
import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { RaftError } from "../../src/errors.ts";
import type { Message } from "../../src/core/message.ts";
import type { HostEvent } from "../../src/host/options.ts";
import { RaftHost } from "../../src/host/raft_host.ts";
import { startNode } from "../../src/host/start_node.ts";
import { FakeNetwork } from "./support/fake_network.ts";
import { FakeDisk } from "./support/fake_storage.ts";
import { Journal } from "./support/machines.ts";
import { ManualClock } from "./support/manual_clock.ts";
import {
  addressOf,
  collectEvents,
  type Place,
  type TestGroup,
  watch,
  withWorld,
  type World,
} from "./support/world.ts";

function code(error: unknown): string {
  assertInstanceOf(error, RaftError);
  return error.code;
}

/** What a host told of, of one type. */
function told<T extends HostEvent["type"]>(
  place: Place,
  type: T,
): Extract<HostEvent, { type: T }>[] {
  const found: Extract<HostEvent, { type: T }>[] = [];
  for (const event of place.events) {
    if (isType(event, type)) found.push(event);
  }
  return found;
}

function isType<T extends HostEvent["type"]>(
  event: HostEvent,
  type: T,
): event is Extract<HostEvent, { type: T }> {
  return event.type === type;
}

async function startGroups(world: World, group: number): Promise<TestGroup[]> {
  const members: TestGroup[] = [];
  for (const id of world.places.keys()) {
    members.push(await world.member(id + 1, new Journal(), { group }));
  }
  return members;
}

describe("a storage that fails", () => {
  it("stops every member of its host, settles everything and acknowledges nothing (H44)", () =>
    withWorld(3, async (world) => {
      const one = await startGroups(world, 1);
      const two = await startGroups(world, 2);
      const leader = await world.leader(one);
      await world.leader(two);
      const place = world.place(leader.node);
      const other = two[leader.node - 1];
      assert(other !== undefined);
      const collected = collectEvents(leader);
      place.disk.fail = true;
      const proposal = watch(leader.propose("a"));
      const read = watch(other.read(null));
      await world.settle();
      await world.until(
        "both stopped",
        () =>
          leader.status().stopped !== null && other.status().stopped !== null,
      );
      assertEquals(leader.status().stopped?.code, "storageFailed");
      const fate = proposal();
      assert(fate.type === "rejected");
      assertEquals(code(fate.error), "storageFailed");
      assert(read().type !== "pending");
      assertEquals(leader.pendingCount + other.pendingCount, 0);
      await world.value(collected.ended);
      assertEquals(collected.events.at(-1)?.type, "stopped");
      assertEquals(
        told(place, "stopped").map(({ group, reason }) => [group, reason.code]),
        [[1, "storageFailed"], [2, "storageFailed"]],
      );
    }));

  it("leaves the others able to go on, and the proposer's outcome unknown", () =>
    withWorld(3, async (world) => {
      const members = await world.group();
      const leader = await world.leader(members);
      world.place(leader.node).disk.fail = true;
      const error = await world.error(leader.propose("a"));
      assertInstanceOf(error, RaftError);
      assertEquals(error.outcome, "unknown");
      const rest = members.filter((member) => member !== leader);
      const next = await world.leader(rest);
      assert((await world.value(next.propose("b"))).result >= 1);
    }));

  it("refuses to start further groups on that host", () =>
    withWorld(1, async (world) => {
      const member = await world.member(1);
      await world.leader([member]);
      world.place(1).disk.fail = true;
      await world.error(member.propose("a"));
      world.place(1).disk.fail = false;
      const error = await world.error(
        world.member(1, new Journal(), { group: 2 }),
      );
      assertEquals(code(error), "storageFailed");
    }));

  it("while a group is created refuses that group", () =>
    withWorld(1, async (world) => {
      world.place(1).disk.fail = true;
      assertEquals(code(await world.error(world.member(1))), "storageFailed");
    }));

  it("sends no acknowledgement while a write is under way (H45)", () =>
    withWorld(3, async (world) => {
      const members = await world.group();
      const leader = await world.leader(members);
      await world.advance(500);
      for (const { disk } of world.places) disk.hold = true;
      const before = world.network.sent.length;
      const proposal = watch(leader.propose("a"));
      await world.advance(200);
      const answers = world.network.sent.slice(before)
        .flatMap(({ envelopes }) => envelopes)
        .filter(({ message }) => message.type === "appendEntriesResponse");
      assertEquals(answers, []);
      assertEquals(proposal().type, "pending");
      for (const { disk } of world.places) disk.release();
      await world.settle();
      assertEquals(proposal().type, "resolved");
    }));

  it("that hangs on the leader makes it hand over, although its heartbeats go on (H20)", () =>
    withWorld(3, async (world) => {
      const members = await world.group();
      const leader = await world.leader(members);
      const { disk } = world.place(leader.node);
      disk.hold = true;
      watch(leader.propose("a"));
      await world.settle();
      assertEquals(disk.heldCount, 1);
      const rest = members.filter((member) => member !== leader);
      await world.until(
        "somebody else leads",
        () => rest.some((member) => member.status().role === "leader"),
      );
      const next = await world.leader(rest);
      await world.value(next.propose("b"));
      disk.release();
      await world.leader(members);
    }));
});

describe("a machine that throws", () => {
  it("stops its member with machineFailed, and nobody else (H125, U09)", () =>
    withWorld(1, async (world) => {
      const member = await world.member(1, new Journal(), { group: 1 });
      const other = await world.member(1, new Journal(), { group: 2 });
      await world.leader([member]);
      await world.leader([other]);
      const fates = ["a", "throw", "b"].map((line) =>
        watch(member.propose(line))
      );
      await world.settle();
      assertEquals(member.status().stopped?.code, "machineFailed");
      assertEquals(member.pendingCount, 0);
      for (const fate of fates) {
        const known = fate();
        assert(known.type === "rejected");
        assertEquals(code(known.error), "machineFailed");
      }
      assertEquals((await world.value(other.propose("on"))).result, 1);
      assertEquals(told(world.place(1), "stopped").length, 1);
    }));

  it("when it fails later, asynchronously, too", () =>
    withWorld(1, async (world) => {
      class Rejecting extends Journal {
        override apply(): Promise<number[]> {
          return Promise.reject(new Error("later"));
        }
      }
      const member = await world.member(1, new Rejecting());
      await world.until("it leads", () => member.status().role === "leader");
      assertEquals(
        code(await world.error(member.propose("a"))),
        "machineFailed",
      );
      assertEquals(member.status().stopped?.code, "machineFailed");
    }));

  it("again after a restart, since the log is what it was", () =>
    withWorld(1, async (world) => {
      const member = await world.member(1);
      await world.leader([member]);
      await world.error(member.propose("throw"));
      const place = world.place(1);
      await world.value(place.host.stop());
      place.host = await world.startHost(place.address, place.disk, []);
      const again = await world.member(1);
      await world.until("it stopped", () => again.status().stopped !== null);
      assertEquals(again.status().stopped?.code, "machineFailed");
    }));
});

describe("messages that may not be believed are left out, counted and told (H131)", () => {
  const vote: Message = {
    type: "requestVote",
    from: 2,
    to: 1,
    term: 9,
    lastLogIndex: 99,
    lastLogTerm: 8,
    transfer: true,
  };

  for (
    const [what, address, group, message, reason] of [
      ["of another group", addressOf(2), 7, vote, "unknownGroup"],
      [
        "to somebody else",
        addressOf(2),
        1,
        { ...vote, to: 3 },
        "wrongReceiver",
      ],
      [
        "of nobody here, from a member's host",
        addressOf(2),
        1,
        { ...vote, from: 8 },
        "wrongAddress",
      ],
      [
        "of nobody here, who wants to be served",
        "eighth:1",
        1,
        { type: "readIndex", from: 8, to: 1, term: 0, context: 1 },
        "unknownSender",
      ],
      [
        "in one's own name",
        addressOf(2),
        1,
        { ...vote, from: 1 },
        "unknownSender",
      ],
      ["in another's name", addressOf(3), 1, vote, "wrongAddress"],
      ["from nowhere", "evil:1", 1, vote, "wrongAddress"],
      [
        "that announce a snapshot whose data never came",
        addressOf(2),
        1,
        {
          type: "installSnapshot",
          from: 2,
          to: 1,
          term: 9,
          snapshot: {
            index: 5,
            term: 1,
            conf: {
              version: 0,
              voters: [1, 2, 3],
              votersOutgoing: [],
              learners: [],
              learnersNext: [],
              staging: [],
              witnesses: [],
              autoLeave: false,
              removed: [],
              addresses: [],
              incarnations: [],
            },
          },
        },
        "unsupported",
      ],
    ] as const
  ) {
    it(`${what}: ${reason}`, () =>
      withWorld(3, async (world) => {
        const member = await world.member(1);
        world.network.inject(address, addressOf(1), [{ group, message }]);
        await world.settle();
        assertEquals(member.status().term, 0);
        const place = world.place(1);
        assertEquals(
          told(place, "ignored").map((event) => [event.address, event.reason]),
          [[address, reason]],
        );
        assertEquals(place.host.status().ignoredCount, 1);
      }));
  }

  it("and the others of the same frame are taken", () =>
    withWorld(3, async (world) => {
      const member = await world.member(1);
      world.network.inject(addressOf(2), addressOf(1), [
        { group: 7, message: vote },
        { group: 1, message: vote },
      ]);
      await world.settle();
      assertEquals(member.status().term, 9);
    }));
});

describe("a message that breaks an invariant", () => {
  it("stops that member with invariantBroken; other members and the process live (H136, U08)", () =>
    withWorld(3, async (world) => {
      const member = await world.member(1, new Journal(), { group: 1 });
      const other = await world.member(1, new Journal(), { group: 2 });
      // An entry without its payload: no leader that keeps to the protocol
      // sends one to a member that is no witness.
      world.network.inject(addressOf(2), addressOf(1), [{
        group: 1,
        message: {
          type: "appendEntries",
          from: 2,
          to: 1,
          term: 3,
          prevLogIndex: 0,
          prevLogTerm: 0,
          commitIndex: 1,
          entries: [{ type: "omitted", term: 3, index: 1 }],
        },
      }]);
      const proposal = watch(member.propose("a"));
      await world.settle();
      assertEquals(member.status().stopped?.code, "invariantBroken");
      assertEquals(proposal().type, "rejected");
      assertEquals(member.pendingCount, 0);
      await world.advance(1_000);
      assertEquals(other.status().stopped, null);
    }));
});

describe("listeners that throw", () => {
  it("end no turn (H125)", async () => {
    const clock = new ManualClock();
    const network = new FakeNetwork();
    const group = await startSole(clock, network, () => {
      throw new Error("the listener broke");
    });
    network.peerState("only:1", "peer:1", {
      type: "unreachable",
      reason: "refused",
      refused: true,
    });
    await runUntil(clock, () => group.status().role === "leader");
    const stopping = watch(group.stop());
    await runUntil(clock, () => stopping().type === "resolved");
  });
});

describe("startNode()", () => {
  it("starts a host with one group, and stopping the group stops the host", async () => {
    const clock = new ManualClock();
    const disk = new FakeDisk();
    const group = await startSole(clock, new FakeNetwork(), undefined, disk);
    await runUntil(clock, () => group.status().role === "leader");
    assertEquals(disk.closed, false);
    const stopping = watch(group[Symbol.asyncDispose]());
    await runUntil(clock, () => stopping().type === "resolved");
    assertEquals(disk.closed, true);
    assertEquals(clock.timerCount, 0);
  });

  it("leaves nothing running when the group cannot start", async () => {
    const disk = new FakeDisk();
    disk.fail = true;
    const clock = new ManualClock();
    const starting = watch(
      startSole(clock, new FakeNetwork(), undefined, disk),
    );
    await runUntil(clock, () => starting().type !== "pending");
    assertEquals(starting().type, "rejected");
    assertEquals(disk.closed, true);
  });
});

describe("RaftHost.start()", () => {
  it("closes the storage when the transport cannot start", async () => {
    const disk = new FakeDisk();
    const transport = {
      ...new FakeNetwork().transport(),
      start: () =>
        Promise.reject(new RaftError("unreachable", "The port is taken")),
    };
    const starting = watch(RaftHost.start({
      deployment: "tests",
      address: "only:1",
      storage: disk.storage(),
      transport,
      clock: new ManualClock(),
    }));
    await runUntil(new ManualClock(), () => starting().type !== "pending");
    const fate = starting();
    assert(fate.type === "rejected");
    assertEquals(code(fate.error), "unreachable");
    assertEquals(disk.closed, true);
  });
});

function startSole(
  clock: ManualClock,
  network: FakeNetwork,
  onEvent?: () => void,
  disk: FakeDisk = new FakeDisk(),
): Promise<TestGroup> {
  return startNode({
    deployment: "tests",
    address: "only:1",
    storage: disk.storage(),
    transport: network.transport(),
    clock,
    onEvent,
    group: 1,
    node: 1,
    members: [{ id: 1, address: "only:1" }],
    machine: new Journal(),
  });
}

async function runUntil(
  clock: ManualClock,
  holds: () => boolean,
): Promise<void> {
  for (let count = 0; count < 5_000; count++) {
    for (let hops = 0; hops < 20; hops++) await Promise.resolve();
    if (holds()) return;
    if (!clock.runScheduled()) clock.fireNext(clock.now() + 10);
  }
  throw new Error("It never held");
}
