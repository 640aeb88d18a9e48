/**
 * The parts of format version 2 that let a log be cut: checkpoints, and
 * records of snapshots, compactions and relocations. These bytes may be added
 * to, and never changed.
 */
import { Buffer } from "node:buffer";
import { describe, it } from "node:test";
import { assertEquals } from "@std/assert";
import { FRAME } from "../../storage/wal/format.ts";
import { FrameBuilder } from "../../storage/wal/frame_builder.ts";
import {
  commands,
  metaAt,
  RICH_CONF,
} from "../../src/testing/storage_samples.ts";
import { FakeFileSystem } from "./fake_file_system.ts";
import { DIRECTORY, inspect } from "./wal_bench.ts";

const IDENTITY = `
42414c534157414c02000000f202598f0123456789abcdef0123456789abcdef
00000000000000000000000000000000050000007375697465ab2f5307`;

/** Files of a log that begins with its seventh segment. */
const FILES: Readonly<Record<string, string>> = {
  "0000000000000007.wal": `
42414c534157414c02000000f202598f0123456789abcdef0123456789abcdef
0700000000000000000200000000000005000000737569746560f6a34eb54c4f
4718010000840d7aff08cb93471300000000000000040000001bd17b6294505b
7778000000080000000100000000000000030000000000000001000000000000
0000000000020000000300000000000000010000000000000001010000000000
0000020000000000000000000000000000000100000001000000000000000100
000000000000838300008b810180808080f4808182016d31302e302e302e313a
39303030008080f4f641f32f1478000000080000000000000000010000010000
0000000000010000000000000000000000000000000000000000000000000000
0000000000000a000000000000000a0000000000000005000000000000000100
000006000000000000000a00000000000000838309058b810180808080f48081
82016d31302e302e302e313a39303030008080f5f6b54c4f47380000005e2b29
911bd17b6214000000000000000100000042011ef1f0bbb02124000000090000
0001000000000000000100000000000000010000000000000002000000010300
000026272801030000002d2e2fb54c4f47000000000000000042011ef1150000
000000000002000000d184b10e`,
  "0000000000000008.wal": `
42414c534157414c02000000f202598f0123456789abcdef0123456789abcdef
080000000000000000020000000000000500000073756974657f99f8acb54c4f
4718010000840d7affd184b10e1600000000000000040000009f8b3bd894505b
7778000000080000000100000000000000030000000000000001000000000000
0000000000020000000300000000000000010000000000000001010000000000
0000020000000000000000000000000000000100000001000000000000000100
000000000000838300008b810180808080f4808182016d31302e302e302e313a
39303030008080f4f641f32f1478000000080000000000000000010000010000
0000000000010000000000000000000000000000000000000000000000000000
0000000000000a000000000000000a0000000000000005000000000000000100
000006000000000000000a00000000000000838309058b810180808080f48081
82016d31302e302e302e313a39303030008080f5f6b54c4f4724000000f619db
649f8b3bd8170000000000000001000000fd8bf7f9b8b64d9810000000060000
0000000000000100000a000000000000000600000000000000b54c4f47000000
0000000000fd8bf7f9180000000000000003000000713a775d`,
  "snapshots/1099511627776/0000000000000010-6.snap": `
42414c5341534e50010000005941e53d0123456789abcdef0123456789abcdef
000000000001000020000000830a068b810180808080f4808182016d31302e30
2e302e313a39303030008080264e5c6403000000763687e70102030000000003
000000000000001d80bc55af1f0450`,
};

