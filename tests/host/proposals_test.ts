import { describe, it } from "node:test";
import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import type { ProposeAnswer, ProposeOutcome } from "../../src/core/raw_node.ts";
import type { Entry, NodeId, Role } from "../../src/core/types.ts";
import { RaftError } from "../../src/errors.ts";
import type { Committed } from "../../src/host/options.ts";
import { type ProposalCore, Proposals } from "../../src/host/proposals.ts";
import type { ApplyOutcome } from "../../src/rsm/machine_runner.ts";
import { type Fate, microtasks, watch } from "./support/world.ts";

const BYTES = new Uint8Array(10);

/** A core that answers what it is told to. */
class FakeCore implements ProposalCore {
  role: Role = "leader";
  leader: NodeId | null = 1;
  term = 1;
  next: ProposeOutcome = { type: "appended", term: 1, index: 1 };
  readonly calls: number[] = [];
  lastTicket = 0;
  answers: ProposeAnswer[] = [];

  propose(commands: readonly Uint8Array[], ticket = 0): ProposeOutcome {
    this.calls.push(commands.length);
    this.lastTicket = ticket;
    return this.next;
  }

  takeAnswers(): ProposeAnswer[] {
    return this.answers.splice(0);
  }

  lead(term: number, index: number): void {
    this.role = "leader";
    this.term = term;
    this.next = { type: "appended", term, index };
  }

  follow(term: number): void {
    this.role = "follower";
    this.leader = 2;
    this.term = term;
    this.next = { type: "forwarded", to: 2 };
  }
}

function registry(): Proposals<string> {
  return new Proposals<string>({
    maxPendingCount: 10_000,
    maxPendingBytes: 1 << 30,
    maxEntryBytes: 1 << 20,
    firstTicket: 100,
    appliedIndex: 0,
  });
}

function add(
  proposals: Proposals<string>,
  data: Uint8Array = BYTES,
): () => Fate<Committed<string>> {
  return watch(
    proposals.add({ data, deadline: 1_000, forward: true, signal: undefined }),
  );
}

function entry(term: number, index: number): Entry {
  return { type: "command", term, index, data: BYTES };
}

function result(text: string): ApplyOutcome<string> {
  return { type: "result", result: text };
}

function rejection(fate: Fate<unknown>): readonly [string, string | undefined] {
  assert(fate.type === "rejected");
  assertInstanceOf(fate.error, RaftError);
  return [fate.error.code, fate.error.outcome];
}

describe("Proposals.applied()", () => {
  it("answers by index and term, not by index alone (H105)", async () => {
    const proposals = registry();
    const core = new FakeCore();
    core.lead(1, 5);
    const old = add(proposals);
    proposals.flush(core);
    core.lead(3, 5);
    const current = add(proposals);
    proposals.flush(core);
    core.lead(7, 5);
    const future = add(proposals);
    proposals.flush(core);
    proposals.applied([entry(3, 5)], [result("mine")]);
    await microtasks();
    assertEquals(rejection(old()), ["leadershipLost", "notAppended"]);
    assertEquals(current(), {
      type: "resolved",
      value: { result: "mine", index: 5, term: 3 },
    });
    // Nothing of term 7 can be where term 3 is committed.
    assertEquals(rejection(future()), ["leadershipLost", "notAppended"]);
    assertEquals(proposals.pendingCount, 0);
  });

  it("settles all of an earlier term with the first entry of a later one", async () => {
    const proposals = registry();
    const core = new FakeCore();
    core.lead(1, 5);
    const far = [add(proposals), add(proposals), add(proposals)];
    proposals.flush(core);
    proposals.applied([{ type: "noop", term: 2, index: 5 }], [{
      type: "none",
    }]);
    await microtasks();
    for (const fate of far) {
      assertEquals(rejection(fate()), ["leadershipLost", "notAppended"]);
    }
    assertEquals(proposals.pendingCount, 0);
  });

  it("leaves those of the present term alone", async () => {
    const proposals = registry();
    const core = new FakeCore();
    core.lead(2, 6);
    const waiting = add(proposals);
    proposals.flush(core);
    proposals.applied([{ type: "noop", term: 2, index: 5 }], [{
      type: "none",
    }]);
    await microtasks();
    assertEquals(waiting().type, "pending");
    proposals.applied([entry(2, 6)], [result("yes")]);
    await microtasks();
    assertEquals(waiting().type, "resolved");
  });

  it("passes on why a session's command was refused", async () => {
    const proposals = registry();
    const core = new FakeCore();
    const fate = add(proposals);
    proposals.flush(core);
    const error = new RaftError("sessionExpired", "Too old", {
      outcome: "notAppended",
    });
    proposals.applied([entry(1, 1)], [{ type: "refused", error }]);
    await microtasks();
    assertEquals(rejection(fate()), ["sessionExpired", "notAppended"]);
  });
});

