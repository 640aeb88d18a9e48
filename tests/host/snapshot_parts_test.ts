import { describe, it } from "node:test";
import { assert, assertEquals, assertRejects } from "@std/assert";
import type { InstallSnapshot } from "../../src/core/message.ts";
import type { ProgressStatus } from "../../src/core/status.ts";
import type {
  Entry,
  NodeId,
  Role,
  SnapshotMeta,
  Term,
} from "../../src/core/types.ts";
import { EMPTY_CONF } from "../../src/core/types.ts";
import { AppliedHistory } from "../../src/host/applied_history.ts";
import { BulkLane } from "../../src/host/bulk_lane.ts";
import { paced } from "../../src/host/paced.ts";
import { SnapshotReceiver } from "../../src/host/snapshot_receiver.ts";
import { SnapshotSender } from "../../src/host/snapshot_sender.ts";
import { Tasks } from "../../src/host/tasks.ts";
import type { SnapshotTransfer } from "../../src/transport.ts";
import { ManualClock } from "./support/manual_clock.ts";
import { untilAborted } from "./support/until_aborted.ts";
import { microtasks, watch } from "./support/world.ts";

const NEVER = new AbortController().signal;

/** A transport whose snapshots end when the test says so. */
class FakeLine {
  readonly begun: string[] = [];
  /** Whether they end with their data. */
  isDrawing = false;
  /** What ends each of those under way. */
  readonly open: { readonly pass: () => void; readonly fail: () => void }[] =
    [];

  async sendSnapshot(
    address: string,
    transfer: SnapshotTransfer,
    signal: AbortSignal,
  ): Promise<void> {
    this.begun.push(address);
    if (this.isDrawing) {
      for await (const _ of transfer.chunks());
      return;
    }
    const work = new Promise<void>((resolve, reject) => {
      const fail = () => reject(new Error("It broke"));
      this.open.push({ pass: resolve, fail });
    });
    return untilAborted(work, signal);
  }
}

function metaAt(index: number): SnapshotMeta {
  return { index, term: 1, conf: EMPTY_CONF };
}

async function* noChunks(): AsyncGenerator<Uint8Array> {}

function transferTo(to: NodeId): SnapshotTransfer {
  const chunks = () => noChunks();
  return { group: 1, from: 1, to, term: 1, meta: metaAt(1), chunks };
}

type Peer = Pick<ProgressStatus, "id" | "state" | "matchIndex">;

/** A leader's sender, with everything around it in the test's hands. */
class Bench {
  readonly clock = new ManualClock();
  readonly line = new FakeLine();
  readonly reports: (readonly [NodeId, boolean])[] = [];
  readonly core: {
    role: Role;
    term: Term;
    conf: { witnesses: NodeId[] };
    progress: Peer[];
    status: () => { progress: Peer[] };
    reportSnapshot: (peer: NodeId, ok: boolean) => void;
  } = {
    role: "leader",
    term: 1,
    conf: { witnesses: [] },
    progress: [
      { id: 2, state: "snapshot", matchIndex: 0 },
      { id: 3, state: "snapshot", matchIndex: 0 },
    ],
    status: () => ({ progress: this.core.progress }),
    reportSnapshot: (peer, ok) => this.reports.push([peer, ok]),
  };
  readonly unreadable: (readonly [SnapshotMeta, string])[] = [];
  /** Where the storage's snapshot is. */
  stored = 10;
  /** How long the storage says it is; it has no data. */
  bytes = 0;
  readonly sender: SnapshotSender;

  constructor() {
    this.sender = new SnapshotSender({
      group: 1,
      core: this.core,
      storage: {
        snapshotReader: () =>
          Promise.resolve({
            meta: metaAt(this.stored),
            bytes: this.bytes,
            chunks: () => noChunks(),
          }),
      },
      lane: new BulkLane(this.line),
      clock: this.clock,
      tasks: new Tasks(),
      electionMs: 100,
      addressOf: (id) => `host-${id}`,
      onUnreadable: (meta, { code }) => this.unreadable.push([meta, code]),
      inTurn: (work) => work(),
    });
  }

