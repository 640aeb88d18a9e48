import { describe, it } from "node:test";
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { systemClock } from "../../src/host/clock.ts";
import {
  entropicRandom,
  requestNumberBase,
  seededRandom,
} from "../../src/host/random.ts";
import { Tasks } from "../../src/host/tasks.ts";
import { Ticker } from "../../src/host/ticker.ts";
import { WritePipeline } from "../../src/host/write_pipeline.ts";
import { Freshness } from "../../src/host/freshness.ts";
import { FakeDisk } from "./support/fake_storage.ts";
import { ManualClock } from "./support/manual_clock.ts";
import { microtasks } from "./support/world.ts";

function draw(random: () => number, count: number): number[] {
  return Array.from({ length: count }, random);
}

describe("seededRandom()", () => {
  it("repeats itself for equal seeds and differs for neighbouring ones (H16)", () => {
    assertEquals(draw(seededRandom(7), 50), draw(seededRandom(7), 50));
    assertNotEquals(draw(seededRandom(7), 5), draw(seededRandom(8), 5));
    assertNotEquals(draw(seededRandom(7, 1), 5), draw(seededRandom(7, 2), 5));
  });

  it("is uniform in [0, 1)", () => {
    const random = seededRandom(1);
    const buckets = new Array<number>(10).fill(0);
    for (let count = 0; count < 100_000; count++) {
      const value = random();
      assert(value >= 0 && value < 1);
      const bucket = Math.floor(value * 10);
      buckets[bucket] = (buckets[bucket] ?? 0) + 1;
    }
    for (const count of buckets) assert(count > 9_500 && count < 10_500);
  });
});

describe("entropicRandom()", () => {
  it("draws differently for every member (H16)", () => {
    const draws = new Set(
      Array.from({ length: 20 }, () => draw(entropicRandom(), 4).join()),
    );
    assertEquals(draws.size, 20);
  });
});

describe("requestNumberBase()", () => {
  it("leaves two thousand million safe integers to every life (H96, H122)", () => {
    const bases = [0, 0.3, 0.999_999_999].map((value) =>
      requestNumberBase(() => value)
    );
    for (const base of bases) {
      assert(Number.isSafeInteger(base + 2 ** 31));
      assertEquals(base % 2 ** 31, 0);
    }
    assertEquals(new Set(bases).size, 3);
  });
});

describe("systemClock()", () => {
  it("runs scheduled callbacks in order, behind everything that is awaited", async () => {
    const clock = systemClock();
    const order: string[] = [];
    const done = new Promise<void>((resolve) => {
      clock.schedule(() => order.push("first"));
      clock.schedule(() => {
        order.push("second");
        resolve();
      });
    });
    for (let count = 0; count < 10; count++) await Promise.resolve();
    order.push("microtasks");
    await done;
    assertEquals(order, ["microtasks", "first", "second"]);
  });

  it("fires timers once, not early, and forgets cleared ones", async () => {
    const clock = systemClock();
    const before = clock.now();
    let cleared = 0;
    const timer = clock.setTimer(() => cleared++, 1);
    clock.clearTimer(timer);
    clock.clearTimer(timer);
    const fired = await new Promise<number>((resolve) => {
      clock.setTimer(() => resolve(clock.now()), 20);
    });
    assert(fired - before >= 19.9);
    assertEquals(cleared, 0);
  });

  it("does not fire at once what lies beyond 2^31 ms (H119)", async () => {
    const clock = systemClock();
    let fired = 0;
    const timer = clock.setTimer(() => fired++, 2 ** 40);
    await new Promise<void>((resolve) => clock.setTimer(resolve, 5));
    clock.clearTimer(timer);
    assertEquals(fired, 0);
  });
});

describe("Tasks", () => {
  it("hands every failure to its handler and waits for what starts meanwhile (H125)", async () => {
    const tasks = new Tasks();
    const seen: unknown[] = [];
    const second = async () => {
      await Promise.resolve();
      seen.push("second");
    };
    const first = async () => {
      await Promise.resolve();
      tasks.start(second(), () => {});
      throw new Error("first");
    };
    tasks.start(first(), (error) => seen.push(String(error)));
    assertEquals(tasks.size, 1);
    await tasks.idle();
    assertEquals(seen.map(String).sort(), ["Error: first", "second"]);
    assertEquals(tasks.size, 0);
  });
});

