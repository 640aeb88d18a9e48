import { describe, it } from "node:test";
import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { RaftError } from "../../src/errors.ts";
import type { GroupOptions } from "../../src/host/options.ts";
import { RaftHost } from "../../src/host/raft_host.ts";
import { FakeNetwork } from "./support/fake_network.ts";
import { FakeDisk } from "./support/fake_storage.ts";
import { Journal } from "./support/machines.ts";
import { ManualClock } from "./support/manual_clock.ts";
import { addressOf, withWorld, type World } from "./support/world.ts";

type Options = Partial<GroupOptions<string, number, null, string[]>>;

async function refusal(world: World, options: Options): Promise<unknown> {
  return await world.error(world.member(1, new Journal(), options));
}

describe("RaftHost.startGroup() refuses", () => {
  const two = [
    { id: 1, address: addressOf(1) },
    { id: 2, address: addressOf(2) },
  ];
  for (
    const [what, options, message] of [
      ["a group id below 1", { group: 0 }, "group is 0"],
      ["a group id that is no integer", { group: 1.5 }, "group is 1.5"],
      ["a node id below 1 (H15)", { node: 0 }, "node is 0"],
      [
        "a node that is not among the members",
        { node: 7 },
        "node 7 is not among",
      ],
      [
        "a member id below 1",
        { members: [...two, { id: -1, address: "x:1" }] },
        "id is -1",
      ],
      [
        "a member listed twice",
        { members: [...two, { id: 2, address: "x:1" }] },
        "member 2 is listed twice",
      ],
      [
        "two members at one address",
        { members: [...two, { id: 3, address: addressOf(2) }] },
        `share the address "${addressOf(2)}"`,
      ],
      [
        "a member without address",
        { members: [...two, { id: 3, address: "" }] },
        "address has 0 characters",
      ],
      ["no members", { members: [] }, "node 1 is not among"],
      ["a timeout of 0", { timeoutMs: 0 }, "timeoutMs is 0"],
      ["no room for proposals", { maxPendingCount: 0 }, "maxPendingCount is 0"],
      [
        "limits of the core that contradict each other",
        { heartbeatTicks: 10, electionTicks: 10 },
        "heartbeatTicks is 10",
      ],
    ] satisfies [string, Options, string][]
  ) {
    it(what, () =>
      withWorld(2, async (world) => {
        const error = await refusal(world, options);
        assertInstanceOf(error, RangeError);
        assert(error.message.includes(message), error.message);
        // Nothing was started and the place is free again.
        const member = await world.member(1);
        assertEquals(member.status().stopped, null);
      }));
  }

  it("a group that was started on the host before", () =>
    withWorld(1, async (world) => {
      const member = await world.member(1);
      const during = await refusal(world, {});
      assertInstanceOf(during, RaftError);
      assertEquals(during.code, "unsupported");
      await world.value(member.stop());
      const after = await refusal(world, {});
      assertInstanceOf(after, RaftError);
      assertEquals(after.code, "unsupported");
    }));

  it("the data of another member: identityMismatch (H80)", () =>
    withWorld(2, async (world) => {
      await world.member(1);
      const place = world.place(1);
      await world.value(place.host.stop());
      place.host = await world.startHost(place.address, place.disk, []);
      const error = await refusal(world, { node: 2 });
      assertInstanceOf(error, RaftError);
      assertEquals(error.code, "identityMismatch");
    }));

  it("a host at another address than the group knows: identityMismatch", () =>
    withWorld(1, async (world) => {
      const error = await refusal(world, {
        members: [{ id: 1, address: "elsewhere:1" }],
      });
      assertInstanceOf(error, RaftError);
      assertEquals(error.code, "identityMismatch");
    }));

  it("to start on a host that stops: stopped", () =>
    withWorld(1, async (world) => {
      const stopping = world.place(1).host.stop();
      const error = await refusal(world, {});
      assertInstanceOf(error, RaftError);
      assertEquals(error.code, "stopped");
      await world.value(stopping);
    }));

  it("a log whose snapshot is missing: corrupt", () =>
    withWorld(1, async (world) => {
      const { disk } = world.place(1);
      const member = await world.member(1);
      const { conf } = member.status();
      const place = world.place(1);
      await world.value(place.host.stop());
      const group = disk.groups.get(1);
      assert(group !== undefined);
      group.snapshot = { index: 5, term: 1, conf };
      place.host = await world.startHost(place.address, disk, []);
      const error = await refusal(world, {});
      assertInstanceOf(error, RaftError);
      assertEquals(error.code, "corrupt");
    }));
});

