import { describe, it } from "node:test";
import { assert, assertEquals } from "@std/assert";
import type { Entry } from "../../src/core/types.ts";
import { Applier } from "../../src/host/applier.ts";
import { Outbox } from "../../src/host/outbox.ts";
import { Tasks } from "../../src/host/tasks.ts";
import type { Applied } from "../../src/state_machine.ts";
import type { Envelope } from "../../src/transport.ts";
import { FakeNetwork } from "./support/fake_network.ts";
import { Journal } from "./support/machines.ts";
import { ManualClock } from "./support/manual_clock.ts";
import { microtasks, watch, withWorld } from "./support/world.ts";

function entries(count: number): Entry[] {
  return Array.from({ length: count }, (_, position) => ({
    type: "noop",
    term: 1,
    index: position + 1,
  }));
}

describe("Applier", () => {
  function applier(costMs: number): {
    readonly applier: Applier<null>;
    readonly slices: number[];
  } {
    const clock = new ManualClock();
    const slices: number[] = [];
    const made = new Applier<null>({
      runner: {
        apply: (slice) => {
          slices.push(slice.length);
          clock.skip(costMs * slice.length);
          return slice.map(() => ({ type: "none" }));
        },
      },
      clock,
      tasks: new Tasks(),
      onApplied: () => {},
      onFailure: () => {},
      inTurn: (work) => work(),
    });
    return { applier: made, slices };
  }

  it("makes slices smaller for a slow machine, down to one entry (H110)", () => {
    const { applier: slow, slices } = applier(100);
    slow.push(entries(200));
    while (slow.hasWork) slow.step();
    assertEquals(slices.slice(0, 8), [64, 32, 16, 8, 4, 2, 1, 1]);
  });

  it("and larger for a quick one, within a limit", () => {
    const { applier: quick, slices } = applier(0);
    quick.push(entries(5_000));
    while (quick.hasWork) quick.step();
    assertEquals(slices, [64, 128, 256, 512, 1_024, 1_024, 1_024, 968]);
  });

  it("applies every entry once and in order, however batches and slices fall", () => {
    const seen: number[] = [];
    const clock = new ManualClock();
    const made = new Applier<null>({
      runner: {
        apply: (slice) => {
          seen.push(...slice.map(({ index }) => index));
          clock.skip(slice.length % 3);
          return slice.map(() => ({ type: "none" }));
        },
      },
      clock,
      tasks: new Tasks(),
      onApplied: () => {},
      onFailure: () => {},
      inTurn: (work) => work(),
    });
    const all = entries(1_000);
    let from = 0;
    for (let size = 0; from < all.length; size = (size + 1) % 97) {
      made.push(all.slice(from, from + size));
      from += size;
      made.step();
    }
    while (made.hasWork) made.step();
    assertEquals(seen, all.map(({ index }) => index));
  });
});

/** Takes 20 ms of the clock for every command. */
class Slow extends Journal {
  readonly #clock: ManualClock;

  constructor(clock: ManualClock) {
    super();
    this.#clock = clock;
  }

  override apply(commands: readonly Applied<string>[]): number[] {
    this.#clock.skip(20 * commands.length);
    return commands.map(({ command }) => this.lines.push(command));
  }
}

describe("a machine that is slow but synchronous", () => {
  it("leaves turns to other groups between its slices (H110)", () =>
    withWorld(1, async (world) => {
      const slow = await world.member(1, new Slow(world.clock), { group: 1 });
      const quick = await world.member(1, new Journal(), { group: 2 });
      await world.leader([quick]);
      await world.until("slow leads", () => slow.status().role === "leader");
      const all = Array.from(
        { length: 300 },
        (_, number) => watch(slow.propose(`${number}`)),
      );
      const turn = async () => {
        world.clock.runScheduled();
        await microtasks();
      };
      for (let count = 0; count < 6; count++) await turn();
      const other = watch(quick.propose("quick"));
      for (let count = 0; count < 6; count++) await turn();
      assertEquals(other().type, "resolved");
      const done = all.filter((fate) => fate().type === "resolved").length;
      assert(done < 300, `${done} of 300 were applied before`);
      await world.until(
        "all are applied",
        () => all.every((fate) => fate().type === "resolved"),
      );
    }));

  it("answers no read between two slices that the read has to see (H101)", () =>
    withWorld(1, async (world) => {
      const member = await world.member(1, new Slow(world.clock));
      await world.leader([member]);
      const all = Array.from(
        { length: 300 },
        (_, number) => watch(member.propose(`${number}`)),
      );
      while (member.status().commitIndex < 301) {
        world.clock.runScheduled();
        await microtasks();
      }
      assert(member.status().appliedIndex < 301);
      const read = watch(member.read(null));
      await world.until("it is answered", () => read().type !== "pending");
      const fate = read();
      assert(fate.type === "resolved");
      assertEquals(fate.value.length, 300);
      assertEquals(all.every((one) => one().type === "resolved"), true);
    }));
});

describe("Outbox", () => {
  function append(bytes: number, round: number): Envelope {
    return {
      group: 1,
      message: {
        type: "appendEntries",
        from: 1,
        to: 2,
        term: 1,
        prevLogIndex: round,
        prevLogTerm: 1,
        commitIndex: 0,
        entries: [{
          type: "command",
          term: 1,
          index: round + 1,
          data: new Uint8Array(bytes),
        }],
      },
    };
  }

  it("begins another frame beyond 4 MiB, in order, and says which were refused (H110)", () => {
    const network = new FakeNetwork();
    const dropped: number[] = [];
    const outbox = new Outbox(
      network.transport(),
      (_address, envelopes) => dropped.push(envelopes.length),
    );
    const all = [1, 2, 3, 4, 5].map((round) => append(1_500_000, round));
    for (const envelope of all) outbox.add("a:1", envelope);
    outbox.add("b:1", append(10, 1));
    outbox.flush();
    outbox.flush();
    assertEquals(
      network.sent.map(({ to, envelopes }) => [to, envelopes.length]),
      [["a:1", 2], ["a:1", 2], ["a:1", 1], ["b:1", 1]],
    );
    assertEquals(
      network.sent.filter(({ to }) => to === "a:1")
        .flatMap(({ envelopes }) => envelopes),
      all,
    );
    network.full.add("b:1");
    outbox.add("b:1", append(10, 1));
    outbox.flush();
    assertEquals(dropped, [1]);
  });

  it("takes a transport that throws for one that dropped the frame", () => {
    const dropped: string[] = [];
    const transport = {
      ...new FakeNetwork().transport(),
      send: () => {
        throw new Error("against the contract");
      },
    };
    const outbox = new Outbox(transport, (address) => dropped.push(address));
    outbox.add("a:1", append(1, 1));
    outbox.flush();
    assertEquals(dropped, ["a:1"]);
  });
});
