/** A peer of the HTTP transport made of bytes. */
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
} from "node:http2";
import type { RawPeer } from "../../src/testing/mod.ts";
import { helloOf } from "./tcp_peer.ts";

/** Where the transport's stream is. */
export const PATH = "/balsa/v1/frames";

/** One session with one stream. */
export interface HttpPeer {
  readonly session: ClientHttp2Session;
  readonly stream: ClientHttp2Stream;
  /** The answer's status; 0 if the stream ended without one. */
  readonly status: Promise<number>;
  /** Resolves once the stream is closed. */
  readonly closed: Promise<void>;
}

/** Opens a stream; says nothing yet. */
export function openStream(address: string, path: string = PATH): HttpPeer {
  const session = connect(`http://${address}`);
  session.on("error", () => {});
  const stream = session.request({ ":method": "POST", ":path": path });
  stream.on("error", () => {});
  const closed = new Promise<void>((resolve) => {
    stream.once("close", resolve);
    session.once("close", resolve);
  });
  const status = new Promise<number>((resolve) => {
    stream.once("response", (headers) => resolve(headers[":status"] ?? 0));
    closed.then(() => resolve(0));
  });
  stream.resume();
  return { session, stream, status, closed };
}

/** Shakes hands, sends bytes, waits to be thrown out. */
export async function actRaw(peer: RawPeer): Promise<void> {
  const { session, stream, status, closed } = openStream(peer.target);
  stream.write(helloOf(peer));
  const answered = await status;
  if (answered !== 200) {
    await leave(session);
    throw new Error(`Cannot shake hands: the status is ${answered}`);
  }
  stream.write(peer.bytes);
  await closed;
  await leave(session);
}

/** Ends a session from outside its callbacks, where Deno survives it. */
export function leave(session: ClientHttp2Session): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(() => {
      session.destroy();
      resolve();
    }, 0);
  });
}
