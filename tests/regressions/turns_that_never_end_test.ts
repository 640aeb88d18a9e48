/**
 * Symptom: a host that should have been idle used a whole processor: with a
 * proposal that wants no forwarding while nobody led, and for ever after a
 * machine had failed, or a group was stopped, with entries left to apply.
 *
 * Cause: both asked for the next turn in every turn. The proposal went back
 * to the queue as one that may be tried again at once; a stopped member still
 * said that it had something to apply.
 *
 * Why nothing noticed: turns cost no time on the clock of the tests, which
 * wait for a state and never for a host to be idle in one of these.
 */
import { describe, it } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { tell } from "../host/support/outcomes.ts";
import { Journal } from "../host/support/machines.ts";
import { microtasks, watch, World } from "../host/support/world.ts";

/** Far more than there is anything to do for. */
const MAX_ROUNDS = 200;

/** How many rounds of turns a world runs until it is idle, time standing. */
async function roundsUntilIdle(world: World): Promise<number> {
  for (let round = 0; round < MAX_ROUNDS; round++) {
    await microtasks();
    const delivered = world.network.deliver();
    if (!world.clock.runScheduled() && !delivered) return round;
  }
  return MAX_ROUNDS;
}

describe("a host with nothing it can do runs no turns", () => {
  it("while a proposal that wants no forwarding waits for a leader", async () => {
    const world = await World.of(3);
    const member = await world.member(1);
    const options = { timeoutMs: 60_000 };
    const proposal = watch(member.propose("a", { ...options, forward: false }));
    assert(await roundsUntilIdle(world) < MAX_ROUNDS);
    const other = watch(member.propose("b", options));
    const members = [member, await world.member(2), await world.member(3)];
    await world.leader(members);
    await world.until(
      "both are settled",
      () => [proposal, other].every((fate) => fate().type !== "pending"),
    );
    assertEquals(other().type, "resolved");
    const fate = proposal();
    // Whoever leads has taken it, or it was told who that is.
    if (fate.type === "rejected") {
      assertEquals(tell(fate.error), ["notLeader", "notAppended"]);
    }
    await world.stop();
  });

  it("after its machine failed with entries left to apply (H125)", async () => {
    const world = await World.of(1);
    const machine = new Journal();
    const member = await world.member(1, machine);
    await world.leader([member]);
    const lines = Array.from({ length: 500 }, (_, i) => `line ${i}`);
    const fates = ["throw", ...lines].map((line) =>
      watch(member.propose(line))
    );
    // Every reading of the clock takes a while, so that a turn ends.
    let now = world.clock.now();
    world.clock.now = () => now += 1;
    assert(await roundsUntilIdle(world) < MAX_ROUNDS);
    assertEquals(member.status().stopped?.code, "machineFailed");
    assert(machine.lines.length < lines.length);
    assert(fates.every((fate) => fate().type === "rejected"));
    await world.stop();
  });

  it("after a group was stopped with entries left to apply", async () => {
    const world = await World.of(1);
    const place = world.place(1);
    const member = await world.member(1);
    await world.leader([member]);
    const lines = Array.from({ length: 500 }, (_, i) => `line ${i}`);
    await world.value(Promise.all(lines.map((line) => member.propose(line))));
    await world.value(place.host.stop());
    place.host = await world.startHost(place.address, place.disk, []);
    const machine = new Journal();
    // Every reading takes so long that a turn ends after its first slice.
    let now = world.clock.now();
    world.clock.now = () => now += 10;
    const again = await place.host.startGroup({
      group: 1,
      node: 1,
      members: [{ id: 1, address: place.address }],
      machine,
    });
    while (machine.lines.length === 0) world.clock.runScheduled();
    const stopped = watch(again.stop());
    assert(await roundsUntilIdle(world) < MAX_ROUNDS);
    assertEquals(stopped().type, "resolved");
    assert(machine.lines.length < lines.length);
    await world.stop();
  });
});
