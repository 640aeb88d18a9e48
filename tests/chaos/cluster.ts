/**
 * A cluster of real processes: started, killed and started again.
 *
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import type { Program } from "./program.ts";

/** What a cluster is made of. */
export interface ClusterOptions {
  readonly program: Program;
  readonly size: number;
  readonly transport: "tcp" | "http";
  /** More flags for `serve`. */
  readonly flags?: readonly string[] | undefined;
}

/** The part of `/status` that the harness looks at. */
export interface MemberView {
  readonly id: number;
  readonly role: string;
  readonly term: number;
  readonly leader: number | null;
  readonly commit: number;
  readonly applied: number;
}

/** How a process ended. */
export interface Ending {
  readonly code: number | null;
  readonly signal: string | null;
}

interface Running {
  readonly child: ChildProcess;
  readonly ended: Promise<Ending>;
}

const START_MS = 20_000;
const POLL_MS = 25;
const LOG_LINES = 200;

/** Ports that the system does not hand out by itself. */
const LOWEST_PORT = 10_000;
const HIGHEST_PORT = 30_000;

/** Members as processes, each with a directory below one temporary one. */
export class ProcessCluster {
  readonly directory: string;
  readonly ids: readonly number[];
  /** The newest lines the members wrote to standard error. */
  readonly log: string[] = [];
  readonly #options: ClusterOptions;
  readonly #ports: readonly number[];
  readonly #running = new Map<number, Running>();
  #removed = false;

  /** Takes two free ports per member; see {@linkcode freePorts}. */
  constructor(options: ClusterOptions, ports: readonly number[]) {
    this.#options = options;
    this.#ports = ports;
    this.ids = Array.from({ length: options.size }, (_, i) => i + 1);
    this.directory = mkdtempSync(join(tmpdir(), "balsa-kv-"));
  }

  /** Reserves ports and a directory; starts nothing yet. */
  static async create(options: ClusterOptions): Promise<ProcessCluster> {
    return new ProcessCluster(options, await freePorts(2 * options.size));
  }

