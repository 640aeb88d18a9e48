/**
 * The format versions, byte for byte. A log that was written once must be
 * read for ever: these bytes may be added to, and never changed.
 */
import { Buffer } from "node:buffer";
import { describe, it } from "node:test";
import { assertEquals, assertRejects } from "@std/assert";
import type { ConfState } from "../../src/core/types.ts";
import { RaftError } from "../../src/errors.ts";
import type { GroupWrite } from "../../src/storage.ts";
import { crc32 } from "node:zlib";
import {
  append,
  command,
  createGroup,
} from "../../src/testing/storage_samples.ts";
import { FakeFileSystem } from "./fake_file_system.ts";
import {
  DEPLOYMENT,
  DIRECTORY,
  HEADER_BYTES,
  inspect,
  segmentFile,
  walOn,
} from "./wal_bench.ts";

/** Version 1, which is not written any more. */
const IDENTITY_1 = `
42414c534157414c010000001cadec9d0123456789abcdef0123456789abcdef
000000000000000005000000737569746511278886`;

const SEGMENT_1 = `
42414c534157414c010000001cadec9d0123456789abcdef0123456789abcdef
010000000000000005000000737569746552ec2e01b54c4f47780000009bf827
7a0000000001000000000000000100000003cde311682cd71028000000010000
00010000000000000003000000000000008300008b810180808080f480818201
6d31302e302e302e313a3930303000808080148def2800000001000000000000
000001000001000000000000008300008b810180808080f4808182016d31302e
302e302e313a39303030008080b54c4f47e200000035c9d64803cde311020000
000000000001000000603803e3a4bccb49210000000300000001000000000000
0001000000000000000100000000000000020000000200000000010300000001
0203cb71124f3100000003000000010000000000000002000000000000000300
00000000000001000000031800000082646175746f81836a6164644c6561726e
65720463643a34f78939d9190000000200000001000000000000000000000002
00000003000000000000000100000000000000018a04874a2700000004000000
010000000000000003000000000000008b8201028103810481058102f5810681
820163613a31078104818201623066b54c4f472d00000019fb7a9e603803e303
0000000000000001000000409be3cea805db7e19000000020000000100000000
00000005000000000000000000000000000000020000000000000000b54c4f47
2d0000007bada336409be3ce040000000000000001000000d62d28dc0597fa2e
1900000003000000010000000000000005000000000000000200000000000000
010000000100000000b54c4f47140000009fbee613d62d28dc05000000000000
000100000051486069785dcf7200000000070000000000000000010000b54c4f
470000000000000000514860690600000000000000030000003fa7284b`;

/** Version 1 as written before configurations had versions. */
const UNVERSIONED_SEGMENT_1 = `
42414c534157414c010000001cadec9d0123456789abcdef0123456789abcdef
010000000000000005000000737569746552ec2e01b54c4f4772000000645ebb
1900000000010000000000000001000000c93c7e5f280f6e8625000000010000
000100000000000000030000000000000083000088810180808080f480818201
6d31302e302e302e313a393030305c9d2d502500000001000000000000000001
0000010000000000000083000088810180808080f4808182016d31302e302e30
2e313a39303030b54c4f47d900000073df655ec93c7e5f020000000000000001
00000079c3f837a4bccb49210000000300000001000000000000000100000000
00000001000000000000000200000002000000000103000000010203cb71124f
3100000003000000010000000000000002000000000000000300000000000000
01000000031800000082646175746f81836a6164644c6561726e65720463643a
34f78939d9190000000200000001000000000000000000000002000000030000
000000000001000000000000000155f22cd31e00000004000000010000000000
00000300000000000000888201028103810481058102f5810681820163613a31
b54c4f472d00000019fb7a9e79c3f83703000000000000000100000022acacc5
a805db7e19000000020000000100000000000000050000000000000000000000
00000000020000000000000000b54c4f472d0000007bada33622acacc5040000
000000000001000000be5607200597fa2e190000000300000001000000000000
0005000000000000000200000000000000010000000100000000b54c4f471400
00009fbee613be5607200500000000000000010000003ee874fa785dcf720000
0000070000000000000000010000b54c4f4700000000000000003ee874fa0600
0000000000000300000029d42108`;

