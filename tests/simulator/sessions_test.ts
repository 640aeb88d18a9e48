import { describe, it } from "node:test";
import { assert, assertEquals, assertThrows } from "@std/assert";
import type { Entry, LogIndex } from "../../src/core/types.ts";
import { RaftError } from "../../src/errors.ts";
import { Sessions } from "../../src/rsm/sessions.ts";
import {
  addMarks,
  type Applied,
  drawOptions,
  type HistoryEntry,
  type MarkCounts,
  MARKS,
  noMarks,
  type SessionOptions,
  SimRandom,
  simulate,
  type Subject,
  Violation,
} from "../../src/sim/mod.ts";
import { MarkCounter } from "../../src/sim/marks.ts";
import { newCommandCodec } from "../../src/sim/numbered_commands.ts";
import { MAX_RETIRED_CLIENTS } from "../../src/sim/options_sessions.ts";
import type { MemberView } from "../../src/sim/oracle.ts";
import type { EntryEffect } from "../../src/sim/replica.ts";
import { SessionChecks } from "../../src/sim/session_checks.ts";
import { SessionModel } from "../../src/sim/session_model.ts";

const OPTIONS: SessionOptions = {
  clientPermille: 1000,
  sendCount: 20,
  resendMs: 500,
  renewPermille: 20,
  forgetPermille: 300,
  forgetMs: 5_000,
  maxClients: 2,
  maxResultsPerClient: 2,
  maxResults: 3,
};

const AMPLE = { maxClients: 20, maxResultsPerClient: 100, maxResults: 1_000 };

const SNAPSHOTS = {
  everyCount: 5,
  trailingCount: 0,
  storeMs: 20,
  sendMs: 100,
  wrongReportPermille: 0,
  reportMs: 0,
};

type AdderEntry = HistoryEntry<number, number, "sum", number>;

describe("SessionModel", () => {
  it("decides like the real table, whatever the limits (H103, H106)", () => {
    const random = new SimRandom(1);
    const seen = new Set<string>();
    for (let round = 0; round < 200; round++) {
      const maxResultsPerClient = random.between(1, 4);
      const limits = {
        maxClients: random.between(1, 4),
        maxResultsPerClient,
        maxResults: maxResultsPerClient + random.below(6),
      };
      const model = new SessionModel(limits);
      const table = new Sessions({
        ...limits,
        maxRetiredClients: MAX_RETIRED_CLIENTS,
      });
      const indexOf = new Map<object, LogIndex>();
      for (let index = 1; index <= 60; index++) {
        const client = `${random.below(6)}`;
        const ref = { client, sequence: random.below(8) };
        const admission = table.admit(ref);
        const verdict = model.next(ref, index);
        assertEquals(verdict.type, admission.type);
        seen.add(verdict.type);
        if (admission.type === "apply") indexOf.set(admission.slot, index);
        if (admission.type === "repeat" && verdict.type === "repeat") {
          assertEquals(verdict.first, indexOf.get(admission.slot));
        }
      }
      assertEquals(model.retiredCount > 0, table.retiredCount > 0);
    }
    assertEquals([...seen].sort(), ["apply", "expired", "repeat"]);
  });
});

