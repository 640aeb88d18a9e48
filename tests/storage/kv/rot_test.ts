/**
 * Bit rot in the engine: whatever happens to a row, opening and reading give
 * the complete data or an error of code `corrupt` that names the row.
 */
import { describe, it } from "node:test";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { isRaftError, RaftError } from "../../../src/errors.ts";
import { isSame } from "../../../src/testing/is_same.ts";
import {
  append,
  commands,
  createGroup,
  DEPLOYMENT,
  metaAt,
} from "../../../src/testing/storage_samples.ts";
import { type KvRow, KvStorage, MemoryKv } from "../../../storage/kv/mod.ts";
import {
  MARKER_KEY,
  numberedKey,
  PART,
  pieceKey,
  stateKey,
} from "../../../storage/kv/keys.ts";
import { RowCodec } from "../../../storage/kv/rows.ts";
import { hashBytes } from "../../../src/checksum.ts";
import {
  INCARNATION,
  recordedBatches,
  SMALL_LIMITS,
  storageOn,
} from "./kv_bench.ts";
import { lookInto } from "./model.ts";

/** Groups with everything that there can be rows of. */
async function sample(): Promise<MemoryKv> {
  const data = new MemoryKv({ limits: SMALL_LIMITS });
  const storage = storageOn(data);
  await storage.open({ deployment: DEPLOYMENT });
  for (const batch of recordedBatches()) await storage.write(batch);
  const writer = await storage.snapshotWriter(7, metaAt(8, 4));
  await writer.write(new Uint8Array(600).fill(5));
  await writer.commit();
  await storage.compact(7, 3);
  await storage.close();
  return data;
}

/** What has become of the data: complete, or told to be corrupt. */
async function verdict(data: MemoryKv, wanted: unknown): Promise<string> {
  try {
    const found = await lookInto(storageOn(data));
    return isSame(found, wanted) ? "complete" : "wrong data";
  } catch (error) {
    if (!isRaftError(error, "corrupt")) return `${error}`;
    const isNamed = /^memory#[0-9a-f]+$/.test(error.file ?? "");
    return isNamed && error.offset !== undefined ? "corrupt" : "unnamed";
  } finally {
    data.crash();
  }
}

function flipped(bytes: Uint8Array, at: number, bit: number): Uint8Array {
  const copy = new Uint8Array(bytes);
  copy[at] = (copy[at] ?? 0) ^ (1 << bit);
  return copy;
}

/** Counts the verdicts of all damages that are made of all rows. */
async function judge(
  damages: (
    row: KvRow,
    at: number,
  ) => Iterable<[Uint8Array, Uint8Array | undefined]>,
): Promise<Map<string, number>> {
  const data = await sample();
  const wanted = await lookInto(storageOn(data));
  const verdicts = new Map<string, number>();
  for (const [at, row] of data.rows().entries()) {
    for (const [key, value] of damages(row, at)) {
      const copy = data.copy();
      if (key !== row[0]) copy.put(row[0], undefined);
      copy.put(key, value);
      const found = await verdict(copy, wanted);
      verdicts.set(found, (verdicts.get(found) ?? 0) + 1);
    }
  }
  return verdicts;
}

function checkVerdicts(verdicts: Map<string, number>, least: number): void {
  // Every row of the sample counts for something.
  const { corrupt = 0, ...others } = Object.fromEntries(verdicts);
  assertEquals(others, {});
  assert(corrupt >= least, `there were only ${corrupt} damages`);
}

