/**
 * Format version 1, byte for byte. Data that was written once must be read for
 * ever: these rows may be added to, and never changed.
 */
import { Buffer } from "node:buffer";
import { describe, it } from "node:test";
import { assertEquals, assertRejects } from "@std/assert";
import { hashBytes } from "../../../src/checksum.ts";
import { RaftError } from "../../../src/errors.ts";
import type { Storage } from "../../../src/storage.ts";
import {
  command,
  createGroup,
  DEPLOYMENT,
  metaAt,
  RICH_CONF,
} from "../../../src/testing/storage_samples.ts";
import { KvStorage, MemoryKv } from "../../../storage/kv/mod.ts";
import {
  EPOCH_KEY,
  IDENTITY_KEY,
  MARKER_KEY,
} from "../../../storage/kv/keys.ts";
import { INCARNATION, inspect, SMALL_LIMITS, storageOn } from "./kv_bench.ts";

/** Key and value of every row, in hexadecimal. */
const GOLDEN = `
0045
  ae2d5d7d0100000000000000
0049
  3eca696642414c53414b5653010000000123456789abcdef0123456789abcdef7375697465
010000000000000001
  0729396901010300000000000000000000000200000003000000000000000100000000000000
  02000000000000000500000000000000010000000000000000000004000000002c0100000000
  0000fc0000003ddc897c07000000ed18cce02000000008f2bbca45000000a860b192
010000010000000000
  658eead601000100000000000000000000000000000000000000000000000000000000000000
  0100000000000000000000000000000000000000000000000000000000000000000000000000
  000000000000000000000000000000000000200000006ca4bbb80000000000000000
0200000000000000010100000000
  7e88e76782820102820203
0200000000000000010200000000
  69aeb6ea8302018b810180808080f4808182016d31302e302e302e313a39303030008080
0200000000000000010300000000
  29046c5982038b8301020383010209810481098103f5830506078282016d31302e302e302e31
  3a393030308202725b323030313a6462383a3a315d3a39303030078104818201623066
02000000000000000105000000000400000000000000
  afba497307070707070707070707070707070707070707070707070707070707070707070707
  0707070707070707070707070707070707070707070707070707070707070707070707070707
  0707070707070707070707070707070707070707070707070707070707070707070707070707
  0707070707070707070707070707070707070707070707070707070707070707070707070707
  0707070707070707070707070707070707070707070707070707070707070707070707070707
  0707070707070707070707070707070707070707070707070707070707070707070707070707
  07070707070707070707070707070707070707070707070707070707
02000000000000000105000000000400000000000001
  630397a807070707070707070707070707070707070707070707070707070707070707070707
  0707070707070707070707070707
02000000000000000106000000000000000200000000
  8def854101010000000000000003000000000000002d2e2f
02000000000000000106000000000000000300000000
  8eb4f889030200000000000000180000000000000082646175746f81836a6164644c6561726e
  65720463643a34
02000000000000000106000000000000000400000000
  b7a0727a0102000000000000002c010000ba14489f5a5b5c5d5e5f606162636465666768696a
  6b6c6d6e6f707172737475767778797a7b7c7d7e7f808182838485868788898a8b8c8d8e8f90
  9192939495969798999a9b9c9d9e9fa0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6
  b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdc
  dddedfe0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff000102
  030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728
  292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f4041424344
02000000000000000106000000000000000400000001
  8500afde45464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f60616263646566
  6768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f808182838485
02000000000000000106000000000000000500000000
  d497ff450402000000000000000000000000000000
0200000100000000000200000000
  262abbae8300008b810180808080f4808182016d31302e302e302e313a39303030008080
02000001000000000004
  1b5ab842861a0400000165627974657318fc09088b810180808080f4808182016d31302e302e
  302e313a39303030008080
02000001000000000005000000000400000100000000
  e96314cb0808080808`;

/** A journal that a crash left whole, and the rows it was about. */
const GOLDEN_JOURNAL = `
0045
  ae2d5d7d0100000000000000
0049
  3eca696642414c53414b5653010000000123456789abcdef0123456789abcdef7375697465
004a
  bb1d43c804000000db883a38
010000000000000001
  1d8aa79300
010000000000000002
  726cf1c300
010000000000000003
  6a1953bb00
010000000000000004
  4673c48c00
010000000000000005
  52bd8d2800
0300000000
  a53ea8290e000000020000000000000001020000000025000000f629a1d98300008b81018080
  8080f4808182016d31302e302e302e313a39303030008080090000000100000000000000016f
  0000007430075a01000100000000000000000000000000000000000000000000000000000000
  0000000100000000000000000000000000000000000000000000000000000000000000000000
  000000000000000000000000000000000000000000200000006ca4bbb800000000000000000e
  000000020000000000000002020000000025000000cd0a23058300008b810180808080f48081
  82016d31302e302e302e313a39303030008080090000000100000000
0300000001
  40df6bfc000000026f0000008bddfae501000100000000000000000000000000000000000000
  0000000000000000000000000100000000000000000000000000000000000000000000000000
  000000000000000000000000000000000000000000000000000000000000200000006ca4bbb8
  00000000000000000e000000020000000000000003020000000025000000eee5e8ed8300008b
  810180808080f4808182016d31302e302e302e313a3930303000808009000000010000000000
  0000036f000000a2616d2e010001000000000000000000000000000000000000000000000000
  00000000000000010000000000000000000000000000000000000000
0300000002
  20ccf40c00000000000000000000000000000000000000000000000000000000000000000000
  00200000006ca4bbb800000000000000000e0000000200000000000000040200000000250000
  00e839cb8b8300008b810180808080f4808182016d31302e302e302e313a3930303000808009
  0000000100000000000000046f000000fd64c4f0010001000000000000000000000000000000
  0000000000000000000000000000000001000000000000000000000000000000000000000000
  0000000000000000000000000000000000000000000000000000000000000000000020000000
  6ca4bbb800000000000000000e000000020000000000000005020000
0300000003
  3e67969d00002500000069b6c9e78300008b810180808080f4808182016d31302e302e302e31
  3a39303030008080090000000100000000000000056f000000006994a0010001000000000000
  0000000000000000000000000000000000000000000000000001000000000000000000000000
  0000000000000000000000000000000000000000000000000000000000000000000000000000
  0000000000200000006ca4bbb80000000000000000`;

