/**
 * What both ends of a stream agree on.
 *
 * @module
 */
import type { RefusalCode } from "../link/channel.ts";

/** Where the frames are posted to, unless told otherwise. */
export const DEFAULT_PATH = "/balsa/v1/frames";

/** Type of both bodies: frames, one after the other. */
export const CONTENT_TYPE = "application/vnd.balsa.frames";

/**
 * Bytes under way before the receiver must have read some. The default of
 * HTTP/2, 64 KiB, would stop a batch of entries several times.
 */
export const WINDOW_BYTES: number = 4 << 20;

/** The status that stands for each refusal. */
export const STATUS_OF: Readonly<Record<RefusalCode, number>> = {
  malformedFrame: 400,
  wrongDeployment: 403,
  handshakeTimeout: 408,
  wrongVersion: 409,
  frameTooLarge: 413,
  wrongTarget: 421,
  handlerFailed: 500,
  tooManyConnections: 503,
};

/** A session whose window can be set. */
export interface WideSession {
  setLocalWindowSize(bytes: number): void;
}

/** Widens the window of the whole session, which settings do not reach. */
export function widenWindow(
  session: WideSession,
): void {
  try {
    session.setLocalWindowSize(WINDOW_BYTES);
  } catch {
    // Not every runtime can; the smaller window is slower, not wrong.
  }
}
