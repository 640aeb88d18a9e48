import { describe, it } from "node:test";
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import {
  type Applied,
  type HistoryEntry,
  simulate,
  type StateMachine,
  type Subject,
} from "../../src/sim/mod.ts";

/** Adds numbers; the answer is the sum. */
class Counter implements StateMachine<number, number, "sum", number> {
  readonly command = { parse: Number };
  protected sum = 0;

  apply(entries: readonly Applied<number>[]): number[] | Promise<number[]> {
    return entries.map(({ command }) => this.sum += command);
  }

  query(): number {
    return this.sum;
  }

  checksum(): number {
    return this.sum;
  }

  snapshot(): never {
    throw new Error("Cannot take a snapshot: no run asks for one");
  }

  restore(): never {
    throw new Error("Cannot restore: no run asks for it");
  }
}

type CounterHistory = readonly HistoryEntry<number, number, "sum", number>[];

function counterSubject(
  create: () => Counter,
  checkHistory?: (history: CounterHistory) => void,
): Subject<number, number, "sum", number> {
  return {
    create,
    encode: (command) => new TextEncoder().encode(`${command}`),
    decode: (bytes) => Number(new TextDecoder().decode(bytes)),
    next: (random) =>
      random.chance(500)
        ? { type: "query", query: "sum" }
        : { type: "command", command: random.between(1, 9) },
    ...(checkHistory && { checkHistory }),
  };
}

function failures(subject: Subject<number, number, "sum", number>, seeds = 6) {
  const found = [];
  for (let seed = 1; seed <= seeds; seed++) {
    const { failure } = simulate({
      seed,
      subject,
      overrides: { ticks: 1_500 },
    });
    if (failure !== undefined) found.push(failure);
  }
  return found;
}

describe("simulate() with a machine of the user's", () => {
  it("a good machine passes, and its history comes in order of asking", () => {
    let operations = 0;
    const subject = counterSubject(() => new Counter(), (history) => {
      operations += history.length;
      let last = 0;
      for (const { invokedAt, returnedAt, outcome } of history) {
        assert(invokedAt >= last && returnedAt > invokedAt);
        assertEquals(returnedAt === Infinity, outcome === "unknown");
        last = invokedAt;
      }
    });
    assertEquals(failures(subject), []);
    assert(operations > 100);
  });

  it("a machine that is not deterministic is caught (H127)", () => {
    let lives = 0;
    class Drifting extends Counter {
      readonly #life = ++lives;
      override apply(entries: readonly Applied<number>[]): number[] {
        return entries.map(({ command }) => this.sum += command + this.#life);
      }
    }
    const found = failures(counterSubject(() => new Drifting()));
    assert(found.length > 0);
    assert(found.every(({ check }) => check === "stateMachineSafety"));
  });

  it("results that agree do not hide states that do not", () => {
    let lives = 0;
    class Hidden extends Counter {
      readonly #life = ++lives;
      override checksum(): number {
        return this.sum + this.#life;
      }
    }
    const found = failures(counterSubject(() => new Hidden()));
    assert(found.length > 0);
    assert(found.every(({ check }) => check === "stateMachineSafety"));
  });

  it("a machine that answers later is refused with the reason", () => {
    class Later extends Counter {
      override apply(entries: readonly Applied<number>[]): Promise<number[]> {
        return Promise.resolve(entries.map(({ command }) => command));
      }
    }
    const [first] = failures(counterSubject(() => new Later()));
    assertEquals(first?.kind, "crash");
    assertStringIncludes(first?.message ?? "", "results at once");
  });

  it("an error thrown by the history check is the run's failure", () => {
    const subject = counterSubject(() => new Counter(), () => {
      throw new Error("Cannot explain the sum");
    });
    const [first] = failures(subject, 1);
    assertEquals(first?.kind, "crash");
    assertEquals(first?.message, "Cannot explain the sum");
  });

  it("the network repeats no proposals of a machine that cannot bear it, but for numbered ones", () => {
    for (const clientPermille of [0, 300, 1000]) {
      const overrides = {
        ticks: 1,
        network: { duplicateProposals: true },
        sessions: { clientPermille },
      };
      const subject = counterSubject(() => new Counter());
      const { options } = simulate({ seed: 1, subject, overrides });
      const isBorne = clientPermille === 1000;
      assertEquals(options.network.duplicateProposals, isBorne);
    }
  });
});