describe("Proposals.takeAnswers()", () => {
  function forward(): {
    readonly proposals: Proposals<string>;
    readonly core: FakeCore;
    readonly fates: (() => Fate<Committed<string>>)[];
  } {
    const proposals = registry();
    const core = new FakeCore();
    core.follow(1);
    const fates = [add(proposals), add(proposals)];
    proposals.flush(core);
    return { proposals, core, fates };
  }

  function answer(
    core: FakeCore,
    proposals: Proposals<string>,
    outcome: ProposeAnswer["outcome"],
  ): void {
    core.answers.push({ ticket: core.lastTicket, outcome });
    proposals.takeAnswers(core);
  }

  it("finds results that were applied before the answer came", async () => {
    const { proposals, core, fates } = forward();
    proposals.applied([entry(1, 1)], [result("other")]);
    proposals.applied([entry(1, 2), entry(1, 3)], [result("a"), result("b")]);
    answer(core, proposals, { type: "appended", term: 1, index: 2 });
    await microtasks();
    assertEquals(
      fates.map((fate) => fate()),
      [
        { type: "resolved", value: { result: "a", index: 2, term: 1 } },
        { type: "resolved", value: { result: "b", index: 3, term: 1 } },
      ],
    );
  });

  it("also in a batch that spans two terms", async () => {
    const proposals = registry();
    const core = new FakeCore();
    core.follow(2);
    const fates = [add(proposals), add(proposals)];
    proposals.flush(core);
    proposals.applied(
      [entry(1, 1), entry(2, 2), entry(2, 3)],
      [result("other"), result("a"), result("b")],
    );
    answer(core, proposals, { type: "appended", term: 2, index: 2 });
    await microtasks();
    assertEquals(
      fates.map((fate) => fate()),
      [
        { type: "resolved", value: { result: "a", index: 2, term: 2 } },
        { type: "resolved", value: { result: "b", index: 3, term: 2 } },
      ],
    );
  });

  it("and says that they were overwritten if they were", async () => {
    const { proposals, core, fates } = forward();
    core.follow(2);
    proposals.applied([entry(1, 1)], [result("other")]);
    const third = add(proposals);
    proposals.flush(core);
    proposals.applied([entry(2, 2)], [result("theirs")]);
    answer(core, proposals, { type: "appended", term: 1, index: 2 });
    await microtasks();
    // The first two were given up when term 2 began; the third is answered.
    for (const fate of fates) {
      assertEquals(rejection(fate()), ["leadershipLost", "unknown"]);
    }
    assertEquals(rejection(third()), ["leadershipLost", "notAppended"]);
  });

  it("admits that a result is gone: unknown", async () => {
    const { proposals, core, fates } = forward();
    for (let index = 1; index <= 9_000; index++) {
      proposals.applied([entry(1, index)], [result(`${index}`)]);
    }
    answer(core, proposals, { type: "appended", term: 1, index: 10 });
    await microtasks();
    for (const fate of fates) {
      assertEquals(rejection(fate()), ["timeout", "unknown"]);
    }
  });

  it("tries again, in order, what was dropped for a passing reason, and only after a tick", async () => {
    const { proposals, core } = forward();
    answer(core, proposals, { type: "dropped", reason: "noLeader" });
    assertEquals(proposals.canFlush, false);
    proposals.flush(core);
    assertEquals(core.calls, [2]);
    proposals.unblock();
    add(proposals);
    proposals.flush(core);
    assertEquals(core.calls, [2, 3]);
    await microtasks();
    assertEquals(proposals.pendingCount, 3);
  });

  for (
    const [reason, code] of [
      ["tooLarge", "tooLarge"],
      ["uncommittedLimit", "overloaded"],
      ["notMember", "notMember"],
      ["forwardingDisabled", "notLeader"],
    ] as const
  ) {
    it(`rejects what was dropped for good: ${reason}`, async () => {
      const { proposals, core, fates } = forward();
      answer(core, proposals, { type: "dropped", reason });
      await microtasks();
      for (const fate of fates) {
        assertEquals(rejection(fate()), [code, "notAppended"]);
      }
    });
  }

  it("ignores tickets nobody waits for, and answers that come twice", async () => {
    const { proposals, core, fates } = forward();
    core.answers.push({
      ticket: 7,
      outcome: { type: "dropped", reason: "tooLarge" },
    });
    const appended = { type: "appended", term: 1, index: 1 } as const;
    answer(core, proposals, appended);
    answer(core, proposals, { type: "dropped", reason: "tooLarge" });
    proposals.applied([entry(1, 1), entry(1, 2)], [result("a"), result("b")]);
    await microtasks();
    assertEquals(fates.map((fate) => fate().type), ["resolved", "resolved"]);
  });
});

