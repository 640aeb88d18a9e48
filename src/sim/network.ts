/**
 * The network between members: it loses, duplicates, delays and reorders, and
 * its links are cut and clogged one way at a time (H10, H142).
 *
 * @module
 */
import type { Message } from "../core/message.ts";
import type { ConfChangeEntry, Entry, GroupId, NodeId } from "../core/types.ts";
import type { MarkCounter } from "./marks.ts";
import type { NetworkOptions } from "./options.ts";
import type { SimRandom } from "./prng.ts";

/** A message on its way. */
export interface Packet {
  readonly group: GroupId;
  readonly message: Message;
  /** Order of sending over the whole network. */
  readonly sequence: number;
  readonly sentAt: number;
  /** Which life of the sender sent it. */
  readonly life: number;
  /** Whether it is a second copy. */
  readonly copy: boolean;
  /** What travels beside an `installSnapshot`. */
  readonly snapshot?: Uint8Array | undefined;
}

/** The data of a snapshot on its way. */
export interface SnapshotCargo {
  readonly data: Uint8Array;
  /** How much longer than a message it takes. */
  readonly delayMs: number;
}

/** One direction between two members. */
export interface Link {
  readonly from: NodeId;
  readonly to: NodeId;
}

/**
 * What becomes of a packet that has come to the end of its link; a number: it
 * has to wait so many milliseconds more.
 */
export type Arrival = "delivered" | "cut" | "void" | number;

/** What a network is made of. */
export interface NetworkParts {
  readonly options: NetworkOptions;
  readonly random: SimRandom;
  readonly marks: MarkCounter;
  /** Plans the arrival of a packet at the end of its link. */
  deliver(delayMs: number, packet: Packet): void;
}

/** After this many milliseconds a duplicate counts as an old replay. */
const LATE_MS = 30_000;

/** Hosts have smaller ids than this. */
export const MAX_ID = 64;

/** The links of a cluster. */
export class SimNetwork {
  /** Extra loss while a burst lasts. */
  burstPermille = 0;
  readonly #random: SimRandom;
  readonly #marks: MarkCounter;
  readonly #deliver: (delayMs: number, packet: Packet) => void;
  #options: NetworkOptions;
  /** Whether what was sent twice no longer arrives a second time. */
  #isCalm = false;
  #sequence = 0;
  /** How many partitions cut each link; 0 for none. */
  readonly #cuts: number[];
  /** Until when each link holds its packets back. */
  readonly #cloggedUntil: number[];
  /** Newest packet delivered on each link. */
  readonly #newest: number[];
  /** Packets with entries that have not arrived yet, but for copies. */
  readonly #appends = new Set<Packet>();

  /** Makes the links among hosts, all of them whole. */
  constructor(parts: NetworkParts) {
    this.#options = parts.options;
    this.#random = parts.random;
    this.#marks = parts.marks;
    this.#deliver = parts.deliver;
    const links = MAX_ID * MAX_ID;
    this.#cuts = new Array<number>(links).fill(0);
    this.#cloggedUntil = new Array<number>(links).fill(0);
    this.#newest = new Array<number>(links).fill(-1);
  }

  /** Packets sent so far. */
  get sentCount(): number {
    return this.#sequence;
  }

