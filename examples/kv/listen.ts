/**
 * The HTTP server of whichever runtime this is: the one file of the server
 * that tells runtimes apart.
 *
 * @module
 */
import { createServer, type IncomingHttpHeaders, type Server } from "node:http";
import type { Readable } from "node:stream";
import { getRequestListener } from "@hono/node-server";
import { EXIT, ExitError, messageOf } from "./exit.ts";
import { formatHostPort, type HostPort } from "./config.ts";
import { errorResponse } from "./replies.ts";

/** A request as `node:http` has it. */
export interface IncomingRequest extends Readable {
  readonly url?: string | undefined;
  readonly headers: IncomingHttpHeaders;
  /** Whether the body was received whole. */
  readonly complete: boolean;
}

/** What comes with a request besides the web standard part. */
export interface RequestEnv {
  /**
   * The request as `node:http` has it, on Node and Bun. Its target is as it
   * was sent, and its body and headers cost a fraction of the standard ones.
   */
  readonly incoming?: IncomingRequest | undefined;
}

/** Answers requests; must not throw. */
export type FetchHandler = (
  request: Request,
  env?: RequestEnv,
) => Response | Promise<Response>;

/** A listening HTTP server. */
export interface HttpServer {
  /** Where it listens, with the port that was taken. */
  readonly address: HostPort;
  /**
   * Accepts no more connections and waits for running requests, but for at
   * most `graceMs`; those that still run then end with the process.
   */
  close(graceMs: number): Promise<void>;
}

/** Idle connections are kept this long; clients reuse them for polling. */
const KEEP_ALIVE_MS = 75_000;
/** How often a closing server looks for connections that fell idle. */
const SWEEP_MS = 20;
/** What would end the host of a URL early. */
const NO_PART_OF_A_HOST = /[/?#\\]/;

/**
 * Starts to listen.
 *
 * @throws {ExitError} Code 4, if the address cannot be listened on.
 */
export function listen(
  where: HostPort,
  fetch: FetchHandler,
): Promise<HttpServer> {
  return "Deno" in globalThis
    ? listenDeno(where, fetch)
    : listenNode(where, fetch);
}

async function listenDeno(
  where: HostPort,
  fetch: FetchHandler,
): Promise<HttpServer> {
  try {
    const server = await Deno.serve({
      hostname: where.host,
      port: where.port,
      onListen: ignore,
    }, (request) => hasPlainHost(request) ? fetch(request) : badHost());
    return {
      address: { host: where.host, port: server.addr.port },
      close: (graceMs) => withGrace(server.shutdown(), graceMs),
    };
  } catch (error) {
    throw cannotListen(where, error);
  }
}

/**
 * Deno puts this header in front of the path as it came: with a slash in it,
 * a client would ask for another path than a proxy on the way has seen.
 */
function hasPlainHost(request: Request): boolean {
  const host = request.headers.get("host");
  return host === null || !NO_PART_OF_A_HOST.test(host);
}

function badHost(): Response {
  return errorResponse(
    400,
    "badRequest",
    "Cannot read the Host header: it has more than a host and a port",
  );
}

function listenNode(
  where: HostPort,
  fetch: FetchHandler,
): Promise<HttpServer> {
  const server = createServer(
    { keepAliveTimeout: KEEP_ALIVE_MS },
    getRequestListener(fetch, {
      errorHandler: (error) =>
        errorResponse(400, "badRequest", messageOf(error)),
    }),
  );
  return new Promise((resolve, reject) => {
    server.once("error", (error) => reject(cannotListen(where, error)));
    server.listen(where.port, where.host, () => {
      const bound = server.address();
      const port = bound !== null && typeof bound === "object"
        ? bound.port
        : where.port;
      resolve({
        address: { host: where.host, port },
        close: (graceMs) => closeNode(server, graceMs),
      });
    });
  });
}

async function closeNode(server: Server, graceMs: number): Promise<void> {
  const closed = new Promise<void>((resolve) => {
    server.close(() => resolve());
  });
  server.closeIdleConnections();
  // A connection that falls idle later would be kept for its next request.
  const sweep = setInterval(() => server.closeIdleConnections(), SWEEP_MS);
  await withGrace(closed, graceMs);
  clearInterval(sweep);
  server.closeAllConnections();
}

/** Waits for `ending`, but for at most `graceMs`. */
async function withGrace(
  ending: Promise<void>,
  graceMs: number,
): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, graceMs);
  });
  await Promise.race([ending, late]);
  clearTimeout(timer);
}

function cannotListen(where: HostPort, error: unknown): ExitError {
  return new ExitError(
    EXIT.address,
    `Cannot listen on ${formatHostPort(where)} for HTTP: ${messageOf(error)}`,
    error,
  );
}

function ignore(): void {}
