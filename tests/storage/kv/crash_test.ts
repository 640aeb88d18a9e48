/**
 * Crashes between any two commits of the engine: what was acknowledged is
 * there, what was not is there as a whole or not at all.
 */
import { describe, it } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { isSame } from "../../../src/testing/is_same.ts";
import { DEPLOYMENT } from "../../../src/testing/storage_samples.ts";
import {
  KvStorage,
  MemoryKv,
  type OrderedKv,
} from "../../../storage/kv/mod.ts";
import { recordedBatches, SMALL_LIMITS, storageOn } from "./kv_bench.ts";
import { drawSteps, lookInto, modelAfter, type Step } from "./model.ts";

/** When the process dies, and whether the commit it died in is there. */
interface Crash {
  readonly commit: number;
  readonly isKept: boolean;
}

/** An engine whose process dies in a commit. */
function mortal(data: MemoryKv, kv: OrderedKv, crash: Crash): OrderedKv {
  let commits = 0;
  return {
    name: kv.name,
    limits: kv.limits,
    get: (key) => kv.get(key),
    list: (range) => kv.list(range),
    commit: async (operations, guard) => {
      const isLast = ++commits === crash.commit;
      if (!isLast || crash.isKept) await kv.commit(operations, guard);
      if (!isLast) return;
      data.crash();
      throw new Error("The process died");
    },
    close: () => kv.close(),
  };
}

/** Opens data in a process that will die. */
function doomed(data: MemoryKv, crash: Crash): KvStorage {
  return new KvStorage({
    open: async () => mortal(data, await data.open(), crash),
  });
}

/** Carries out steps until the process dies; how many were acknowledged. */
async function runUntilCrash(
  data: MemoryKv,
  steps: readonly Step[],
  crash: Crash,
): Promise<number> {
  const storage = doomed(data, crash);
  let acknowledged = 0;
  try {
    await storage.open({ deployment: DEPLOYMENT });
    for (const step of steps) {
      await step(storage);
      acknowledged++;
    }
  } catch {
    // Dead. Whatever else it was, what is left shows it.
  }
  await storage.close();
  data.crash();
  return acknowledged;
}

/** Commits that steps take without any crash. */
async function countCommits(
  steps: readonly Step[],
  make: () => MemoryKv,
): Promise<number> {
  const data = make();
  const never = { commit: Infinity, isKept: true };
  assertEquals(await runUntilCrash(data, steps, never), steps.length);
  assertEquals(
    await lookInto(storageOn(data)),
    await modelAfter(steps, steps.length),
  );
  return data.commits;
}

/** What is left is the model after the acknowledged steps, or one more. */
async function checkLeft(
  data: MemoryKv,
  models: readonly unknown[],
  acknowledged: number,
): Promise<number> {
  const left = await lookInto(storageOn(data));
  for (const count of [acknowledged, acknowledged + 1]) {
    if (count < models.length && isSame(left, models[count])) return count;
  }
  assertEquals(left, models[acknowledged]);
  return acknowledged;
}

async function modelsOf(steps: readonly Step[]): Promise<unknown[]> {
  const models: unknown[] = [];
  for (let count = 0; count <= steps.length; count++) {
    models.push(await modelAfter(steps, count));
  }
  return models;
}

const batches: readonly Step[] = recordedBatches().map((batch) => (storage) =>
  storage.write(batch)
);

const engines = [
  ["where everything fits into a commit", () => new MemoryKv()],
  [
    "where next to nothing fits into a commit",
    () => new MemoryKv({ limits: SMALL_LIMITS }),
  ],
] as const;

for (const [where, make] of engines) {
  describe(`a crash of KvStorage ${where}`, () => {
    it("in any commit loses nothing acknowledged and halves nothing (H47, H53)", async () => {
      const models = await modelsOf(batches);
      const commits = await countCommits(batches, make);
      assert(commits > batches.length, "there is next to nothing to crash in");
      for (let commit = 1; commit <= commits; commit++) {
        for (const isKept of [false, true]) {
          const data = make();
          const crash = { commit, isKept };
          const count = await runUntilCrash(data, batches, crash);
          const found = await checkLeft(data, models, count);
          // What is left must also be fit to go on with.
          const rest = batches.slice(found);
          await runUntilCrash(data, rest, { commit: Infinity, isKept });
          await checkLeft(data, models, batches.length);
        }
      }
    });

    it("in any commit of the opening after a crash changes nothing", async () => {
      const models = await modelsOf(batches);
      const commits = await countCommits(batches, make);
      for (let commit = 2; commit <= commits; commit += 3) {
        for (let second = 1; second <= 6; second++) {
          const data = make();
          const first = { commit, isKept: commit % 2 === 0 };
          const count = await runUntilCrash(data, batches, first);
          const again = { commit: second, isKept: second % 2 === 0 };
          await runUntilCrash(data, [], again);
          await checkLeft(data, models, count);
        }
      }
    });

    it("in random work leaves what the model has (H54, H55, H63)", async () => {
      for (let seed = 1; seed <= 16; seed++) {
        const steps = drawSteps(seed, 25);
        const models = await modelsOf(steps);
        const commits = await countCommits(steps, make);
        for (let crash = 0; crash < 5; crash++) {
          const data = make();
          const commit = 1 + (seed * 31 + crash * 7919) % commits;
          const isKept = crash % 2 === 0;
          const count = await runUntilCrash(data, steps, { commit, isKept });
          const found = await checkLeft(data, models, count);
          const rest = steps.slice(found);
          await runUntilCrash(data, rest, { commit: Infinity, isKept });
          await checkLeft(data, models, steps.length);
        }
      }
    });
  });
}