describe("SessionChecks", () => {
  const codec = newCommandCodec();
  const member = { id: 1 } as unknown as MemberView; // only its id is told
  const view = { member, restoredThrough: 0 };
  const expired = new RaftError("sessionExpired", "Cannot: it is over", {
    outcome: "unknown",
  });

  function checks(isDurable = false): SessionChecks {
    return new SessionChecks(OPTIONS, isDurable, new MarkCounter());
  }

  function command(index: LogIndex, name?: string): Entry {
    const [client = "", sequence] = name?.split("/") ?? [];
    const data = codec.encode(
      new Uint8Array([index]),
      name === undefined ? undefined : { client, sequence: Number(sequence) },
    );
    return { type: "command", term: 1, index, data };
  }

  function applied(result: unknown): EntryEffect {
    return { type: "applied", result };
  }

  function assertFails(work: () => void, message: string): void {
    const { check } = assertThrows(work, Violation, message);
    assert(check === "exactlyOnce" || check === "sessionAgreement", check);
  }

  it("a number takes effect once, on whichever member (H102)", () => {
    const session = checks();
    session.applied(view, command(1, "a/1"), applied("x"));
    session.applied(view, command(1, "a/1"), applied("x"));
    assertFails(
      () => session.applied(view, command(2, "a/1"), applied("x")),
      "applies command a/1 at index 2, it took effect at 1",
    );
  });

  it("a repeat gets the first result, and nothing else", () => {
    const session = checks();
    session.applied(view, command(1, "a/1"), applied({ sum: 1 }));
    const repeat = (result: unknown) =>
      session.applied(view, command(2, "a/1"), { type: "repeated", result });
    repeat({ sum: 1 });
    assertFails(() => repeat({ sum: 2 }), "by another result");
    assertFails(
      () =>
        session.applied(view, command(2, "a/1"), {
          type: "refused",
          error: expired,
        }),
      "wanted: repeat",
    );
  });

  it("a durable machine may not know the result any more (H57)", () => {
    const session = checks(true);
    session.applied(view, command(1, "a/1"), applied(1));
    session.applied(view, command(1, "a/1"), { type: "held" });
    session.applied(view, command(2, "a/1"), {
      type: "refused",
      error: expired,
    });
  });

  it("what the log lets expire is refused, by its own error (H103)", () => {
    const session = checks();
    for (const index of [1, 2, 3]) {
      session.applied(view, command(index, `a/${index}`), applied(index));
    }
    const late = command(4, "a/1");
    session.applied(view, late, { type: "refused", error: expired });
    assertFails(
      () => session.applied(view, late, applied(1)),
      "it took effect at 1",
    );
    const wrong = new RaftError("timeout", "Cannot wait", {
      outcome: "unknown",
    });
    assertFails(
      () => session.applied(view, late, { type: "refused", error: wrong }),
      "by timeout, outcome unknown",
    );
    assertFails(
      () =>
        session.applied(view, command(3, "a/3"), {
          type: "refused",
          error: expired,
        }),
      "wanted: apply",
    );
  });

  it("commands without a number are applied as they come", () => {
    const session = checks();
    session.applied(view, command(1), applied(1));
    session.applied(view, command(2), applied(1));
    assertFails(
      () => session.applied(view, command(2), { type: "repeated", result: 1 }),
      "has repeated a command without a number",
    );
  });

  it("tables are equal at equal indexes (H70)", () => {
    const session = checks();
    session.tableAt(member, 5, 77);
    session.tableAt(member, 6, 78);
    session.tableAt(member, 5, 77);
    assertFails(() => session.tableAt(member, 5, 78), "another member had 77");
  });

  it("what is acknowledged took effect, with that result (H104)", () => {
    const session = checks();
    const ref = { client: "a", sequence: 1 };
    assertFails(() => session.acknowledged(1, ref, 7), "took effect nowhere");
    session.applied(view, command(1, "a/1"), applied(7));
    assertEquals(session.acknowledged(1, ref, 7), 1);
    assertFails(() => session.acknowledged(1, ref, 8), "another result");
  });
});

/** Adds numbers: a command that is applied twice shows. */
function adder(): Subject<number, number, "sum", number> {
  return {
    create() {
      let sum = 0;
      const never = () => {
        throw new Error("Cannot wait: no run does");
      };
      return {
        command: { parse: Number },
        apply: (entries: readonly Applied<number>[]) =>
          entries.map(({ command }) => sum += command),
        query: () => sum,
        checksum: () => sum,
        capture: () => new TextEncoder().encode(`${sum}`),
        install(state) {
          sum = Number(new TextDecoder().decode(state));
        },
        snapshot: never,
        restore: never,
      };
    },
    encode: (command) => new TextEncoder().encode(`${command}`),
    decode: (bytes) => Number(new TextDecoder().decode(bytes)),
    next: (random) =>
      random.chance(100)
        ? { type: "query", query: "sum" }
        : { type: "command", command: random.between(1, 9) },
  };
}

