/**
 * What a leader knows of a follower, against a list of appends and two
 * numbers (thesis §3.5, §10.2.1; H26, H32).
 */
import { describe, it } from "node:test";
import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { DEFAULT_CONFIG, InvariantError } from "../../../src/core/mod.ts";
import { Inflights } from "../../../src/core/inflights.ts";
import { Progress } from "../../../src/core/progress.ts";
import { property } from "./property.ts";

type WindowOperation =
  | { readonly type: "add"; readonly step: number; readonly bytes: number }
  | { readonly type: "free"; readonly part: number }
  | { readonly type: "reset" };

const windowOperation: fc.Arbitrary<WindowOperation> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      type: fc.constant("add" as const),
      step: fc.integer({ min: 0, max: 3 }),
      bytes: fc.integer({ min: 0, max: 40 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      type: fc.constant("free" as const),
      part: fc.integer({ min: 0, max: 10 }),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ type: "reset" as const }) },
);

describe("Inflights", () => {
  it("is a list that is filled behind and freed in front", () => {
    const limits = fc.record({
      count: fc.integer({ min: 1, max: 20 }),
      bytes: fc.integer({ min: 1, max: 200 }),
    });
    const operations = fc.array(windowOperation, { maxLength: 80 });
    property(fc.property(limits, operations, ({ count, bytes }, all) => {
      const window = new Inflights(count, bytes);
      let list: { readonly last: number; readonly bytes: number }[] = [];
      let last = 0;
      const sum = () => list.reduce((total, one) => total + one.bytes, 0);
      for (const one of all) {
        const full = list.length === count || sum() >= bytes;
        assertEquals(window.full, full);
        if (one.type === "add") {
          last += one.step;
          if (full) {
            assertThrows(() => window.add(last, one.bytes), InvariantError);
          } else {
            window.add(last, one.bytes);
            list.push({ last, bytes: one.bytes });
          }
        } else if (one.type === "free") {
          const through = Math.floor(last * one.part / 10);
          window.freeThrough(through);
          list = list.filter((append) => append.last > through);
        } else {
          window.reset();
          list = [];
        }
        assertEquals([window.count, window.bytes], [list.length, sum()]);
      }
    }));
  });
});

type Event =
  | { readonly type: "append"; readonly count: number }
  | { readonly type: "acknowledge" | "reject"; readonly index: number }
  | { readonly type: "replicate" | "probe" | "resume" }
  | { readonly type: "snapshot"; readonly index: number };

const anyIndex = fc.integer({ min: 0, max: 12 });
const event: fc.Arbitrary<Event> = fc.oneof(
  fc.record({
    type: fc.constant("append" as const),
    count: fc.integer({ min: 0, max: 3 }),
  }),
  fc.record({
    type: fc.constantFrom("acknowledge", "reject"),
    index: anyIndex,
  }),
  fc.record({ type: fc.constantFrom("replicate", "probe", "resume") }),
  fc.record({ type: fc.constant("snapshot" as const), index: anyIndex }),
);

const MAX_COUNT = 3;

/** The same in three numbers and a list; a window of appends, by last index. */
class Model {
  state: "probe" | "replicate" | "snapshot" = "probe";
  match = 0;
  next = 1;
  pending = 0;
  paused = false;
  window: number[] = [];

  enter(state: Model["state"], pending = 0): void {
    const from = Math.max(this.match, state === "probe" ? this.pending : 0);
    this.state = state;
    this.pending = pending;
    this.next = (state === "snapshot" ? pending : from) + 1;
    this.paused = false;
    this.window = [];
  }

  sent(count: number): void {
    if (this.state === "probe") {
      this.paused ||= count > 0;
      return;
    }
    if (count > 0) {
      this.next += count;
      this.window.push(this.next - 1);
    }
    this.paused = this.window.length === MAX_COUNT;
  }

  acknowledged(index: number): boolean {
    if (index <= this.match) return false;
    this.match = index;
    if (this.next <= index) this.next = index + 1;
    this.paused = false;
    return true;
  }

  rejected(index: number, hint: number): boolean {
    if (this.state === "replicate") {
      if (index <= this.match) return false;
      this.next = this.match + 1;
      return true;
    }
    if (this.next !== index + 1) return false;
    const back = hint + 1 < index ? hint + 1 : index;
    this.next = back > this.match ? back : this.match + 1;
    this.paused = false;
    return true;
  }
}

function take(progress: Progress, model: Model, one: Event): void {
  switch (one.type) {
    case "append": {
      const full = model.window.length === MAX_COUNT;
      if (progress.paused || full && one.count > 0) return;
      progress.sentEntries(one.count, one.count);
      return model.sent(one.count);
    }
    case "acknowledge":
      assertEquals(
        progress.maybeUpdate(one.index),
        model.acknowledged(one.index),
      );
      if (progress.state !== "replicate") return;
      progress.inflights.freeThrough(one.index);
      model.window = model.window.filter((last) => last > one.index);
      return;
    case "reject": {
      const hint = Math.floor(one.index / 2);
      assertEquals(
        progress.maybeDecrement(one.index, hint),
        model.rejected(one.index, hint),
      );
      return;
    }
    case "replicate":
      progress.becomeReplicate();
      return model.enter("replicate");
    case "probe":
      progress.becomeProbe();
      return model.enter("probe");
    case "snapshot":
      progress.becomeSnapshot(one.index + model.match);
      return model.enter("snapshot", one.index + model.match);
    case "resume":
      progress.flowPaused = false;
      model.paused = false;
      return;
  }
}

describe("Progress", () => {
  it("is a match, a guess and a window, whatever comes in what order", () => {
    property(fc.property(fc.array(event, { maxLength: 60 }), (events) => {
      const progress = new Progress({
        matchIndex: 0,
        nextIndex: 1,
        config: { ...DEFAULT_CONFIG, maxInflightCount: MAX_COUNT },
        learner: false,
      });
      const model = new Model();
      let match = 0;
      for (const one of events) {
        take(progress, model, one);
        const { state, matchIndex, nextIndex, inflights } = progress;
        assertEquals(
          [state, matchIndex, nextIndex, progress.flowPaused],
          [model.state, model.match, model.next, model.paused],
        );
        assertEquals(inflights.count, model.window.length);
        assertEquals(progress.pendingSnapshotIndex, model.pending);
        assert(matchIndex >= match, "what matched was taken back (H26)");
        assert(matchIndex < nextIndex);
        match = matchIndex;
      }
    }));
  });
});
