/**
 * Dials by HTTP/2 with prior knowledge: one session and one long `POST` per
 * connection. By `node:http2` on every runtime, since `fetch` delays small
 * writes on some.
 *
 * @module
 */
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
} from "node:http2";
import {
  type ByteChannel,
  DialError,
  formatAddress,
  type HostPort,
  RejectedError,
} from "../link/channel.ts";
import { DuplexChannel } from "../link/duplex_channel.ts";
import type { Teardown } from "./teardown.ts";
import { CONTENT_TYPE, widenWindow, WINDOW_BYTES } from "./streams.ts";

/** Connects, and opens the stream at `path`. */
export function dialHttp2(
  at: HostPort,
  { path, signal, teardown }: {
    readonly path: string;
    readonly signal: AbortSignal;
    readonly teardown: Teardown;
  },
): Promise<ByteChannel> {
  return new Promise((resolve, reject) => {
    const session = connect(`http://${formatAddress(at)}`, {
      settings: { initialWindowSize: WINDOW_BYTES, enablePush: false },
    });
    const abort = () => {
      teardown.end(session);
      reject(signal.reason);
    };
    const fail = (error?: Error & { code?: string }) => {
      signal.removeEventListener("abort", abort);
      teardown.end(session);
      const refused = error?.code === "ECONNREFUSED";
      const what = error?.message || error?.code || "the session was closed";
      reject(new DialError(`Cannot connect: ${what}`, { refused }));
    };
    // Kept for good: an error of a session without listener ends the process.
    session.on("error", fail);
    session.on("close", () => fail());
    session.once("connect", () => {
      signal.removeEventListener("abort", abort);
      if (session.destroyed) return;
      widenWindow(session);
      const remote = formatAddress(at);
      resolve(openStream(session, { remote, path, teardown }));
    });
    signal.addEventListener("abort", abort);
    if (signal.aborted) abort();
  });
}

function openStream(
  session: ClientHttp2Session,
  { remote, path, teardown }: {
    readonly remote: string;
    readonly path: string;
    readonly teardown: Teardown;
  },
): ByteChannel {
  const stream = session.request({
    ":method": "POST",
    ":path": path,
    "content-type": CONTENT_TYPE,
  });
  const destroy = () => teardown.end(session, stream);
  const ready = answerOf(stream);
  const traits = { remote, destroy, ready, keepsBytes: true };
  const channel = new DuplexChannel(stream, traits);
  const fail = (error: Error) => {
    channel.fail(error);
    destroy();
  };
  // A session that is going away takes no more: dial a new one (H128).
  session.on("goaway", () => fail(new Error("Cannot go on: GOAWAY")));
  session.on("close", () => fail(new Error("Cannot go on: session closed")));
  session.on("error", fail);
  return channel;
}

/**
 * Resolves with the answer's head, or the end: what ends without a status then
 * reads as an end in place of the acceptor's word, a failure however politely
 * it comes (H128).
 *
 * @throws {RejectedError} If it is the answer of somebody else's server.
 */
function answerOf(stream: ClientHttp2Stream): Promise<void> {
  const answer = new Promise<void>((resolve, reject) => {
    stream.on("response", (headers) => {
      if (headers["content-type"] === CONTENT_TYPE) return resolve();
      const status = headers[":status"];
      reject(new RejectedError(`Cannot connect: HTTP status ${status}`));
    });
    stream.on("close", () => resolve());
  });
  // Whoever reads learns of it; until then it is nobody's failure.
  answer.catch(() => {});
  return answer;
}
