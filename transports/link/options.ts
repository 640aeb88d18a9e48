/**
 * Settings that every network transport shares.
 *
 * @module
 */
import { DEFAULT_MAX_FRAME_BYTES, PROTOCOL_VERSIONS } from "../../src/wire.ts";

/** Settings of a network transport. All have defaults. */
export interface LinkOptions {
  /** `host:port` to listen on, if not the host's own address. */
  readonly listen?: string | undefined;
  /**
   * Bytes of one frame, sent or received; at least what the largest entry
   * takes. Default 16 MiB. All hosts of a deployment must agree.
   */
  readonly maxFrameBytes?: number | undefined;
  /**
   * Bytes waiting for one peer, the write under way included, before `send`
   * returns `false`; at least `maxFrameBytes`. Default 32 MiB.
   */
  readonly maxQueueBytes?: number | undefined;
  /** Bytes of half-received frames over all connections. Default 256 MiB. */
  readonly maxReceiveBytes?: number | undefined;
  /** Milliseconds to connect and shake hands. Default 2000. */
  readonly dialTimeoutMs?: number | undefined;
  /** Milliseconds an acceptor waits for a hello. Default 3000. */
  readonly handshakeTimeoutMs?: number | undefined;
  /** Milliseconds between pings on a connection. Default 1000. */
  readonly keepaliveMs?: number | undefined;
  /** Pings in a row without an answer that end a connection. Default 5. */
  readonly maxMissedPings?: number | undefined;
  /** Milliseconds before the second attempt to connect. Default 50. */
  readonly minBackoffMs?: number | undefined;
  /**
   * The longest pause between attempts, in milliseconds; keep it below half
   * of the election timeout (H33). Default 250.
   */
  readonly maxBackoffMs?: number | undefined;
  /** Inbound connections. Default 1024. */
  readonly maxInbound?: number | undefined;
  /** Inbound connections that have not said hello. Default 64. */
  readonly maxHalfOpen?: number | undefined;
  /**
   * Protocol versions to speak; by default all that are known. Narrowing it
   * holds a new version back during a rolling upgrade.
   */
  readonly protocol?:
    | { readonly min: number; readonly max: number }
    | undefined;
  /** Uniform in `[0, 1)`, for the jitter of back-off. */
  readonly random?: (() => number) | undefined;
}

/** {@linkcode LinkOptions} with every default filled in. */
export type LinkConfig = {
  readonly [K in Exclude<keyof LinkOptions, "listen">]-?: NonNullable<
    LinkOptions[K]
  >;
};

const MAX_FRAME_LIMIT = 1 << 30;

/**
 * Fills in the defaults and checks the values and their relations.
 *
 * @throws {RangeError} If one is out of range or two contradict each other.
 */
export function resolveLinkOptions(options: LinkOptions): LinkConfig {
  const config: LinkConfig = {
    maxFrameBytes: options.maxFrameBytes ?? DEFAULT_MAX_FRAME_BYTES,
    maxQueueBytes: options.maxQueueBytes ?? 32 << 20,
    maxReceiveBytes: options.maxReceiveBytes ?? 256 << 20,
    dialTimeoutMs: options.dialTimeoutMs ?? 2_000,
    handshakeTimeoutMs: options.handshakeTimeoutMs ?? 3_000,
    keepaliveMs: options.keepaliveMs ?? 1_000,
    maxMissedPings: options.maxMissedPings ?? 5,
    minBackoffMs: options.minBackoffMs ?? 50,
    maxBackoffMs: options.maxBackoffMs ?? 250,
    maxInbound: options.maxInbound ?? 1_024,
    maxHalfOpen: options.maxHalfOpen ?? 64,
    protocol: options.protocol ?? PROTOCOL_VERSIONS,
    random: options.random ?? Math.random,
  };
  const { protocol, random: _, ...numbers } = config;
  for (const [name, value] of Object.entries(numbers)) {
    assertWithin(name, value, [1, Number.MAX_SAFE_INTEGER]);
  }
  assertWithin("maxFrameBytes", config.maxFrameBytes, [4_096, MAX_FRAME_LIMIT]);
  const least = config.maxFrameBytes;
  const most = Number.MAX_SAFE_INTEGER;
  assertWithin("maxQueueBytes", config.maxQueueBytes, [least, most]);
  assertWithin("maxReceiveBytes", config.maxReceiveBytes, [least, most]);
  assertWithin("maxBackoffMs", config.maxBackoffMs, [
    config.minBackoffMs,
    60_000,
  ]);
  assertWithin("protocol.min", protocol.min, [1, 65_535]);
  assertWithin("protocol.max", protocol.max, [protocol.min, 65_535]);
  return config;
}

function assertWithin(
  name: string,
  value: number,
  [least, most]: readonly [number, number],
): void {
  if (Number.isSafeInteger(value) && value >= least && value <= most) return;
  throw new RangeError(
    `Cannot configure the transport: ${name} is ${value}, wanted an integer of ${least} to ${most}`,
  );
}
