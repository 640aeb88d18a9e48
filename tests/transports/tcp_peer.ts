/** A peer of the TCP transport made of bytes. */
import type { RawPeer } from "../../src/testing/mod.ts";
import { helloToArray } from "../../src/schema.ts";
import {
  encodeControlFrame,
  FRAME_KIND,
  PROTOCOL_VERSIONS,
} from "../../src/wire.ts";
import { RawSocket } from "./ports.ts";

/** The hello of a well-behaved peer. */
export function helloOf(peer: Omit<RawPeer, "bytes">): Uint8Array {
  const hello = helloToArray({
    versions: PROTOCOL_VERSIONS,
    deployment: peer.deployment,
    address: peer.from,
    clientAddress: null,
    incarnation: null,
    target: peer.target,
    purpose: "messages",
  });
  return encodeControlFrame(FRAME_KIND.hello, hello);
}

/** Connects and shakes hands; rejects if it was not accepted. */
export async function shakeHands(
  peer: Omit<RawPeer, "bytes">,
): Promise<RawSocket> {
  const socket = await RawSocket.open(peer.target);
  socket.write(helloOf(peer));
  const answer = await socket.read(5);
  if (answer[4] === FRAME_KIND.accept) return socket;
  await socket.destroy();
  throw new Error(`Cannot shake hands: the answer is of kind ${answer[4]}`);
}

/** Shakes hands, sends bytes, waits to be thrown out. */
export async function actRaw(peer: RawPeer): Promise<void> {
  const socket = await shakeHands(peer);
  socket.write(peer.bytes);
  await socket.closed();
}
