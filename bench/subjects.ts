/**
 * The servers that are compared: each takes `PUT /kv/{key}` on a port.
 *
 * @module
 */
import { mkdir } from "node:fs/promises";
import * as net from "node:net";
import { join } from "node:path";
import { Child, type Runtime, startBench } from "./processes.ts";

/** A server under load. */
export interface Subject {
  /** Where writes go: the leader's, where there is one. */
  readonly port: number;
  /** Every process that shares the work. */
  readonly pids: readonly number[];
  stop(): Promise<void>;
}

/** Starts a server with its data below a directory of its own. */
export type StartSubject = (
  runtime: Runtime,
  directory: string,
) => Promise<Subject>;

/** The bare HTTP server. */
export async function startEchoServer(runtime: Runtime): Promise<Subject> {
  const child = startBench(runtime, "echo", {});
  const port = Number(await child.line("ready"));
  return { port, pids: [child.pid], stop: () => child.stop() };
}

/** The null replicated server: a leader and two followers. */
export async function startNullServer(
  runtime: Runtime,
  directory: string,
): Promise<Subject> {
  const children: Child[] = [];
  const followers: number[] = [];
  for (const name of ["follower-1", "follower-2"]) {
    const child = startBench(runtime, "nullFollower", {
      directory: await makeDirectory(directory, name),
    });
    children.push(child);
    followers.push(Number(await child.line("ready")));
  }
  const leader = startBench(runtime, "nullLeader", {
    directory: await makeDirectory(directory, "leader"),
    followers,
  });
  children.push(leader);
  const port = Number(await leader.line("ready"));
  return asSubject(port, children);
}

const IDS = [1, 2, 3];

/** Three members of the key-value server. */
export async function startKvServer(
  runtime: Runtime,
  directory: string,
): Promise<Subject> {
  const ports = await freePorts(2 * IDS.length);
  const http = ports.slice(0, IDS.length);
  const raft = ports.slice(IDS.length);
  const members = IDS.map((id, at) => `${id}=127.0.0.1:${raft[at]}`).join(",");
  const children = await Promise.all(IDS.map(async (id, at) => {
    const data = await makeDirectory(directory, `member-${id}`);
    return new Child(runtime, "kv", [
      "serve",
      ...["--id", String(id)],
      ...["--http", `127.0.0.1:${http[at]}`],
      ...["--raft", `127.0.0.1:${raft[at]}`],
      ...["--data", data],
      ...["--members", members],
    ]);
  }));
  for (const child of children) await child.line("ready");
  return asSubject(await leaderPort(http), children);
}

function asSubject(port: number, children: readonly Child[]): Subject {
  return {
    port,
    pids: children.map((child) => child.pid),
    stop: async () => {
      for (const child of children) await child.stop();
    },
  };
}

async function makeDirectory(parent: string, name: string): Promise<string> {
  const directory = join(parent, name);
  await mkdir(directory, { recursive: true });
  return directory;
}

const ELECTION_WAIT_MS = 20_000;
const RETRY_MS = 50;

/** The HTTP port of the member that leads, as soon as one does. */
async function leaderPort(ports: readonly number[]): Promise<number> {
  const end = performance.now() + ELECTION_WAIT_MS;
  while (performance.now() < end) {
    for (const port of ports) {
      const answer = await fetch(`http://127.0.0.1:${port}/status`);
      const status: unknown = await answer.json();
      if (isLeader(status)) return port;
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
  throw new Error(
    `Cannot measure the key-value server: no leader within ${ELECTION_WAIT_MS} ms`,
  );
}

function isLeader(status: unknown): boolean {
  return typeof status === "object" && status !== null && "role" in status &&
    status.role === "leader";
}

/** Ports that were free a moment ago; all are held before any is let go. */
export async function freePorts(count: number): Promise<number[]> {
  const servers: net.Server[] = [];
  const ports: number[] = [];
  for (let held = 0; held < count; held++) {
    const server = net.createServer();
    servers.push(server);
    ports.push(await holdPort(server));
  }
  for (const server of servers) {
    await new Promise((resolve) => server.close(resolve));
  }
  return ports;
}

function holdPort(server: net.Server): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      if (address !== null && typeof address === "object") {
        resolve(address.port);
      } else reject(new Error(`Cannot hold a port: address is ${address}`));
    });
  });
}
