/** Entries and configurations as bytes, on disk and wire alike. */
import { describe, it } from "node:test";
import { assertEquals, assertThrows } from "@std/assert";
import {
  confStateFromArray,
  confStateToArray,
  copyBytes,
  decodeCbor,
  decodeConfChange,
  decodeStrictCbor,
  encodeCbor,
  encodeConfChange,
  encodePlainCbor,
  ENTRY_CODE,
  entryFromPayload,
  entryPayload,
} from "../src/codec.ts";
import { CONF, ENTRIES } from "./wire_samples.ts";

const LIMITS = { maxDepth: 2, maxItems: 5 };

describe("entry payloads", () => {
  it("rebuild every type of entry", () => {
    for (const entry of ENTRIES) {
      const code = ENTRY_CODE[entry.type];
      const { term, index } = entry;
      const rebuilt = entryFromPayload(code, term, index, entryPayload(entry));
      assertEquals(rebuilt, entry);
    }
  });

  it("refuse an unknown code and a payload that does not fit it", () => {
    const bytes = new Uint8Array([1]);
    assertThrows(() => entryFromPayload(9, 1, 1, bytes), Error, "unknown");
    assertThrows(() => entryFromPayload(2, 1, 1, bytes), Error, "payload");
    assertThrows(() => entryFromPayload(3, 1, 1, bytes), Error);
  });
});

describe("membership changes", () => {
  it("come back as they were, ids above 2^32 too (H122)", () => {
    const change = {
      transition: "explicit",
      steps: [
        { type: "addLearner", node: 2 ** 40, address: "h:1" },
        { type: "update", node: 2, address: "h:2" },
        { type: "remove", node: 3 },
      ],
    } as const;
    assertEquals(decodeConfChange(encodeConfChange(change)), change);
    const leave = { transition: "auto", steps: [] } as const;
    assertEquals(decodeConfChange(encodeConfChange(leave)), leave);
  });

  it("are refused with id 0, an unknown step or a map (H15, H133)", () => {
    for (
      const value of [
        ["auto", [["remove", 0]]],
        ["auto", [["erase", 1]]],
        ["never", []],
        ["auto", [["addVoter", 1, ""]]],
        ["auto"],
      ]
    ) assertThrows(() => decodeConfChange(encodePlainCbor(value)));
    assertThrows(() => decodeConfChange(encodeCbor({ transition: "auto" })));
  });
});

describe("configurations", () => {
  it("come back as they were", () => {
    const bytes = encodePlainCbor(confStateToArray(CONF));
    assertEquals(confStateFromArray(decodeCbor(bytes)), CONF);
  });

  it("are refused when a list is missing or an id is 0 (H15)", () => {
    const array = confStateToArray(CONF);
    assertThrows(() => confStateFromArray(array.slice(1)));
    assertThrows(() => confStateFromArray([[0], ...array.slice(1)]));
  });
});

describe("decodeStrictCbor()", () => {
  it("takes plain data within the limits, not one item or level more", () => {
    const plain = [1, [true, null]];
    assertEquals(decodeStrictCbor(encodePlainCbor(plain), LIMITS), plain);
    const wide = encodePlainCbor([1, [true, null, 2]]);
    assertThrows(() => decodeStrictCbor(wide, LIMITS), Error, "items");
    const deep = encodePlainCbor([[[1]]]);
    assertThrows(() => decodeStrictCbor(deep, LIMITS), Error, "deep");
  });

  it("refuses integers above 2^53-1 (H122)", () => {
    const most = encodePlainCbor(2 ** 53 - 1);
    assertEquals(decodeStrictCbor(most, LIMITS), 2 ** 53 - 1);
    const above = new Uint8Array([0x1b, 0, 0x20, 0, 0, 0, 0, 0, 0]);
    assertThrows(() => decodeStrictCbor(above, LIMITS), Error, "integer");
  });

  it("refuses input that is empty, cut or continued", () => {
    for (const bytes of [[], [0x82, 1], [0x18], [1, 1], [0x41]]) {
      assertThrows(() => decodeStrictCbor(new Uint8Array(bytes), LIMITS));
    }
  });
});

describe("copyBytes()", () => {
  it("returns bytes that share nothing with their source (H121)", () => {
    const source = new Uint8Array([1, 2, 3]);
    const copy = copyBytes(source.subarray(1));
    source.fill(9);
    assertEquals(copy, new Uint8Array([2, 3]));
    assertEquals(copy.buffer.byteLength, 2);
  });
});
