/**
 * Kills members of a loaded cluster and checks what they kept.
 *
 * @module
 */
import { Clients } from "./clients.ts";
import { ProcessCluster, sleep } from "./cluster.ts";
import { History } from "./history.ts";
import type { Program } from "./program.ts";

/** What a run does. */
export interface ChaosOptions {
  readonly program: Program;
  readonly transport: "tcp" | "http";
  readonly seed: number;
  readonly clients: number;
  /** How often the leader, a follower, and all at once are killed. */
  readonly leaderKills: number;
  readonly followerKills: number;
  readonly fullKills: number;
  /**
   * How often nothing is done to the loaded cluster for a while: then nobody
   * may stand for election.
   */
  readonly calms: number;
  /**
   * Whether members take snapshots, cut their logs and remove files all the
   * time, so that they are killed in the midst of it.
   */
  readonly hasSmallLogs: boolean;
  /** More flags for the members. */
  readonly flags?: readonly string[] | undefined;
  /** Hears of each step. */
  readonly report: (line: string) => void;
  /** Ends the run early; the cluster is removed. */
  readonly signal?: AbortSignal | undefined;
}

/** What a run found. */
export interface ChaosReport {
  readonly violations: readonly string[];
  readonly acknowledged: number;
  readonly notAppended: number;
  readonly unknown: number;
  /** Reads that verified acknowledged writes at the end. */
  readonly reads: number;
  /** Members whose log does not reach back to its beginning. */
  readonly cutLogs: number;
  /** Milliseconds until writes were served after each kill. */
  readonly leaderMs: readonly number[];
  readonly followerMs: readonly number[];
  readonly fullMs: readonly number[];
}

/** A victim. */
type Kill = "leader" | "follower" | "full";

/** What happens next; `calm` is nothing. */
type Step = Kill | "calm";

/** Flags of members with small logs. */
const SMALL_LOG = [
  ...["--snapshot-entries", "50"],
  ...["--snapshot-trailing", "10"],
  ...["--segment-bytes", "16384"],
];

/** How long a calm lasts: many election timeouts. */
const CALM_MS = 5_000;

/** Longest wait for writes after a kill, before the run is given up. */
const SERVED_MS = 15_000;
/** A killed leader must be replaced by then. */
export const LEADER_LIMIT_MS = 3_000;

/** Runs the schedule; removes everything whatever happens. */
export async function runChaos(options: ChaosOptions): Promise<ChaosReport> {
  const random = mulberry32(options.seed);
  const cluster = await ProcessCluster.create({
    program: options.program,
    size: 3,
    transport: options.transport,
    flags: [
      ...options.flags ?? [],
      ...options.hasSmallLogs ? SMALL_LOG : [],
    ],
  });
  const history = new History();
  const clients = new Clients(cluster, history, random);
  try {
    return await orAborted(
      play({ cluster, clients, history, random, options }),
      options.signal,
    );
  } catch (error) {
    options.report(
      `members' last words:\n${cluster.log.slice(-40).join("\n")}`,
    );
    throw error;
  } finally {
    await cluster.remove();
    await clients.stop();
  }
}

interface Scene {
  readonly cluster: ProcessCluster;
  readonly clients: Clients;
  readonly history: History;
  readonly random: () => number;
  readonly options: ChaosOptions;
}

async function play(scene: Scene): Promise<ChaosReport> {
  const { cluster, clients, history, options } = scene;
  const schedule = drawSchedule(options, scene.random);
  options.report(`seed ${options.seed}, schedule ${schedule.join(" ")}`);
  await cluster.startAll();
  await cluster.caughtUp();
  clients.start(options.clients);
  const served = await inflict(schedule, scene);
  await clients.stop();
  const reads = await verify(scene);
  for (const ms of served.leader) {
    if (ms < LEADER_LIMIT_MS) continue;
    history.violation(
      `a new leader served after ${
        ms.toFixed(0)
      } ms, wanted less than ${LEADER_LIMIT_MS}`,
    );
  }
  return {
    violations: history.violations,
    ...history.counts,
    reads,
    cutLogs: cluster.ids.filter((id) => cluster.oldestSegment(id) > 1).length,
    leaderMs: served.leader,
    followerMs: served.follower,
    fullMs: served.full,
  };
}

/** What `work` comes to, or the reason for which it was given up. */
async function orAborted<T>(
  work: Promise<T>,
  signal: AbortSignal | undefined,
): Promise<T> {
  if (signal === undefined) return await work;
  signal.throwIfAborted();
  // Given up, it fails sooner or later for want of members.
  work.catch(() => {});
  return await new Promise((resolve, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason));
    work.then(resolve, reject);
  });
}

function median(all: readonly number[]): string {
  const middle = [...all].sort((a, b) => a - b)[Math.floor(all.length / 2)];
  return middle === undefined ? "-" : `${middle.toFixed(0)} ms`;
}

