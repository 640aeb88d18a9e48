import { describe, it } from "node:test";
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  frameChunks,
  FrameParser,
  FrameReader,
  FrameWriter,
  MAX_FRAME_BYTES,
  SNAPSHOT_CHUNK_BYTES,
} from "../src/snapshot_frames.ts";
import { RaftError } from "../src/errors.ts";
import { hex, inPieces, join } from "./rsm/support.ts";

const contents: readonly (readonly unknown[])[] = [
  ["name", 1],
  [1, [new Uint8Array([1, 2, 3]), "text", null]],
  [2],
];

function framesOf(list: readonly (readonly unknown[])[]): Uint8Array[] {
  const writer = new FrameWriter();
  return list.map((content) => writer.frame(content));
}

async function readFrames(bytes: Uint8Array, size?: number) {
  const reader = new FrameReader(inPieces(bytes, size));
  const found: (readonly unknown[])[] = [];
  for (let count = 0; count < contents.length; count++) {
    found.push(await reader.next());
  }
  await reader.end();
  return found;
}

function assertCorrupt(work: Promise<unknown>): Promise<RaftError> {
  return assertRejects(() => work, RaftError).then((error) => {
    assertEquals(error.code, "corrupt");
    return error;
  });
}

describe("FrameReader", () => {
  it("gives the contents back, wherever the bytes were cut", async () => {
    const bytes = join(framesOf(contents));
    for (const size of [1, 2, 3, 7, 8, 9, bytes.length]) {
      assertEquals(await readFrames(bytes, size), contents);
    }
  });

  it("finds every flipped bit", async () => {
    const bytes = join(framesOf(contents));
    for (let bit = 0; bit < 8 * bytes.length; bit++) {
      const flipped = bytes.slice();
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      await assertCorrupt(readFrames(flipped));
    }
  });

  it("finds every cut", async () => {
    const bytes = join(framesOf(contents));
    for (let length = 0; length < bytes.length; length++) {
      await assertCorrupt(readFrames(bytes.subarray(0, length)));
    }
  });

  it("finds frames lost, repeated, swapped or appended (H65)", async () => {
    const frames = framesOf([[1, "a"], [1, "b"], [1, "c"]]);
    const [a, b, c] = frames as [Uint8Array, Uint8Array, Uint8Array];
    for (const order of [[a, c, b], [b, a, c], [a, a, c], [b, c], [a, c]]) {
      await assertCorrupt(readFrames(join(order)));
    }
    const error = await assertCorrupt(readFrames(join([...frames, a])));
    assertEquals(
      error.message,
      "Cannot read a snapshot: bytes follow its last frame",
    );
  });

  it("refuses a length beyond the limit before reading on (H132)", async () => {
    let pulled = 0;
    async function* endless() {
      yield new Uint8Array([0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
      for (;;) {
        pulled += 1;
        yield new Uint8Array(1024);
      }
    }
    const error = await assertCorrupt(new FrameReader(endless()).next());
    assertEquals(pulled, 0);
    assertEquals(
      error.message,
      `Cannot read snapshot frame 0: it announces 4294967295 bytes, at most ` +
        `${MAX_FRAME_BYTES} are allowed`,
    );
  });

  it("hands on what follows the frames, in order and once", async () => {
    const bytes = join([...framesOf(contents), new Uint8Array([7, 8, 9])]);
    for (const size of [1, 5, bytes.length]) {
      const reader = new FrameReader(inPieces(bytes, size));
      for (let count = 0; count < contents.length; count++) {
        await reader.next();
      }
      const rest: number[] = [];
      for await (const chunk of reader.rest()) {
        rest.push(...chunk);
      }
      assertEquals(rest, [7, 8, 9]);
    }
  });

  it("lets go of its source on close", async () => {
    let released = false;
    async function* source() {
      try {
        yield* inPieces(join(framesOf(contents)));
      } finally {
        released = true;
      }
    }
    const reader = new FrameReader(source());
    await reader.next();
    await reader.close();
    assert(released);
  });
});

describe("FrameParser", () => {
  function parseFrames(bytes: Uint8Array): (readonly unknown[])[] {
    const parser = new FrameParser(bytes);
    const found = contents.map(() => parser.next());
    assertEquals(parser.rest(), new Uint8Array(0));
    return found;
  }

  it("gives the contents back at once, and what follows them", () => {
    const bytes = join([...framesOf(contents), new Uint8Array([7, 8, 9])]);
    const parser = new FrameParser(bytes);
    for (const content of contents) assertEquals(parser.next(), content);
    assertEquals(parser.rest(), new Uint8Array([7, 8, 9]));
    assertEquals(parser.rest(), new Uint8Array(0));
  });

  it("refuses what a FrameReader refuses, with the same words", async () => {
    const bytes = join(framesOf(contents));
    const wrong: Uint8Array[] = [
      new Uint8Array([0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]),
    ];
    for (let at = 0; at < bytes.length; at++) {
      const flipped = bytes.slice();
      flipped[at] = (flipped[at] ?? 0) ^ 0x10;
      wrong.push(flipped, bytes.subarray(0, at));
    }
    for (const damaged of wrong) {
      const error = assertThrows(() => parseFrames(damaged), RaftError);
      const { message } = await assertCorrupt(readFrames(damaged));
      assertEquals([error.code, error.message], ["corrupt", message]);
    }
  });
});

describe("FrameWriter", () => {
  it("writes golden bytes", () => {
    assertEquals(framesOf(contents).map(hex), [
      "000000075314abe082646e616d6501",
      "0000000de4ceaa7a820183430102036474657874f6",
      "00000002003ff0458102",
    ]);
  });

  it("refuses a frame that no reader would take", () => {
    const writer = new FrameWriter();
    const error = assertThrows(
      () => writer.frame([new Uint8Array(MAX_FRAME_BYTES)]),
      RaftError,
    );
    assertEquals(error.code, "tooLarge");
  });
});

describe("frameChunks()", () => {
  it("cuts long frames into bounded chunks and loses nothing", () => {
    const frames = [new Uint8Array(3), new Uint8Array(600_000).fill(7)];
    const chunks = Array.from(frameChunks(frames));
    assert(chunks.every(({ length }) => length <= SNAPSHOT_CHUNK_BYTES));
    assertEquals(join(chunks), join(frames));
  });
});
