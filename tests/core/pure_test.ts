import { describe, it } from "node:test";
import { assert, assertEquals, assertThrows } from "@std/assert";
import { resolveConfig } from "../../src/core/config.ts";
import {
  jointIndex,
  jointVote,
  majorityIndex,
  majorityVote,
} from "../../src/core/quorum.ts";
import { Inflights } from "../../src/core/inflights.ts";
import { InvariantError } from "../../src/core/invariant.ts";
import { TermRuns } from "../../src/core/term_runs.ts";

/** A small generator, the same on every run. */
function generator(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state * 48_271) % 2_147_483_647;
    return state % below;
  };
}

/** The definition: the largest index so many voters have reached. */
function bruteIndex(voters: number[], acked: Map<number, number>): number {
  if (voters.length === 0) return Infinity;
  const needed = Math.floor(voters.length / 2) + 1;
  const candidates = [0, ...acked.values()].sort((a, b) => b - a);
  return candidates.find((index) =>
    voters.filter((id) => (acked.get(id) ?? 0) >= index).length >= needed
  ) ?? 0;
}

function pick(next: (below: number) => number, most: number): number[] {
  return Array.from({ length: 9 }, (_, i) => i + 1)
    .filter(() => next(3) > 0).slice(0, next(most + 1));
}

describe("quorum", () => {
  it("agrees with counting, for every size and for joint ones (H30)", () => {
    const next = generator(7);
    for (let round = 0; round < 5_000; round++) {
      const voters = pick(next, 7);
      const outgoing = pick(next, 7);
      const acked = new Map<number, number>();
      for (let id = 1; id <= 9; id++) {
        if (next(4) > 0) acked.set(id, next(6));
      }
      const of = (id: number): number | undefined => acked.get(id);
      assertEquals(majorityIndex(voters, of), bruteIndex(voters, acked));
      assertEquals(
        jointIndex(voters, outgoing, of),
        Math.min(bruteIndex(voters, acked), bruteIndex(outgoing, acked)),
      );
    }
  });

  it("a vote is won by a majority of both halves, and lost without one", () => {
    const next = generator(11);
    for (let round = 0; round < 5_000; round++) {
      const voters = pick(next, 7);
      const outgoing = pick(next, 7);
      const votes = new Map<number, boolean>();
      for (let id = 1; id <= 9; id++) {
        if (next(3) > 0) votes.set(id, next(2) > 0);
      }
      const of = (id: number): boolean | undefined => votes.get(id);
      const count = (ids: number[], vote: boolean | undefined): number =>
        ids.filter((id) => votes.get(id) === vote).length;
      const result = (ids: number[]): string => {
        if (ids.length === 0) return "won";
        if (count(ids, true) * 2 > ids.length) return "won";
        return (count(ids, true) + count(ids, undefined)) * 2 > ids.length
          ? "pending"
          : "lost";
      };
      assertEquals(majorityVote(voters, of), result(voters));
      const both = [result(voters), result(outgoing)];
      assertEquals(
        jointVote(voters, outgoing, of),
        both.includes("lost")
          ? "lost"
          : both.includes("pending")
          ? "pending"
          : "won",
      );
    }
  });
});

describe("Inflights", () => {
  it("agrees with a plain queue under any use", () => {
    const next = generator(3);
    for (let round = 0; round < 200; round++) {
      const maxCount = 1 + next(20);
      const maxBytes = 1 + next(200);
      const window = new Inflights(maxCount, maxBytes);
      let queue: { index: number; bytes: number }[] = [];
      let index = 0;
      for (let i = 0; i < 200; i++) {
        const sum = queue.reduce((all, one) => all + one.bytes, 0);
        assertEquals(window.count, queue.length);
        assertEquals(window.bytes, sum);
        const full = queue.length === maxCount || sum >= maxBytes;
        assertEquals(window.full, full);
        if (full || next(3) === 0) {
          const through = index - next(8);
          window.freeThrough(through);
          queue = queue.filter((one) => one.index > through);
        } else {
          index += 1 + next(3);
          const bytes = next(40);
          window.add(index, bytes);
          queue.push({ index, bytes });
        }
      }
    }
  });
});

describe("TermRuns", () => {
  it("agrees with a plain list of terms under any use", () => {
    const next = generator(5);
    for (let round = 0; round < 300; round++) {
      const runs = new TermRuns({ term: 0, index: 0 }, 0, []);
      let terms = [0];
      let first = 0;
      for (let i = 0; i < 60; i++) {
        const last = terms.length - 1;
        const action = next(8);
        if (action === 0 && last > first) {
          const from = first + 1 + next(last - first);
          runs.truncate(from);
          terms = terms.slice(0, from);
        } else if (action === 1 && last > first) {
          const through = first + next(last - first + 1);
          runs.compact(through);
          first = through;
        } else {
          const term = (terms.at(-1) ?? 0) + (next(3) === 0 ? next(4) : 0);
          runs.append(terms.length, Math.max(term, 1));
          terms.push(Math.max(term, 1));
        }
        runs.check();
        for (let at = 0; at <= terms.length; at++) {
          assertEquals(
            runs.termAt(at),
            at < first ? undefined : terms[at],
          );
          const term = next(12);
          assertEquals(
            runs.findConflictByTerm(at, term),
            bruteConflict(terms, first, at, term),
          );
        }
      }
    }
  });
});

/** Goes back one entry at a time. */
function bruteConflict(
  terms: number[],
  first: number,
  index: number,
  term: number,
): { index: number; term: number } {
  for (let i = index; i > 0; i--) {
    const own = i < first ? undefined : terms[i];
    if (own === undefined) return { index: i, term: 0 };
    if (own <= term) return { index: i, term: own };
  }
  return { index: 0, term: 0 };
}

describe("configuration of the core", () => {
  it("refuses values out of range and limits that contradict each other", () => {
    for (
      const bad of [
        { electionTicks: 0 },
        { electionTicks: 1.5 },
        { heartbeatTicks: 10, electionTicks: 10 },
        { maxInflightBytes: 10, maxAppendBytes: 11 },
        { maxEntryBytes: Infinity },
      ]
    ) assertThrows(() => resolveConfig(bad), RangeError, "Cannot configure");
    assert(resolveConfig({}).preVote);
  });
});

describe("InvariantError", () => {
  it("names itself", () => {
    assertEquals(new InvariantError("x").name, "InvariantError");
  });
});
