/**
 * Runs, and every disk that a crash may leave at any moment of them.
 *
 * @module
 */
import { DEPLOYMENT } from "../wal_bench.ts";
import { PossibleDisks } from "./possible_disks.ts";
import { Random } from "./random.ts";
import { type DiskEvent, Recorder } from "./recorder.ts";
import {
  carryOut,
  describe,
  statesOf,
  type Step,
  StepDrawer,
} from "./steps.ts";
import {
  EMPTY_DISK,
  fingerprint,
  judge,
  judgeKilled,
  logOn,
  type LogOptions,
} from "./trial.ts";

const DISKS_PER_MOMENT = 40;
const STEPS_PER_LIFE = 9;
const LIVES = 2;

/**
 * A flush that does nothing. Whoever does not notice it would not notice a
 * log that forgot to flush.
 */
export type DiskLie = "sync" | "syncDirectory";

/** Keeps the numbers of the events as they are. */
const NO_EVENT: DiskEvent = { type: "settled", write: -1 };

/** What a campaign found. */
export interface CampaignReport {
  /**
   * Different disks that were opened, with what had to be there; and moments
   * at which the process was killed, but not the machine.
   */
  readonly states: number;
  readonly runs: number;
  readonly failures: readonly CrashFailure[];
}

/** A disk that was not read as it had to be. */
export interface CrashFailure {
  readonly seed: number;
  /** How many operations had happened. */
  readonly moment: number;
  readonly error: unknown;
}

/** A run, recorded. */
interface RecordedRun {
  readonly events: readonly DiskEvent[];
  readonly states: readonly string[];
  readonly options: LogOptions;
}

/** What a campaign is to do. */
export interface CampaignOptions {
  readonly seed: number;
  readonly states: number;
  /**
   * How many disks are tried at one moment of a run, all there are or so
   * many by chance.
   *
   * @default 40
   */
  readonly disksPerMoment?: number | undefined;
  /**
   * Share of the moments that are looked at, by chance.
   *
   * @default 1
   */
  readonly momentShare?: number | undefined;
  /** What the disk does not do though it says so. */
  readonly lie?: DiskLie | undefined;
  /** Told about each run when it is done. */
  readonly onRun?: ((report: CampaignReport) => void) | undefined;
}

/** Runs one seed after the other until so many states were tried. */
export async function runCampaign(
  options: CampaignOptions,
): Promise<CampaignReport> {
  const failures: CrashFailure[] = [];
  let states = 0;
  let runs = 0;
  while (states < options.states) {
    const seed = options.seed + runs++;
    const limit = options.states - states;
    const found = await tryRun({ ...options, seed, states: limit });
    states += found.states;
    failures.push(...found.failures);
    options.onRun?.({ states, runs, failures });
  }
  return { states, runs, failures };
}

/** Tries the disks of one run. */
async function tryRun(options: CampaignOptions): Promise<CampaignReport> {
  const { seed, lie } = options;
  const run = await recordRun(seed);
  const random = new Random(seed ^ 0x5eed);
  const disks = new PossibleDisks(EMPTY_DISK);
  const failures: CrashFailure[] = [];
  const seen = new Set<string>();
  for (const [moment, event] of run.events.entries()) {
    if (seen.size >= options.states) break;
    disks.add(isLie(event, lie) ? NO_EVENT : event);
    if (!random.chance(options.momentShare ?? 1)) continue;
    const { submitted, acked } = disks.marks;
    const wanted = { states: run.states, from: acked, through: submitted };
    const attempt = async (trial: Promise<void>) => {
      try {
        await trial;
      } catch (error) {
        failures.push({ seed, moment, error });
      }
    };
    const setting = { options: run.options, random };
    seen.add(`killed at ${moment}`);
    await attempt(judgeKilled(disks, wanted, setting));
    const perMoment = options.disksPerMoment ?? DISKS_PER_MOMENT;
    for (const image of disks.images(perMoment, random)) {
      const key = `${fingerprint(image)}/${acked}/${submitted}`;
      if (seen.has(key) || seen.size >= options.states) continue;
      seen.add(key);
      await attempt(judge(image, wanted, setting));
    }
  }
  return { states: seen.size, runs: 1, failures };
}

function isLie(event: DiskEvent, lie: DiskLie | undefined): boolean {
  const { type } = event;
  return lie === "sync" ? type === "sync" || type === "settled" : type === lie;
}

/** Carries out steps in some lives that end in order, and writes all down. */
async function recordRun(seed: number): Promise<RecordedRun> {
  const random = new Random(seed);
  const options: LogOptions = {
    segmentBytes: 300 + random.below(4) * 400,
    flush: random.chance(0.2) ? "dsync" : "fdatasync",
    retainSegments: random.chance(0.2) ? 1 : 0,
    retainSnapshots: 1 + random.below(2),
  };
  const drawer = new StepDrawer(random, { snapshots: random.chance(0.8) });
  const disk = new Recorder(EMPTY_DISK, random);
  const steps: Step[] = [];
  for (let life = 0; life < LIVES; life++) {
    const storage = logOn(disk, options);
    await storage.open({ deployment: DEPLOYMENT });
    let calls: Promise<void>[] = [];
    for (let i = 0; i < STEPS_PER_LIFE; i++) {
      const step = drawer.draw();
      steps.push(step);
      const isSnapshot = "data" in step;
      // Only records of the log come in an order of their own; the empty
      // batch waits for those before it that nobody waits for.
      if (isSnapshot) await Promise.all([...calls, storage.write([])]);
      disk.submit();
      const count = steps.length;
      const isAcknowledged = step.type !== "write" || step.sync;
      const call = carryOut(storage, step).then(() => {
        if (isAcknowledged) disk.acknowledge(count);
      });
      calls = [...calls, call];
      if (isSnapshot || random.chance(0.6)) await call;
    }
    await Promise.all(calls);
    await storage.close();
    disk.acknowledge(steps.length);
  }
  const states = await statesOf(steps);
  await requireSelf(disk, options, states.at(-1));
  return { events: disk.events, states, options };
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