  async send(to: NodeId, index = 10): Promise<void> {
    const message: InstallSnapshot = {
      type: "installSnapshot",
      from: 1,
      to,
      term: this.core.term,
      snapshot: metaAt(index),
    };
    this.sender.send(message);
    await microtasks();
  }

  async tick(ms = 0): Promise<void> {
    this.clock.skip(ms);
    this.sender.tick();
    await microtasks();
  }
}

describe("SnapshotSender", () => {
  it("reports each transfer once, however often it was asked for", async () => {
    const bench = new Bench();
    await bench.send(2);
    await bench.send(2);
    await bench.send(3);
    assertEquals(bench.line.begun, ["host-2", "host-3"]);
    bench.line.open[0]?.pass();
    bench.line.open[1]?.fail();
    await microtasks();
    await bench.tick();
    assertEquals(bench.reports, [[2, true], [3, false]]);
  });

  it("reports nothing that the core has lost interest in", async () => {
    const ends: ((bench: Bench) => void)[] = [
      (bench) => {
        bench.core.progress = [{ id: 3, state: "snapshot", matchIndex: 0 }];
      },
      (bench) => {
        bench.core.progress = [{ id: 2, state: "replicate", matchIndex: 4 }];
      },
      (bench) => {
        bench.core.role = "follower";
      },
      (bench) => {
        bench.core.term = 2;
      },
    ];
    for (const end of ends) {
      const bench = new Bench();
      await bench.send(2);
      assertEquals(bench.sender.activeCount, 1);
      end(bench);
      await bench.tick();
      assertEquals(bench.sender.activeCount, 0);
      assertEquals(bench.sender.pinnedIndex, Infinity);
      bench.line.open[0]?.pass();
      await microtasks();
      assertEquals(bench.reports, []);
    }
  });

  it("sends whatever the storage has, if it is enough (H66)", async () => {
    const bench = new Bench();
    bench.stored = 30;
    await bench.send(2, 10);
    assertEquals(bench.sender.pinnedIndex, 30);
    bench.stored = 5;
    await bench.send(3, 10);
    assertEquals(bench.line.begun, ["host-2"]);
    assertEquals(bench.reports, [[3, false]]);
  });

  it("waits longer after each failure, and no longer after a success", async () => {
    const bench = new Bench();
    const waits = [0, 100, 200, 400];
    for (const [at, ms] of waits.entries()) {
      await bench.send(2);
      await bench.tick(Math.max(0, ms - 1));
      assertEquals(bench.line.begun.length, ms === 0 ? at + 1 : at);
      await bench.tick(1);
      assertEquals(bench.line.begun.length, at + 1);
      bench.line.open[at]?.fail();
      await microtasks();
    }
    await bench.tick(800);
    await bench.send(2);
    bench.line.open.at(-1)?.pass();
    await microtasks();
    await bench.send(2);
    assertEquals(bench.line.begun.length, waits.length + 2);
  });

  it("keeps the log until the member has followed, for so many own snapshots (H66)", async () => {
    const bench = new Bench();
    await bench.send(2);
    bench.line.open[0]?.pass();
    await microtasks();
    await bench.tick();
    assertEquals(bench.sender.pinnedIndex, 10);
    bench.core.progress = [{ id: 2, state: "probe", matchIndex: 10 }];
    await bench.tick();
    assertEquals(bench.sender.pinnedIndex, Infinity);

    bench.core.progress = [{ id: 2, state: "snapshot", matchIndex: 0 }];
    await bench.send(2);
    for (let count = 0; count < 4; count++) bench.sender.took();
    assertEquals(bench.sender.pinnedIndex, 10);
    bench.sender.took();
    assertEquals(bench.sender.pinnedIndex, Infinity);
    assertEquals(bench.sender.activeCount, 1);
  });
});

describe("a snapshot of which the storage has only a part", () => {
  for (const [bytes, reports] of [[0, [[2, true]]], [1, [[2, false]]]]) {
    it(`is not sent as whole: ${bytes} bytes missing (H65)`, async () => {
      const bench = new Bench();
      bench.line.isDrawing = true;
      bench.bytes = Number(bytes);
      await bench.send(2);
      for (let round = 0; round < 5; round++) await microtasks();
      assertEquals<unknown>(bench.reports, reports);
      assertEquals(
        bench.unreadable.map(([, code]) => code),
        bytes === 0 ? [] : ["corrupt"],
      );
    });
  }
});