  /** The members that run. */
  get live(): readonly number[] {
    return this.ids.filter((id) => this.#running.has(id));
  }

  /** The URL of a member, without a slash at the end. */
  url(id: number): string {
    return `http://127.0.0.1:${this.#ports[id - 1]}`;
  }

  /** Number of the oldest file that is left of a member's log. */
  oldestSegment(id: number): number {
    const names = readdirSync(join(this.directory, `member-${id}`));
    const numbers = names.filter((name) => name.endsWith(".wal"))
      .map((name) => Number.parseInt(name, 10));
    return Math.min(...numbers);
  }

  /** The arguments of `serve` for a member. */
  serveArguments(id: number): string[] {
    const raftPort = (member: number) =>
      this.#ports[this.#options.size + member - 1];
    return [
      "serve",
      ...["--id", `${id}`],
      ...["--http", `127.0.0.1:${this.#ports[id - 1]}`],
      ...["--raft", `127.0.0.1:${raftPort(id)}`],
      ...["--data", join(this.directory, `member-${id}`)],
      "--members",
      this.ids.map((member) => `${member}=127.0.0.1:${raftPort(member)}`)
        .join(","),
      ...["--transport", this.#options.transport],
      ...(this.#options.flags ?? []),
    ];
  }

  /** Starts a member; resolves once it says that it serves. */
  async start(id: number): Promise<void> {
    if (this.#removed) throw new Error("Cannot start: the cluster is removed");
    const { executable, args } = this.#options.program;
    const child = spawn(
      executable,
      // Members must not outlive the harness, whatever becomes of it.
      [...args, ...this.serveArguments(id), "--exit-with-stdin"],
      { stdio: ["pipe", "pipe", "pipe"] },
    );
    child.stdin.on("error", () => {});
    const ended = new Promise<Ending>((resolve) => {
      child.on("error", () => resolve({ code: null, signal: null }));
      child.on("close", (code, signal) => resolve({ code, signal }));
    });
    const ready = new Promise<void>((resolve) => {
      eachLine(child.stdout, (line) => {
        if (line.startsWith(`ready id=${id} `)) resolve();
      });
    });
    eachLine(child.stderr, (line) => this.#note(`${id}: ${line}`));
    this.#running.set(id, { child, ended });
    const outcome = await withTimeout(
      Promise.race([ready.then(() => "ready"), ended]),
      START_MS,
      `start member ${id}`,
    );
    if (outcome === "ready") return;
    this.#running.delete(id);
    throw new Error(
      `Cannot start member ${id}: it ended with ${JSON.stringify(outcome)}\n${
        this.log.join("\n")
      }`,
    );
  }

  /** Starts every member that does not run. */
  async startAll(): Promise<void> {
    const down = this.ids.filter((id) => !this.#running.has(id));
    await Promise.all(down.map((id) => this.start(id)));
  }

  /** Ends members by a signal; resolves with how each ended. */
  async signal(
    ids: readonly number[],
    signal: "SIGKILL" | "SIGTERM" | "SIGINT",
  ): Promise<Ending[]> {
    const hit = ids.flatMap((id) => this.#running.get(id) ?? []);
    for (const id of ids) this.#running.delete(id);
    for (const { child } of hit) sendSignal(child, signal);
    return await withTimeout(
      Promise.all(hit.map(({ ended }) => ended)),
      START_MS,
      `end members ${ids} by ${signal}`,
    );
  }

  /** What a member says of itself; `undefined` if it does not answer. */
  async view(id: number): Promise<MemberView | undefined> {
    try {
      const response = await fetch(`${this.url(id)}/status`, {
        signal: AbortSignal.timeout(1_000),
      });
      return await response.json();
    } catch {
      return undefined;
    }
  }

  /** Waits until a live member leads, and returns its id. */
  async leader(): Promise<number> {
    return await this.#until("find a leader", async () => {
      const views = await Promise.all(this.live.map((id) => this.view(id)));
      const leaders = views.flatMap((view) =>
        view?.role === "leader" ? [view] : []
      ).sort((a, b) => b.term - a.term);
      return leaders[0]?.id;
    });
  }

  /** Waits until every live member says that it has caught up. */
  async caughtUp(): Promise<void> {
    await this.#until("catch up", async () => {
      const answers = await Promise.all(this.live.map((id) => this.#ready(id)));
      return answers.every(Boolean) ? true : undefined;
    });
  }

  /** Waits until nothing moves: every member has applied the same log. */
  async quiet(): Promise<void> {
    await this.#until("come to rest", async () => {
      const views = await Promise.all(this.ids.map((id) => this.view(id)));
      const marks = new Set(
        views.flatMap((view) =>
          view === undefined ? [null] : [view.commit, view.applied]
        ),
      );
      return marks.size === 1 && !marks.has(null) ? true : undefined;
    });
  }

  /** Kills what runs and removes the data. */
  async remove(): Promise<void> {
    this.#removed = true;
    await this.signal(this.live, "SIGKILL");
    rmSync(this.directory, { recursive: true, force: true, maxRetries: 3 });
  }

  async #ready(id: number): Promise<boolean> {
    try {
      const response = await fetch(`${this.url(id)}/readyz`, {
        signal: AbortSignal.timeout(1_000),
      });
      await response.arrayBuffer();
      return response.ok;
    } catch {
      return false;
    }
  }

  async #until<T>(
    what: string,
    probe: () => Promise<T | undefined>,
  ): Promise<T> {
    const deadline = performance.now() + START_MS;
    for (;;) {
      const found = await probe();
      if (found !== undefined) return found;
      if (performance.now() > deadline) {
        throw new Error(
          `Cannot ${what} within ${START_MS} ms\n${this.log.join("\n")}`,
        );
      }
      await sleep(POLL_MS);
    }
  }

  #note(line: string): void {
    this.log.push(line);
    if (this.log.length > LOG_LINES) this.log.shift();
  }
}

/**
 * Sends a signal. Not by `child.kill`: Deno then forgets the exit code and
 * reports the signal instead, however the process ended.
 */
export function sendSignal(
  child: ChildProcess,
  signal: "SIGKILL" | "SIGTERM" | "SIGINT",
): void {
  if (child.pid === undefined || child.exitCode !== null) return;
  try {
    process.kill(child.pid, signal);
  } catch {
    // It has just ended.
  }
}

/** Resolves after `ms` milliseconds. */
export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/**
 * Ports of this machine that are free now and that the system does not hand
 * out by itself: not to somebody else while a member is down, and not to a
 * peer that dials it, which would then be connected to itself.
 */
export async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  while (ports.length < count) {
    const port = LOWEST_PORT +
      Math.floor(Math.random() * (HIGHEST_PORT - LOWEST_PORT));
    if (!ports.includes(port) && await isPortFree(port)) ports.push(port);
  }
  return ports;
}

/** Whether nobody listens on a port of this machine. */
export function isPortFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => {
      server.close(() => resolve(true));
    });
  });
}

/** Rejects if `work` takes longer than `limitMs`. */
export async function withTimeout<T>(
  work: Promise<T>,
  limitMs: number,
  what: string,
): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`Cannot ${what} within ${limitMs} ms`)),
      limitMs,
    );
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Calls `take` for each line of a stream. */
export function eachLine(
  stream: NodeJS.ReadableStream,
  take: (line: string) => void,
): void {
  let rest = "";
  stream.setEncoding("utf8");
  stream.on("data", (text: string) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) take(line);
  });
}
