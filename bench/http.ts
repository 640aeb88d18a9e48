/**
 * Three processes with write-ahead logs and TCP, through the HTTP API, beside
 * a bare HTTP server and the null replicated server. The load alternates
 * between the three, so that a noisy moment of the machine hits all alike.
 *
 * @module
 */
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import { denoRuntime, runBench, type Runtime } from "./processes.ts";
import { type Spread, spread } from "./stats.ts";
import {
  startEchoServer,
  startKvServer,
  startNullServer,
  type StartSubject,
  type Subject,
} from "./subjects.ts";

/** How much to measure. */
export interface HttpOptions {
  readonly runtime: Runtime;
  /** For the servers' data; on the disk that is to be measured. */
  readonly directory: string;
  readonly rounds: number;
  readonly seconds: number;
  readonly warmupSeconds: number;
}

/** Names of the servers, in the order of the rounds. */
export const SUBJECTS = ["echo", "null", "balsa"] as const;
/** One of the servers. */
export type SubjectName = typeof SUBJECTS[number];

/** What one server does under one number of clients. */
export interface SubjectFigures {
  readonly writesPerSecond: Spread;
  readonly p50Ms: Spread;
  readonly p99Ms: Spread;
  /** Over all its processes; `null` where the system does not tell. */
  readonly serverCpuUs: Spread | null;
  readonly loadCpuUs: Spread;
  /** Answers other than 200, over all rounds. */
  readonly failures: number;
}

/** What the servers do under one number of clients. */
export interface HttpFigures {
  readonly clients: number;
  readonly subjects: Readonly<Record<SubjectName, SubjectFigures>>;
}

const VALUE_BYTES = 256;

const START: Readonly<Record<SubjectName, StartSubject>> = {
  echo: startEchoServer,
  null: startNullServer,
  balsa: startKvServer,
};

const loadFigures = z.object({
  writesPerSecond: z.number(),
  failures: z.number(),
  p50Ms: z.number(),
  p99Ms: z.number(),
  maxMs: z.number(),
  serverCpuUs: z.number().nullable(),
  loadCpuUs: z.number(),
});
type LoadFigures = z.infer<typeof loadFigures>;

/** Measures one number of clients, with servers started afresh for it. */
export async function measureHttp(
  options: HttpOptions,
  clients: number,
): Promise<HttpFigures> {
  const directory = join(options.directory, `clients-${clients}`);
  const running = new Map<SubjectName, Subject>();
  const figures: Record<SubjectName, LoadFigures[]> = {
    echo: [],
    null: [],
    balsa: [],
  };
  try {
    for (const name of SUBJECTS) {
      const own = join(directory, name);
      await mkdir(own, { recursive: true });
      running.set(name, await START[name](options.runtime, own));
    }
    for (let round = 0; round < options.rounds; round++) {
      for (const [name, subject] of running) {
        figures[name].push(await load(options, clients, round, subject));
      }
    }
  } finally {
    for (const subject of running.values()) await subject.stop();
    await rm(directory, { recursive: true, force: true });
  }
  const subjects = {
    echo: summarize(figures.echo),
    null: summarize(figures.null),
    balsa: summarize(figures.balsa),
  };
  return { clients, subjects };
}

/** The load generator runs on Deno always: it is to be the same for all. */
async function load(
  options: HttpOptions,
  clients: number,
  round: number,
  { port, pids }: Subject,
): Promise<LoadFigures> {
  const result = await runBench(denoRuntime(), "load", {
    port,
    clients,
    pids,
    run: round,
    seconds: options.seconds,
    warmupSeconds: options.warmupSeconds,
    valueBytes: VALUE_BYTES,
  });
  return loadFigures.parse(result);
}

function summarize(rounds: readonly LoadFigures[]): SubjectFigures {
  const cpu = rounds.map((round) => round.serverCpuUs);
  const known = cpu.filter((figure) => figure !== null);
  return {
    writesPerSecond: spread(rounds.map((round) => round.writesPerSecond)),
    p50Ms: spread(rounds.map((round) => round.p50Ms)),
    p99Ms: spread(rounds.map((round) => round.p99Ms)),
    serverCpuUs: known.length === cpu.length ? spread(known) : null,
    loadCpuUs: spread(rounds.map((round) => round.loadCpuUs)),
    failures: rounds.reduce((sum, round) => sum + round.failures, 0),
  };
}
