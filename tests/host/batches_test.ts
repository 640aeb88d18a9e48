import { describe, it } from "node:test";
import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import type { ProposeAnswer, ProposeOutcome } from "../../src/core/raw_node.ts";
import type { Entry, NodeId, Role } from "../../src/core/types.ts";
import type { Committed } from "../../src/host/options.ts";
import { type ProposalCore, Proposals } from "../../src/host/proposals.ts";
import type { ApplyOutcome } from "../../src/rsm/machine_runner.ts";
import { isolate, leaderAndFollower, lose, tell } from "./support/outcomes.ts";
import { type Fate, microtasks, watch, withWorld } from "./support/world.ts";

/** A leader that notes the sizes of what it is given. */
class FakeLeader implements ProposalCore {
  role: Role = "leader";
  leader: NodeId | null = 1;
  term = 1;
  readonly calls: number[] = [];
  outcome: ProposeOutcome | null = null;
  #lastIndex = 0;

  propose(commands: readonly Uint8Array[]): ProposeOutcome {
    this.calls.push(commands.length);
    if (this.outcome !== null) return this.outcome;
    const index = this.#lastIndex + 1;
    this.#lastIndex += commands.length;
    return { type: "appended", term: this.term, index };
  }

  takeAnswers(): ProposeAnswer[] {
    return [];
  }
}

function registry(): Proposals<string> {
  return new Proposals<string>({
    maxPendingCount: 5_000,
    maxPendingBytes: 1 << 30,
    maxEntryBytes: 4 << 20,
    firstTicket: 100,
    appliedIndex: 0,
  });
}

function addAll(
  proposals: Proposals<string>,
  count: number,
  bytes = 10,
): () => Fate<Committed<string>[]> {
  const commands = Array.from({ length: count }, () => new Uint8Array(bytes));
  const wait = { deadline: 1_000, forward: true, signal: undefined };
  return watch(proposals.addAll(commands, wait));
}

function addOne(proposals: Proposals<string>): () => Fate<Committed<string>> {
  const data = new Uint8Array(10);
  const wait = { deadline: 1_000, forward: true, signal: undefined };
  return watch(proposals.add({ data, ...wait }));
}

/** Applies entries of a term, each with its index for a result. */
function apply(
  proposals: Proposals<string>,
  term: number,
  indexes: readonly number[],
): void {
  const entries: Entry[] = indexes.map((index) => ({
    type: "command",
    term,
    index,
    data: new Uint8Array(0),
  }));
  const outcomes: ApplyOutcome<string>[] = indexes.map((index) => ({
    type: "result",
    result: `${index}`,
  }));
  proposals.applied(entries, outcomes);
}

function rejection(fate: Fate<unknown>): readonly [string, string | undefined] {
  assert(fate.type === "rejected");
  return tell(fate.error);
}

