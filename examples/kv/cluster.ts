/**
 * The launcher: three members on this machine, each a process of this same
 * program.
 *
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import type { Readable } from "node:stream";
import { CLUSTER_SIZE, type ClusterConfig } from "./config.ts";
import { EXIT, type ExitCode } from "./exit.ts";
import { type ProcessIo, stopRequested } from "./process_io.ts";
import { selfCommand } from "./self.ts";

/** How long stopping members may take before they are killed. */
const STOP_MS = 15_000;

/** How a member's process ended. */
interface Ending {
  readonly id: number;
  readonly code: number | null;
  readonly signal: string | null;
}

/** One member's process. */
interface Member {
  readonly id: number;
  readonly http: string;
  /** What starts it again, as one would type it. */
  readonly command: string;
  readonly child: ChildProcess;
  readonly ready: Promise<void>;
  readonly ended: Promise<Ending>;
}

/**
 * Runs the cluster until a signal comes, or until no member is left.
 *
 * @returns The exit code: that of the first member that could not start, 1 if
 * all members died or one did not stop when asked, else 0.
 */
export async function runCluster(
  config: ClusterConfig,
  io: ProcessIo,
): Promise<ExitCode> {
  const asked = stopRequested({ withStdin: false });
  const members: Member[] = [];
  for (let id = 1; id <= CLUSTER_SIZE; id += 1) {
    members.push(startMember(id, config, io));
  }
  const started = await Promise.race([
    asked,
    Promise.all(members.map((member) => member.ready)).then(() => "ready"),
    ...members.map((member) => member.ended),
  ]);
  if (typeof started !== "string") {
    io.err(`Cannot start the cluster: ${describeEnding(started)}`);
    await stopMembers(members, io);
    return startFailure(started);
  }
  const stopping = new AbortController();
  if (started === "ready") {
    announce(members, io);
    for (const member of members) reportEnding(member, stopping.signal, io);
  }
  const allEnded = Promise.all(members.map((member) => member.ended));
  const reason = await Promise.race([asked, allEnded]);
  if (typeof reason !== "string") {
    io.err("Cannot go on: no member is left");
    return EXIT.failed;
  }
  io.err(`cluster stops: ${reason}`);
  stopping.abort();
  return await stopMembers(members, io) ? EXIT.ok : EXIT.failed;
}

function startMember(
  id: number,
  config: ClusterConfig,
  io: ProcessIo,
): Member {
  const self = selfCommand();
  const args = [...self.args, ...serveArguments(id, config)];
  const child = spawn(self.executable, [...args, "--exit-with-stdin"], {
    env: memberEnvironment(),
    stdio: ["pipe", "pipe", "pipe"],
    // A Ctrl-C reaches the launcher alone, which then stops the members.
    detached: true,
  });
  const ended = new Promise<Ending>((resolve) => {
    child.on("error", (error) => {
      io.err(`Cannot start member ${id}: ${error.message}`);
      resolve({ id, code: EXIT.failed, signal: null });
    });
    // Not "exit": its last words may still be in the pipe.
    child.on("close", (code, signal) => resolve({ id, code, signal }));
  });
  const ready = new Promise<void>((resolve) => {
    eachLine(child.stdout, (line) => {
      if (line.startsWith("ready ")) resolve();
      else io.out(line);
    });
  });
  eachLine(child.stderr, (line) => io.err(line));
  // Writing to a dead member fails; its end is reported as such.
  child.stdin?.on("error", () => {});
  return {
    id,
    http: `127.0.0.1:${config.httpPort + id - 1}`,
    command: [self.executable, ...args].map(quote).join(" "),
    child,
    ready,
    ended,
  };
}

/**
 * The launcher's settings reach its members as flags only: a file or an
 * address that is meant for one process would be wrong for three.
 */
function memberEnvironment(): Record<string, string | undefined> {
  return Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !name.startsWith("BALSA_")),
  );
}

function serveArguments(id: number, config: ClusterConfig): string[] {
  const members: string[] = [];
  for (let peer = 1; peer <= CLUSTER_SIZE; peer += 1) {
    members.push(`${peer}=127.0.0.1:${config.raftPort + peer - 1}`);
  }
  return [
    "serve",
    "--id",
    `${id}`,
    "--http",
    `127.0.0.1:${config.httpPort + id - 1}`,
    "--raft",
    `127.0.0.1:${config.raftPort + id - 1}`,
    "--data",
    join(config.data, `member-${id}`),
    "--members",
    members.join(","),
    "--transport",
    config.transport,
    "--timeout",
    `${config.timeoutMs}ms`,
    "--deployment",
    config.deployment,
    "--snapshot-entries",
    `${config.snapshotEntries}`,
    "--snapshot-trailing",
    `${config.snapshotTrailing}`,
    "--segment-bytes",
    `${config.segmentBytes}`,
    ...(config.leaseReads ? ["--lease-reads"] : []),
  ];
}

function announce(members: readonly Member[], io: ProcessIo): void {
  for (const { id, http, child } of members) {
    io.out(`member ${id}: http://${http} (pid ${child.pid})`);
  }
  const first = members[0]?.http ?? "";
  const last = members.at(-1)?.http ?? "";
  io.out("");
  io.out(`Try it:   curl -X PUT ${first}/kv/greeting -d hello`);
  io.out(`          curl ${last}/kv/greeting`);
  io.out(`          curl ${first}/status`);
  io.out("Ctrl-C stops the cluster; what was written stays on disk.");
}

function reportEnding(
  member: Member,
  stopping: AbortSignal,
  io: ProcessIo,
): void {
  member.ended.then((ending) => {
    if (stopping.aborted) return;
    io.err(`${describeEnding(ending)}; the others go on`);
    io.err(`to start it again: ${member.command}`);
  });
}

function describeEnding({ id, code, signal }: Ending): string {
  return `member ${id} ended with ${
    signal === null ? `code ${code}` : `signal ${signal}`
  }`;
}

function startFailure({ code }: Ending): ExitCode {
  for (const known of Object.values(EXIT)) {
    if (known !== EXIT.ok && known === code) return known;
  }
  return EXIT.failed;
}

/**
 * Stops the members that still run; tells whether each of them ended as asked.
 * What ended earlier was reported then, and is no failure to stop.
 */
async function stopMembers(
  all: readonly Member[],
  io: ProcessIo,
): Promise<boolean> {
  const members = all.filter(({ child }) => isRunning(child));
  for (const { child } of members) signal(child, "SIGTERM");
  const timer = setTimeout(() => {
    io.err(`members did not stop within ${STOP_MS} ms and are killed`);
    for (const { child } of members) signal(child, "SIGKILL");
  }, STOP_MS);
  const endings = await Promise.all(members.map((member) => member.ended));
  clearTimeout(timer);
  return endings.every(({ code }) => code === EXIT.ok);
}

/**
 * Sends a signal. Not by `child.kill`: Deno then forgets the exit code and
 * reports the signal instead, however the process ended.
 */
function signal(child: ChildProcess, name: "SIGTERM" | "SIGKILL"): void {
  if (child.pid === undefined || !isRunning(child)) return;
  try {
    process.kill(child.pid, name);
  } catch {
    // It has just ended.
  }
}

function isRunning({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode === null && signalCode === null;
}

function eachLine(
  stream: Readable | null,
  take: (line: string) => void,
): void {
  let rest = "";
  stream?.setEncoding("utf8");
  stream?.on("data", (text: string) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) take(line);
  });
  stream?.on("end", () => {
    if (rest !== "") take(rest);
  });
}

function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word)
    ? word
    : `'${word.replaceAll("'", `'\\''`)}'`;
}