const IDENTITY = `
42414c534157414c02000000f202598f0123456789abcdef0123456789abcdef
00000000000000000000000000000000050000007375697465ab2f5307`;

const SEGMENT = `
42414c534157414c02000000f202598f0123456789abcdef0123456789abcdef
010000000000000000100000000000000500000073756974653b81ff44b54c4f
4778000000a1a7d769000000000100000000000000010000008375413a8948f9
122800000001000000010000000000000003000000000000008300008b810180
808080f4808182016d31302e302e302e313a393030300080806170a3ed280000
0001000000000000000001000001000000000000008300008b810180808080f4
808182016d31302e302e302e313a39303030008080b54c4f47e20000003176e0
288375413a02000000000000000100000061889424ccfb366821000000030000
0001000000000000000100000000000000010000000000000002000000020000
00000103000000010203e8a9b4e4310000000300000001000000000000000200
000000000000030000000000000001000000031800000082646175746f81836a
6164644c6561726e65720463643a34ae62c58119000000020000000100000000
0000000000000002000000030000000000000001000000000000000149ef7009
2700000004000000010000000000000003000000000000008b82010281038104
81058102f5810681820163613a31078104818201623066b54c4f472d00000007
490b7e61889424030000000000000001000000f71f4f9ff1ee27261900000002
0000000100000000000000050000000000000000000000000000000200000000
00000000b54c4f472d000000651fd2d6f71f4f9f040000000000000001000000
280af6355c7c0676190000000300000001000000000000000500000000000000
0200000000000000010000000100000000b54c4f471400000065f0bb5e280af6
35050000000000000001000000c3a4f2b6c460ac720000000007000000000000
0000010000b54c4f470000000000000000c3a4f2b60600000000000000030000
003b123986`;

/** Version 1 of the note. */
const END_NOTE = `
42414c5341454e4401000000efd98bac0123456789abcdef0123456789abcdef
0100000000000000c50200000000000006000000000000003b123986cc9f073c`;

/** Version 1 of index files; may change, as they can be made anew. */
const INDEX = `
42414c5341494458010000007eeaa06fa17c6da1000000000000000000000000
d5f53c610000000003000000000000003d000000000000005101000000000000
010000003c00000001000000000000008948f912280000000100000001000000
0000000003000000000000008300008b810180808080f4808182016d31302e30
2e302e313a393030300080800300000001000000010000000000000002000000
000000000100000000000000b9000000000000004b00000093e6155502000000
2d0000000200000000000000cd511ce219000000020000000100000000000000
02000000000000000300000000000000000000000000000001678547b7`;

const SEGMENT_BYTES = 4096;

/** Every kind of record that is written. */
const BATCHES: readonly GroupWrite[][] = [
  [createGroup(1, 3), createGroup(2 ** 40)],
  [{
    group: 1,
    hardState: { term: 2 ** 33, vote: 3, commit: 1 },
    entries: [
      { type: "noop", term: 1, index: 1 },
      { type: "command", term: 1, index: 2, data: new Uint8Array([1, 2, 3]) },
      {
        type: "confChange",
        term: 2,
        index: 3,
        change: {
          transition: "auto",
          steps: [{ type: "addLearner", node: 4, address: "d:4" }],
        },
      },
    ],
    conf: {
      index: 3,
      conf: {
        version: 7,
        voters: [1, 2],
        votersOutgoing: [3],
        learners: [4],
        learnersNext: [5],
        staging: [4],
        witnesses: [2],
        autoLeave: true,
        removed: [6],
        addresses: [{ id: 1, address: "a:1" }],
        incarnations: [{ id: 1, incarnation: "0f" }],
      },
    },
  }],
  [{
    group: 1,
    hardState: { term: 5, vote: null, commit: 2 },
    entries: [],
  }],
  [append(1, [{
    type: "command",
    term: 5,
    index: 2,
    data: new Uint8Array(0),
  }])],
];