describe("BulkLane", () => {
  it("sends four at a time, the others in order (H110)", async () => {
    const line = new FakeLine();
    const lane = new BulkLane(line);
    const fates = [1, 2, 3, 4, 5, 6].map((to) =>
      watch(lane.send(`${to}`, transferTo(to), NEVER))
    );
    await microtasks();
    assertEquals(line.begun, ["1", "2", "3", "4"]);
    line.open[2]?.fail();
    await microtasks();
    assertEquals(line.begun, ["1", "2", "3", "4", "5"]);
    line.open[0]?.pass();
    await microtasks();
    assertEquals(line.begun.at(-1), "6");
    assertEquals(
      fates.map((fate) => fate().type),
      ["resolved", "pending", "rejected", "pending", "pending", "pending"],
    );
  });

  it("leaves room for the others when one host takes for ever (H110)", async () => {
    const line = new FakeLine();
    const lane = new BulkLane(line);
    for (const to of ["1", "1", "1", "1", "2", "3", "4"]) {
      watch(lane.send(to, transferTo(Number(to)), NEVER));
    }
    await microtasks();
    assertEquals(line.begun, ["1", "1", "2", "3"]);
    line.open[2]?.pass();
    line.open[3]?.pass();
    await microtasks();
    assertEquals(line.begun.slice(4), ["4"]);
    line.open[0]?.pass();
    await microtasks();
    assertEquals(line.begun.slice(5), ["1"]);
  });

  it("gives up a place in the queue when it is aborted", async () => {
    const line = new FakeLine();
    const lane = new BulkLane(line);
    for (const to of [1, 2, 3, 4]) {
      watch(lane.send(`${to}`, transferTo(to), NEVER));
    }
    const controller = new AbortController();
    const waiting = watch(lane.send("5", transferTo(5), controller.signal));
    watch(lane.send("6", transferTo(6), NEVER));
    controller.abort(new Error("enough"));
    await microtasks();
    assertEquals(waiting().type, "rejected");
    line.open[0]?.pass();
    await microtasks();
    assertEquals(line.begun.at(-1), "6");
  });
});

describe("paced()", () => {
  async function* chunks(count: number, bytes: number) {
    for (let at = 0; at < count; at++) yield new Uint8Array(bytes).fill(at);
  }

  it("gives the turns their time after each slice, and changes nothing (H74)", async () => {
    for (const [count, bytes] of [[16, 100_000], [2_000, 10]] as const) {
      const clock = new ManualClock();
      const taken: number[] = [];
      const draw = async () => {
        const source = paced(chunks(count, bytes), { clock, signal: NEVER });
        for await (const chunk of source) taken.push(chunk[0] ?? -1);
      };
      const drawn = watch(draw());
      let slices = 0;
      while (drawn().type === "pending") {
        // Longer than any slice needs.
        for (let wait = 0; wait < 100; wait++) await microtasks();
        if (clock.runScheduled()) slices++;
      }
      const wanted = Array.from({ length: count }, (_, at) => at % 256);
      assertEquals(taken, wanted);
      assert(slices >= 5, `${slices} slices`);
    }
  });

  it("ends in the middle of a wait when it is aborted", async () => {
    const clock = new ManualClock();
    const controller = new AbortController();
    async function* hanging() {
      yield new Uint8Array(1);
      await new Promise<void>(() => {});
    }
    const source = paced(hanging(), { clock, signal: controller.signal });
    assertEquals((await source.next()).done, false);
    const next = source.next();
    controller.abort(new Error("enough"));
    await assertRejects(() => next, Error, "enough");
  });

  it("rests between slices in the background, so that a write meets few of them (H74)", async () => {
    const clock = new ManualClock();
    const taken: number[] = [];
    const draw = async () => {
      const pace = { clock, signal: NEVER, inBackground: true };
      const source = paced(chunks(4, 1 << 20), pace);
      for await (const chunk of source) taken.push(chunk[0] ?? -1);
    };
    const drawn = watch(draw());
    for (let slice = 1; slice <= 4; slice++) {
      for (let wait = 0; wait < 100; wait++) await microtasks();
      assertEquals(taken.length, slice);
      assertEquals(clock.scheduledCount, 0);
      assert(clock.fireNext(clock.now() + 10));
    }
    for (let wait = 0; wait < 100; wait++) await microtasks();
    assertEquals(drawn().type, "resolved");
    assertEquals(clock.timerCount, 0);
  });

  it("ends a rest at once when it is aborted, and leaves no timer", async () => {
    const clock = new ManualClock();
    const controller = new AbortController();
    const pace = { clock, signal: controller.signal, inBackground: true };
    const source = paced(chunks(2, 1 << 20), pace);
    assertEquals((await source.next()).done, false);
    const next = source.next();
    await microtasks();
    assertEquals(clock.timerCount, 1);
    controller.abort(new Error("enough"));
    await assertRejects(() => next, Error, "enough");
    assertEquals(clock.timerCount, 0);
  });

  it("lets go of its source when its reader leaves", async () => {
    let isOpen = true;
    async function* source() {
      try {
        for (;;) yield new Uint8Array(1);
      } finally {
        isOpen = false;
      }
    }
    const options = { clock: new ManualClock(), signal: NEVER };
    for await (const chunk of paced(source(), options)) {
      assertEquals(chunk.length, 1);
      break;
    }
    await microtasks();
    assertEquals(isOpen, false);
  });
});

