/**
 * Marks for what arrives late, twice or out of turn.
 *
 * @module
 */
import type { AppendEntriesResponse, Message } from "../core/message.ts";
import type { RawNode } from "../core/raw_node.ts";
import type { LogIndex } from "../core/types.ts";
import type { MarkCounter } from "./marks.ts";
import { MAX_ID, type Packet } from "./network.ts";
import type { MemberView } from "./oracle.ts";

/** Looks at packets as they arrive. */
export class PacketMarks {
  readonly #marks: MarkCounter;
  /** Highest index acknowledged so far, by term and follower. */
  readonly #acknowledged = new Map<number, LogIndex>();

  /** Counts into `marks`. */
  constructor(marks: MarkCounter) {
    this.#marks = marks;
  }

  /** A packet is about to be handed to `core`. */
  note(packet: Packet, sender: MemberView, core: RawNode): void {
    const { message, life } = packet;
    if (life < sender.life) this.#marks.hit("oldLifeMessage");
    if (message.term > 0 && message.term < core.term) {
      this.#marks.hit("oldTermMessage");
      return;
    }
    if (message.type === "appendEntriesResponse") this.#noteAnswer(message);
    else this.#noteRequest(message, packet.copy, core);
  }

  #noteAnswer({ term, from, index, reject }: AppendEntriesResponse): void {
    const key = term * MAX_ID + from;
    const newest = this.#acknowledged.get(key) ?? 0;
    if (reject) {
      if (index <= newest) this.#marks.hit("staleRejection");
      return;
    }
    if (index < newest) this.#marks.hit("staleAck");
    else this.#acknowledged.set(key, index);
  }

  #noteRequest(message: Message, copy: boolean, core: RawNode): void {
    if (message.type === "propose" && copy) this.#marks.hit("proposalRepeated");
    if (message.type !== "appendEntries" || core.role !== "follower") return;
    const { entries, prevLogIndex, prevLogTerm } = message;
    if (entries.length === 0) this.#marks.hit("emptyAppend");
    if (
      prevLogIndex >= core.commitIndex &&
      prevLogIndex + entries.length < core.lastIndex &&
      (core.termAt(prevLogIndex) ?? 0) === prevLogTerm
    ) this.#marks.hit("shortAppendAfterLonger");
  }
}
