/**
 * Dials by HTTP/2 with prior knowledge: one session and one long `POST` per
 * connection. By `node:http2` on every runtime, since `fetch` delays small
 * writes on some.
 *
 * @module
 */
import { type ClientHttp2Session, connect } from "node:http2";
import {
  type ByteChannel,
  DialError,
  formatAddress,
  type HostPort,
  RejectedError,
} from "../link/channel.ts";
import { DuplexChannel } from "../link/duplex_channel.ts";
import { CONTENT_TYPE, widenWindow, WINDOW_BYTES } from "./streams.ts";

/** Connects, and opens the stream at `path`. */
export function dialHttp2(
  at: HostPort,
  { path, signal }: { readonly path: string; readonly signal: AbortSignal },
): Promise<ByteChannel> {
  return new Promise((resolve, reject) => {
    const session = connect(`http://${formatAddress(at)}`, {
      settings: { initialWindowSize: WINDOW_BYTES, enablePush: false },
    });
    const abort = () => {
      session.destroy();
      reject(signal.reason);
    };
    const fail = (error?: Error & { code?: string }) => {
      signal.removeEventListener("abort", abort);
      session.destroy();
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
      resolve(openStream(session, formatAddress(at), path));
    });
    signal.addEventListener("abort", abort);
    if (signal.aborted) abort();
  });
}

function openStream(
  session: ClientHttp2Session,
  remote: string,
  path: string,
): ByteChannel {
  const stream = session.request({
    ":method": "POST",
    ":path": path,
    "content-type": CONTENT_TYPE,
  });
  const destroy = () => {
    stream.destroy();
    session.destroy();
  };
  const traits = { remote, destroy, keepsBytes: true };
  // A stream that ends without a status reads as an end, and an end in place
  // of the acceptor's answer is a failure, however politely it comes (H128).
  const channel = new DuplexChannel(stream, traits);
  const fail = (error: Error) => {
    channel.fail(error);
    destroy();
  };
  stream.on("response", (headers) => {
    if (headers["content-type"] === CONTENT_TYPE) return;
    // Somebody else's server: its body is no frame.
    const status = headers[":status"];
    fail(new RejectedError(`Cannot connect: HTTP status ${status}`));
  });
  // A session that is going away takes no more: dial a new one (H128).
  session.on("goaway", () => fail(new Error("Cannot go on: GOAWAY")));
  session.on("close", () => fail(new Error("Cannot go on: session closed")));
  session.on("error", fail);
  return channel;
}
