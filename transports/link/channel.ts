/**
 * The seam between the protocol of a connection and what carries its bytes:
 * a socket, a stream of HTTP/2.
 *
 * @module
 */

/** A host and a port, apart. */
export interface HostPort {
  /** Name or literal address, without brackets. */
  readonly host: string;
  /** The port, 1 to 65535. */
  readonly port: number;
}

/** A connection that carries bytes both ways, in order. */
export interface ByteChannel {
  /** Who is at the other end, for the log. */
  readonly remote: string;
  /**
   * The next bytes, which stay valid until the next call; `null` at the end.
   * One call at a time. Rejects once the channel is broken or destroyed.
   */
  read(): Promise<Uint8Array | null>;
  /**
   * Sends bytes; when it settles they may be reused. One call at a time.
   * Rejects once the channel is broken or destroyed.
   */
  write(bytes: Uint8Array): Promise<void>;
  /**
   * The acceptor's answer to a hello; an accepted channel stays open, a
   * refused one ends behind the answer. Without it the answer is written like
   * anything else.
   */
  answer?(frame: Uint8Array, refusal: RefusalCode | null): Promise<void>;
  /** Ends the channel behind what was written. Never rejects. */
  end(): Promise<void>;
  /** Tears the channel down; what is pending settles. Idempotent. */
  destroy(): void;
}

/** Why something from outside was refused; what `refused` events carry. */
export type RefusalCode =
  | "malformedFrame"
  | "frameTooLarge"
  | "wrongDeployment"
  | "wrongVersion"
  | "wrongTarget"
  | "handshakeTimeout"
  | "tooManyConnections"
  | "handlerFailed";

/** An open port. */
export interface Listening {
  /** Frees the port; connections made through it are not its business. */
  close(): Promise<void>;
}

/** What a listener reports. */
export interface ListenEvents {
  /** Somebody connected. */
  accept(channel: ByteChannel): void;
  /** Somebody was turned away before there was a channel. */
  refused(remote: string, code: RefusalCode, reason: string): void;
}

/** Opens channels and listens for them. */
export interface Carrier {
  /**
   * Connects. Once `signal` is aborted it rejects soon and leaves nothing.
   *
   * @throws {DialError} If nobody could be reached.
   */
  dial(at: HostPort, signal: AbortSignal): Promise<ByteChannel>;
  /** Listens. Rejects if the port cannot be had. */
  listen(at: HostPort, events: ListenEvents): Promise<Listening>;
}

/** Nobody could be reached. */
export class DialError extends Error {
  /** Whether the other machine answered that nobody listens there. */
  readonly refused: boolean;

  /** Says why, and whether it was a refusal. */
  constructor(message: string, options: { readonly refused: boolean }) {
    super(message);
    this.name = "DialError";
    this.refused = options.refused;
  }
}

/** The peer answered the hello, and does not want us. */
export class RejectedError extends Error {
  override readonly name = "RejectedError";
}

/**
 * Splits `host:port`; an IPv6 literal stands in brackets.
 *
 * @throws {RangeError} If it is no such thing.
 */
export function parseAddress(address: string): HostPort {
  const match =
    /^(?:\[([0-9a-fA-F:.]+(?:%[\w.-]+)?)\]|([^:[\]\s/]+)):(\d{1,5})$/
      .exec(address);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || !(port <= 65_535)) {
    throw new RangeError(
      `Cannot parse an address: it is "${address}", wanted "host:port"`,
    );
  }
  return { host, port };
}

/** The inverse of {@linkcode parseAddress}. */
export function formatAddress({ host, port }: HostPort): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
