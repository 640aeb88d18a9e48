/** Frames out of a stream of bytes. Hazards H121, H132, H134. */
import { describe, it } from "node:test";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { RaftError } from "../../src/errors.ts";
import { encodeControlFrame, FRAME_KIND } from "../../src/wire.ts";
import type { ByteChannel } from "../../transports/link/channel.ts";
import { ByteBudget, FrameReader } from "../../transports/link/frame_reader.ts";

/** Hands out chunks from one buffer that it scribbles over in between. */
function channelOf(chunks: readonly Uint8Array[]): ByteChannel {
  const longest = Math.max(...chunks.map(({ length }) => length), 1);
  const buffer = new Uint8Array(longest);
  let at = 0;
  return {
    remote: "test",
    read: () => {
      buffer.fill(0xaa);
      const chunk = chunks[at++];
      if (chunk === undefined) return Promise.resolve(null);
      buffer.set(chunk);
      return Promise.resolve(buffer.subarray(0, chunk.length));
    },
    write: () => Promise.resolve(),
    end: () => Promise.resolve(),
    destroy: () => {},
  };
}

function readerOf(
  chunks: readonly Uint8Array[],
  { maxBytes = 1 << 20, budget = 1 << 20 } = {},
): FrameReader {
  return new FrameReader(channelOf(chunks), {
    maxBytes,
    budget: new ByteBudget(budget),
  });
}

function cut(bytes: Uint8Array, size: number): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += size) {
    chunks.push(bytes.subarray(at, at + size));
  }
  return chunks;
}

function join(frames: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(frames.flatMap((frame) => [...frame]));
}

describe("FrameReader", () => {
  const sizes = [0, 1, 2, 23, 24, 255, 256, 70_000, 3];
  const frames = sizes.map((size, at) =>
    encodeControlFrame(FRAME_KIND.ping, new Uint8Array(size).fill(at))
  );

  for (const size of [1, 2, 3, 4, 5, 6, 7, 64, 1_000, 65_536, 1_000_000]) {
    it(`finds every frame in chunks of ${size} bytes`, async () => {
      const reader = readerOf(cut(join(frames), size));
      for (const frame of frames) {
        const found = await reader.next();
        assertEquals(found?.kind, FRAME_KIND.ping);
        assertEquals(found?.body, frame.subarray(5));
      }
      assertEquals(await reader.next(), null);
      assertEquals(reader.isMidFrame, false);
    });
  }

  it("gives a body that spans chunks to the caller for good", async () => {
    const reader = readerOf(cut(join(frames), 1_000));
    const owned: [Uint8Array, Uint8Array][] = [];
    for (const frame of frames) {
      const found = await reader.next();
      if (found?.owned) owned.push([found.body, frame.subarray(5)]);
    }
    assert(owned.length > 0);
    for (const [body, expected] of owned) assertEquals(body, expected);
  });

  it("refuses a length of 4 GiB before it allocates (H132)", async () => {
    const reader = readerOf([new Uint8Array([255, 255, 255, 255, 1])]);
    const error = await assertRejects(() => reader.next(), RaftError);
    assertEquals(error.code, "frameTooLarge");
  });

  it("refuses a frame without a kind", async () => {
    const reader = readerOf([new Uint8Array(5)]);
    const error = await assertRejects(() => reader.next(), RaftError);
    assertEquals(error.code, "malformedFrame");
  });

  it("takes memory for what arrived, not for what was declared", async () => {
    const header = new Uint8Array([0x3f, 0xff, 0xff, 0xff, 1, 7, 7, 7]);
    const options = { maxBytes: 1 << 30, budget: 64 << 10 };
    const reader = readerOf([header], options);
    assertEquals(await reader.next(), null);
    assert(reader.isMidFrame);
  });

  it("stops at the budget shared with other connections (H132)", async () => {
    const budget = new ByteBudget(100_000);
    const frame = encodeControlFrame(FRAME_KIND.ping, new Uint8Array(200_000));
    const read = async () => {
      const channel = channelOf(cut(frame, 10_000));
      const reader = new FrameReader(channel, { maxBytes: 1 << 20, budget });
      try {
        return await reader.next();
      } finally {
        reader.dispose();
      }
    };
    const error = await assertRejects(read, RaftError, "used up");
    assertEquals(error.code, "frameTooLarge");
    assert(budget.take(100_000), "the budget did not get its bytes back");
  });

  it("gives the memory of a finished frame back", async () => {
    const budget = new ByteBudget(64 << 10);
    const frame = encodeControlFrame(FRAME_KIND.ping, new Uint8Array(60_000));
    const chunks = cut(join([frame, frame, frame]), 999);
    const options = { maxBytes: 1 << 20, budget };
    const reader = new FrameReader(channelOf(chunks), options);
    for (let i = 0; i < 3; i++) assert(await reader.next() !== null);
    assert(budget.take(64 << 10));
  });
});
