/** Frames: limits, ownership, splitting. Hazards H15, H121, H122, H132-H136. */
import { describe, it } from "node:test";
import { assert, assertEquals, assertThrows } from "@std/assert";
import { CborWriter } from "../src/cbor_writer.ts";
import { encodePlainCbor } from "../src/codec.ts";
import { RaftError } from "../src/errors.ts";
import {
  decodeEnvelopes,
  decodeFrame,
  encodeControlFrame,
  encodeFrame,
  FRAME_KIND,
  readLength,
  writeFrames,
} from "../src/wire.ts";
import type { Entry } from "../src/core/types.ts";
import type { Envelope } from "../src/transport.ts";
import { SAMPLES } from "./wire_samples.ts";

function append(entries: readonly Entry[], group = 1): Envelope {
  const head = { from: 1, to: 2, term: 9, prevLogIndex: 0, prevLogTerm: 0 };
  const type = "appendEntries";
  return { group, message: { type, ...head, commitIndex: 0, entries } };
}

function command(index: number, data: Uint8Array): Entry {
  return { type: "command", term: 1, index, data };
}

function framed(value: unknown): Uint8Array {
  return encodeControlFrame(FRAME_KIND.messages, value);
}

function assertMalformed(frame: Uint8Array): void {
  const error = assertThrows(() => decodeFrame(frame), RaftError);
  assertEquals(error.code, "malformedFrame");
}

/** Splits what {@linkcode writeFrames} wrote at its length prefixes. */
function cut(bytes: Uint8Array): Uint8Array[] {
  const frames: Uint8Array[] = [];
  for (let at = 0; at < bytes.length;) {
    const end = at + 4 + readLength(bytes, at);
    frames.push(bytes.subarray(at, end));
    at = end;
  }
  return frames;
}