/** One line that says it all. */
export function describeReport(report: ChaosReport): string {
  const worst = (all: readonly number[]) =>
    all.length === 0 ? "-" : `${Math.max(...all).toFixed(0)} ms`;
  return `${
    report.violations.length === 0 ? "ok" : "VIOLATED"
  }: ${report.acknowledged} acknowledged, ${report.unknown} unknown, ` +
    `${report.notAppended} not appended, ${report.reads} reads verified, ` +
    `${report.cutLogs} logs cut; ` +
    `first write after ${report.leaderMs.length} leader kills ${
      median(report.leaderMs)
    } in the median, ${
      worst(report.leaderMs)
    } at worst, after ${report.followerMs.length} follower kills ${
      worst(report.followerMs)
    }, after ${report.fullMs.length} full restarts ${worst(report.fullMs)}; ` +
    `${report.violations.length} violations`;
}

async function inflict(
  schedule: readonly Step[],
  scene: Scene,
): Promise<Record<Kill, number[]>> {
  const { cluster, random, options } = scene;
  const served: Record<Kill, number[]> = { leader: [], follower: [], full: [] };
  for (const [step, kill] of schedule.entries()) {
    await sleep(100 + 300 * random());
    if (kill === "calm") {
      await staysCalm(scene);
      options.report(`${step + 1}/${schedule.length} calm`);
      continue;
    }
    const victims = await chooseVictims(kill, cluster, random);
    const ms = await strike(kill, victims, scene);
    served[kill].push(ms);
    options.report(
      `${step + 1}/${schedule.length} killed ${kill} ${
        victims.join(",")
      }: writes served after ${ms.toFixed(0)} ms`,
    );
  }
  return served;
}

/** Load is no reason to suspect anybody: the term stays (C25). */
async function staysCalm({ cluster, history }: Scene): Promise<void> {
  await cluster.leader();
  const before = await termOf(cluster);
  await sleep(CALM_MS);
  const after = await termOf(cluster);
  if (before === after) return;
  history.violation(
    `the term went from ${before} to ${after} though nobody was killed`,
  );
}

/** The highest term that anybody has seen. */
async function termOf(cluster: ProcessCluster): Promise<number> {
  const views = await Promise.all(cluster.ids.map((id) => cluster.view(id)));
  return Math.max(...views.map((view) => view?.term ?? 0));
}

/** Kills, measures, and brings the victims back. */
async function strike(
  kill: Kill,
  victims: readonly number[],
  { cluster, clients, random }: Scene,
): Promise<number> {
  let since = performance.now();
  await cluster.signal(victims, "SIGKILL");
  if (kill === "full") {
    // With nobody left the clock starts once the members are back.
    await cluster.startAll();
    since = performance.now();
  }
  const ms = await clients.untilServed(SERVED_MS, since);
  if (kill !== "full") {
    await sleep(300 * random());
    await cluster.startAll();
  }
  await cluster.caughtUp();
  return ms;
}

async function chooseVictims(
  kill: Kill,
  cluster: ProcessCluster,
  random: () => number,
): Promise<readonly number[]> {
  if (kill === "full") return cluster.ids;
  const leader = await cluster.leader();
  if (kill === "leader") return [leader];
  const followers = cluster.ids.filter((id) => id !== leader);
  return [followers[Math.floor(random() * followers.length)] ?? 1];
}

async function verify(
  { cluster, clients, history, options }: Scene,
): Promise<number> {
  options.report(
    `verifying ${history.counts.acknowledged} acknowledged writes`,
  );
  await cluster.caughtUp();
  const reads = await clients.readAcknowledged();
  await cluster.quiet();
  const dumps: string[] = [];
  for (const id of cluster.ids) {
    const held = await clients.contents(id, "stale");
    history.checkContents(id, held);
    dumps.push(JSON.stringify([...held]));
  }
  for (const [i, dump] of dumps.entries()) {
    if (dump === dumps[0]) continue;
    history.violation(`members 1 and ${i + 1} hold different contents`);
  }
  return reads;
}

function drawSchedule(options: ChaosOptions, random: () => number): Step[] {
  const schedule: Step[] = [
    ...new Array<Step>(options.leaderKills).fill("leader"),
    ...new Array<Step>(options.followerKills).fill("follower"),
    ...new Array<Step>(options.fullKills).fill("full"),
    ...new Array<Step>(options.calms).fill("calm"),
  ];
  for (let i = schedule.length - 1; i > 0; i -= 1) {
    const j = Math.floor(random() * (i + 1));
    const moved = schedule[i];
    const other = schedule[j];
    if (moved === undefined || other === undefined) continue;
    schedule[i] = other;
    schedule[j] = moved;
  }
  return schedule;
}

/** A small seeded generator, uniform in [0, 1). */
function mulberry32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