/** Every kind of row that is there after a close. */
async function fill(storage: Storage): Promise<void> {
  await storage.open({ deployment: DEPLOYMENT });
  await storage.write([createGroup(1, 3), createGroup(2 ** 40)]);
  await storage.write([{
    group: 1,
    hardState: { term: 2 ** 33, vote: 3, commit: 1 },
    entries: [
      { type: "noop", term: 1, index: 1 },
      command(1, 2, 3),
      {
        type: "confChange",
        term: 2,
        index: 3,
        change: {
          transition: "auto",
          steps: [{ type: "addLearner", node: 4, address: "d:4" }],
        },
      },
      command(2, 4, 300),
      { type: "omitted", term: 2, index: 5 },
    ],
    conf: { index: 3, conf: RICH_CONF },
  }]);
  const whole = await storage.snapshotWriter(1, metaAt(2, 1));
  await whole.write(new Uint8Array(300).fill(7));
  await whole.commit();
  await storage.compact(1, 1);
  const half = await storage.snapshotWriter(2 ** 40, metaAt(9, 8), {
    token: "bytes",
  });
  await half.write(new Uint8Array(5).fill(8));
  await half.suspend();
  await storage.close();
}

function toText(data: MemoryKv): string {
  return data.rows().map(([key, value]) => {
    const digits = Buffer.from(value).toString("hex");
    const lines = digits.match(/.{1,76}/g) ?? [];
    return `\n${Buffer.from(key).toString("hex")}\n  ${lines.join("\n  ")}`;
  }).join("");
}

function fromText(text: string): MemoryKv {
  const data = new MemoryKv({ limits: SMALL_LIMITS });
  for (const row of text.trim().split(/\n(?=[0-9a-f])/)) {
    const [key = "", ...value] = row.split(/\s+/);
    data.put(
      new Uint8Array(Buffer.from(key, "hex")),
      new Uint8Array(Buffer.from(value.join(""), "hex")),
    );
  }
  return data;
}

/** Data whose process died as soon as its journal was whole. */
async function journaled(): Promise<MemoryKv> {
  const data = new MemoryKv({ limits: SMALL_LIMITS });
  let left: MemoryKv | undefined;
  const storage = new KvStorage({
    incarnation: INCARNATION,
    open: async () => {
      const kv = await data.open();
      return {
        ...{ name: kv.name, limits: kv.limits, close: () => kv.close() },
        get: (key) => kv.get(key),
        list: (range) => kv.list(range),
        commit: async (operations, guard) => {
          await kv.commit(operations, guard);
          const isMarked = operations.some(({ type, key }) =>
            type === "set" && key.join() === MARKER_KEY.join()
          );
          if (isMarked) left = data.copy();
        },
      };
    },
  });
  await storage.open({ deployment: DEPLOYMENT });
  await storage.write([1, 2, 3, 4, 5].map((group) => createGroup(group)));
  await storage.close();
  if (left === undefined) throw new Error("There was no journal");
  return left;
}

describe("the format of the key-value storage, version 1", () => {
  it("is written as it always was", async () => {
    const data = new MemoryKv({ limits: SMALL_LIMITS });
    await fill(storageOn(data));
    assertEquals(toText(data), GOLDEN);
  });

  it("is read as it was meant", async () => {
    const { opened, state } = await inspect(fromText(GOLDEN));
    assertEquals(opened.incarnation, INCARNATION);
    const twin = new MemoryKv();
    await fill(storageOn(twin));
    assertEquals(state, (await inspect(twin)).state);
    assertEquals(opened.groups[0]?.tail[2], command(2, 4, 300));
    assertEquals(opened.groups[0]?.conf, { index: 3, conf: RICH_CONF });
  });

  it("has a journal that is carried out as it was meant", async () => {
    assertEquals(toText(await journaled()), GOLDEN_JOURNAL);
    const { opened } = await inspect(fromText(GOLDEN_JOURNAL));
    assertEquals(opened.groups.map(({ group }) => group), [1, 2, 3, 4, 5]);
  });

  it("refuses another version as unsupportedFormat", async () => {
    const data = fromText(GOLDEN);
    const [, value] =
      data.rows().find(([key]) => key.join() === IDENTITY_KEY.join()) ?? [];
    if (value === undefined) throw new Error("There is no identity");
    const view = new DataView(value.buffer);
    view.setUint32(12, 2, true);
    const hash = hashBytes(value.subarray(4), hashBytes(IDENTITY_KEY, 0));
    view.setUint32(0, hash, true);
    data.put(IDENTITY_KEY, value);
    const error = await assertRejects(
      () => inspect(data),
      RaftError,
      "version is 2, wanted 1",
    );
    assertEquals(error.code, "unsupportedFormat");
  });

  it("refuses data without identity or epoch as corrupt", async () => {
    for (const key of [IDENTITY_KEY, EPOCH_KEY]) {
      const data = fromText(GOLDEN);
      data.put(key, undefined);
      const error = await assertRejects(() => inspect(data), RaftError);
      assertEquals(error.code, "corrupt");
    }
  });
});
