/** What storages check of a write, and the bounds they carry forward. */
import { describe, it } from "node:test";
import { assertEquals, assertThrows } from "@std/assert";
import { type Entry, entryBytes, type TermRun } from "../src/core/types.ts";
import {
  checkGroupWrite,
  compactBounds,
  type LogBounds,
  storedEntryBytes,
  termAt,
} from "../src/storage_checks.ts";
import {
  append,
  command,
  createGroup,
  metaAt,
} from "../src/testing/storage_samples.ts";

/** The bounds of a log with these terms, from `firstIndex` on. */
function boundsOf(
  terms: readonly number[],
  firstIndex = 1,
  prevTerm = 0,
): LogBounds {
  const termRuns: TermRun[] = [];
  for (const [i, term] of terms.entries()) {
    if (i > 0 && terms[i - 1] === term) continue;
    termRuns.push({ term, firstIndex: firstIndex + i });
  }
  const lastIndex = firstIndex + terms.length - 1;
  return { node: 1, firstIndex, lastIndex, prevTerm, termRuns };
}

/** All ascending lists of up to `length` terms of 1 to 3. */
function* ascending(length: number, least = 1): Generator<number[]> {
  yield [];
  if (length === 0) return;
  for (let term = least; term <= 3; term++) {
    for (const rest of ascending(length - 1, term)) yield [term, ...rest];
  }
}

describe("checkGroupWrite()", () => {
  it("carries bounds forward as a list of terms would be, exhaustively", () => {
    let tried = 0;
    for (const log of ascending(4)) {
      for (const added of ascending(3)) {
        for (let from = 1; from <= log.length + 1; from++) {
          const before = log[from - 2] ?? 0;
          const entries = added.map((term, i) => command(term, from + i, 0));
          if ((added[0] ?? 3) < before) {
            assertThrows(
              () => checkGroupWrite(append(1, entries), boundsOf(log)),
              RangeError,
            );
            continue;
          }
          const wanted = added.length === 0
            ? log
            : [...log.slice(0, from - 1), ...added];
          assertEquals(
            checkGroupWrite(append(1, entries), boundsOf(log)),
            boundsOf(wanted),
          );
          tried++;
        }
      }
    }
    assertEquals(tried > 500, true);
  });

  it("lets a snapshot replace the log up to its index, and all of it if that contradicts (thesis §5.3)", () => {
    for (const log of ascending(4)) {
      for (let index = 1; index <= log.length + 2; index++) {
        for (const term of [1, 2, 3]) {
          const write = {
            group: 1,
            snapshot: metaAt(index, term),
            entries: [],
          };
          const kept = log[index - 1] === term ? log.slice(index) : [];
          assertEquals(
            checkGroupWrite(write, boundsOf(log)),
            boundsOf(kept, index + 1, term),
          );
        }
      }
    }
  });

  it("refuses a snapshot older than the start of the log (H63)", () => {
    const write = { group: 1, snapshot: metaAt(3, 1), entries: [] };
    const bounds = boundsOf([2, 2], 6, 2);
    assertThrows(() => checkGroupWrite(write, bounds), RangeError, "older");
  });

  it("refuses ids, terms and indexes that are no safe integers in range", () => {
    const state = { term: 1, vote: null, commit: 0 };
    const bad = [-1, 0.5, NaN, 2 ** 53, Infinity];
    for (const value of bad) {
      for (
        const write of [
          { ...createGroup(1), group: value },
          createGroup(1, value),
          append(1, [{ type: "noop" as const, term: value, index: 1 }]),
          { ...append(1, []), hardState: { ...state, term: value } },
          { ...append(1, []), hardState: { ...state, vote: value } },
          { ...append(1, []), hardState: { ...state, commit: value } },
        ]
      ) {
        const bounds = write.create === undefined ? boundsOf([]) : undefined;
        assertThrows(() => checkGroupWrite(write, bounds), RangeError);
      }
    }
    const voteless = { ...append(1, []), hardState: { ...state, vote: 0 } };
    assertThrows(() => checkGroupWrite(voteless, boundsOf([])), RangeError);
  });
});

describe("compactBounds()", () => {
  it("drops a prefix and knows the term before the rest", () => {
    for (const log of ascending(5)) {
      for (let index = 1; index <= log.length; index++) {
        assertEquals(
          compactBounds(boundsOf(log), index),
          boundsOf(log.slice(index), index + 1, log[index - 1]),
        );
      }
    }
  });
});

describe("termAt()", () => {
  it("knows the term of every entry and of the one before the log, and no other", () => {
    for (const log of ascending(5)) {
      const bounds = boundsOf(log, 11, 1);
      const terms = [1, ...log];
      for (const [i, term] of terms.entries()) {
        assertEquals(termAt(bounds, 10 + i), term);
      }
      assertThrows(() => termAt(bounds, 9), RangeError);
      assertThrows(() => termAt(bounds, 11 + log.length), RangeError);
    }
  });
});

describe("storedEntryBytes()", () => {
  it("measures as the core does", () => {
    const samples: Entry[] = [
      { type: "noop", term: 1, index: 1 },
      command(1, 2, 0),
      command(1, 3, 1000),
      {
        type: "confChange",
        term: 1,
        index: 4,
        change: {
          transition: "auto",
          steps: [{ type: "addVoter", node: 2 }, { type: "remove", node: 3 }],
        },
      },
    ];
    for (const entry of samples) {
      assertEquals(storedEntryBytes(entry), entryBytes(entry));
    }
  });
});
