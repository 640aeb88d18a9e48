import { describe, it } from "node:test";
import { assert, assertEquals } from "@std/assert";
import type { MembershipChange } from "../../src/host/membership_change.ts";
import type { ConfState } from "../../src/core/types.ts";
import { Journal } from "./support/machines.ts";
import {
  lines,
  type MemoryWorld,
  withMemoryWorld,
  write,
} from "./support/memory_world.ts";
import { isolate, tell } from "./support/outcomes.ts";
import {
  addressOf,
  collectEvents,
  type TestGroup,
  watch,
  type World,
} from "./support/world.ts";

const JOINING = { join: true, members: [] } as const;

/** The founding members on the first hosts; the other hosts are spare. */
async function founders(
  world: World,
  count: number,
  options: Parameters<World["group"]>[0] = {},
): Promise<{ readonly leader: TestGroup; readonly members: TestGroup[] }> {
  const addresses = Array.from({ length: count }, (_, at) => ({
    id: at + 1,
    address: addressOf(at + 1),
  }));
  const members: TestGroup[] = [];
  for (let id = 1; id <= count; id++) {
    const founding = { ...options, members: addresses };
    members.push(await world.member(id, new Journal(), founding));
  }
  return { leader: await world.leader(members), members };
}

function newcomer(id: number): { id: number; address: string } {
  return { id, address: addressOf(id) };
}

/** The parts of a configuration that tests look at. */
function parts(conf: ConfState): unknown {
  const { voters, votersOutgoing, learners, removed } = conf;
  return { voters, votersOutgoing, learners, removed };
}

async function refusal(
  world: World,
  member: TestGroup,
  change: MembershipChange,
  options: Parameters<TestGroup["changeMembership"]>[1] = {},
): Promise<unknown> {
  return tell(
    await world.error(member.changeMembership(change, options)),
  );
}

async function holds(
  world: MemoryWorld,
  member: TestGroup,
  lines: readonly string[],
): Promise<void> {
  const answer = await world.value(member.read(null));
  assertEquals(answer, [...lines]);
}