describe("Proposals.addAll()", () => {
  it("never cuts a batch, whatever goes with it and however large it is", () => {
    for (
      const [sizes, calls] of [
        [[3, 3], [8]],
        [[1_000, 1_000], [1_001, 1_001]],
        [[3_000], [1, 3_000, 1]],
      ] as const
    ) {
      const proposals = registry();
      const core = new FakeLeader();
      addOne(proposals);
      for (const size of sizes) addAll(proposals, size);
      addOne(proposals);
      proposals.flush(core);
      assertEquals(core.calls, [...calls]);
    }
  });

  it("never cuts a batch for its bytes", () => {
    const proposals = registry();
    const core = new FakeLeader();
    addOne(proposals);
    addAll(proposals, 4, 1 << 19);
    addOne(proposals);
    proposals.flush(core);
    assertEquals(core.calls, [1, 4, 1]);
  });

  it("keeps a batch together when the leader takes it only later", () => {
    const proposals = registry();
    const core = new FakeLeader();
    addAll(proposals, 3);
    core.outcome = { type: "dropped", reason: "transferring" };
    proposals.flush(core);
    addOne(proposals);
    core.outcome = null;
    proposals.unblock();
    proposals.flush(core);
    assertEquals(core.calls, [3, 4]);
  });

  it("resolves with all results in their order, once the last is applied", async () => {
    const proposals = registry();
    const fate = addAll(proposals, 3);
    proposals.flush(new FakeLeader());
    apply(proposals, 1, [1, 2]);
    await microtasks();
    assertEquals(fate().type, "pending");
    apply(proposals, 1, [3]);
    await microtasks();
    assertEquals(fate(), {
      type: "resolved",
      value: [1, 2, 3].map((index) => ({ result: `${index}`, index, term: 1 })),
    });
    assertEquals(proposals.pendingCount, 0);
  });

  it("rejects as notAppended if another leader's entries took their place", async () => {
    const proposals = registry();
    const fate = addAll(proposals, 3);
    proposals.flush(new FakeLeader());
    apply(proposals, 2, [1]);
    await microtasks();
    assertEquals(rejection(fate()), ["leadershipLost", "notAppended"]);
    assertEquals(proposals.pendingCount, 0);
  });

  it("rejects as unknown, and says how many, if only the first were kept (H104)", async () => {
    const proposals = registry();
    const fate = addAll(proposals, 3);
    proposals.flush(new FakeLeader());
    apply(proposals, 1, [1, 2]);
    apply(proposals, 2, [3]);
    await microtasks();
    const settled = fate();
    assertEquals(rejection(settled), ["leadershipLost", "unknown"]);
    assert(settled.type === "rejected");
    assertInstanceOf(settled.error, Error);
    assert(settled.error.message.includes("all 3 proposals: 2 were applied"));
  });

  it("rejects as unknown if a snapshot hides the first and excludes the rest (H71)", async () => {
    const proposals = registry();
    const fate = addAll(proposals, 3);
    proposals.flush(new FakeLeader());
    proposals.installed({ term: 2, index: 2 });
    await microtasks();
    assertEquals(rejection(fate())[1], "unknown");
    assertEquals(proposals.pendingCount, 0);
  });

  it("is refused as a whole beyond any budget", async () => {
    const proposals = registry();
    const tooMany = addAll(proposals, 5_001);
    const tooLarge = addAll(proposals, 5, 1 << 20);
    addOne(proposals);
    const overloaded = addAll(proposals, 5_000);
    await microtasks();
    assertEquals(rejection(tooMany()), ["tooLarge", "notAppended"]);
    assertEquals(rejection(tooLarge()), ["tooLarge", "notAppended"]);
    assertEquals(rejection(overloaded()), ["overloaded", "notAppended"]);
    assertEquals(proposals.pendingCount, 1);
  });

  it("settles as one at its deadline, its signal and a stop", async () => {
    const ends: ((proposals: Proposals<string>) => void)[] = [
      (proposals) => proposals.expire(1_000, 1),
      (proposals) => proposals.stop("stopped", "Cannot go on"),
    ];
    for (const end of ends) {
      const proposals = registry();
      const fate = addAll(proposals, 3);
      end(proposals);
      await microtasks();
      assertEquals(rejection(fate())[1], "notAppended");
      assertEquals(proposals.pendingCount, 0);
    }
    const proposals = registry();
    const controller = new AbortController();
    const { signal } = controller;
    const data = [new Uint8Array(1), new Uint8Array(1)];
    const wait = { deadline: 1_000, forward: true, signal };
    const fate = watch(proposals.addAll(data, wait));
    controller.abort("enough");
    await microtasks();
    assertEquals(fate(), { type: "rejected", error: "enough" });
    assertEquals(proposals.pendingCount, 0);
  });
});

describe("group.proposeAll()", () => {
  it("applies its commands next to each other, through any member", () =>
    withWorld(3, async (world) => {
      const members = await world.group();
      const [leader, follower] = await leaderAndFollower(world, members);
      for (const member of [leader, follower]) {
        const before = leader.status().lastIndex;
        const all = await world.value(member.proposeAll(["a", "b", "c"]));
        const indexes = all.map(({ index }) => index);
        assertEquals(indexes, [1, 2, 3].map((at) => before + at));
      }
      const lines = await world.value(follower.read(null));
      assertEquals(lines, ["a", "b", "c", "a", "b", "c"]);
    }));

  it("appends nothing if one of them is invalid", () =>
    withWorld(1, async (world) => {
      const member = await world.member(1);
      await world.leader([member]);
      const { lastIndex } = member.status();
      const wrong: unknown[] = ["a", 7];
      const error = await world.error(
        Reflect.apply(member.proposeAll, member, [wrong]),
      );
      assertEquals(tell(error), ["invalidCommand", "notAppended"]);
      await world.advance(200);
      assertEquals(member.status().lastIndex, lastIndex);
      assertEquals(member.pendingCount, 0);
    }));

  it("of nothing resolves with nothing", () =>
    withWorld(1, async (world) => {
      const member = await world.member(1);
      assertEquals(await world.value(member.proposeAll([])), []);
    }));

  it("settles all when its leader is cut off (H104)", () =>
    withWorld(3, async (world) => {
      const members = await world.group();
      const [leader] = await leaderAndFollower(world, members);
      lose(world, leader, "appendEntries");
      const fate = watch(leader.proposeAll(["a", "b"], { timeoutMs: 5_000 }));
      await world.settle();
      isolate(world, leader);
      await world.until("settled", () => fate().type !== "pending");
      assertEquals(rejection(fate())[1], "unknown");
      assertEquals(leader.pendingCount, 0);
    }));

  it("is refused once the member stops", () =>
    withWorld(1, async (world) => {
      const member = await world.member(1);
      await world.leader([member]);
      await world.value(member.stop());
      const error = await world.error(member.proposeAll(["a"]));
      assertEquals(tell(error), ["stopped", "notAppended"]);
    }));
});