describe("decodeFrame()", () => {
  it("returns bytes that no later change of the frame reaches (H121)", () => {
    const one = [append([command(1, new Uint8Array([1, 2, 3]))])];
    const several = [...one, { group: 2, message: SAMPLES.propose }];
    for (const envelopes of [one, several]) {
      const frame = encodeFrame(envelopes);
      const decoded = decodeFrame(frame);
      frame.fill(0xaa);
      assertEquals(decoded, envelopes);
    }
  });

  it("gives each of several bearers a buffer of its own size", () => {
    const envelopes = [
      append([command(1, new Uint8Array(10).fill(1))], 1),
      append([command(1, new Uint8Array(100_000).fill(2))], 2),
    ];
    const body = encodeFrame(envelopes).slice(5);
    const [small] = decodeEnvelopes(body, { owned: true });
    assert(small?.message.type === "appendEntries");
    const [entry] = small.message.entries;
    assert(entry?.type === "command");
    assertEquals(entry.data.buffer.byteLength, 10);
  });

  it("takes every integer up to 2^53-1 and none above (H122)", () => {
    for (const value of [2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1]) {
      const message = { ...SAMPLES.readIndex, context: value };
      const frame = encodeFrame([{ group: value, message }]);
      assertEquals(decodeFrame(frame), [{ group: value, message }]);
    }
    const frame = encodeFrame([{
      group: 1,
      message: { ...SAMPLES.readIndex, context: 2 ** 53 - 1 },
    }]);
    frame[frame.length - 7] = 0x20;
    assertMalformed(frame);
  });

  it("refuses an append whose last index would pass 2^53-1 (H122)", () => {
    const { message } = append([command(1, new Uint8Array(1))]);
    const high = { ...message, prevLogIndex: 2 ** 53 - 1 };
    assertMalformed(encodeFrame([{ group: 1, message: high }]));
  });

  it("refuses 0 as the id of a group or a member (H15)", () => {
    for (const at of [1, 2, 3]) {
      const fields = [7, 1, 1, 2, 3, 0, 0, 0, 0];
      fields[at] = 0;
      assertMalformed(framed([fields]));
    }
    assertEquals(decodeFrame(framed([[7, 1, 1, 2, 3, 0, 0, 0, 0]])).length, 1);
  });

  it("refuses unknown tags, missing, extra and mistyped fields (H136)", () => {
    const heartbeat = [7, 1, 1, 2, 3, 0, 0, 0, 0];
    assertMalformed(framed([[0, ...heartbeat.slice(1)]]));
    assertMalformed(framed([[99, ...heartbeat.slice(1)]]));
    assertMalformed(framed([heartbeat.slice(0, 8)]));
    assertMalformed(framed([[...heartbeat, 0]]));
    assertMalformed(framed([[...heartbeat.slice(0, 8), true]]));
    assertMalformed(framed([[...heartbeat.slice(0, 8), "0"]]));
    assertMalformed(framed([[13, 1, 1, 2, 0, 5, 99, 0, 0]]));
    assertMalformed(framed([[]]));
    assertMalformed(framed(7));
  });

  it("refuses entries that no leader's log can hold (H136)", () => {
    const start = [5, 1, 1, 2, 3, 0, 0, 0];
    const end = null;
    const none = new Uint8Array(0);
    const some = new Uint8Array(1);
    for (
      const entries of [
        [1, 1],
        [5, 1, none],
        [4, 1, some],
        [1, 0, none],
        [1, 4, none],
        [1, 2, none, 1, 1, none],
        [2, 1, some],
        [3, 1, some],
        [1, none, none],
        "text",
      ]
    ) assertMalformed(framed([[...start, entries, end]]));
    assertEquals(
      decodeFrame(framed([[...start, [2, 3, none], end]])).length,
      1,
    );
    const behind = [5, 1, 1, 2, 3, 4, 2, 0];
    assertMalformed(framed([[...behind, [2, 1, none], end]]));
    assertEquals(
      decodeFrame(framed([[...behind, [2, 2, none], end]])).length,
      1,
    );
  });

  it("refuses maps, tags, floats, negatives and open-ended forms", () => {
    for (
      const item of [
        [0xa1, 0x69, ...new TextEncoder().encode("__proto__"), 0x01], // H133
        [0xc0, 0x60],
        [0xd9, 0x01, 0x02, 0x80],
        [0xfb, 0, 0, 0, 0, 0, 0, 0, 0],
        [0x20],
        [0x9f, 0xff],
        [0x5f, 0xff],
        [0xf7],
        [0x1c],
      ]
    ) {
      const body = [0x81, ...item];
      assertMalformed(
        new Uint8Array([
          0,
          0,
          0,
          body.length + 1,
          FRAME_KIND.messages,
          ...body,
        ]),
      );
    }
  });

  it("refuses declared counts and depths before it allocates (H134)", () => {
    const counts = [
      [0x9a, 0xff, 0xff, 0xff, 0xff],
      [0x9b, 0, 0x1f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
      [0x5a, 0xff, 0xff, 0xff, 0xff],
      [0x7a, 0x7f, 0xff, 0xff, 0xff],
    ];
    for (const body of counts) {
      assertMalformed(
        new Uint8Array([
          0,
          0,
          0,
          body.length + 1,
          FRAME_KIND.messages,
          ...body,
        ]),
      );
    }
    const nested = new Uint8Array(1_000_000).fill(0x81);
    nested.set([0, 0x0f, 0x42, 0x3c, FRAME_KIND.messages]);
    assertMalformed(nested);
    const many = new Uint8Array(4_000_000);
    many.set([0, 0x3d, 0x08, 0xfc, FRAME_KIND.messages]);
    many.set([0x9a, 0, 0x3d, 0x08, 0xf6], 5);
    assertMalformed(many);
  });

  it("refuses a length beyond the limit by its code (H132)", () => {
    const error = assertThrows(
      () => decodeFrame(new Uint8Array([255, 255, 255, 255, 17, 128])),
      RaftError,
    );
    assertEquals(error.code, "frameTooLarge");
    const frame = encodeFrame([{ group: 1, message: SAMPLES.heartbeat }]);
    const limits = { maxFrameBytes: frame.length - 5 };
    assertThrows(() => decodeFrame(frame, limits), RaftError, "wanted at most");
  });

  it("refuses a frame cut short or continued, at every byte", () => {
    const frame = encodeFrame([{ group: 1, message: SAMPLES.appendEntries }]);
    for (let length = 0; length < frame.length; length++) {
      assertMalformed(frame.subarray(0, length));
    }
    assertMalformed(new Uint8Array([...frame, 0]));
    for (let length = 6; length < frame.length; length++) {
      const honest = frame.slice(0, length);
      honest[3] = length - 4;
      assertMalformed(honest);
    }
  });
});

describe("writeFrames()", () => {
  const entry = command(1, new Uint8Array(300));

  it("splits what does not fit into one frame, in order", () => {
    const envelopes = Array.from(
      { length: 10 },
      (_, i) => append([entry], i + 1),
    );
    const writer = new CborWriter(16);
    assert(writeFrames(writer, envelopes, { maxFrameBytes: 1_000 }));
    const frames = cut(writer.take());
    assert(frames.length > 1);
    for (const frame of frames) assert(frame.length <= 1_004);
    const decoded = frames.flatMap((it) => decodeFrame(it));
    assertEquals(decoded, envelopes);
  });

  it("splits by the count of envelopes too", () => {
    const beat = { group: 1, message: SAMPLES.heartbeat };
    const writer = new CborWriter();
    assert(writeFrames(writer, new Array(40_000).fill(beat)));
    const counts = cut(writer.take()).map((it) => decodeFrame(it).length);
    assertEquals(counts, [16_384, 16_384, 7_232]);
  });

  it("writes nothing when one envelope alone is too large", () => {
    const writer = new CborWriter();
    writer.uint(1);
    const large = append([command(1, new Uint8Array(2_000))]);
    const limits = { maxFrameBytes: 1_000 };
    assertEquals(writeFrames(writer, [append([entry]), large], limits), false);
    assertEquals(writer.take(), new Uint8Array([1]));
  });

  it("refuses a list that the receiver would refuse", () => {
    const commands: Uint8Array[] = new Array(65_537).fill(new Uint8Array(0));
    const message = { ...SAMPLES.propose, commands };
    const writer = new CborWriter();
    assertEquals(writeFrames(writer, [{ group: 1, message }]), false);
    assertEquals(writer.length, 0);
  });

  it("carries the largest default entry in one frame", () => {
    const envelope = append([command(1, new Uint8Array(8 << 20).fill(7))]);
    assertEquals(decodeFrame(encodeFrame([envelope])), [envelope]);
  });
});

describe("CborWriter", () => {
  it("writes each integer in its shortest form", () => {
    const hex = (value: number) =>
      [...encodePlainCbor(value)].map((it) => it.toString(16).padStart(2, "0"))
        .join("");
    assertEquals(hex(23), "17");
    assertEquals(hex(24), "1818");
    assertEquals(hex(255), "18ff");
    assertEquals(hex(256), "190100");
    assertEquals(hex(65_536), "1a00010000");
    assertEquals(hex(2 ** 32), "1b0000000100000000");
    assertEquals(hex(2 ** 53 - 1), "1b001fffffffffffff");
  });

  it("refuses what it has no form for", () => {
    assertThrows(() => encodePlainCbor({ a: 1 }), TypeError);
  });
});