describe("changeMembership()", () => {
  it("adds a voter that joins while writes go on (thesis §4.2.1)", () =>
    withMemoryWorld(4, async (world) => {
      const { leader } = await founders(world, 3);
      const written = lines("a", 30);
      await write(world, leader, written);
      const joined = await world.member(4, new Journal(), JOINING);
      const events = collectEvents(joined);
      const changing = watch(leader.changeMembership({ add: [newcomer(4)] }));
      const more = lines("b", 30);
      await write(world, leader, more);
      await world.until("it is done", () => changing().type !== "pending");
      const { conf } = leader.status();
      assertEquals(parts(conf), {
        voters: [1, 2, 3, 4],
        votersOutgoing: [],
        learners: [],
        removed: [],
      });
      await holds(world, joined, [...written, ...more]);
      assertEquals(
        events.events.filter(({ type }) => type === "membership").length > 1,
        true,
      );
      events.stop();
    }));

  it("lets nobody vote who has not caught up, and may be repeated (H81)", () =>
    withMemoryWorld(4, async (world) => {
      const { leader } = await founders(world, 3);
      const change = { add: [newcomer(4)] };
      const timeoutMs = 3_000;
      assertEquals(
        await refusal(world, leader, change, { timeoutMs }),
        ["timeout", "unknown"],
      );
      assertEquals(leader.status().conf.voters, [1, 2, 3]);
      assertEquals(leader.status().conf.learners, [4]);
      await world.member(4, new Journal(), JOINING);
      const { conf } = await world.value(leader.changeMembership(change));
      assertEquals(conf.voters, [1, 2, 3, 4]);
    }));

  it("replaces every member at once; the old ones stop (thesis §4.3)", () =>
    withMemoryWorld(6, async (world) => {
      const { leader, members } = await founders(world, 3);
      const written = lines("a", 10);
      await write(world, leader, written);
      const fresh: TestGroup[] = [];
      for (const id of [4, 5, 6]) {
        fresh.push(await world.member(id, new Journal(), JOINING));
      }
      const { conf } = await world.value(leader.changeMembership({
        add: [4, 5, 6].map(newcomer),
        remove: [1, 2, 3],
      }));
      assertEquals(parts(conf), {
        voters: [4, 5, 6],
        votersOutgoing: [],
        learners: [],
        removed: [1, 2, 3],
      });
      const successor = await world.leader(fresh);
      await write(world, successor, ["b"]);
      for (const member of fresh) await holds(world, member, [...written, "b"]);
      await world.until(
        "the old ones have stopped",
        () =>
          members.every((member) =>
            member.status().stopped?.code === "removed"
          ),
      );
      assertEquals(
        await refusal(world, successor, { add: [newcomer(2)] }),
        ["removedMember", "notAppended"],
      );
    }));

  it("promotes, demotes and removes in one go", () =>
    withMemoryWorld(4, async (world) => {
      const { leader } = await founders(world, 3);
      await world.member(4, new Journal(), JOINING);
      const learner = { ...newcomer(4), role: "learner" } as const;
      const first = await world.value(
        leader.changeMembership({ add: [learner] }),
      );
      assertEquals(first.conf.learners, [4]);
      const [demoted, removed] = [1, 2, 3].filter((id) => id !== leader.node);
      assert(demoted !== undefined && removed !== undefined);
      const { conf } = await world.value(leader.changeMembership({
        promote: [4],
        demote: [demoted],
        remove: [removed],
      }));
      assertEquals(parts(conf), {
        voters: [leader.node, 4].sort(),
        votersOutgoing: [],
        learners: [demoted],
        removed: [removed],
      });
    }));

  it("leaves promoting a staging member to the leader (thesis §4.2.1)", () =>
    withMemoryWorld(4, async (world) => {
      const { leader } = await founders(world, 3);
      const staging = { ...newcomer(4), role: "staging" } as const;
      const { conf } = await world.value(
        leader.changeMembership({ add: [staging] }),
      );
      assertEquals([conf.learners, conf.staging], [[4], [4]]);
      await world.advance(3_000);
      assertEquals(leader.status().conf.voters, [1, 2, 3]);
      await world.member(4, new Journal(), JOINING);
      await world.until(
        "it votes",
        () => leader.status().conf.voters.includes(4),
      );
      assertEquals(leader.status().conf.staging, []);
    }));

  it("tells a removed member at once, before it asks (H79)", () =>
    withMemoryWorld(3, async (world) => {
      const { leader, members } = await founders(world, 3);
      const gone = members.find((member) => member !== leader);
      assert(gone !== undefined);
      await world.value(leader.changeMembership({ remove: [gone.node] }));
      await world.settle();
      assertEquals(gone.status().stopped?.code, "removed");
    }));

  it("hands over before a leader that removes itself goes (H78)", () =>
    withMemoryWorld(3, async (world) => {
      const { leader, members } = await founders(world, 3);
      const { term } = leader.status();
      const others = members.filter((member) => member !== leader);
      await world.value(leader.changeMembership({ remove: [leader.node] }));
      const successor = await world.leader(others);
      assertEquals(successor.status().term, term + 1);
      await write(world, successor, ["after"]);
      await world.until(
        "the old leader has stopped",
        () => leader.status().stopped?.code === "removed",
      );
    }));

  it("stays in a joint configuration until told to leave it", () =>
    withMemoryWorld(3, async (world) => {
      const { leader } = await founders(world, 3);
      const gone = leader.node === 3 ? 2 : 3;
      const stay = [1, 2, 3].filter((id) => id !== gone);
      const { conf } = await world.value(
        leader.changeMembership({ remove: [gone] }, { leave: "explicit" }),
      );
      assertEquals(conf.voters, stay);
      assertEquals(conf.votersOutgoing, [1, 2, 3]);
      await world.advance(5_000);
      assertEquals(leader.status().conf.votersOutgoing, [1, 2, 3]);
      assertEquals(
        await refusal(world, leader, { remove: [stay[0] ?? 0] }),
        ["changePending", "notAppended"],
      );
      const left = await world.value(leader.leaveJoint());
      assertEquals(left.conf.votersOutgoing, []);
      assertEquals(left.conf.removed, [gone]);
    }));

  it("moves a member to another address (H88)", () =>
    withMemoryWorld(4, async (world) => {
      const { leader, members } = await founders(world, 3);
      const mover = members.find((member) => member !== leader);
      assert(mover !== undefined);
      const id = mover.node;
      await world.value(
        leader.changeMembership({ update: [{ id, address: addressOf(4) }] }),
      );
      await world.crash(id);
      const place = world.place(id);
      const spare = world.place(4);
      await world.value(spare.host.stop());
      place.host = await world.startHost(addressOf(4), place.disk, []);
      const again = await world.member(id, new Journal(), { moved: true });
      await write(world, leader, ["there"]);
      await holds(world, again, ["there"]);
    }));
});

