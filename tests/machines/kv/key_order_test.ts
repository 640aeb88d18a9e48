import { describe, it } from "node:test";
import { assert, assertEquals } from "@std/assert";
import {
  fromSortKey,
  isKvKey,
  toSortKey,
  utf8Length,
} from "../../../src/machines/kv/key_order.ts";
import { below, seededRandom, utf8 } from "../../rsm/support.ts";

/** Code points at and around every border of the encodings. */
const borders: readonly number[] = [
  0x0,
  0x1,
  0x41,
  0x7f,
  0x80,
  0x7ff,
  0x800,
  0xd7ff,
  0xe000,
  0xf7ff,
  0xf800,
  0xfffd,
  0xffff,
  0x1_0000,
  0x1_f600,
  0x10_ffff,
];

function draw(random: () => number): string {
  const length = below(random, 4);
  return String.fromCodePoint(...Array.from({ length }, () => {
    const border = borders[below(random, borders.length)] ?? 0;
    return border;
  }));
}

/** The order of UTF-8 bytes, by the bytes. */
function compareBytes(left: string, right: string): number {
  const a = utf8(left);
  const b = utf8(right);
  for (let at = 0; at < Math.min(a.length, b.length); at++) {
    const difference = (a[at] ?? 0) - (b[at] ?? 0);
    if (difference !== 0) {
      return Math.sign(difference);
    }
  }
  return Math.sign(a.length - b.length);
}

describe("toSortKey()", () => {
  it("orders keys like their UTF-8 bytes, which UTF-16 does not (H127)", () => {
    const random = seededRandom(3);
    let different = 0;
    for (let count = 0; count < 20_000; count++) {
      const left = draw(random);
      const right = draw(random);
      const [a, b] = [toSortKey(left), toSortKey(right)];
      const order = a === b ? 0 : a < b ? -1 : 1;
      assertEquals(order, compareBytes(left, right), `${left} ${right}`);
      if (order < 0 !== left < right) {
        different += 1;
      }
    }
    assert(different > 100, "the test meets keys whose orders differ");
  });

  it("has an inverse, and keeps prefixes", () => {
    const random = seededRandom(4);
    for (let count = 0; count < 5_000; count++) {
      const [prefix, rest] = [draw(random), draw(random)];
      assertEquals(fromSortKey(toSortKey(prefix + rest)), prefix + rest);
      assert(toSortKey(prefix + rest).startsWith(toSortKey(prefix)));
    }
  });

  it("leaves nearly all keys as they are", () => {
    assertEquals(toSortKey("plain/ключ/鍵"), "plain/ключ/鍵");
  });
});

describe("utf8Length()", () => {
  it("counts what an encoder writes", () => {
    const random = seededRandom(5);
    for (let count = 0; count < 5_000; count++) {
      const text = draw(random) + draw(random);
      assertEquals(utf8Length(text), utf8(text).length, text);
    }
  });
});

describe("isKvKey()", () => {
  it("takes 1 to 1024 bytes of well-formed text", () => {
    for (
      const key of [
        "a",
        "\u0000",
        "x".repeat(1024),
        "é".repeat(512),
        "鍵".repeat(341),
        "\u{1f600}".repeat(256),
        "__proto__",
      ]
    ) {
      assert(isKvKey(key), key.slice(0, 10));
    }
  });

  it("refuses the empty, the too long and the ill-formed", () => {
    for (
      const key of [
        "",
        "x".repeat(1025),
        "é".repeat(512) + "x",
        "鍵".repeat(342),
        "\u{1f600}".repeat(256) + "x",
        "a\ud800",
        "\udc00\ud800",
      ]
    ) {
      assert(!isKvKey(key), key.slice(0, 10));
    }
  });
});