describe("Ticker", () => {
  function ticking(clock: ManualClock): { readonly ticks: number[] } {
    const ticks: number[] = [];
    const ticker = new Ticker({
      clock,
      tickMs: 50,
      random: () => 0.5,
      onTick: () => ticks.push(clock.now()),
    });
    ticker.start();
    return { ticks };
  }

  it("keeps to its grid however late the timer fires (H16)", () => {
    const clock = new ManualClock();
    const { ticks } = ticking(clock);
    for (let count = 0; count < 4; count++) {
      clock.skip(7);
      clock.fireNext(clock.now() + 50);
    }
    for (const at of ticks) assert((at - 25) % 50 <= 7);
    assertEquals(clock.timerCount, 1);
  });

  it("makes one tick of many that were slept through, and lets the network go first (H116)", () => {
    const clock = new ManualClock();
    const { ticks } = ticking(clock);
    clock.fireNext(25);
    assertEquals(ticks, [25]);
    clock.skip(10_000);
    clock.fireNext(clock.now());
    // The first firing after the sleep only makes room.
    assertEquals(ticks, [25]);
    clock.fireNext(clock.now() + 1);
    assertEquals(ticks, [25, 10_026]);
    clock.fireNext(clock.now() + 50);
    assertEquals(ticks, [25, 10_026, 10_075]);
  });

  it("fires never early, even if the timer does", () => {
    const clock = new ManualClock();
    const early = {
      now: () => clock.now(),
      wallNow: () => clock.wallNow(),
      setTimer: (callback: () => void, delayMs: number) =>
        clock.setTimer(callback, Math.ceil(delayMs / 2)),
      clearTimer: (timer: number) => clock.clearTimer(timer),
      schedule: (callback: () => void) => clock.schedule(callback),
    };
    const ticks: number[] = [];
    new Ticker({
      clock: early,
      tickMs: 50,
      random: () => 0,
      onTick: () => ticks.push(clock.now()),
    }).start();
    while (clock.now() < 150) clock.fireNext(150);
    assertEquals(ticks, [50, 100, 150]);
  });
});

describe("WritePipeline", () => {
  function pipeline(disk: FakeDisk): {
    readonly writes: WritePipeline;
    readonly failures: unknown[];
  } {
    const failures: unknown[] = [];
    const writes = new WritePipeline({
      storage: disk.storage(),
      tasks: new Tasks(),
      now: () => 0,
      onFailure: (error) => failures.push(error),
    });
    return { writes, failures };
  }
  const conf = {
    version: 0,
    voters: [1],
    votersOutgoing: [],
    learners: [],
    learnersNext: [],
    staging: [],
    witnesses: [],
    autoLeave: false,
    removed: [],
    addresses: [],
    incarnations: [],
  };
  const create = {
    group: 1,
    create: { node: 1, snapshot: { index: 0, term: 0, conf } },
    entries: [],
  };
  const empty = { group: 1, entries: [] };

  it("tells owners what is durable, in order, and only then", async () => {
    const disk = new FakeDisk();
    const { writes } = pipeline(disk);
    const told: string[] = [];
    const a = { written: (number: number) => told.push(`a${number}`) };
    const b = { written: (number: number) => told.push(`b${number}`) };
    disk.hold = true;
    writes.add(a, 1, create, { sync: false });
    writes.flush();
    writes.add(a, 2, empty, { sync: false });
    writes.add(b, 1, empty, { sync: true });
    writes.flush();
    await microtasks();
    assertEquals(told, []);
    assertEquals(disk.writes.length, 1);
    disk.release();
    await microtasks();
    assertEquals(told, ["a1", "a2", "b1"]);
    assertEquals(disk.writes.map(({ batch, sync }) => [batch.length, sync]), [
      [1, false],
      [2, true],
    ]);
  });

  it("never writes again after a failure, and keeps nobody waiting (H44)", async () => {
    const disk = new FakeDisk();
    const { writes, failures } = pipeline(disk);
    const told: number[] = [];
    const owner = { written: (number: number) => told.push(number) };
    disk.hold = true;
    writes.add(owner, 1, create, { sync: true });
    writes.flush();
    writes.add(owner, 2, empty, { sync: true });
    const barriers = Promise.all([writes.barrier(), writes.barrier()]);
    disk.fail = true;
    disk.release();
    await barriers;
    disk.fail = false;
    writes.add(owner, 3, empty, { sync: true });
    writes.flush();
    await writes.barrier();
    await microtasks();
    assertEquals(told, []);
    assertEquals(failures.length, 1);
    assertEquals(disk.writes.length, 1);
  });
});

describe("Freshness", () => {
  const heartbeat = {
    type: "heartbeat",
    from: 2,
    to: 1,
    term: 1,
    round: 0,
    sentAt: 0,
  } as const;

  it("counts from the last word of a leader whose commits are all applied", () => {
    const freshness = new Freshness();
    assertEquals(freshness.staleMs(10), null);
    freshness.heard({ ...heartbeat, commitIndex: 5 }, 3, 100);
    assertEquals(freshness.staleMs(110), null);
    assertEquals(freshness.caughtUp(3), false);
    freshness.applied(5);
    assertEquals(freshness.staleMs(110), 10);
    freshness.heard({ ...heartbeat, commitIndex: 4 }, 5, 200);
    assertEquals(freshness.staleMs(210), 10);
  });
});