function toBytes(hex: string): Uint8Array {
  return new Uint8Array(Buffer.from(hex.replaceAll(/\s/g, ""), "hex"));
}

/** In lines, so that a difference can be seen. */
function toLines(bytes: Uint8Array): string {
  const hex = Buffer.from(bytes).toString("hex");
  return (hex.match(/.{1,64}/g) ?? []).map((line) => `\n${line}`).join("");
}

/** The files of a log; a segment is followed by zeros to its capacity. */
function goldenDisk(
  files: { readonly identity: string; readonly segment: string },
): FakeFileSystem {
  const disk = new FakeFileSystem();
  disk.put(`${DIRECTORY}/identity`, toBytes(files.identity));
  const segment = new Uint8Array(SEGMENT_BYTES);
  segment.set(toBytes(files.segment));
  disk.put(segmentFile(1), segment);
  return disk;
}

const GOLDEN_1 = { identity: IDENTITY_1, segment: SEGMENT_1 } as const;
const GOLDEN = { identity: IDENTITY, segment: SEGMENT } as const;

async function writeGolden(): Promise<FakeFileSystem> {
  const disk = new FakeFileSystem();
  const storage = walOn(disk, { segmentBytes: SEGMENT_BYTES });
  await storage.open({ deployment: DEPLOYMENT });
  for (const batch of BATCHES) await storage.write(batch);
  await storage.destroyGroup(2 ** 40);
  await storage.close();
  return disk;
}

/** Group 1 as it is read back, its configurations with some parts changed. */
function goldenState(parts: Partial<ConfState>): unknown {
  const [created, changed] = [BATCHES[0]?.[0], BATCHES[1]?.[0]];
  const snapshot = created?.create?.snapshot;
  return {
    group: 1,
    node: 3,
    hardState: { term: 5, vote: null, commit: 2 },
    snapshot: { ...snapshot, conf: { ...snapshot?.conf, ...parts } },
    conf: { ...changed?.conf, conf: { ...changed?.conf?.conf, ...parts } },
    firstIndex: 1,
    lastIndex: 2,
    prevTerm: 0,
    termRuns: [{ term: 1, firstIndex: 1 }, { term: 5, firstIndex: 2 }],
    entries: [changed?.entries[0], BATCHES[3]?.[0]?.entries[0]],
  };
}

/** Sets the version of a file, with the checksum that makes it count. */
function setVersion(disk: FakeFileSystem, path: string, version: number): void {
  const bytes = disk.get(path);
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  view.setUint32(8, version, true);
  view.setUint32(12, crc32(bytes.subarray(0, 12)), true);
}

describe("the format of the log, version 1", () => {
  it("is read as it was meant", async () => {
    const { opened, state } = await inspect(goldenDisk(GOLDEN_1));
    assertEquals(opened.incarnation, "0123456789abcdef".repeat(2));
    assertEquals(opened.repairs, []);
    assertEquals(state, [goldenState({})]);
  });

  it("is read as it was before configurations had versions", async () => {
    const disk = goldenDisk({ ...GOLDEN_1, segment: UNVERSIONED_SEGMENT_1 });
    const { state } = await inspect(disk);
    assertEquals(state, [
      goldenState({ version: 0, staging: [], incarnations: [] }),
    ]);
  });

  it("is read without the zeros behind it: it does not say how many there were", async () => {
    const disk = goldenDisk(GOLDEN_1);
    disk.put(segmentFile(1), toBytes(SEGMENT_1));
    const { opened, state } = await inspect(disk);
    assertEquals(opened.repairs, []);
    assertEquals(state, [goldenState({})]);
  });

  it("goes on in segments of version 2, and is read again", async () => {
    const disk = goldenDisk(GOLDEN_1);
    const storage = walOn(disk, { segmentBytes: 1024 });
    const opened = await storage.open({ deployment: DEPLOYMENT });
    let last = opened.groups[0]?.lastIndex ?? 0;
    while (!disk.paths().includes(segmentFile(3))) {
      await storage.write([append(1, [command(5, ++last, 400)])]);
    }
    await storage.close();
    assertEquals(disk.get(segmentFile(2))[8], 2);
    const again = await inspect(disk.kill());
    assertEquals(again.opened.groups[0]?.lastIndex, last);
    assertEquals(again.opened.repairs, []);
  });
});

