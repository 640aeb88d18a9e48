/**
 * Listens for HTTP/2 with prior knowledge. Streams of frames are served as
 * they are; every other request goes to the routes.
 *
 * @module
 */
import {
  createServer,
  type Http2Server,
  type Http2Session,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from "node:http2";
import {
  type ByteChannel,
  formatAddress,
  type HostPort,
  type ListenEvents,
  type Listening,
  type RefusalCode,
} from "../link/channel.ts";
import { DuplexChannel } from "../link/duplex_channel.ts";
import type { Teardown } from "./teardown.ts";
import {
  CONTENT_TYPE,
  STATUS_OF,
  widenWindow,
  WINDOW_BYTES,
} from "./streams.ts";

/** What the server needs to know. */
export interface Http2ServerOptions {
  /** Where frames are posted to. */
  readonly path: string;
  /** Milliseconds a session may take to open its first stream. */
  readonly handshakeTimeoutMs: number;
  /** Sessions in all. */
  readonly maxSessions: number;
  /** Sessions without a stream. */
  readonly maxHalfOpen: number;
  /** Answers every request but streams of frames. */
  readonly respond: (request: Request) => Promise<Response>;
  readonly teardown: Teardown;
}

/** Streams of one session: one is used, the rest is for other requests. */
const MAX_STREAMS = 8;

/** Listens. Rejects if the port cannot be had. */
export function listenHttp2(
  { host, port }: HostPort,
  options: Http2ServerOptions,
  events: ListenEvents,
): Promise<Listening> {
  const server = createServer({
    settings: {
      initialWindowSize: WINDOW_BYTES,
      maxConcurrentStreams: MAX_STREAMS,
      enablePush: false,
    },
  });
  const sessions = new Sessions(options, events);
  server.on("session", (session) => sessions.add(session));
  server.on("sessionError", () => {});
  server.on("stream", (stream, headers) => {
    sessions.streamOpened(stream.session);
    stream.on("error", () => {});
    serveStream(stream, headers, { options, events });
  });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host, port }, () => {
      server.off("error", reject);
      // A failed accept concerns one peer, who will try again.
      server.on("error", () => {});
      resolve({ close: () => closeServer(server, sessions) });
    });
  });
}

function closeServer(server: Http2Server, sessions: Sessions): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    sessions.close();
  });
}

function serveStream(
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  { options, events }: {
    readonly options: Http2ServerOptions;
    readonly events: ListenEvents;
  },
): void {
  const { ":path": path, ":method": method } = headers;
  if (path === options.path && method === "POST") {
    return events.accept(channelOf(stream, options.teardown));
  }
  stream.resume();
  answerOther(headers, options).then((response) => send(stream, response))
    .catch(() => stream.destroy());
}

/** Lets the routes answer; what makes no request gets a 400. */
async function answerOther(
  { ":path": path, ":method": method }: IncomingHttpHeaders,
  { respond }: Http2ServerOptions,
): Promise<Response> {
  let request: Request;
  try {
    request = new Request(`http://localhost${path}`, {
      method: method ?? "GET",
    });
  } catch {
    return new Response(null, { status: 400 });
  }
  return await respond(request);
}

async function send(
  stream: ServerHttp2Stream,
  response: Response,
): Promise<void> {
  const body = new Uint8Array(await response.arrayBuffer());
  if (stream.destroyed) return;
  stream.respond({
    ...Object.fromEntries(response.headers),
    ":status": response.status,
  });
  stream.end(body);
}

function channelOf(
  stream: ServerHttp2Stream,
  teardown: Teardown,
): ByteChannel {
  const { session } = stream;
  const remote = remoteOf(session);
  const destroy = () => {
    if (session === undefined) stream.destroy();
    else teardown.end(session, stream);
  };
  const channel = new DuplexChannel(stream, {
    remote,
    destroy,
    keepsBytes: true,
  });
  return {
    remote,
    read: () => channel.read(),
    write: (bytes) => channel.write(bytes),
    end: () => channel.end(),
    destroy: () => channel.destroy(),
    async answer(frame, refusal): Promise<void> {
      const status = refusal === null ? 200 : STATUS_OF[refusal];
      stream.respond({ ":status": status, "content-type": CONTENT_TYPE });
      await channel.write(frame);
      if (refusal !== null) await channel.end();
    },
  };
}

function remoteOf(session: Http2Session | undefined): string {
  const { remoteAddress = "unknown", remotePort = 0 } = session?.socket ?? {};
  return formatAddress({ host: remoteAddress, port: remotePort });
}

/** Every session of a server, and who of them has said nothing yet. */
class Sessions {
  readonly #options: Http2ServerOptions;
  readonly #events: ListenEvents;
  readonly #open = new Set<Http2Session>();
  /** Sessions without a stream so far, oldest first, and their deadlines. */
  readonly #silent = new Map<
    Http2Session,
    ReturnType<typeof setTimeout>
  >();

  constructor(options: Http2ServerOptions, events: ListenEvents) {
    this.#options = options;
    this.#events = events;
  }

  add(session: Http2Session): void {
    const remote = remoteOf(session);
    session.on("error", () => {
      if (this.#silent.has(session)) {
        this.#drop(session, remote, "malformedFrame");
      }
    });
    session.on("close", () => this.#forget(session));
    this.#open.add(session);
    if (this.#open.size > this.#options.maxSessions) {
      return this.#drop(session, remote, "tooManyConnections");
    }
    const [oldest] = this.#silent.keys();
    if (
      this.#silent.size >= this.#options.maxHalfOpen && oldest !== undefined
    ) this.#drop(oldest, remoteOf(oldest), "tooManyConnections");
    const timer = setTimeout(() => {
      this.#drop(session, remote, "handshakeTimeout");
    }, this.#options.handshakeTimeoutMs);
    this.#silent.set(session, timer);
    widenWindow(session);
  }

  /** The deadline is now the business of the stream's handshake. */
  streamOpened(session: Http2Session | undefined): void {
    if (session === undefined) return;
    clearTimeout(this.#silent.get(session));
    this.#silent.delete(session);
  }

  close(): void {
    for (const session of this.#open) {
      this.#forget(session);
      this.#options.teardown.end(session);
    }
  }

  #forget(session: Http2Session): void {
    this.streamOpened(session);
    this.#open.delete(session);
  }

  #drop(session: Http2Session, remote: string, code: RefusalCode): void {
    this.#forget(session);
    this.#options.teardown.end(session);
    const reason = `Cannot accept a session: ${REASONS[code] ?? code}`;
    this.#events.refused(remote, code, reason);
  }
}

const REASONS: Partial<Readonly<Record<RefusalCode, string>>> = {
  malformedFrame: "it does not speak HTTP/2",
  handshakeTimeout: "it opened no stream in time",
  tooManyConnections: "too many are open",
};
