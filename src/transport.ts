/**
 * The transport contract: carries messages between hosts.
 *
 * To be correct, a transport keeps to this list; each point is a case of the
 * same words in the contract suite (`@balsa/raft/testing`):
 *
 * 1. Messages may be lost, duplicated, delayed and reordered, but never
 *    changed, and never handed to a host they were not sent to.
 * 2. `send` never blocks and never throws for a peer's sake; when the peer's
 *    queue is full it drops the frame and returns `false`.
 * 3. `receive` gets the address and the data directory that the sender named
 *    at the handshake (H80, H131).
 * 4. A peer of another deployment or without a common protocol version is
 *    refused, reported and harms nobody else (H135).
 * 5. A malformed or oversized frame closes its connection and nothing else
 *    (H132, H136).
 * 6. A peer that comes back is found again within about a second; trying
 *    costs a bounded, jittered amount (H33).
 * 7. What is handed to `receive` is the receiver's own: no byte of it changes
 *    later (H121).
 * 8. After `close` resolves nothing is delivered, nothing is left running.
 * 9. A snapshot arrives in order from the offset its receiver asks for to its
 *    end, or `sendSnapshot` rejects; a part never passes for the whole. What
 *    came before a connection broke is as it was sent (H65, H66).
 *
 * @module
 */
import type { Message } from "./core/message.ts";
import type { GroupId, NodeId, SnapshotMeta, Term } from "./core/types.ts";

/** A message and the group it belongs to. */
export interface Envelope {
  /** The group of sender and receiver. */
  readonly group: GroupId;
  /** The message. */
  readonly message: Message;
}

/** How the connection to a peer stands. */
export type PeerState =
  | {
    readonly type: "connected";
    /** Where the peer's clients reach it, if it says so at the handshake. */
    readonly clientAddress: string | null;
    /** The data directory it works on, if it says so. */
    readonly incarnation: string | null;
  }
  | {
    /** Tried and failed; tried again with back-off. */
    readonly type: "unreachable";
    /** For people: `refused`, `timed out`, … */
    readonly reason: string;
    /** The peer's machine answered that nobody listens: its process died. */
    readonly refused: boolean;
  }
  | {
    /** The peer answered and does not want us: version, deployment, … */
    readonly type: "rejected";
    readonly reason: string;
  };

/** What a transport tells its host. Synchronous; must not throw. */
export interface TransportHandler {
  /**
   * A frame arrived from the host at `address`, which works on the data
   * directory `incarnation` if it said so at the handshake (H80).
   */
  receive(
    address: string,
    envelopes: readonly Envelope[],
    incarnation: string | null,
  ): void;
  /** The connection to `address` changed. */
  peerState(address: string, state: PeerState): void;
  /**
   * Something from outside was refused: a bad frame, a foreign cluster.
   * `remote` is the socket's address, for the log.
   */
  refused(remote: string, code: string, reason: string): void;
  /** A snapshot arrives; resolves when it is taken whole. */
  snapshot?(
    address: string,
    transfer: SnapshotTransfer,
    incarnation: string | null,
  ): Promise<void>;
}

/** A snapshot on its way in. */
export interface SnapshotTransfer {
  /** The group it belongs to. */
  readonly group: GroupId;
  /** The leader that sends it. */
  readonly from: NodeId;
  /** The member it is for. */
  readonly to: NodeId;
  /** The term in which the sender leads. */
  readonly term: Term;
  /** What it contains. */
  readonly meta: SnapshotMeta;
  /**
   * Names the very bytes of the data: a receiver that has some of them from an
   * earlier transfer of the same name needs only the rest (H66).
   */
  readonly token?: string | undefined;
  /**
   * The data from an offset on, by default from its start; to be asked for
   * once, and read as fast as the reader takes it.
   */
  chunks(fromOffset?: number): AsyncIterable<Uint8Array>;
}

/** Who the transport speaks for. */
export interface TransportIdentity {
  /** Peers of another deployment are refused. */
  readonly deployment: string;
  /** The address under which peers reach this host. */
  readonly address: string;
  /** Told to peers at the handshake, so that they can redirect clients. */
  readonly clientAddress?: string | undefined;
  /**
   * The data directory this host works on, told to peers at the handshake:
   * they must not take an empty or older one for the one they knew (H80).
   */
  readonly incarnation?: string | undefined;
}

/** Carries messages between hosts. See the module for the rules. */
export interface Transport {
  /**
   * Starts to listen and to deliver. Once.
   *
   * @throws {RaftError} `unreachable` if the address cannot be listened on.
   */
  start(identity: TransportIdentity, handler: TransportHandler): Promise<void>;
  /**
   * Queues one frame for the host at `address`, dialling it if need be.
   * The envelopes must not be changed afterwards.
   *
   * @returns Whether the frame was queued; `false` means it was dropped.
   */
  send(address: string, envelopes: readonly Envelope[]): boolean;
  /** Sends a snapshot on a channel of its own; resolves once it is taken. */
  sendSnapshot(
    address: string,
    transfer: SnapshotTransfer,
    signal: AbortSignal,
  ): Promise<void>;
  /** Forgets a peer: closes its connection, drops its queue. */
  disconnect(address: string): void;
  /** Stops everything. Idempotent. */
  close(): Promise<void>;
}