describe("changeMembership() refuses", () => {
  it("what is not a leader's to do, naming the leader", () =>
    withMemoryWorld(3, async (world) => {
      const { leader, members } = await founders(world, 3);
      const follower = members.find((member) => member !== leader);
      assert(follower !== undefined);
      const error = await world.error(
        follower.changeMembership({ remove: [leader.node] }),
      );
      assertEquals(tell(error), ["notLeader", "notAppended"]);
      assertEquals(Reflect.get(Object(error), "leader"), leader.node);
    }));

  it("a change meant for another configuration (H90)", () =>
    withMemoryWorld(3, async (world) => {
      const { leader } = await founders(world, 3);
      const { version } = leader.status().conf;
      const change = { demote: [leader.node === 3 ? 2 : 3] };
      assertEquals(
        await refusal(world, leader, change, { expect: version + 1 }),
        ["conflict", "notAppended"],
      );
      const { conf } = await world.value(
        leader.changeMembership(change, { expect: version }),
      );
      assertEquals(conf.version, version + 1);
    }));

  it("a second change while one is under way (H83)", () =>
    withMemoryWorld(4, async (world) => {
      const { leader } = await founders(world, 3);
      const first = watch(leader.changeMembership({ add: [newcomer(4)] }));
      assertEquals(
        await refusal(world, leader, { remove: [4] }),
        ["changePending", "notAppended"],
      );
      assertEquals(first().type, "pending");
    }));

  it("unknown members, and configurations that cannot be (H84)", () =>
    withMemoryWorld(3, async (world) => {
      const { leader } = await founders(world, 3);
      const cases: [MembershipChange, string][] = [
        [{ promote: [9] }, "unknownMember"],
        [{ remove: [9] }, "unknownMember"],
        [{ demote: [9] }, "unknownMember"],
        [{ remove: [1, 2, 3] }, "invalidChange"],
        [{}, "invalidChange"],
        [{ update: [{ id: 1, address: addressOf(2) }] }, "invalidChange"],
      ];
      for (const [change, code] of cases) {
        const told = await refusal(world, leader, change, { timeoutMs: 500 });
        assertEquals(Array.isArray(told) && told[0], code);
      }
      assertEquals(leader.status().conf.voters, [1, 2, 3]);
    }));

  it("to leave the group without a quorum that lives, unless forced", () =>
    withMemoryWorld(3, async (world) => {
      const { leader, members } = await founders(world, 3);
      const [dead, alive] = members.filter((member) => member !== leader);
      assert(dead !== undefined && alive !== undefined);
      isolate(world, dead);
      await world.advance(2_000);
      const change = { remove: [alive.node] };
      assertEquals(
        await refusal(world, leader, change),
        ["quorumAtRisk", "notAppended"],
      );
      const forced = watch(leader.changeMembership(change, { force: true }));
      await world.advance(500);
      // Committed by the old quorum, in which the removed one still counts.
      assertEquals(forced().type, "resolved");
    }));

  it("malformed ids, addresses and roles", () =>
    withMemoryWorld(1, async (world) => {
      const { leader } = await founders(world, 1);
      const role: unknown = "king";
      const cases: unknown[] = [
        { remove: [0] },
        { promote: [1.5] },
        { add: [{ id: 2, address: "" }] },
        { add: [{ ...newcomer(2), role }] },
      ];
      for (const change of cases) {
        const error = await world.error(
          leader.changeMembership(Object(change)),
        );
        assert(error instanceof RangeError || error instanceof TypeError);
      }
    }));
});
