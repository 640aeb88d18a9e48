/**
 * The bytes of the wire, frozen: a change here is a change of the format and
 * needs a new protocol version.
 */
import { describe, it } from "node:test";
import { assertEquals } from "@std/assert";
import { encodePlainCbor } from "../src/codec.ts";
import {
  helloToArray,
  parseAccept,
  parseHello,
  parseSnapshotChunk,
  parseSnapshotStart,
  parseSnapshotWanted,
} from "../src/schema.ts";
import {
  decodeControl,
  decodeFrame,
  encodeControlFrame,
  encodeFrame,
  FRAME_HEADER_BYTES,
  FRAME_KIND,
} from "../src/wire.ts";
import type { Message } from "../src/core/message.ts";
import { CONF, SAMPLES } from "./wire_samples.ts";

/** Each sample in a frame of its own, for group 1. */
const GOLDEN: { readonly [T in Message["type"]]: string } = {
  requestVote: "0000000e11990001880101010203186402f5",
  requestVoteResponse: "0000000d11990001880201010203f40000",
  requestPreVote: "0000000e1199000187030101020319012c02",
  requestPreVoteResponse: "0000000f11990001880401010203f519012a02",
  appendEntries:
    "00000048119900018a05010102030701068c0202400102430102030402400303582982646175746f838368616464566f7465720463643a34826672656d6f766501836462696e6402623066f6",
  appendEntriesResponse: "0000001611990001890601010203f51a000111701a0001116f02",
  heartbeat:
    "00000020119900018907010102031b0000000100000000091903e81b0000000100000001",
  heartbeatResponse:
    "0000001a119900018908010102031b001fffffffffffff1903e819016803",
  installSnapshot:
    "00000034119900018809010102031832028b83010203820102810481028103f5810582820163613a31820263623a32078104818201623066",
  timeoutNow: "0000000a11990001850a01010203",
  transferLeadership: "0000000b11990001860b0101020303",
  propose:
    "0000002311990001880c010102000c82410740835082646175746f81826672656d6f76650307f4",
  proposeResponse: "0000000e11990001890d010102000c030000",
  readIndex: "0000000c11990001860e01010200182c",
  readIndexResponse: "0000000e11990001870f01010200182c1863",
  removed: "0000000c119900018710010102000207",
  quiesce: "0000000b119900018611010102030c",
};

const NONE = new Uint8Array(0);

const HELLO = {
  versions: { min: 1, max: 2 },
  deployment: "orders",
  address: "a:1",
  clientAddress: null,
  target: "b:2",
  purpose: "messages",
  incarnation: "0f",
} as const;

const HELLO_HEX =
  "0000001e01896562616c73610102666f726465727363613a31f663623a3200623066";

function hex(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function unhex(text: string): Uint8Array {
  const pairs = text.match(/../g) ?? [];
  return new Uint8Array(pairs.map((pair) => parseInt(pair, 16)));
}

describe("the wire format", () => {
  for (const [type, golden] of Object.entries(GOLDEN)) {
    const message = Object.values(SAMPLES).find((it) => it.type === type);
    it(`encodes ${type} to exactly these bytes, and back`, () => {
      if (message === undefined) throw new Error(`no sample of ${type}`);
      assertEquals(hex(encodeFrame([{ group: 1, message }])), golden);
      assertEquals(decodeFrame(unhex(golden)), [{ group: 1, message }]);
    });
  }

  it("encodes an append for a newcomer to exactly these bytes", () => {
    const message = {
      ...SAMPLES.appendEntries,
      prevLogIndex: 0,
      prevLogTerm: 0,
      entries: [],
      founding: CONF,
    };
    const golden =
      "00000035119900018a0501010203000006808b83010203820102810481028103f5810582820163613a31820263623a32078104818201623066";
    assertEquals(hex(encodeFrame([{ group: 1, message }])), golden);
    assertEquals(decodeFrame(unhex(golden)), [{ group: 1, message }]);
  });

  it("encodes a hello to exactly these bytes, and back", () => {
    const frame = encodeControlFrame(FRAME_KIND.hello, helloToArray(HELLO));
    assertEquals(hex(frame), HELLO_HEX);
    const body = unhex(HELLO_HEX).subarray(FRAME_HEADER_BYTES);
    assertEquals(decodeControl(body, parseHello), HELLO);
  });

  it("encodes consent, refusal, ping and pong to exactly these bytes", () => {
    const frames = [
      encodeControlFrame(FRAME_KIND.accept, [1, "c:3"]),
      encodeControlFrame(FRAME_KIND.refusal, ["wrongTarget", "no"]),
      encodeControlFrame(FRAME_KIND.ping, 0),
      encodeControlFrame(FRAME_KIND.pong, 0),
    ];
    assertEquals(frames.map(hex), [
      "0000000702820163633a33",
      "0000001103826b77726f6e67546172676574626e6f",
      "000000021200",
      "000000021300",
    ]);
  });

  it("encodes the frames of a snapshot to exactly these bytes", () => {
    const frames = [
      encodeControlFrame(FRAME_KIND.snapshotStart, [1, 9, 2, []]),
      encodeControlFrame(FRAME_KIND.snapshotChunk, [5, new Uint8Array([1])]),
      encodeControlFrame(FRAME_KIND.snapshotEnd, [6, 0xffff_ffff]),
      encodeControlFrame(FRAME_KIND.snapshotAck, [true, ""]),
    ];
    assertEquals(frames.map(hex), [
      "00000006148401090280",
      "000000051582054101",
      "000000081682061affffffff",
      "000000041782f560",
    ]);
  });

  it("encodes what version 3 added to a snapshot to exactly these bytes, and back", () => {
    const conf = [[1], [], [], [], [], false, [], []];
    const start = [1, 2, 3, 4, 5, 6, conf, "token"];
    const piece = [5, new Uint8Array([1]), 0xffff_ffff] as const;
    const frames = [
      encodeControlFrame(FRAME_KIND.snapshotStart, start),
      encodeControlFrame(FRAME_KIND.snapshotWanted, 300_000),
      encodeControlFrame(FRAME_KIND.snapshotChunk, piece),
    ];
    assertEquals(frames.map(hex), [
      "00000018148801020304050688810180808080f4808065746f6b656e",
      "00000006181a000493e0",
      "0000000a15830541011affffffff",
    ]);
    const bodies = frames.map((frame) => frame.subarray(FRAME_HEADER_BYTES));
    const [first = NONE, second = NONE, third = NONE] = bodies;
    const { token, meta } = decodeControl(first, parseSnapshotStart);
    assertEquals([token, meta.index, meta.term], ["token", 5, 6]);
    assertEquals(decodeControl(second, parseSnapshotWanted), 300_000);
    assertEquals(decodeControl(third, parseSnapshotChunk), piece);
    // And as version 2 has them.
    const older = encodeControlFrame(
      FRAME_KIND.snapshotStart,
      start.slice(0, 7),
    );
    const body = older.subarray(FRAME_HEADER_BYTES);
    assertEquals(decodeControl(body, parseSnapshotStart).token, undefined);
  });

  it("lets later versions append items to hello and consent", () => {
    const longer = [...helloToArray(HELLO), "new", [1]];
    assertEquals(decodeControl(encodePlainCbor(longer), parseHello), HELLO);
    assertEquals(
      decodeControl(encodePlainCbor([1, null, "0f", "new"]), parseAccept),
      { version: 1, clientAddress: null, incarnation: "0f" },
    );
  });
});
