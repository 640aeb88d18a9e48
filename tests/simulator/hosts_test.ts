import { describe, it } from "node:test";
import { assert, assertEquals, assertGreater } from "@std/assert";
import { RawNode, type RawNodeOptions } from "../../src/core/raw_node.ts";
import type { Message } from "../../src/core/mod.ts";
import {
  drawOptions,
  type FaultKind,
  type SimHooks,
  type SimOverrides,
  type SimResult,
  simulate,
  type TraceLine,
} from "../../src/sim/mod.ts";

function run(
  seed: number,
  overrides: SimOverrides,
  onEvent?: (line: TraceLine) => void,
  hooks: SimHooks = {},
): SimResult {
  return simulate({ seed, overrides, onEvent, hooks });
}

/** Three groups on three hosts, and nothing but these faults. */
function withFaults(...kinds: FaultKind[]): SimOverrides {
  const protocol = { kinds: [] };
  return { ticks: 800, members: 3, groups: 3, faults: { kinds }, protocol };
}

describe("hosts with several groups", () => {
  it("up to 20 groups on up to 7 hosts, each with a log of its own", () => {
    for (
      const [members, groups] of [[3, 20], [7, 4], [1, 6], [2, 2]] as const
    ) {
      const seen = new Set<string>();
      const result = run(
        8,
        { members, groups, ticks: 300 },
        ({ states }) => {
          for (const [group, id] of states) seen.add(`${group}/${id}`);
        },
      );
      assertEquals(result.failure, undefined);
      for (let group = 1; group <= groups; group++) {
        for (let id = 1; id <= members; id++) {
          assert(
            seen.has(`${group}/${id}`),
          );
        }
      }
    }
  });

  it("a crash takes all groups of a host, and nothing of the others", () => {
    const { failure, marks } = run(
      2,
      withFaults("crash"),
      ({ event, states }) => {
        if (event.type !== "tick") return;
        const groups = states.map(([group]) => group);
        assertEquals(groups, groups.length === 0 ? [] : [1, 2, 3]);
      },
    );
    assertEquals(failure, undefined);
    assertGreater(marks.crashed, 0);
  });

  it("groups of a turn share a write, unless each has a device", () => {
    const disk = { minFlushMs: 10, spreadMs: 0 };
    const shared = run(5, {
      ...withFaults("clog"),
      disk: { ...disk, devicePerGroup: false },
    });
    const apart = run(5, {
      ...withFaults("clog"),
      disk: { ...disk, devicePerGroup: true },
    });
    assertEquals([shared.failure, apart.failure], [undefined, undefined]);
    assertGreater(shared.marks.writesOfSeveralGroups, 0);
    assert(shared.hash !== apart.hash);
  });

  it("more members and groups make shorter runs, never shorter than some", () => {
    for (let seed = 0; seed < 300; seed++) {
      const { members, groups, ticks } = drawOptions(seed);
      assert(members >= 1 && members <= 7 && groups >= 1 && groups <= 20);
      assert(ticks >= 300 && ticks <= 5_000);
      assert(ticks === 300 || ticks * members * groups <= 36_000);
    }
  });
});

describe("disks of hosts", () => {
  it("a failed write stops the process, which comes back (H44)", () => {
    const { failure, marks, okCount } = run(3, withFaults("failDisk"));
    assertEquals(failure, undefined);
    assertGreater(marks.stoppedByDisk, 0);
    assertGreater(marks.restartedWithLog, 0);
    assertGreater(okCount, 0);
  });

  it("what has rotted is refused, and a quorum of good copies stays (H62)", () => {
    for (const rotIsFinal of [false, true]) {
      const marks = { rotted: 0, rotRefused: 0 };
      for (let seed = 1; seed <= 4; seed++) {
        const result = run(seed, {
          ...withFaults("rot", "crash"),
          faults: { kinds: ["rot", "crash"], rotIsFinal },
        });
        assertEquals(result.failure, undefined, `seed ${seed}`);
        marks.rotted += result.marks.rotted;
        marks.rotRefused += result.marks.rotRefused;
      }
      assertGreater(marks.rotted, 0);
      assertGreater(marks.rotRefused, 0);
    }
  });

  it("without checksums, rot and torn writes are found by the checkers (H140)", () => {
    for (
      const overrides of [
        { ...withFaults("rot", "crash") },
        {
          ...withFaults("crash", "crashLeader", "bounce", "ambush"),
          disk: { tornPermille: 1_000, minFlushMs: 30, spreadMs: 100 },
          clients: { count: 8, thinkMs: 200 },
        },
      ]
    ) {
      const found = [1, 2, 3, 4, 5, 6, 7, 8].some((seed) =>
        run(seed, overrides, undefined, { trustsDamage: true })
          .failure?.kind === "safety"
      );
      assert(found, JSON.stringify(overrides));
    }
  });
});

describe("the liveness phase", () => {
  /** No member hears of any vote: nobody is ever elected. */
  const deaf: SimHooks = {
    onSend: (message: Message) =>
      message.type === "requestVoteResponse"
        ? { ...message, reject: true }
        : message,
  };

  it("fails within its bound of election timeouts if nobody can lead (H139)", () => {
    const overrides = {
      ...withFaults("clog"),
      ticks: 50,
      groups: 1,
      flags: [],
      core: { electionTicks: 10 },
      clock: { tickMs: 50, jitterMs: 0, ratePermille: [] },
      tail: "all" as const,
    };
    const { failure, elapsedMs } = run(1, overrides, undefined, deaf);
    assertEquals(failure?.kind, "liveness");
    const patienceMs = 60 * 10 * 50 + 3 * 50;
    assert(elapsedMs <= 50 * 50 + patienceMs + 10 * 50, `${elapsedMs} ms`);
  });

  it("somebody else leads while the disk of a leader says nothing (H20)", () => {
    const overrides = {
      ...withFaults("clog"),
      flags: [[{ stallTicks: 20 }], [{ stallTicks: 20 }], [{ stallTicks: 20 }]],
      tail: "hungLeader" as const,
    };
    const { failure, marks } = run(4, overrides);
    assertEquals(failure, undefined);
    assertGreater(marks.tailWithHungLeader, 0);
  });

  it("queues beyond the members' limits are a failure of their own (H36)", () => {
    for (
      const [name, most] of [
        ["maxInflightCount", 256],
        ["maxPendingReads", 1_000],
      ] as const
    ) {
      const createCore = (options: RawNodeOptions) =>
        new RawNode({
          ...options,
          config: { ...options.config, [name]: most },
        });
      const { failure } = run(
        2,
        {
          ...withFaults("clog"),
          core: { maxInflightBytes: 1 << 20, [name]: 1 },
          network: { minDelayMs: 200 },
          clients: { count: 8, thinkMs: 50, leaderPermille: 1_000 },
        },
        undefined,
        { createCore },
      );
      assertEquals(failure?.check, "boundedQueues", name);
    }
  });
});