describe("the format of the log, version 2", () => {
  it("is written as it always was", async () => {
    const disk = await writeGolden();
    const segment = disk.get(segmentFile(1));
    const end = segment.findLastIndex((byte) => byte !== 0) + 1;
    assertEquals(toLines(disk.get(`${DIRECTORY}/identity`)), IDENTITY);
    assertEquals(toLines(segment.subarray(0, end)), SEGMENT);
    assertEquals(toLines(disk.get(`${DIRECTORY}/closed`)), END_NOTE);
  });

  it("has index files as they always were, which are believed", async () => {
    const disk = new FakeFileSystem();
    const storage = walOn(disk, { segmentBytes: 400 });
    await storage.open({ deployment: DEPLOYMENT });
    await storage.write([createGroup(1, 3)]);
    const hardState = { term: 2, vote: 3, commit: 0 };
    const entries = [command(2, 1, 30)];
    await storage.write([{ group: 1, hardState, entries }]);
    await storage.write([append(1, [command(2, 2, 200)])]);
    await storage.close();
    const path = `${DIRECTORY}/0000000000000001.idx`;
    assertEquals(toLines(disk.get(path)), INDEX);
    // What only it says is what is found: the segment was not gone through.
    const frame = HEADER_BYTES + 20;
    const segment = disk.get(segmentFile(1));
    segment[frame] = (segment[frame] ?? 0) ^ 1;
    const { opened } = await inspect(disk);
    assertEquals(opened.groups[0]?.hardState, hardState);
    assertEquals(opened.groups[0]?.lastIndex, 2);
  });

  it("is read as it was meant", async () => {
    const disk = goldenDisk(GOLDEN);
    disk.put(`${DIRECTORY}/closed`, toBytes(END_NOTE));
    const { opened, state } = await inspect(disk);
    assertEquals(opened.incarnation, "0123456789abcdef".repeat(2));
    assertEquals(opened.repairs, []);
    assertEquals(state, [goldenState({})]);
  });

  for (const file of ["identity", "0000000000000001.wal"]) {
    it(`refuses another version of ${file} as unsupportedFormat`, async () => {
      const disk = goldenDisk(GOLDEN);
      setVersion(disk, `${DIRECTORY}/${file}`, 3);
      const error = await assertRejects(
        () => inspect(disk),
        RaftError,
        "version is 3, wanted 1 to 2",
      );
      assertEquals(error.code, "unsupportedFormat");
      assertEquals(error.file, `${DIRECTORY}/${file}`);
    });
  }

  it("refuses a record it does not know as unsupportedFormat", async () => {
    // As a later version may write it.
    const disk = goldenDisk(GOLDEN);
    const path = segmentFile(1);
    const bytes = disk.get(path);
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    view.setUint32(HEADER_BYTES + 32 + 8, 99, true);
    const bodyBytes = view.getUint32(HEADER_BYTES + 4, true);
    const body = HEADER_BYTES + 32;
    view.setUint32(
      HEADER_BYTES + 8,
      crc32(bytes.subarray(body, body + bodyBytes)),
      true,
    );
    const seed = view.getUint32(HEADER_BYTES - 4, true);
    const place = (seed ^ Math.imul(HEADER_BYTES + 1, 0x9e3779b1)) >>> 0;
    const head = bytes.subarray(HEADER_BYTES, HEADER_BYTES + 28);
    view.setUint32(HEADER_BYTES + 28, crc32(head, place), true);
    const error = await assertRejects(() => inspect(disk), RaftError);
    assertEquals(error.code, "unsupportedFormat");
    assertEquals(error.offset, HEADER_BYTES);
  });
});
