/**
 * The format version of stored snapshots, byte for byte. What was written
 * once must be read for ever: these bytes may be added to, and never changed.
 */
import { Buffer } from "node:buffer";
import { describe, it } from "node:test";
import { assertEquals } from "@std/assert";
import { FakeFileSystem } from "./fake_file_system.ts";
import {
  contentsOf,
  openOn,
  richMeta,
  snapshotPath,
  storeOn,
  wholeAt,
} from "./snapshot_bench.ts";

const PATH = snapshotPath(3, "0000000000000007-2.snap");

/** Index 7 of term 2, two chunks: what was there when it was suspended. */
const SNAPSHOT_1 = `
42414c5341534e50010000005941e53d0123456789abcdef0123456789abcdef
0300000000000000460000008307028b8301020383010209810481098103f583
0506078282016d31302e302e302e313a393030308202725b323030313a646238
3a3a315d3a39303030078104818201623066331de12c0f000000d1da48d57768
61742063616d652066697273740e0000007dea2ebb2c20616e64207468652072
657374000000001d000000000000007f3c72939185ab39`;

function bytesOf(hex: string): Uint8Array {
  return new Uint8Array(Buffer.from(hex.replaceAll(/\s/g, ""), "hex"));
}

describe("the format of stored snapshots, version 1", () => {
  it("is written as it always was", async () => {
    const disk = new FakeFileSystem();
    const store = storeOn(disk);
    const first = await store.writer(3, richMeta(7), { token: "t" });
    await first.write(new TextEncoder().encode("what came first"));
    await first.suspend();
    const draft = "0000000000000007-2-e3b98a4da31a127d4bde6e43033f66ba.part";
    assertEquals(disk.paths(), [snapshotPath(3, draft)]);
    const second = await store.writer(3, richMeta(7), { token: "t" });
    await second.write(new TextEncoder().encode(", and the rest"));
    await second.commit();
    assertEquals(disk.paths(), [PATH]);
    assertEquals(disk.get(PATH), bytesOf(SNAPSHOT_1));
  });

  it("is read as it was meant", async () => {
    const disk = new FakeFileSystem();
    disk.put(PATH, bytesOf(SNAPSHOT_1));
    const { store } = await openOn(disk);
    const file = wholeAt(store, 3, 7);
    assertEquals(file.meta, richMeta(7));
    assertEquals(
      new TextDecoder().decode(await contentsOf(store, file)),
      "what came first, and the rest",
    );
  });
});
