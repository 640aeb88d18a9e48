import { describe, it } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { Journal } from "./support/machines.ts";
import {
  lines,
  type MemoryWorld,
  NOTHING_TRAILS,
  withMemoryWorld,
  write,
} from "./support/memory_world.ts";
import { tell } from "./support/outcomes.ts";
import { addressOf, type TestGroup } from "./support/world.ts";

/** Counts what it is given. */
class Watched extends Journal {
  given = 0;

  override apply(
    entries: Parameters<Journal["apply"]>[0],
  ): ReturnType<Journal["apply"]> {
    this.given += entries.length;
    return super.apply(entries);
  }

  override restore(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    this.given++;
    return super.restore(chunks);
  }
}

interface Scene {
  readonly data: readonly TestGroup[];
  readonly witness: TestGroup;
  readonly machine: Watched;
  readonly leader: TestGroup;
}

/** Two members with data and a third one without. */
async function withWitness(world: MemoryWorld): Promise<Scene> {
  const members = [1, 2].map((id) => ({ id, address: addressOf(id) }));
  const data: TestGroup[] = [];
  for (const id of [1, 2]) {
    const options = { ...NOTHING_TRAILS, members };
    data.push(await world.member(id, new Journal(), options));
  }
  const leader = await world.leader(data);
  await write(world, leader, lines("before", 5));
  const machine = new Watched();
  const joining = { ...NOTHING_TRAILS, join: true, members: [] };
  const witness = await world.member(3, machine, joining);
  const address = addressOf(3);
  await world.value(
    leader.changeMembership(
      { add: [{ id: 3, address, role: "witness" }] },
      // It has nothing to catch up with that it could show before.
      { force: true },
    ),
  );
  return { data, witness, machine, leader };
}

describe("a witness (C15, thesis §11.7.2)", () => {
  it("keeps no payload and gives its machine nothing (H89)", () =>
    withMemoryWorld(3, async (world) => {
      const { leader, machine, witness } = await withWitness(world);
      await write(world, leader, lines("after", 20));
      await world.until(
        "it holds the log",
        () => witness.status().commitIndex === leader.status().commitIndex,
      );
      const stored = await closedDisk(world, 3);
      const types = new Set(stored.map(({ type }) => type));
      assert(!types.has("command") && types.has("omitted"));
      assertEquals(machine.given, 0);
    }));

  it("keeps the group going when a data member is lost", () =>
    withMemoryWorld(3, async (world) => {
      const { data, leader } = await withWitness(world);
      await write(world, leader, ["both"]);
      const survivor = data.find((member) => member !== leader);
      assert(survivor !== undefined);
      await world.until(
        "both data members have it",
        () => survivor.status().lastIndex === leader.status().lastIndex,
      );
      await world.crash(leader.node);
      await world.until(
        "the other one leads",
        () => survivor.status().role === "leader",
      );
      await write(world, survivor, ["alone"]);
      const answer = await world.value(survivor.read(null));
      assertEquals(answer.slice(-2), ["both", "alone"]);
    }));

  it("never leads, whoever asks", () =>
    withMemoryWorld(3, async (world) => {
      const { leader, witness } = await withWitness(world);
      assertEquals(
        tell(await world.error(leader.transferLeadership(3)))[0],
        "notMember",
      );
      await world.crash(1);
      await world.crash(2);
      await world.advance(20_000);
      assertEquals(witness.status().role, "follower");
    }));

  it("answers no read and takes no proposal", () =>
    withMemoryWorld(3, async (world) => {
      const { witness } = await withWitness(world);
      await world.until(
        "it knows what it is",
        () => witness.status().conf.witnesses.includes(3),
      );
      for (const consistency of ["linearizable", "lease", "stale"] as const) {
        const error = await world.error(witness.read(null, { consistency }));
        assertEquals(tell(error), ["unsupported", undefined]);
      }
      assertEquals(
        tell(await world.error(witness.propose("x"))),
        ["unsupported", "notAppended"],
      );
    }));

  it("gets snapshots without their data, and starts from them again", () =>
    withMemoryWorld(3, async (world) => {
      const { leader, machine, witness } = await withWitness(world);
      await world.crash(3);
      await write(world, leader, lines("more", 20));
      const index = await world.value(leader.snapshot());
      let again = await world.restart(3, machine);
      await world.until(
        "it was brought up to date",
        () => again.status().snapshotIndex >= index,
      );
      await write(world, leader, ["last"]);
      await world.until(
        "it follows",
        () => again.status().lastIndex === leader.status().lastIndex,
      );
      await world.crash(3);
      again = await world.restart(3, machine);
      await world.until("it follows again", () => again.status().ready);
      assertEquals(machine.given, 0);
      assertEquals(witness.status().stopped !== null, true);
    }));

  it("lets a data member go by a joint configuration only", () =>
    withMemoryWorld(4, async (world) => {
      const { leader } = await withWitness(world);
      await world.member(4, new Journal(), { join: true, members: [] });
      const [gone] = [1, 2].filter((id) => id !== leader.node);
      await world.value(
        leader.changeMembership({ add: [{ id: 4, address: addressOf(4) }] }),
      );
      const { conf } = await world.value(
        leader.changeMembership({ remove: [gone ?? 0] }),
      );
      assertEquals(conf.voters, [leader.node, 3, 4].sort());
      assertEquals(conf.votersOutgoing, []);
    }));

  it("is no majority by itself: that is refused", () =>
    withMemoryWorld(4, async (world) => {
      const { leader } = await withWitness(world);
      const role = "witness" as const;
      const add = [{ id: 4, address: addressOf(4), role }];
      assertEquals(
        tell(
          await world.error(
            leader.changeMembership({
              add,
              remove: [leader.node === 1 ? 2 : 1],
            }),
          ),
        ),
        ["invalidChange", "notAppended"],
      );
    }));
});

/** The entries on a disk, once its host has stopped. */
async function closedDisk(
  world: MemoryWorld,
  id: number,
): Promise<readonly { readonly type: string }[]> {
  await world.value(world.place(id).host.stop());
  const stored = await world.value(world.disk(id).stored());
  assert(stored !== undefined);
  return stored.tail;
}
