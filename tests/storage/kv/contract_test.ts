/** The storage over an engine in memory keeps the contract of storages. */
import { describe, it } from "node:test";
import { storageCases } from "../../../src/testing/mod.ts";
import { MemoryKv } from "../../../storage/kv/mod.ts";
import { memoryUnderTest, SMALL_LIMITS } from "./kv_bench.ts";

describe("KvStorage in memory", () => {
  const create = () => memoryUnderTest(() => new MemoryKv());
  for (const { name, run } of storageCases({ create, snapshots: true })) {
    it(name, run);
  }
});

describe("KvStorage in memory, where next to nothing fits into a commit", () => {
  const create = () =>
    memoryUnderTest(() => new MemoryKv({ limits: SMALL_LIMITS }));
  for (const { name, run } of storageCases({ create, snapshots: true })) {
    it(name, run);
  }
});
