/**
 * Several hosts in one process, with time and network in the test's hands.
 *
 * @module
 */
import type { GroupOptions, HostEvent } from "../../../src/host/options.ts";
import type { RaftGroup } from "../../../src/host/raft_group.ts";
import { RaftHost } from "../../../src/host/raft_host.ts";
import { seededRandom } from "../../../src/host/random.ts";
import type { StateMachine } from "../../../src/state_machine.ts";
import type { GroupEvent } from "../../../src/status.ts";
import { FakeNetwork } from "./fake_network.ts";
import { FakeDisk } from "./fake_storage.ts";
import { Journal } from "./machines.ts";
import { ManualClock } from "./manual_clock.ts";

export type TestGroup = RaftGroup<string, number, null, string[]>;
export type TestMachine = StateMachine<string, number, null, string[]>;

export const TICK_MS = 50;

/** One host and what it is made of. */
export interface Place {
  readonly address: string;
  readonly disk: FakeDisk;
  readonly events: HostEvent[];
  host: RaftHost;
}

/** What became of a promise, once it is known. */
export type Fate<T> =
  | { readonly type: "pending" }
  | { readonly type: "resolved"; readonly value: T }
  | { readonly type: "rejected"; readonly error: unknown };

export class World {
  readonly clock: ManualClock = new ManualClock();
  readonly network: FakeNetwork = new FakeNetwork();
  readonly places: Place[] = [];

  /** Starts that many hosts, at `host-1:1` and so on. */
  static async of(count: number): Promise<World> {
    const world = new World();
    for (let id = 1; id <= count; id++) {
      const address = addressOf(id);
      const disk = new FakeDisk();
      const events: HostEvent[] = [];
      const host = await world.startHost(address, disk, events);
      world.places.push({ address, disk, events, host });
    }
    return world;
  }

  startHost(
    address: string,
    disk: FakeDisk,
    events: HostEvent[],
  ): Promise<RaftHost> {
    return RaftHost.start({
      deployment: "tests",
      address,
      clientAddress: `client-of-${address}`,
      storage: disk.storage(),
      transport: this.network.transport(),
      clock: this.clock,
      tickMs: TICK_MS,
      onEvent: (event) => events.push(event),
    });
  }

  place(id: number): Place {
    const place = this.places[id - 1];
    if (place === undefined) throw new Error(`No host ${id}`);
    return place;
  }

  /** Starts a member on host `id`. */
  async member(
    id: number,
    machine: TestMachine = new Journal(),
    options: Partial<GroupOptions<string, number, null, string[]>> = {},
  ): Promise<TestGroup> {
    const starting = this.place(id).host.startGroup({
      group: 1,
      node: id,
      members: this.places.map(({ address }, position) => ({
        id: position + 1,
        address,
      })),
      machine,
      random: seededRandom(id),
      ...options,
    });
    await this.settle();
    return await starting;
  }

  /** A member of one group on every host. */
  async group(
    options: Partial<GroupOptions<string, number, null, string[]>> = {},
  ): Promise<TestGroup[]> {
    const members: TestGroup[] = [];
    for (let id = 1; id <= this.places.length; id++) {
      members.push(await this.member(id, new Journal(), options));
    }
    return members;
  }

  /** Runs everything that can run without time passing. */
  async settle(): Promise<void> {
    for (let quiet = 0; quiet < 3;) {
      await microtasks();
      const delivered = this.network.deliver();
      const ran = this.clock.runScheduled();
      quiet = delivered || ran ? 0 : quiet + 1;
    }
  }

  /** Lets time pass, everything running as it falls due. */
  async advance(ms: number): Promise<void> {
    const end = this.clock.now() + ms;
    await this.settle();
    while (this.clock.fireNext(end)) await this.settle();
  }

  /** Lets time pass until something holds. */
  async until(what: string, holds: () => boolean): Promise<void> {
    for (let count = 0; count < 400; count++) {
      await this.settle();
      if (holds()) return;
      await this.advance(TICK_MS / 2);
    }
    throw new Error(`Still not: ${what}`);
  }

  /** Waits for one of the members to lead and be followed by the others. */
  async leader(members: readonly TestGroup[]): Promise<TestGroup> {
    let leader: TestGroup | undefined;
    await this.until("a leader everybody follows", () => {
      leader = members.find((member) => member.status().role === "leader");
      return leader !== undefined &&
        members.every((member) =>
          member.status().leader === leader?.node &&
          member.status().term === leader.status().term &&
          member.status().ready
        );
    });
    if (leader === undefined) throw new Error("No leader");
    return leader;
  }

  /** Runs until a promise settles; at most 20 s of the clock. */
  async outcome<T>(promise: Promise<T>): Promise<Fate<T>> {
    const fate = watch(promise);
    await this.until(
      "the promise settled",
      () => fate().type !== "pending",
    );
    return fate();
  }

  /** The value of a promise, with the clock running. */
  async value<T>(promise: Promise<T>): Promise<T> {
    const fate = await this.outcome(promise);
    if (fate.type === "resolved") return fate.value;
    throw fate.type === "rejected" ? fate.error : new Error("Still pending");
  }

  /** Why a promise rejected, with the clock running. */
  async error(promise: Promise<unknown>): Promise<unknown> {
    const fate = await this.outcome(promise);
    if (fate.type === "rejected") return fate.error;
    throw new Error("It did not reject");
  }

  /** Stops every host, with the clock running. */
  async stop(): Promise<void> {
    this.network.heal();
    for (const { disk } of this.places) disk.release();
    await this.value(
      Promise.all(this.places.map(({ host }) => host.stop())),
    );
  }
}

export function addressOf(id: number): string {
  return `host-${id}:1`;
}

/** Runs a test in a world and stops the world afterwards. */
export async function withWorld(
  count: number,
  test: (world: World) => Promise<void>,
): Promise<void> {
  const world = await World.of(count);
  try {
    await test(world);
  } finally {
    await world.stop();
  }
}

/** Follows a promise without waiting for it. */
export function watch<T>(promise: Promise<T>): () => Fate<T> {
  let fate: Fate<T> = { type: "pending" };
  promise.then(
    (value) => {
      fate = { type: "resolved", value };
    },
    (error) => {
      fate = { type: "rejected", error };
    },
  );
  return () => fate;
}

/** Collects events until told to stop, which it returns. */
export function collectEvents(group: TestGroup): {
  readonly events: GroupEvent[];
  readonly ended: Promise<void>;
  readonly stop: () => void;
} {
  const controller = new AbortController();
  const events: GroupEvent[] = [];
  const run = async () => {
    for await (const event of group.events({ signal: controller.signal })) {
      events.push(event);
    }
  };
  return { events, ended: run(), stop: () => controller.abort() };
}

/** Lets every promise that can settle do so. */
export async function microtasks(): Promise<void> {
  for (let count = 0; count < 40; count++) await Promise.resolve();
}
