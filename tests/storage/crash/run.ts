/**
 * Carries out steps in some lives of a log, and writes all down.
 *
 * @module
 */
import type { Storage } from "../../../src/storage.ts";
import { DEPLOYMENT } from "../wal_bench.ts";
import { Random } from "./random.ts";
import { type DiskEvent, Recorder } from "./recorder.ts";
import {
  carryOut,
  describe,
  statesOf,
  type Step,
  StepDrawer,
} from "./steps.ts";
import { EMPTY_DISK, logOn, type LogOptions } from "./trial.ts";

const STEPS_PER_LIFE = 9;
const LIVES = 2;

/** A run, recorded. */
export interface RecordedRun {
  readonly events: readonly DiskEvent[];
  /** What is held after 0, 1, 2 … steps. */
  readonly states: readonly string[];
  /** The same without one of the steps, by its number from 0 on. */
  readonly without: ReadonlyMap<number, readonly string[]>;
  readonly options: LogOptions;
}

/** The run that a seed decides. */
export async function recordRun(seed: number): Promise<RecordedRun> {
  const random = new Random(seed);
  const options: LogOptions = {
    segmentBytes: 300 + random.below(4) * 400,
    flush: random.chance(0.2) ? "dsync" : "fdatasync",
    retainSegments: random.chance(0.2) ? 1 : 0,
    retainSnapshots: 1 + random.below(2),
  };
  const run = new Run(random);
  for (let life = 0; life < LIVES; life++) {
    const storage = logOn(run.disk, options);
    await storage.open({ deployment: DEPLOYMENT });
    await run.live(storage);
    await storage.close();
    run.disk.acknowledge(run.steps.length);
  }
  const states = await statesOf(run.steps);
  await requireSelf(run.disk, options, states.at(-1));
  const without = new Map<number, readonly string[]>();
  for (const [at, until] of run.asides) {
    // What came later may have built upon it.
    const steps = run.steps.slice(0, until).toSpliced(at, 1);
    const rest = await statesOf(steps);
    without.set(at, rest.toSpliced(at, 0, rest[at] ?? ""));
  }
  return { events: run.disk.events, states, without, options };
}

/** Steps that are being carried out. */
class Run {
  readonly disk: Recorder;
  readonly steps: Step[] = [];
  /** Steps that went on beside others: which, and until how many. */
  readonly asides: Map<number, number> = new Map();
  readonly #random: Random;
  readonly #drawer: StepDrawer;
  /** Those of this life. */
  #calls: Promise<void>[] = [];
  #aside: Promise<void> = Promise.resolve();

  constructor(random: Random) {
    this.#random = random;
    this.#drawer = new StepDrawer(random, { snapshots: random.chance(0.8) });
    this.disk = new Recorder(EMPTY_DISK, random);
  }

  async live(storage: Storage): Promise<void> {
    for (let i = 0; i < STEPS_PER_LIFE; i++) await this.#step(storage);
    await Promise.all([...this.#calls, this.#aside]);
    this.#calls = [];
  }

  async #step(storage: Storage): Promise<void> {
    const { disk, steps } = this;
    const step = this.#drawer.draw();
    // Records of the log come in an order of their own. Of other things at
    // most one is under way, beside writes.
    if (step.type !== "write") await this.#aside;
    if ("data" in step) {
      // The empty batch waits for those that nobody waits for.
      await Promise.all([...this.#calls, storage.write([])]);
    }
    steps.push(step);
    const count = steps.length;
    const isAside = step.type === "snapshot" && this.#random.chance(0.6);
    if (isAside) disk.setAside(count - 1);
    disk.submit();
    const isAcknowledged = step.type !== "write" || step.sync;
    const call = carryOut(storage, step).then(() => {
      if (isAside) {
        this.asides.set(count - 1, steps.length);
        disk.setAside(undefined);
      }
      if (isAcknowledged) disk.acknowledge(count);
    });
    if (isAside) {
      this.#aside = call;
      return;
    }
    this.#calls.push(call);
    if ("data" in step || this.#random.chance(0.6)) await call;
  }
}

/** The storage in memory must agree with the log where nothing failed. */
async function requireSelf(
  disk: Recorder,
  options: LogOptions,
  wanted: string | undefined,
): Promise<void> {
  const storage = logOn(new Recorder(disk.image(), new Random(0)), options);
  const opened = await storage.open({ deployment: DEPLOYMENT });
  const state = await describe(storage, opened);
  await storage.close();
  if (state === wanted) return;
  throw new Error(
    `Cannot judge crashes: without any, the log holds ${state}, wanted ${wanted}`,
  );
}
