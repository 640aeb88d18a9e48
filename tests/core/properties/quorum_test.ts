/**
 * Majorities against the plainest second implementation: every subset is
 * looked at (H30).
 */
import { describe, it } from "node:test";
import { assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  jointIndex,
  jointVote,
  majority,
  majorityIndex,
  majorityVote,
  type VoteResult,
} from "../../../src/core/quorum.ts";
import { property } from "./property.ts";

const MAX_VOTERS = 7;
const voterIds = fc.uniqueArray(fc.integer({ min: 1, max: 9 }), {
  maxLength: MAX_VOTERS,
});

/** Every subset of more than half of the voters. */
function quorums(voters: readonly number[]): number[][] {
  const subsets: number[][] = [];
  for (let bits = 0; bits < 1 << voters.length; bits++) {
    const subset = voters.filter((_, i) => (bits >> i & 1) === 1);
    if (2 * subset.length > voters.length) subsets.push(subset);
  }
  return subsets;
}

/** The best that any quorum has acknowledged as a whole. */
function bruteIndex(
  voters: readonly number[],
  acked: ReadonlyMap<number, number>,
): number {
  if (voters.length === 0) return Infinity;
  return Math.max(
    ...quorums(voters).map((quorum) =>
      Math.min(...quorum.map((id) => acked.get(id) ?? 0))
    ),
  );
}

/** Won: some quorum said yes. Lost: none can any more. */
function bruteVote(
  voters: readonly number[],
  votes: ReadonlyMap<number, boolean>,
): VoteResult {
  if (voters.length === 0) return "won";
  const all = quorums(voters);
  if (all.some((quorum) => quorum.every((id) => votes.get(id) === true))) {
    return "won";
  }
  return all.some((quorum) => quorum.every((id) => votes.get(id) !== false))
    ? "pending"
    : "lost";
}

const ackedIndexes = fc.array(
  fc.tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 0, max: 6 })),
  { maxLength: 12 },
).map((pairs) => new Map(pairs));
const voteMap = fc.array(
  fc.tuple(fc.integer({ min: 1, max: 9 }), fc.boolean()),
  { maxLength: 12 },
).map((pairs) => new Map(pairs));

describe("quorums up to 7 + 7 voters are what looking at all subsets gives", () => {
  it("majority() is the least size of which two always overlap", () => {
    for (let count = 1; count <= 15; count++) {
      const size = majority(count);
      assertEquals(2 * size > count && 2 * (size - 1) <= count, true);
    }
  });

  it("majorityIndex() is the best that some quorum has whole", () => {
    property(fc.property(voterIds, ackedIndexes, (voters, acked) => {
      assertEquals(
        majorityIndex(voters, (id) => acked.get(id)),
        bruteIndex(voters, acked),
      );
    }));
  });

  it("jointIndex() is the best that quorums of both halves have (§4.3)", () => {
    property(
      fc.property(voterIds, voterIds, ackedIndexes, (left, right, acked) => {
        const index = jointIndex(left, right, (id) => acked.get(id));
        assertEquals(
          index,
          Math.min(bruteIndex(left, acked), bruteIndex(right, acked)),
        );
      }),
    );
  });

  it("majorityVote() knows whether a quorum agrees, or still may", () => {
    property(fc.property(voterIds, voteMap, (voters, votes) => {
      assertEquals(
        majorityVote(voters, (id) => votes.get(id)),
        bruteVote(voters, votes),
      );
    }));
  });

  it("jointVote() is won by both halves and lost by one (§4.3)", () => {
    property(fc.property(voterIds, voterIds, voteMap, (left, right, votes) => {
      const results = [bruteVote(left, votes), bruteVote(right, votes)];
      const wanted = results.includes("lost")
        ? "lost"
        : results.includes("pending")
        ? "pending"
        : "won";
      assertEquals(jointVote(left, right, (id) => votes.get(id)), wanted);
    }));
  });

  it("the order of voters and a half given twice make no difference", () => {
    property(fc.property(voterIds, ackedIndexes, (voters, acked) => {
      const of = (id: number) => acked.get(id);
      const reversed = [...voters].reverse();
      assertEquals(majorityIndex(reversed, of), majorityIndex(voters, of));
      assertEquals(jointIndex(voters, voters, of), majorityIndex(voters, of));
    }));
  });
});
