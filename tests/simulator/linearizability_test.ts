import { describe, it } from "node:test";
import { assert, assertEquals } from "@std/assert";
import {
  checkLinearizable,
  type SequentialModel,
  SimRandom,
  type TimedOperation,
} from "../../src/sim/mod.ts";

type Input = { readonly write: number } | "read";
type Register = TimedOperation<Input, number>;

const REGISTER: SequentialModel<number, Input, number> = {
  initial: 0,
  step: (state, input, output) => {
    if (input !== "read") return input.write;
    return output === undefined || output === state ? state : undefined;
  },
  key: (state) => `${state}`,
};

function write(value: number, invokedAt: number, returnedAt: number): Register {
  return { input: { write: value }, output: undefined, invokedAt, returnedAt };
}

function read(value: number, invokedAt: number, returnedAt: number): Register {
  return { input: "read", output: value, invokedAt, returnedAt };
}

describe("checkLinearizable()", () => {
  it("accepts what has an order, also among overlapping operations", () => {
    const history = [
      write(1, 1, 10),
      read(0, 2, 3),
      read(1, 4, 5),
      write(2, 6, 7),
      read(2, 8, 9),
    ];
    assertEquals(checkLinearizable(history, REGISTER), "linearizable");
    assertEquals(checkLinearizable([], REGISTER), "linearizable");
  });

  it("refuses a stale read", () => {
    const history = [write(1, 1, 2), write(2, 3, 4), read(1, 5, 6)];
    assertEquals(checkLinearizable(history, REGISTER), "violated");
  });

  it("refuses a value that goes back between two readers", () => {
    const history = [write(1, 1, 9), read(1, 2, 3), read(0, 4, 5)];
    assertEquals(checkLinearizable(history, REGISTER), "violated");
  });

  it("refuses a value that nobody wrote (H141)", () => {
    assertEquals(checkLinearizable([read(7, 1, 2)], REGISTER), "violated");
  });

  it("lets a write of unknown outcome happen late or never (H104)", () => {
    const unknown = write(1, 1, Infinity);
    for (const later of [0, 1]) {
      const history = [unknown, read(0, 2, 3), read(later, 4, 5)];
      assertEquals(checkLinearizable(history, REGISTER), "linearizable");
    }
    const history = [unknown, read(1, 2, 3), read(0, 4, 5)];
    assertEquals(checkLinearizable(history, REGISTER), "violated");
  });

  it("gives up at its limit instead of taking for ever", () => {
    const history = Array.from({ length: 40 }, (_, i) => write(i, 1 + i, 100));
    history.push(read(99, 101, 102));
    assertEquals(checkLinearizable(history, REGISTER, 5_000), "undecided");
  });

  it("agrees with trying all orders, on thousands of small histories", () => {
    const random = new SimRandom(9);
    const verdicts = { linearizable: 0, violated: 0, undecided: 0 };
    for (let i = 0; i < 3_000; i++) {
      const history = randomHistory(random);
      const verdict = checkLinearizable(history, REGISTER);
      verdicts[verdict]++;
      assertEquals(
        verdict,
        hasOrder(history, 0) ? "linearizable" : "violated",
        JSON.stringify(history),
      );
    }
    assert(verdicts.linearizable > 300 && verdicts.violated > 300);
    assertEquals(verdicts.undecided, 0);
  });
});

function randomHistory(random: SimRandom): Register[] {
  const count = random.between(1, 6);
  return Array.from({ length: count }, () => {
    const invokedAt = random.below(20) * 2;
    const length = 1 + 2 * random.below(8);
    const returnedAt = random.chance(150) ? Infinity : invokedAt + length;
    return random.chance(500)
      ? write(random.between(1, 3), invokedAt, returnedAt)
      : read(random.below(4), invokedAt, returnedAt);
  });
}

/** The definition: some operation that nobody precedes goes first. */
function hasOrder(history: readonly Register[], state: number): boolean {
  const due = history.filter(({ returnedAt }) => returnedAt < Infinity);
  if (due.length === 0) return true;
  return history.some((operation, at) => {
    const rest = history.filter((_, other) => other !== at);
    const isFirst = rest.every(({ returnedAt }) =>
      returnedAt > operation.invokedAt
    );
    if (!isFirst) return false;
    const after = REGISTER.step(state, operation.input, operation.output);
    return after !== undefined && hasOrder(rest, after);
  });
}
