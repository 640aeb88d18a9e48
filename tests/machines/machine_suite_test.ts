import { describe, it } from "node:test";
import { assertEquals, assertThrows } from "@std/assert";
import { copyBytes, decodeCbor, encodeCbor } from "../../src/codec.ts";
import { machineCases } from "../../src/testing/mod.ts";
import { isSame } from "../../src/testing/is_same.ts";
import { join } from "../rsm/support.ts";
import type { Applied, SnapshotSource } from "../../src/state_machine.ts";

/** Ways to break the contract. */
type Bug =
  | "queries are blind"
  | "the schema changes what it checked"
  | "results are instances of a class"
  | "results depend on the batch"
  | "a result is missing"
  | "queries change the state"
  | "the snapshot is captured late"
  | "the snapshot shares the state"
  | "restore merges"
  | "the snapshot forgets the counter"
  | "restore relies on chunk borders"
  | "restore keeps the chunks"
  | "a chunk is huge";

interface Change {
  readonly add: string;
  readonly drop?: string;
}

/** CBOR keeps the fields of an instance, not its class. */
class Outcome {}

/** Names and how often each was added; wrong in one way, if any. */
class Names {
  readonly #bug: Bug | undefined;
  #names = new Map<string, number>();
  /** What a snapshot may forget: it shows only in later results. */
  #applied = 0;

  constructor(bug?: Bug) {
    this.#bug = bug;
  }

  readonly command = {
    parse: (input: unknown): Change => {
      const change = input as Change;
      return this.#bug === "the schema changes what it checked"
        ? { ...change, add: `${change.add}!` }
        : change;
    },
  };

