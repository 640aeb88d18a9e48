/**
 * One member's life: start, serve, stop.
 *
 * @module
 */
import {
  type HostEvent,
  isRaftError,
  type RaftErrorCode,
  RaftHost,
  type StopReason,
  type Transport,
} from "@balsa/raft";
import { KvMachine } from "@balsa/raft/machines/kv";
import { WalStorage } from "@balsa/raft/storage/wal";
import { HttpTransport } from "@balsa/raft/transports/http";
import { TcpTransport } from "@balsa/raft/transports/tcp";
import { KvApp, type KvGroup } from "./app.ts";
import { formatHostPort, type ServeConfig } from "./config.ts";
import { EXIT, type ExitCode, ExitError, messageOf } from "./exit.ts";
import { type HttpServer, listen } from "./listen.ts";
import { type ProcessIo, stopRequested } from "./process_io.ts";
import { Throttle } from "./throttle.ts";

/** The one group that the members of a KV cluster form. */
export const KV_GROUP = 1;

/** How long a stopping leader tries to hand over. */
const HAND_OVER_MS = 2_000;
/** How long running requests may take to end. */
const HTTP_GRACE_MS = 2_000;
/** How long stopping may take in all, before the process just ends. */
const STOP_MS = 10_000;

/** Library errors that mean: look at the data directory. */
const DATA_CODES: ReadonlySet<RaftErrorCode> = new Set<RaftErrorCode>([
  "locked",
  "identityMismatch",
  "corrupt",
  "unsupportedFormat",
  "storageFailed",
]);

/**
 * Serves until a signal comes or the member fails.
 *
 * @returns The exit code.
 * @throws {ExitError} If the member cannot start.
 */
export async function serve(
  config: ServeConfig,
  io: ProcessIo,
): Promise<ExitCode> {
  // Before the first await, so that no early signal kills half a start.
  const asked = stopRequested({ withStdin: config.exitWithStdin });
  const app = new KvApp({ timeoutMs: config.timeoutMs });
  // HTTP first: with port 0 the members must be told the port that was taken.
  const server = await listen(config.http, app.fetch);
  const http = formatHostPort(server.address);
  const host = await startHost(config, config.advertise ?? http, io)
    .catch(async (error) => {
      await server.close(0);
      throw error;
    });
  const { group, failed } = await startMember(config, host).catch(
    async (error) => {
      await host.stop();
      await server.close(0);
      throw error;
    },
  );
  app.attach(group);
  io.out(`ready id=${config.id} http=${http} raft=${config.raft}`);
  const reason = await Promise.race([asked, failed]);
  if (typeof reason === "string") {
    io.err(`member ${config.id} stops: ${reason}`);
  } else {
    io.err(`member ${config.id} failed: ${reason.code}: ${reason.message}`);
  }
  app.drain();
  await handOver(config.id, group, io);
  await bounded(stopAll(host, server), STOP_MS);
  app.close();
  return typeof reason === "string" ? EXIT.ok : EXIT.failed;
}

async function startHost(
  config: ServeConfig,
  clientAddress: string,
  io: ProcessIo,
): Promise<RaftHost> {
  try {
    return await RaftHost.start({
      deployment: config.deployment,
      address: config.raft,
      clientAddress,
      storage: new WalStorage({
        directory: config.data,
        segmentBytes: config.segmentBytes,
      }),
      transport: makeTransport(config),
      onEvent: hostEventLog(config.id, io),
    });
  } catch (error) {
    throw startError(error, config);
  }
}

async function startMember(
  config: ServeConfig,
  host: RaftHost,
): Promise<{ group: KvGroup; failed: Promise<StopReason> }> {
  try {
    const group = await host.startGroup({
      group: KV_GROUP,
      node: config.id,
      ...(config.join ? { join: true } : { members: config.members }),
      machine: new KvMachine(),
      timeoutMs: config.timeoutMs,
      leaseReads: config.leaseReads,
      snapshotEntries: config.snapshotEntries,
      snapshotTrailing: config.snapshotTrailing,
    });
    return { group, failed: stopReason(group) };
  } catch (error) {
    throw startError(error, config);
  }
}

function makeTransport(config: ServeConfig): Transport {
  switch (config.transport) {
    case "tcp":
      return new TcpTransport();
    case "http":
      return new HttpTransport();
    default: {
      const unreachable: never = config.transport;
      return unreachable;
    }
  }
}

/** Resolves if the member stops by itself; a group without end never does. */
async function stopReason(group: KvGroup): Promise<StopReason> {
  for await (const event of group.events()) {
    if (event.type === "stopped") return event.reason;
  }
  return { code: "stopped", message: "the member stopped" };
}

/** Lets another member lead first, so that writes need not wait for one. */
async function handOver(
  id: number,
  group: KvGroup,
  io: ProcessIo,
): Promise<void> {
  const { role, members, stopped } = group.status();
  if (role !== "leader" || members.length < 2 || stopped !== null) return;
  try {
    await group.transferLeadership(undefined, { timeoutMs: HAND_OVER_MS });
    io.err(`member ${id} handed over to member ${group.status().leader}`);
  } catch (error) {
    // The others elect a leader by themselves: later, but all the same.
    io.err(`member ${id} could not hand over: ${messageOf(error)}`);
  }
}

async function stopAll(host: RaftHost, server: HttpServer): Promise<void> {
  await server.close(HTTP_GRACE_MS);
  await host.stop();
}

async function bounded(work: Promise<void>, limitMs: number): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<void>((_, reject) => {
    timer = setTimeout(() => {
      reject(
        new ExitError(EXIT.failed, `Cannot stop within ${limitMs} ms`),
      );
    }, limitMs);
  });
  try {
    await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

function startError(error: unknown, config: ServeConfig): ExitError {
  const message = messageOf(error);
  if (isRaftError(error) && DATA_CODES.has(error.code)) {
    return new ExitError(
      EXIT.data,
      `Cannot use the data directory ${config.data}: ${message}`,
      error,
    );
  }
  if (isRaftError(error, "unreachable")) {
    return new ExitError(
      EXIT.address,
      `Cannot listen on ${config.raft} for members: ${message}`,
      error,
    );
  }
  return new ExitError(EXIT.failed, `Cannot start the member: ${message}`);
}

/** Writes events to the log; those that any stranger can cause, sparingly. */
function hostEventLog(id: number, io: ProcessIo): (event: HostEvent) => void {
  const write = (text: string) => io.err(`member ${id}: ${text}`);
  const refused = new Throttle(write);
  const ignored = new Throttle(write);
  return (event) => {
    const text = describeHostEvent(event);
    if (text === undefined) return;
    if (event.type === "refused") refused.line(text);
    else if (event.type === "ignored") ignored.line(text);
    else write(text);
  };
}

/** What is worth a line of the log; a stop is reported by `serve` itself. */
function describeHostEvent(event: HostEvent): string | undefined {
  switch (event.type) {
    case "peer":
      return event.state.type === "connected"
        ? `${event.address} is connected`
        : `${event.address} is ${event.state.type}: ${event.state.reason}`;
    case "refused":
      return `refused ${event.remote}: ${event.code}: ${event.reason}`;
    case "ignored":
      return `ignored a message of member ${event.from} at ${event.address}: ${event.reason}`;
    case "repaired":
      return `dropped ${event.repair.bytes} bytes of an unfinished write at the end of ${event.repair.file}`;
    case "stopped":
      return undefined;
    default: {
      const unreachable: never = event;
      return unreachable;
    }
  }
}