/** What clients of an adder know bounds what was added (H102, H104). */
function checkSums(history: readonly AdderEntry[]): void {
  const results: number[] = [];
  let known = 0;
  let asked = 0;
  for (const { operation, outcome, result } of history) {
    if (operation.type !== "command") continue;
    asked += operation.command;
    if (outcome !== "ok") continue;
    known += operation.command;
    results.push(result ?? 0);
  }
  const highest = Math.max(0, ...results);
  assert(highest >= known, `${known} was acknowledged, the sum is ${highest}`);
  assert(highest <= asked, `${asked} was asked for, the sum is ${highest}`);
  assertEquals(new Set(results).size, results.length);
}

/** Marks of runs with sessions, each of which has to hold. */
function marksOf(sessions: Partial<SessionOptions>, host = {}): MarkCounts {
  let marks = noMarks();
  for (let seed = 1; seed <= 6; seed++) {
    const result = simulate({
      seed,
      overrides: {
        ticks: 1_500,
        members: 3,
        groups: 1,
        host,
        protocol: { snapshots: SNAPSHOTS },
        sessions: { ...OPTIONS, ...sessions },
      },
    });
    assertEquals(result.failure, undefined, `seed ${seed}`);
    marks = addMarks(marks, result.marks);
  }
  return marks;
}

describe("clients with sessions", () => {
  it("send again what they know nothing of, and it counts once (H102)", () => {
    let repeated = 0;
    let resent = 0;
    for (let seed = 1; seed <= 12; seed++) {
      const { failure, marks } = simulate({
        seed,
        subject: { ...adder(), checkHistory: checkSums },
        overrides: {
          ticks: 1_200,
          groups: 1,
          network: { duplicateProposals: true, duplicatePermille: 300 },
          sessions: OPTIONS,
        },
      });
      assertEquals(failure, undefined, `seed ${seed}`);
      repeated += marks.proposalRepeated;
      resent += marks.sessionResent;
    }
    assert(repeated > 0 && resent > 0, `${repeated}, ${resent}`);
  });

  it("are answered again by members that had it from a snapshot (H70)", () => {
    const marks = marksOf(AMPLE);
    assert(marks.sessionAnsweredElsewhere > 0);
    assert(marks.sessionAnswerFromSnapshot > 0);
    assert(marks.sessionRestored > 0);
    assertEquals([marks.sessionRetired, marks.sessionExpired], [0, 0]);
  });

  it("see their sessions expire where little is kept (H103, H106)", () => {
    const marks = marksOf({ maxClients: 1, maxResultsPerClient: 1 });
    assert(marks.sessionRetired > 0 && marks.sessionExpired > 0);
    assert(marks.sessionReturned > 0);
  });

  it("are known again after the log was replayed (H57)", () => {
    const marks = marksOf(AMPLE, { durableMachine: true });
    assert(marks.sessionReplayed > 0 && marks.sessionResultNotKept > 0);
    assertEquals(marksOf(AMPLE, { durableMachine: false }).sessionReplayed, 0);
  });

  it("number nothing where no seed says so", () => {
    const marks = marksOf({ clientPermille: 0 });
    const own = MARKS.filter((mark) => mark.startsWith("session"));
    assertEquals(own.map((mark) => marks[mark]), own.map(() => 0));
  });

  it("exist in some runs, all or a few of them, with small limits too", () => {
    const shares = new Set<number>();
    const limits = new Set<number>();
    for (let seed = 0; seed < 60; seed++) {
      const { sessions } = drawOptions(seed);
      shares.add(sessions.clientPermille);
      limits.add(sessions.maxClients);
      assert(sessions.maxResults >= sessions.maxResultsPerClient);
    }
    assertEquals([...shares].sort(), [0, 1000, 300]);
    assert(limits.has(1) && limits.has(10_000));
  });
});