  apply(entries: readonly Applied<Change>[]): unknown[] {
    const results = entries.map(({ command: { add, drop } }) => {
      const count = (this.#names.get(add) ?? 0) + 1;
      this.#names.set(add, count);
      if (drop !== undefined) {
        this.#names.delete(drop);
      }
      this.#applied += 1;
      const result = { count, applied: this.#applied };
      if (this.#bug === "results are instances of a class") {
        return Object.assign(new Outcome(), result);
      }
      return this.#bug === "results depend on the batch"
        ? { ...result, batch: entries.length }
        : result;
    });
    return this.#bug === "a result is missing" ? results.slice(1) : results;
  }

  query(_query: "all"): unknown {
    if (this.#bug === "queries are blind") {
      return [];
    }
    if (this.#bug === "queries change the state") {
      this.#applied += 1;
    }
    return Array.from(this.#names).sort();
  }

  snapshot(): SnapshotSource {
    const encode = (): Uint8Array => this.#encode();
    const early = this.#bug === "the snapshot is captured late"
      ? undefined
      : encode();
    const names = this.#names;
    const bug = this.#bug;
    return {
      async *chunks() {
        yield new Uint8Array(0);
        if (bug === "the snapshot shares the state") {
          yield copyBytes(encodeCbor([Array.from(names), 0]));
          return;
        }
        const bytes = early ?? encode();
        yield bytes.subarray(0, 1);
        yield bytes.subarray(1);
        if (bug === "a chunk is huge") {
          yield new Uint8Array(1024 * 1024 + 1);
        }
      },
    };
  }

  async restore(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const parts: Uint8Array[] = [];
    for await (const chunk of chunks) {
      if (
        this.#bug === "restore relies on chunk borders" && chunk.length > 1 ||
        this.#bug === "restore keeps the chunks"
      ) {
        parts.push(chunk);
      } else {
        parts.push(copyBytes(chunk));
      }
    }
    if (this.#bug === "restore relies on chunk borders") {
      const [, first, second] = parts;
      const whole = join([first ?? parts[0], second].filter(isPresent));
      this.#names = this.#decode(whole);
      return;
    }
    const before = this.#names;
    this.#names = this.#decode(trimmed(join(parts)));
    if (this.#bug === "restore merges") {
      this.#names = new Map([...before, ...this.#names]);
    }
  }

  #encode(): Uint8Array {
    const forgets = this.#bug === "the snapshot forgets the counter";
    return copyBytes(
      encodeCbor([Array.from(this.#names), forgets ? 0 : this.#applied]),
    );
  }

  #decode(bytes: Uint8Array): Map<string, number> {
    const [names, applied] = decodeCbor(bytes) as [[string, number][], number];
    this.#applied = applied;
    return new Map(names);
  }
}

function isPresent<T>(value: T | undefined): value is T {
  return value !== undefined;
}

/** Without the padding of a huge chunk. */
function trimmed(bytes: Uint8Array): Uint8Array {
  return bytes.length > 1024 * 1024
    ? bytes.subarray(0, bytes.length - 1024 * 1024 - 1)
    : bytes;
}

const commands: readonly Change[] = [
  { add: "a" },
  { add: "b" },
  { add: "a", drop: "b" },
  { add: "c" },
  { add: "d", drop: "a" },
  { add: "a" },
  { add: "e", drop: "c" },
];

/** The names of the cases that reject the machine, in order. */
async function rejections(bug?: Bug): Promise<string[]> {
  const cases = machineCases({
    create: () => new Names(bug),
    commands,
    queries: ["all" as const],
  });
  const found: string[] = [];
  for (const { name, run } of cases) {
    try {
      await run();
    } catch {
      found.push(name);
    }
  }
  return found;
}

const seen = "the queries see the commands, else no case could fail";
const logged = "a command survives the schema and the log";
const cached = "a result survives the session table";
const batches = "equal commands give equal results in whatever batches (H127)";
const queried = "a query changes nothing";
const captured =
  "a snapshot is as of the last apply, though applies go on (H68)";
const replaced =
  "restore replaces the state, nothing of the old survives (H67)";
const goesOn = "a restored machine goes on like the original (H127)";
const borders = "restore takes chunks that were cut anywhere";
const bounded = "the chunks of a snapshot are bounded";

/** Each bug and a case that is there to find it. */
const finders: Readonly<Record<Bug, string>> = {
  "queries are blind": seen,
  "the schema changes what it checked": logged,
  "results are instances of a class": cached,
  "results depend on the batch": batches,
  "a result is missing": batches,
  "queries change the state": queried,
  "the snapshot is captured late": captured,
  "the snapshot shares the state": captured,
  "restore merges": replaced,
  "the snapshot forgets the counter": goesOn,
  "restore relies on chunk borders": borders,
  "restore keeps the chunks": captured,
  "a chunk is huge": bounded,
};

describe("machineCases()", () => {
  it("accepts a machine that keeps to the contract", async () => {
    assertEquals(await rejections(), []);
  });

  for (const [bug, finder] of Object.entries(finders) as [Bug, string][]) {
    it(`rejects a machine if ${bug}`, async () => {
      const found = await rejections(bug);
      assertEquals(found.includes(finder), true, found.join("; "));
    });
  }

  it("has no case that finds no bug", () => {
    const names = machineCases({
      create: () => new Names(),
      commands,
      queries: ["all" as const],
    }).map(({ name }) => name);
    assertEquals(new Set(names), new Set(Object.values(finders)));
  });

  it("refuses too little to test with", () => {
    const create = () => new Names();
    const few = commands.slice(0, 3);
    const queries = ["all" as const];
    assertThrows(
      () => machineCases({ create, commands: few, queries }),
      RangeError,
    );
    assertThrows(
      () => machineCases({ create, commands, queries: [] }),
      RangeError,
    );
  });
});

describe("isSame()", () => {
  it("compares by what values hold, and by their kind", () => {
    const same: [unknown, unknown][] = [
      [1, 1],
      [NaN, NaN],
      [{ a: [1, { b: null }] }, { a: [1, { b: null }] }],
      [new Map([["a", [1]]]), new Map([["a", [1]]])],
      [new Set([1, 2]), new Set([1, 2])],
      [new Date(7), new Date(7)],
      [new Uint8Array([1, 2]), new Uint8Array([1, 2])],
    ];
    for (const [left, right] of same) {
      assertEquals(isSame(left, right), true);
    }
    const different: [unknown, unknown][] = [
      [1, 2],
      [1, "1"],
      [0, -0],
      [null, undefined],
      [{ a: 1 }, { a: 1, b: undefined }],
      [{ a: 1, b: undefined }, { a: 1, c: undefined }],
      [[1, 2], [2, 1]],
      [[], {}],
      [{}, new Map()],
      [new Map([["a", 1]]), new Map([["a", 2]])],
      [new Map([["a", 1], ["b", 2]]), new Map([["b", 2], ["a", 1]])],
      [new Set([1]), new Set([2])],
      [new Date(7), new Date(8)],
      [new Uint8Array([1]), new Uint8Array([2])],
      [new Uint8Array([1]), new Uint8Array([1, 2])],
      [{ toString: 1 }, { valueOf: 1 }],
    ];
    for (const [left, right] of different) {
      assertEquals(isSame(left, right), false);
    }
  });
});
