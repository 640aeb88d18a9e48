import { describe, it } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { HostEngine } from "../../src/host/host_engine.ts";
import { seededRandom } from "../../src/host/random.ts";
import { FakeDisk } from "./support/fake_storage.ts";
import { FakeNetwork } from "./support/fake_network.ts";
import { Journal } from "./support/machines.ts";
import { ManualClock } from "./support/manual_clock.ts";
import { addressOf, TICK_MS, withWorld, type World } from "./support/world.ts";

/** Contexts and tickets under which member `id` has asked so far. */
function requestsOf(world: World, id: number): number[] {
  return world.network.sent
    .filter(({ from }) => from === addressOf(id))
    .flatMap(({ envelopes }) => envelopes.map(({ message }) => message))
    .flatMap((message) => {
      if (message.type === "readIndex") return [message.context];
      return message.type === "propose" ? [message.ticket] : [];
    });
}

describe("a member in its next life", () => {
  it("names no request as before, though its generator repeats itself (H96)", () =>
    withWorld(3, async (world) => {
      const members = await world.group();
      const leader = await world.leader(members);
      const id = leader.node === 2 ? 3 : 2;
      const follower = members[id - 1];
      assert(follower !== undefined);
      await world.value(follower.read(null));
      await world.value(follower.propose("first"));
      const before = requestsOf(world, id);
      const place = world.place(id);
      await world.value(place.host.stop());
      place.host = await world.startHost(place.address, place.disk, []);
      const random = seededRandom(id);
      const again = await world.member(id, new Journal(), { random });
      await world.until("it follows", () => again.status().ready);
      await world.value(again.read(null));
      await world.value(again.propose("second"));
      const after = requestsOf(world, id).slice(before.length);
      assert(before.length >= 2 && after.length >= 2);
      assertEquals(after.filter((name) => before.includes(name)), []);
    }));
});

describe("a host that strangers talk to", () => {
  it("remembers the latest 4 096 addresses and no more (H126)", () => {
    const engine = new HostEngine({
      clock: new ManualClock(),
      storage: new FakeDisk().storage(),
      transport: new FakeNetwork().transport(),
      tickMs: TICK_MS,
      random: seededRandom(1),
      address: addressOf(1),
      clientAddress: null,
      onEvent: undefined,
    });
    const type = "connected";
    for (let i = 0; i <= 4_096; i++) {
      const clientAddress = `web-${i}:80`;
      const state = { type, clientAddress, incarnation: null } as const;
      engine.peerState(`host-${i}:1`, state);
    }
    assertEquals(engine.clientAddressAt("host-0:1"), null);
    assertEquals(engine.clientAddressAt("host-2:1"), "web-2:80");
    assertEquals(engine.clientAddressAt("host-4096:1"), "web-4096:80");
    engine.close();
  });
});