describe("RaftHost.startGroup()", () => {
  it("founds a group with the members given, in any order", () =>
    withWorld(3, async (world) => {
      const member = await world.member(1, new Journal(), {
        members: [3, 1, 2].map((id) => ({ id, address: addressOf(id) })),
      });
      const { conf } = member.status();
      assertEquals(conf.voters, [1, 2, 3]);
      assertEquals(conf.addresses.map(({ id }) => id), [1, 2, 3]);
      const [first] = world.place(1).disk.writes;
      assertEquals(first?.sync, true);
      assertEquals(first?.batch[0]?.create?.snapshot.conf, conf);
    }));

  it("keeps the stored configuration, whatever members are given later", () =>
    withWorld(3, async (world) => {
      const place = world.place(1);
      const before = await world.member(1);
      const { conf } = before.status();
      await world.value(place.host.stop());
      place.host = await world.startHost(place.address, place.disk, []);
      const after = await world.member(1, new Journal(), {
        members: [{ id: 1, address: addressOf(1) }],
      });
      assertEquals(after.status().conf, conf);
    }));

  it("lets the options of the core through, and no others to it", () =>
    withWorld(1, async (world) => {
      const member = await world.member(1, new Journal(), {
        electionTicks: 100,
        random: () => 0,
      });
      await world.advance(99 * 50);
      assertEquals(member.status().term, 0);
      await world.advance(4 * 50);
      assertEquals(member.status().term, 1);
    }));
});

describe("RaftHost.start() refuses", () => {
  for (
    const [what, options, kind] of [
      ["an empty deployment", { deployment: "" }, RangeError],
      ["an empty address", { address: "" }, RangeError],
      ["a name that is too long", { deployment: "x".repeat(300) }, RangeError],
      ["an empty client address", { clientAddress: "" }, RangeError],
      ["a tick of 0 ms", { tickMs: 0 }, RangeError],
      ["a tick that is no integer", { tickMs: 0.5 }, RangeError],
    ] as const
  ) {
    it(what, async () => {
      const disk = new FakeDisk();
      const starting = RaftHost.start({
        deployment: "tests",
        address: "a:1",
        storage: disk.storage(),
        transport: new FakeNetwork().transport(),
        clock: new ManualClock(),
        ...options,
      });
      const error = await starting.then(() => null, (reason) => reason);
      assertInstanceOf(error, kind);
      assertEquals(disk.writes, []);
    });
  }
});

describe("RaftGroup.status()", () => {
  it("tells of every member: address, client address, progress, contact", () =>
    withWorld(3, async (world) => {
      const members = await world.group();
      const leader = await world.leader(members);
      world.network.peerState(
        addressOf(leader.node),
        addressOf(leader.node % 3 + 1),
        { type: "connected", clientAddress: "web:80", incarnation: null },
      );
      await world.value(leader.propose("a"));
      await world.advance(200);
      const status = leader.status();
      assertEquals(status.ready, true);
      assertEquals(status.staleMs, 0);
      assertEquals(status.members.map(({ id }) => id), [1, 2, 3]);
      for (const member of status.members) {
        assertEquals(member.address, addressOf(member.id));
        assertEquals(member.role, "voter");
        assertEquals(member.matchIndex, 2);
        assertEquals(member.state, "replicate");
        assert(member.lastContactMs !== null && member.lastContactMs <= 50);
      }
      const clients = new Map(
        status.members.map(({ id, clientAddress }) => [id, clientAddress]),
      );
      assertEquals(
        clients.get(leader.node),
        `client-of-${addressOf(leader.node)}`,
      );
      assertEquals(clients.get(leader.node % 3 + 1), "web:80");
    }));

  it("tells on a follower how old a stale read may be", () =>
    withWorld(3, async (world) => {
      const members = await world.group();
      assertEquals(members[0]?.status().staleMs, null);
      const leader = await world.leader(members);
      const follower = members.find((member) => member !== leader);
      assert(follower !== undefined);
      await world.value(leader.propose("a"));
      await world.advance(1_000);
      const fresh = follower.status();
      assert(fresh.staleMs !== null && fresh.staleMs <= 50);
      assertEquals(fresh.members.map(({ matchIndex }) => matchIndex), [
        null,
        null,
        null,
      ]);
      world.network.isolate(addressOf(follower.node));
      await world.advance(5_000);
      const stale = follower.status();
      assert(stale.staleMs !== null && stale.staleMs >= 5_000);
      assertEquals(stale.ready, false);
    }));

  it("does not change afterwards", () =>
    withWorld(1, async (world) => {
      const member = await world.member(1);
      const before = member.status();
      const copy = structuredClone(before);
      await world.leader([member]);
      await world.value(member.propose("a"));
      assertEquals(before, copy);
    }));
});
