import { describe, it } from "node:test";
import {
  assert,
  assertAlmostEquals,
  assertArrayIncludes,
  assertEquals,
  assertExists,
  assertFalse,
  assertGreater,
  assertGreaterOrEqual,
  assertInstanceOf,
  AssertionError,
  assertIsError,
  assertLess,
  assertLessOrEqual,
  assertMatch,
  assertNotEquals,
  assertNotInstanceOf,
  assertNotMatch,
  assertNotStrictEquals,
  assertObjectMatch,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
  equal,
  fail,
  unreachable,
} from "@std/assert";

interface Case {
  readonly name: string;
  readonly holds: () => void;
  readonly fails: () => void;
}

function thrower(error: unknown): () => never {
  return () => {
    throw error;
  };
}

const cases: readonly Case[] = [
  { name: "assert", holds: () => assert(1), fails: () => assert(0) },
  {
    name: "assertFalse",
    holds: () => assertFalse(""),
    fails: () => assertFalse("x"),
  },
  {
    name: "assertExists",
    holds: () => assertExists(0),
    fails: () => assertExists(null),
  },
  {
    name: "assertEquals on nested data",
    holds: () => assertEquals({ a: [1, { b: NaN }] }, { a: [1, { b: NaN }] }),
    fails: () => assertEquals({ a: [1, { b: 2 }] }, { a: [1, { b: 3 }] }),
  },
  {
    name: "assertEquals on bytes",
    holds: () => assertEquals(new Uint8Array([1, 2]), new Uint8Array([1, 2])),
    fails: () => assertEquals(new Uint8Array([1, 2]), new Uint8Array([1, 3])),
  },
  {
    name: "assertEquals on maps, whatever their order",
    holds: () =>
      assertEquals(new Map([[1, 2], [3, 4]]), new Map([[3, 4], [1, 2]])),
    fails: () => assertEquals(new Map([[1, 2]]), new Map([[1, 3]])),
  },
  {
    name: "assertEquals on an undefined property",
    holds: () => assertEquals<unknown>({ a: undefined }, { a: undefined }),
    fails: () => assertEquals<unknown>({ a: undefined }, {}),
  },
  {
    name: "assertNotEquals",
    holds: () => assertNotEquals([1], [2]),
    fails: () => assertNotEquals([1], [1]),
  },
  {
    name: "assertStrictEquals",
    holds: () => assertStrictEquals(NaN, NaN),
    fails: () => assertStrictEquals({}, {}),
  },
  {
    name: "assertNotStrictEquals",
    holds: () => assertNotStrictEquals({}, {}),
    fails: () => assertNotStrictEquals(1, 1),
  },
  {
    name: "assertAlmostEquals",
    holds: () => assertAlmostEquals(0.1 + 0.2, 0.3),
    fails: () => assertAlmostEquals(0.1, 0.2, 0.05),
  },
  {
    name: "assertArrayIncludes",
    holds: () => assertArrayIncludes([{ a: 1 }, { a: 2 }], [{ a: 2 }]),
    fails: () => assertArrayIncludes([1, 2], [3]),
  },
  {
    name: "assertObjectMatch",
    holds: () => assertObjectMatch({ a: { b: 1, c: 2 } }, { a: { b: 1 } }),
    fails: () => assertObjectMatch({ a: { c: 2 } }, { a: { b: 1 } }),
  },
  {
    name: "assertStringIncludes",
    holds: () => assertStringIncludes("balsa", "als"),
    fails: () => assertStringIncludes("balsa", "sal"),
  },
  {
    name: "assertMatch",
    holds: () => assertMatch("balsa", /^b/),
    fails: () => assertMatch("balsa", /^a/),
  },
  {
    name: "assertNotMatch",
    holds: () => assertNotMatch("balsa", /^a/),
    fails: () => assertNotMatch("balsa", /^b/),
  },
  {
    name: "assertGreater",
    holds: () => assertGreater(2, 1),
    fails: () => assertGreater(1, 1),
  },
  {
    name: "assertGreaterOrEqual",
    holds: () => assertGreaterOrEqual(1, 1),
    fails: () => assertGreaterOrEqual(0, 1),
  },
  {
    name: "assertLess",
    holds: () => assertLess(1, 2),
    fails: () => assertLess(1, 1),
  },
  {
    name: "assertLessOrEqual",
    holds: () => assertLessOrEqual(1, 1),
    fails: () => assertLessOrEqual(2, 1),
  },
  {
    name: "assertInstanceOf",
    holds: () => assertInstanceOf(new TypeError(), Error),
    fails: () => assertInstanceOf({}, Error),
  },
  {
    name: "assertNotInstanceOf",
    holds: () => assertNotInstanceOf(new TypeError(), RangeError),
    fails: () => assertNotInstanceOf(new TypeError(), Error),
  },
  {
    name: "assertIsError",
    holds: () => assertIsError(new TypeError("bad shape"), TypeError, /shape/),
    fails: () => assertIsError(new TypeError("bad shape"), TypeError, "value"),
  },
  {
    name: "assertThrows by class and text",
    holds: () => {
      const thrown = new RangeError("too large");
      assertStrictEquals(
        assertThrows(thrower(thrown), RangeError, "large"),
        thrown,
      );
    },
    fails: () => {
      assertThrows(thrower(new RangeError("too large")), RangeError, "small");
    },
  },
  {
    name: "assertThrows by class alone",
    holds: () => void assertThrows(thrower(new TypeError("x")), TypeError),
    fails: () => void assertThrows(thrower(new TypeError("x")), RangeError),
  },
  {
    name: "assertThrows of anything",
    holds: () => assertEquals(assertThrows(thrower("text")), "text"),
    fails: () => void assertThrows(() => {}),
  },
];

describe("@std/assert, real or stand-in", () => {
  for (const { name, holds, fails } of cases) {
    it(`${name} accepts what holds`, holds);
    it(`${name} refuses what does not hold`, () => {
      assertThrows(fails, AssertionError);
    });
  }

  it("assertRejects resolves with the reason", async () => {
    const reason = new RangeError("too late");
    assertStrictEquals(
      await assertRejects(() => Promise.reject(reason), RangeError, "late"),
      reason,
    );
  });

  it("assertRejects refuses a promise that resolves", async () => {
    await assertRejects(
      () => assertRejects(() => Promise.resolve(1)),
      AssertionError,
    );
  });

  it("assertRejects refuses a reason of another class or text", async () => {
    const reject = () => Promise.reject(new RangeError("too late"));
    await assertRejects(() => assertRejects(reject, TypeError), AssertionError);
    await assertRejects(
      () => assertRejects(reject, RangeError, "early"),
      AssertionError,
    );
  });

  it("assertRejects refuses a function that throws synchronously", async () => {
    await assertRejects(
      () => assertRejects(thrower(new Error("at once"))),
      AssertionError,
    );
  });

  it("a failure shows the note of the caller", () => {
    const error = assertThrows(
      () => assertEquals(1, 2, "terms differ"),
      AssertionError,
    );
    assertStringIncludes(error.message, "terms differ");
  });

  it("equal treats 0 and -0 as one value, and tells classes apart", () => {
    assert(equal(0, -0));
    assertFalse(equal(new Uint8Array([1]), new Int8Array([1])));
  });

  it("fail and unreachable always fail", () => {
    assertThrows(() => fail("here"), AssertionError, "here");
    assertThrows(() => unreachable(), AssertionError);
  });
});
