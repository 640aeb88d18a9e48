/** Deno KV as an engine. */
import { describe, it } from "node:test";
import { assertEquals, assertRejects } from "@std/assert";
import { RaftError } from "../../../../src/errors.ts";
import { storageCases } from "../../../../src/testing/mod.ts";
import {
  append,
  command,
  commands,
  createGroup,
  DEPLOYMENT,
} from "../../../../src/testing/storage_samples.ts";
import { KvStorage } from "../../../../storage/kv/mod.ts";
import { openDenoKv, useDenoKv } from "../../../../storage/kv/deno.ts";
import { FilesUnderTest } from "../../../storage/kv/engines.ts";

describe("KvStorage in Deno KV, killed", () => {
  const create = () =>
    new FilesUnderTest((directory) => openDenoKv(`${directory}/raft.kv`));
  for (const { name, run } of storageCases({ create, snapshots: true })) {
    it(name, run);
  }
});

describe("KvStorage in an instance of Deno KV that is handed in", () => {
  it("leaves the rows of others alone, and the instance open", async () => {
    const kv = await Deno.openKv(":memory:");
    await kv.set(["mine"], 1);
    const storage = new KvStorage({ open: () => useDenoKv(kv) });
    await storage.open({ deployment: DEPLOYMENT });
    await storage.write([createGroup(1), append(1, commands(1, 1, 9))]);
    await storage.destroyGroup(1);
    await storage.close();
    assertEquals((await kv.get(["mine"])).value, 1);
    kv.close();
  });

  it("has one storage per prefix", async () => {
    const kv = await Deno.openKv(":memory:");
    const open = () => useDenoKv(kv, { prefix: ["a", 1] });
    const first = new KvStorage({ open });
    const other = new KvStorage({ open: () => useDenoKv(kv) });
    await first.open({ deployment: "one" });
    await other.open({ deployment: "two" });
    const second = new KvStorage({ open });
    const error = await assertRejects(
      () => second.open({ deployment: "one" }),
      RaftError,
    );
    assertEquals(error.code, "locked");
    await first.close();
    await second.open({ deployment: "one" });
    await second.close();
    await other.close();
    kv.close();
  });

  it("fences off whoever had it open elsewhere (H80)", async () => {
    const path = await Deno.makeTempFile();
    const [here, there] = [await Deno.openKv(path), await Deno.openKv(path)];
    const first = new KvStorage({ open: () => useDenoKv(here) });
    await first.open({ deployment: DEPLOYMENT });
    await first.write([createGroup(1), append(1, commands(1, 1, 3))]);
    const second = new KvStorage({ open: () => useDenoKv(there) });
    await second.open({ deployment: DEPLOYMENT });
    for (let attempt = 0; attempt < 2; attempt++) {
      const error = await assertRejects(
        () => first.write([append(1, [command(1, 4 + attempt)])]),
        RaftError,
      );
      assertEquals(error.code, "locked");
    }
    await second.write([append(1, [command(2, 4)])]);
    await first.close();
    await second.close();
    const third = new KvStorage({ open: () => useDenoKv(there) });
    const { groups } = await third.open({ deployment: DEPLOYMENT });
    assertEquals(groups[0]?.tail.at(-1), command(2, 4));
    await third.close();
    here.close();
    there.close();
    await Deno.remove(path);
  });

  it("takes whatever its limits allow, under prefixes of any length", async () => {
    const kv = await Deno.openKv(":memory:");
    for (const length of [5, 60, 120]) {
      const engine = await useDenoKv(kv, { prefix: ["p".repeat(length)] });
      const { batchBytes, batchOps, valueBytes } = engine.limits;
      for (const count of [batchOps, Math.floor(batchBytes / valueBytes)]) {
        const bytes = Math.floor(batchBytes / count) - 22;
        // Zeros are what Deno KV needs the most room for.
        const rows = Array.from({ length: count }, (_, at) => {
          const key = new Uint8Array(22);
          new DataView(key.buffer).setUint32(0, at);
          const value = new Uint8Array(Math.min(bytes, valueBytes));
          return { type: "set" as const, key, value };
        });
        await engine.commit(rows);
      }
      await engine.close();
    }
    kv.close();
  });

  it("takes batches beyond its limits of size and count (H47)", async () => {
    const kv = await Deno.openKv(":memory:");
    const open = () => useDenoKv(kv);
    const log = [...commands(1, 1, 1500), command(1, 1501, 3_000_000)];
    const first = new KvStorage({ open, tailBytes: 64 << 20 });
    await first.open({ deployment: DEPLOYMENT });
    await first.write([createGroup(1), append(1, log)]);
    const rewritten = commands(2, 1, 1502, 2000);
    await first.write([append(1, rewritten)]);
    await first.close();
    const second = new KvStorage({ open, tailBytes: 64 << 20 });
    const { groups } = await second.open({ deployment: DEPLOYMENT });
    assertEquals(groups[0]?.tail, rewritten);
    await second.close();
    kv.close();
  });
});
