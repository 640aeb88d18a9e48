/**
 * Who the other members are, where they are, and when they were last heard.
 *
 * @module
 */
import type { Message } from "../core/message.ts";
import type { ConfState, NodeId } from "../core/types.ts";
import type { IgnoredReason } from "./options.ts";

/** One member of the group, this one included. */
interface Peer {
  readonly address: string;
  /** When its last message came, in the clock's milliseconds. */
  lastContactAt: number | null;
  /** The highest ticket of a proposal it passed on; 0 for none. */
  lastTicket: number;
}

/** Tickets so far below the last one are another life's (H96). */
const TICKETS_OF_A_LIFE = 2 ** 30;

/** The members of a group by the configuration in force. */
export class Peers {
  readonly #self: NodeId;
  /** Exactly the members that have an address in the configuration. */
  #peers = new Map<NodeId, Peer>();

  constructor(self: NodeId, conf: ConfState) {
    this.#self = self;
    this.update(conf);
  }

  /** A configuration took effect; contacts are kept where the id stays. */
  update(conf: ConfState): void {
    const before = this.#peers;
    this.#peers = new Map(
      conf.addresses.map(({ id, address }) => [id, {
        address,
        lastContactAt: before.get(id)?.lastContactAt ?? null,
        lastTicket: before.get(id)?.lastTicket ?? 0,
      }]),
    );
  }

  /** Where a member is reached. */
  addressOf(id: NodeId): string | undefined {
    return this.#peers.get(id)?.address;
  }

  /** Who is reached at an address, if another member is. */
  idAt(address: string): NodeId | undefined {
    for (const [id, peer] of this.#peers) {
      if (peer.address === address && id !== this.#self) return id;
    }
    return undefined;
  }

  /** Milliseconds since the last message of a member. */
  lastContactMs(id: NodeId, now: number): number | null {
    const at = this.#peers.get(id)?.lastContactAt ?? null;
    return at === null ? null : Math.max(0, now - at);
  }

  /**
   * Whether a message that came from the host at `address` may be believed to
   * be its sender's (H131), and notes the contact; else why not.
   */
  admit(address: string, message: Message, now: number): IgnoredReason | null {
    if (message.to !== this.#self) return "wrongReceiver";
    if (message.from === this.#self) return "unknownSender";
    const peer = this.#peers.get(message.from);
    if (peer === undefined) return "unknownSender";
    if (peer.address !== address) return "wrongAddress";
    peer.lastContactAt = now;
    if (message.type !== "propose" || message.ticket === 0) return null;
    return isRepeat(peer, message.ticket) ? "repeated" : null;
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