describe("bit rot (H60, H61)", () => {
  it("in any byte of any value is told", async () => {
    const verdicts = await judge(function* ([key, value], row) {
      for (let at = 0; at < value.length; at++) {
        yield [key, flipped(value, at, (row + at) % 8)];
      }
    });
    checkVerdicts(verdicts, 3000);
  });

  it("in any byte of any key is told", async () => {
    const verdicts = await judge(function* ([key, value], row) {
      for (let at = 0; at < key.length; at++) {
        yield [flipped(key, at, (row + at) % 8), value];
      }
    });
    checkVerdicts(verdicts, 600);
  });

  it("that loses a row, or a part of its value, is told", async () => {
    const verdicts = await judge(function* ([key, value]) {
      yield [key, undefined];
      for (const length of [0, 3, 4, value.length - 1]) {
        yield [key, value.slice(0, length)];
      }
      yield [key, new Uint8Array([...value, 0])];
    });
    checkVerdicts(verdicts, 200);
  });

  it("that puts one row in the place of another is told", async () => {
    const rows = (await sample()).rows();
    const verdicts = await judge(function* ([key], at) {
      for (const step of [1, 7, 20]) {
        yield [key, rows[(at + step) % rows.length]?.[1]];
      }
    });
    checkVerdicts(verdicts, 100);
  });
});

describe("an engine that lost a commit", () => {
  it("is told by the rows that do not fit each other any more", async () => {
    const data = await sample();
    const before = data.rows();
    const storage = storageOn(data);
    await storage.open({ deployment: DEPLOYMENT });
    await storage.write([append(7, commands(9, 11, 14))]);
    await storage.close();
    const wanted = await lookInto(storageOn(data));
    const told: string[] = [];
    for (const [key, value] of before) {
      const copy = data.copy();
      copy.put(key, value);
      const found = await verdict(copy, wanted);
      assert(found === "complete" || found === "corrupt", found);
      if (found === "corrupt") told.push(key.join());
    }
    // The state and the runs do not fit each other, two entries not the runs.
    assert(told.includes(numberedKey(7, PART.entries, 11, 0).join()));
    assert(told.includes(stateKey(7).join()));
    assert(told.includes(pieceKey(7, PART.runs, 0).join()));
  });

  it("is told by a snapshot whose pieces are not of one whole", async () => {
    const data = await sample();
    const pieces = data.rows().filter(([key]) => key[9] === PART.snapshots);
    assertEquals(pieces.length, 3);
    const incarnation = Uint8Array.from(
      INCARNATION.match(/../g) ?? [],
      (digits) => parseInt(digits, 16),
    );
    const codec = new RowCodec("memory", hashBytes(incarnation));
    for (const [key, value] of pieces) {
      const copy = data.copy();
      const other = new Uint8Array(value.length - 4).fill(6);
      copy.put(key, codec.set(key, other).value);
      assertEquals(await verdict(copy, undefined), "corrupt");
    }
  });

  it("is told if the journal it was to carry out is damaged", async () => {
    const data = new MemoryKv({ limits: SMALL_LIMITS });
    let isDead = false;
    const storage = new KvStorage({
      open: async () => {
        const kv = await data.open();
        return {
          ...{ name: kv.name, limits: kv.limits, close: () => kv.close() },
          get: (key) => kv.get(key),
          list: (range) => kv.list(range),
          commit: async (operations, guard) => {
            if (isDead) throw new Error("The process died");
            await kv.commit(operations, guard);
            isDead = operations.some(({ type, key }) =>
              type === "set" && key.join() === MARKER_KEY.join()
            );
          },
        };
      },
    });
    await storage.open({ deployment: DEPLOYMENT });
    const groups = Array.from({ length: 20 }, (_, at) => createGroup(at + 1));
    await assertRejects(() => storage.write(groups), RaftError, "died");
    await storage.close();
    const wanted = await lookInto(storageOn(data.copy()));
    let told = 0;
    for (const [key, value] of data.rows()) {
      if (key[0] !== 3 && key.join() !== MARKER_KEY.join()) continue;
      for (let at = 0; at < value.length; at += 5) {
        const copy = data.copy();
        copy.put(key, flipped(value, at, at % 8));
        assertEquals(await verdict(copy, wanted), "corrupt");
        told++;
      }
    }
    assert(told > 100, "there was no journal");
  });
});
