/**
 * Runs, and every disk that a crash may leave at any moment of them.
 *
 * @module
 */
import { PossibleDisks } from "./possible_disks.ts";
import { Random } from "./random.ts";
import type { DiskEvent } from "./recorder.ts";
import { recordRun } from "./run.ts";
import { EMPTY_DISK, fingerprint, judge, judgeKilled } from "./trial.ts";

const DISKS_PER_MOMENT = 40;

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
    const { submitted, acked, aside } = disks.marks;
    const wanted = {
      ...{ states: run.states, from: acked, through: submitted },
      others: aside === undefined ? undefined : run.without.get(aside),
    };
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
      const key = [fingerprint(image), acked, submitted, aside].join("/");
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