/** One record of each kind, in a frame. */
const RECORDS = `
b54c4f479e010000d5221c5a00000000010000000000000004000000df19514a
21636b5d53000000050000000700000000000000000000000200000005000000
000000008b8301020383010209810481098103f5830506078282016d31302e30
2e302e313a393030308202725b323030313a6462383a3a315d3a393030300781
04818201623066113c42a3100000000600000007000000000000000000000004
00000006000000000000002dcf34871f00000009000000070000000000000006
00000000000000090000000000000002000000010100000005020000000029b8
c718cc0000000800000007000000000000000300000000000000000000000800
0000090000000000000000000000000000000400000000000000000500000000
0000000800000000000000020000000000000002000000020000000000000005
0000000000000009000000000000000700000000000000838304028b81018080
8080f4808182016d31302e302e302e313a39303030008080f582038b83010203
83010209810481098103f5830506078282016d31302e302e302e313a39303030
8202725b323030313a6462383a3a315d3a39303030078104818201623066`;

const SEGMENT_LENGTH = 512;

function toBytes(hex: string): Uint8Array {
  return new Uint8Array(Buffer.from(hex.replaceAll(/\s/g, ""), "hex"));
}

/** In lines, so that a difference can be seen. */
function toLines(bytes: Uint8Array): string {
  const hex = Buffer.from(bytes).toString("hex");
  return (hex.match(/.{1,64}/g) ?? []).map((line) => `\n${line}`).join("");
}

function goldenDisk(): FakeFileSystem {
  const disk = new FakeFileSystem();
  disk.makeDirectory(`${DIRECTORY}/snapshots/${2 ** 40}`);
  disk.put(`${DIRECTORY}/identity`, toBytes(IDENTITY));
  for (const [name, hex] of Object.entries(FILES)) {
    const bytes = toBytes(hex);
    const isSegment = name.endsWith(".wal");
    const file = new Uint8Array(isSegment ? SEGMENT_LENGTH : bytes.length);
    file.set(bytes);
    disk.put(`${DIRECTORY}/${name}`, file);
  }
  return disk;
}

describe("the format of a log that was cut, version 2", () => {
  it("is read as it was meant", async () => {
    const { opened, state } = await inspect(goldenDisk());
    assertEquals(opened.repairs, []);
    assertEquals(state, [
      {
        group: 1,
        node: 3,
        hardState: { term: 2 ** 33, vote: 3, commit: 1 },
        snapshot: metaAt(0, 0),
        conf: null,
        firstIndex: 1,
        lastIndex: 2,
        prevTerm: 0,
        termRuns: [{ term: 1, firstIndex: 1 }],
        entries: commands(1, 1, 2, 3),
      },
      {
        group: 2 ** 40,
        node: 1,
        hardState: { term: 0, vote: null, commit: 0 },
        snapshot: metaAt(10, 6),
        conf: null,
        firstIndex: 11,
        lastIndex: 10,
        prevTerm: 6,
        termRuns: [],
        entries: [],
      },
    ]);
  });

  it("is written as it always was, record by record", () => {
    const builder = new FrameBuilder(0x12345678);
    const group = 7;
    const snapshot = { ...metaAt(2 ** 33, 5), conf: RICH_CONF };
    builder.append({ group, snapshot, entries: [] });
    builder.compact(group, 2 ** 34, 6);
    const entries = new Uint8Array([1, 1, 0, 0, 0, 5, 2, 0, 0, 0, 0]);
    builder.relocate(group, { term: 6, first: 9, count: 2 }, entries);
    builder.checkpoint({
      group,
      node: 3,
      born: 2 ** 35,
      hardState: { term: 9, vote: null, commit: 4 },
      firstIndex: 5,
      lastIndex: 8,
      prevTerm: 2,
      termRuns: [{ term: 2, firstIndex: 5 }, { term: 9, firstIndex: 7 }],
      snapshot: metaAt(4, 2),
      isInstalled: true,
      conf: { index: 3, conf: RICH_CONF },
      encoded: undefined,
    });
    const { bytes } = builder.finish(
      { type: FRAME.checkpoint, sequence: 1, previous: 0 },
      { seed: 0, offset: 0 },
    );
    assertEquals(toLines(bytes), RECORDS);
  });
});
