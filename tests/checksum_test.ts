import { describe, it } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { hashBytes, hashInteger, hashText } from "../src/checksum.ts";
import { utf8 } from "./rsm/support.ts";

describe("hashBytes()", () => {
  it("is MurmurHash3 x86 32: the published values", () => {
    const published: [string, number, number][] = [
      ["", 0, 0],
      ["", 1, 0x514e28b7],
      ["", 0xffffffff, 0x81f16f39],
      ["test", 0, 0xba6bd213],
      ["test", 0x9747b28c, 0x704b81dc],
      ["Hello, world!", 0, 0xc0363e43],
      ["Hello, world!", 0x9747b28c, 0x24884cba],
      ["The quick brown fox jumps over the lazy dog", 0, 0x2e4ff723],
      ["The quick brown fox jumps over the lazy dog", 0x9747b28c, 0x2fa826cd],
    ];
    for (const [text, seed, hash] of published) {
      assertEquals(hashBytes(utf8(text), seed), hash, text);
    }
  });

  it("does not depend on where the bytes lie in their buffer", () => {
    const bytes = utf8("of any alignment");
    for (let offset = 0; offset < 8; offset++) {
      const buffer = new Uint8Array(64).fill(0xff);
      buffer.set(bytes, offset);
      assertEquals(
        hashBytes(buffer.subarray(offset, offset + bytes.length)),
        hashBytes(bytes),
      );
    }
  });

  it("changes with every bit of short and odd-sized input", () => {
    for (let length = 1; length <= 9; length++) {
      const bytes = new Uint8Array(length).fill(0x5a);
      const whole = hashBytes(bytes);
      for (let bit = 0; bit < 8 * length; bit++) {
        const flipped = bytes.slice();
        flipped[bit >> 3] = 0x5a ^ (1 << (bit & 7));
        assert(hashBytes(flipped) !== whole, `bit ${bit} of ${length} bytes`);
      }
    }
  });
});

describe("hashText() and hashInteger()", () => {
  it("tell apart what is close together", () => {
    const hashes = new Set<number>();
    const texts = ["", "a", "b", "ab", "ba", "\u0000", "\ud83d\ude00", "é"];
    const numbers = [0, 1, 2 ** 31, 2 ** 32, 2 ** 32 + 1, 2 ** 53 - 1];
    for (const seed of [0, 1]) {
      for (const text of texts) {
        hashes.add(hashText(text, seed));
      }
      for (const value of numbers) {
        hashes.add(hashInteger(value, seed));
      }
    }
    // The empty text with seed 0 is 0, which nothing else is.
    assertEquals(hashes.size, 2 * (texts.length + numbers.length));
  });

  it("give the same on every runtime: golden values", () => {
    assertEquals(hashText("balsa", 7), 3831981652);
    assertEquals(hashInteger(2 ** 53 - 1, 7), 3713083502);
  });
});