  /** Sends a message: it arrives never, once or more often. */
  send(group: GroupId, message: Message, life: number, now: number): void {
    const sequence = this.#sequence++;
    const packet = { group, message, sequence, sentAt: now, life, copy: false };
    const { lossPermille, duplicatePermille } = this.#options;
    const random = this.#random;
    if (random.chance(Math.min(900, lossPermille + this.burstPermille))) {
      this.#marks.hit("packetLost");
    } else {
      if (entriesIn(message).length > 0) this.#appends.add(packet);
      this.#deliver(this.#delayMs(), packet);
    }
    if (!random.chance(duplicatePermille) || !this.#mayRepeat(message)) return;
    this.#marks.hit("packetDuplicated");
    const delay = this.#delayMs() + random.below(this.#options.replayMs + 1);
    this.#deliver(delay, { ...packet, copy: true });
  }

  /**
   * Sends a snapshot beside its message: as a whole or not at all, perhaps
   * twice. Returns whether it is on its way.
   */
  sendSnapshot(
    packet: Omit<Packet, "sequence" | "copy">,
    delayMs: number,
  ): boolean {
    const sequence = this.#sequence++;
    const { lossPermille, duplicatePermille, replayMs } = this.#options;
    const random = this.#random;
    const isLost = random.chance(
      Math.min(900, lossPermille + this.burstPermille),
    );
    if (isLost) this.#marks.hit("snapshotLost");
    else {
      const delay = delayMs + this.#delayMs();
      this.#deliver(delay, { ...packet, sequence, copy: false });
    }
    if (random.chance(duplicatePermille)) {
      this.#marks.hit("snapshotDuplicated");
      const delay = delayMs + this.#delayMs() + random.below(replayMs + 1);
      this.#deliver(delay, { ...packet, sequence, copy: true });
    }
    return !isLost;
  }

  /** The membership changes that a group's packets bring yet, but for copies. */
  changesOnTheirWay(group: GroupId): ConfChangeEntry[] {
    return [...this.#appends].filter((packet) => packet.group === group)
      .flatMap(({ message }) => entriesIn(message))
      .filter((entry) => entry.type === "confChange");
  }

  /** The entries that a group's packets bring a member yet, but for copies. */
  entriesOnTheirWay(group: GroupId, to: NodeId): Entry[] {
    return [...this.#appends]
      .filter(({ group: own, message }) => own === group && message.to === to)
      .flatMap(({ message }) => entriesIn(message));
  }

  /**
   * Whether a packet gets through its link now: if not for ever, then in so
   * many milliseconds.
   */
  arrive(packet: Packet, now: number): Arrival {
    const arrival = this.#arrivalOf(packet, now);
    if (typeof arrival !== "number") this.#appends.delete(packet);
    return arrival;
  }

  #arrivalOf(packet: Packet, now: number): Arrival {
    const { from, to } = packet.message;
    if (this.#isCalm && packet.copy) return "void";
    const link = from * MAX_ID + to;
    if ((this.#cuts[link] ?? 0) > 0) {
      this.#marks.hit("packetCut");
      return "cut";
    }
    const until = this.#cloggedUntil[link] ?? 0;
    if (until > now) {
      this.#marks.hit("packetClogged");
      return until - now;
    }
    this.#noteOrder(link, packet, now);
    return "delivered";
  }

  /** Cuts links; each cut has to be healed once. */
  cut(links: readonly Link[]): void {
    this.#count(links, 1);
  }

  /** Takes back a {@linkcode cut}. */
  heal(links: readonly Link[]): void {
    this.#count(links, -1);
  }

  /** Holds back everything on a link for a while. */
  clog(link: Link, untilMs: number): void {
    const at = link.from * MAX_ID + link.to;
    this.#cloggedUntil[at] = Math.max(this.#cloggedUntil[at] ?? 0, untilMs);
  }

  /**
   * Makes every link whole and, from now on, the network a kind one: nor do
   * old copies arrive any more, which could make a dead leader seem alive.
   */
  calm(options: NetworkOptions): void {
    this.#isCalm = true;
    this.#options = options;
    this.burstPermille = 0;
    this.#cuts.fill(0);
    this.#cloggedUntil.fill(0);
  }

  #count(links: readonly Link[], change: number): void {
    for (const { from, to } of links) {
      const at = from * MAX_ID + to;
      this.#cuts[at] = Math.max(0, (this.#cuts[at] ?? 0) + change);
    }
  }

  #delayMs(): number {
    const { minDelayMs, spreadMs, slowPermille, slowSpreadMs } = this.#options;
    const slow = this.#random.chance(slowPermille)
      ? this.#random.below(slowSpreadMs + 1)
      : 0;
    return minDelayMs + this.#random.below(spreadMs + 1) + slow;
  }

  #mayRepeat(message: Message): boolean {
    return message.type !== "propose" || this.#options.duplicateProposals;
  }

  #noteOrder(link: number, packet: Packet, now: number): void {
    const newest = this.#newest[link] ?? -1;
    if (packet.sequence < newest) this.#marks.hit("packetReordered");
    else this.#newest[link] = packet.sequence;
    if (packet.copy && now - packet.sentAt > LATE_MS) {
      this.#marks.hit("packetReplayedLate");
    }
  }
}

function entriesIn(message: Message): readonly Entry[] {
  return message.type === "appendEntries" ? message.entries : [];
}

/** Both directions between every member of `left` and every one of `right`. */
export function linksBetween(
  left: readonly NodeId[],
  right: readonly NodeId[],
): Link[] {
  return left.flatMap((from) =>
    right.flatMap((to) =>
      from === to ? [] : [{ from, to }, { from: to, to: from }]
    )
  );
}