describe("AppliedHistory", () => {
  function entries(term: number, from: number, count: number): Entry[] {
    return Array.from(
      { length: count },
      (_, at) => ({ type: "noop", term, index: from + at }),
    );
  }
  const outcomes = (count: number, result: number) =>
    Array.from({ length: count }, () => ({ type: "result", result } as const));

  it("knows term and outcome of the newest entries, and forgets the oldest", () => {
    const history = new AppliedHistory<number>();
    history.add(entries(1, 1, 5_000), outcomes(5_000, 1));
    history.add(
      [...entries(1, 5_001, 2), ...entries(2, 5_003, 2)],
      outcomes(4, 2),
    );
    assertEquals(history.find(5_000)?.term, 1);
    assertEquals(history.find(5_002)?.term, 1);
    assertEquals(history.find(5_003), {
      term: 2,
      outcome: { type: "result", result: 2 },
    });
    assertEquals(history.find(5_005), undefined);
    history.add(entries(2, 5_005, 5_000), outcomes(5_000, 3));
    assertEquals(history.find(1), undefined);
    assertEquals(history.find(5_001)?.term, 1);
    history.clear();
    assertEquals(history.find(5_001), undefined);
  });
});

describe("SnapshotReceiver", () => {
  /** What becomes of one that is half there when the core moves on. */
  async function givenUp(
    change: (core: { term: number; commitIndex: number }) => void,
  ): Promise<string[]> {
    const events: string[] = [];
    const tell = (event: string) => () =>
      Promise.resolve(void events.push(event));
    const core = {
      term: 1,
      commitIndex: 0,
      appliedIndex: 0,
      termAt: () => undefined,
      step: () => "accepted" as const,
    };
    const receiver = new SnapshotReceiver({
      group: 1,
      core,
      storage: {
        snapshotWriter: () =>
          Promise.resolve({
            offset: 0,
            write: () => Promise.resolve(true),
            commit: tell("commit"),
            abort: tell("abort"),
            suspend: tell("suspend"),
          }),
      },
      clock: new ManualClock(),
      taker: { hold: () => Promise.resolve(), resume: () => {} },
      onProblem: () => {},
      onFailure: () => {},
      inTurn: (work) => work(),
    });
    async function* chunks(): AsyncGenerator<Uint8Array> {
      yield new Uint8Array(10);
      await new Promise(() => {});
    }
    const coming = watch(
      receiver.receive({ ...transferTo(2), chunks }, () => null),
    );
    await microtasks();
    change(core);
    receiver.tick();
    await microtasks();
    assertEquals(coming().type, "rejected");
    return events;
  }

  it("keeps what came of a leader that was replaced: it may lead again (H66)", async () => {
    const events = await givenUp((core) => core.term = 9);
    assertEquals(events, ["suspend", "abort"]);
  });

  it("keeps nothing of what is committed here", async () => {
    assertEquals(await givenUp((core) => core.commitIndex = 1000), ["abort"]);
  });
});
