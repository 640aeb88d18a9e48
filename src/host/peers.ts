/**
 * Who the other members are, where they are, and when they were last heard.
 *
 * @module
 */
import type { Message } from "../core/message.ts";
import type { ConfState, NodeId } from "../core/types.ts";
import type { IgnoredReason } from "./options.ts";

/** Whom a message came from, as its connection proved. */
export interface Sender {
  /** Where the sender's host is reached. */
  readonly address: string;
  /** The data directory the sender's host works on, if it says so. */
  readonly incarnation: string | null;
}

/** One member of the group, this one included. */
interface Peer {
  readonly address: string;
  /** The data directory it is bound to by the configuration. */
  readonly bound: string | null;
  /** The data directory from which it last acknowledged entries. */
  proved: string | null;
  /** When its last message came, in the clock's milliseconds. */
  lastContactAt: number | null;
  /** The highest ticket of a proposal it passed on; 0 for none. */
  lastTicket: number;
}

/** Tickets so far below the last one are another life's (H96). */
const TICKETS_OF_A_LIFE = 2 ** 30;
/** Senders outside the configuration whose addresses are remembered. */
const MAX_STRANGERS = 64;

/** The members of a group by the configuration in force. */
export class Peers {
  readonly #self: NodeId;
  /** Exactly the members that have an address in the configuration. */
  #peers = new Map<NodeId, Peer>();
  /**
   * Where senders outside the configuration spoke from, and former members
   * were, the latest last: this member may be behind, and they members already
   * (thesis §4.1).
   */
  readonly #strangers = new Map<NodeId, string>();

  constructor(self: NodeId, conf: ConfState) {
    this.#self = self;
    this.update(conf);
  }

  /** A configuration took effect; contacts are kept where the id stays. */
  update(conf: ConfState): void {
    const before = this.#peers;
    const bound = new Map(
      conf.incarnations.map(({ id, incarnation }) => [id, incarnation]),
    );
    this.#peers = new Map(
      conf.addresses.map(({ id, address }) => [id, {
        address,
        bound: bound.get(id) ?? null,
        proved: before.get(id)?.proved ?? null,
        lastContactAt: before.get(id)?.lastContactAt ?? null,
        lastTicket: before.get(id)?.lastTicket ?? 0,
      }]),
    );
    for (const id of this.#peers.keys()) this.#strangers.delete(id);
    // Who left is told so, and has to be reached for that (H79).
    for (const [id, { address }] of before) {
      if (!this.#peers.has(id)) this.#remember(id, address);
    }
  }

  /** Where a member, or who claims to be one, is reached. */
  addressOf(id: NodeId): string | undefined {
    return this.#peers.get(id)?.address ?? this.#strangers.get(id);
  }

  /** Who is reached at an address, if another member is. */
  idAt(address: string): NodeId | undefined {
    for (const [id, peer] of this.#peers) {
      if (peer.address === address && id !== this.#self) return id;
    }
    return undefined;
  }

  /**
   * The data directory that holds what a member acknowledged last, if it said
   * so; it may have spoken from an empty one since (H80).
   */
  incarnationOf(id: NodeId): string | null {
    return this.#peers.get(id)?.proved ?? null;
  }

  /** Milliseconds since the last message of a member. */
  lastContactMs(id: NodeId, now: number): number | null {
    const at = this.#peers.get(id)?.lastContactAt ?? null;
    return at === null ? null : Math.max(0, now - at);
  }

  /**
   * Whether a message may be believed to be its sender's (H80, H131), and
   * notes the contact; else why not.
   */
  admit(sender: Sender, message: Message, now: number): IgnoredReason | null {
    if (message.to !== this.#self) return "wrongReceiver";
    if (message.from === this.#self) return "unknownSender";
    const peer = this.#peers.get(message.from);
    if (peer === undefined) return this.#admitStranger(sender, message);
    const { address, incarnation } = sender;
    if (peer.address !== address) return "wrongAddress";
    if (
      peer.bound !== null && incarnation !== null && peer.bound !== incarnation
    ) return "replacedDisk";
    peer.lastContactAt = now;
    if (
      message.type === "appendEntriesResponse" && !message.reject &&
      message.index > 0
    ) peer.proved = incarnation;
    if (message.type !== "propose" || message.ticket === 0) return null;
    return isRepeat(peer, message.ticket) ? "repeated" : null;
  }

  /**
   * Servers listen to leaders and candidates that are not in their
   * configuration, or new members would never hear of it (thesis §4.1). Only
   * members are served.
   */
  #admitStranger(
    { address }: Sender,
    { from, type }: Message,
  ): IgnoredReason | null {
    if (type === "propose" || type === "readIndex") return "unknownSender";
    for (const peer of this.#peers.values()) {
      // Whoever lives there is somebody else.
      if (peer.address === address) return "wrongAddress";
    }
    this.#remember(from, address);
    return null;
  }

  #remember(id: NodeId, address: string): void {
    this.#strangers.delete(id);
    this.#strangers.set(id, address);
    if (this.#strangers.size <= MAX_STRANGERS) return;
    for (const oldest of this.#strangers.keys()) {
      this.#strangers.delete(oldest);
      return;
    }
  }
}

/**
 * Whether a proposal came before: a transport may deliver twice, and what the
 * first copy was told, that nothing was appended, must stay true (H102, H104).
 * One that was overtaken looks the same; its sender never learns what became
 * of it, which is the safe way to be wrong.
 */
function isRepeat(peer: Peer, ticket: number): boolean {
  const ahead = ticket - peer.lastTicket;
  if (ahead <= 0 && ahead > -TICKETS_OF_A_LIFE) return true;
  peer.lastTicket = ticket;
  return false;
}