describe("Proposals.flush()", () => {
  it("hands over at most 1 024 commands or 1 MiB at once, one always", () => {
    const proposals = registry();
    const core = new FakeCore();
    for (let count = 0; count < 1_500; count++) add(proposals);
    proposals.flush(core);
    assertEquals(core.calls.splice(0), [1_024, 476]);
    for (let count = 0; count < 3; count++) {
      add(proposals, new Uint8Array(700_000));
    }
    proposals.flush(core);
    assertEquals(core.calls, [1, 1, 1]);
  });

  it("holds the rest back, in order, when a batch is dropped", () => {
    const proposals = registry();
    const core = new FakeCore();
    for (let count = 0; count < 3_000; count++) add(proposals);
    core.next = { type: "dropped", reason: "transferring" };
    proposals.flush(core);
    assertEquals(core.calls.splice(0), [1_024]);
    assertEquals(proposals.pendingCount, 3_000);
    core.lead(1, 1);
    proposals.unblock();
    proposals.flush(core);
    assertEquals(core.calls, [1_024, 1_024, 952]);
  });
});

describe("Proposals.expire()", () => {
  it("tells what was queued from what was not", async () => {
    const proposals = registry();
    const core = new FakeCore();
    const appended = add(proposals);
    proposals.flush(core);
    core.follow(1);
    const forwarded = add(proposals);
    proposals.flush(core);
    core.next = { type: "dropped", reason: "noLeader" };
    const queued = add(proposals);
    proposals.flush(core);
    proposals.expire(999, null);
    await microtasks();
    assertEquals(proposals.pendingCount, 3);
    proposals.expire(1_000, null);
    await microtasks();
    assertEquals(rejection(appended()), ["timeout", "unknown"]);
    assertEquals(rejection(forwarded()), ["timeout", "unknown"]);
    assertEquals(rejection(queued()), ["noLeader", "notAppended"]);
    assertEquals(proposals.pendingCount, 0);
  });
});

describe("Proposals.stop()", () => {
  it("settles everything, and answers that come later change nothing (H124)", async () => {
    const proposals = registry();
    const core = new FakeCore();
    core.follow(1);
    const fate = add(proposals);
    proposals.flush(core);
    proposals.stop("stopped", "It stopped");
    core.answers.push({
      ticket: core.lastTicket,
      outcome: { type: "appended", term: 1, index: 1 },
    });
    proposals.takeAnswers(core);
    proposals.applied([entry(1, 1)], [result("late")]);
    await microtasks();
    assertEquals(rejection(fate()), ["stopped", "unknown"]);
    assertEquals(proposals.pendingCount, 0);
  });
});
