/**
 * The model around the cores: one network, many nodes, and what a step made
 * them do.
 *
 * @module
 */
import type { Message, NodeId, Term } from "../../src/core/mod.ts";
import type {
  KitEntry,
  KitError,
  KitMessage,
  KitReadState,
  KitSnapshot,
  KitStepError,
  StartOperation,
} from "./kit_types.ts";
import { Member } from "./member.ts";
import { Translator } from "./translate.ts";

/** A message in flight. */
export interface Envelope {
  /** What the kit says it is. */
  readonly message: KitMessage;
  /** Hands it to its receiver; gives the error if the core refuses it. */
  readonly deliver: (receiver: Member) => KitError | undefined;
}

/** What happened during a step. */
export interface Trace {
  readonly applied: Record<string, KitEntry[]>;
  readonly installed: Record<string, KitSnapshot>;
  readonly readStates: Record<string, KitReadState[]>;
  readonly sent: KitMessage[];
  readonly stepErrors: KitStepError[];
  delivered: number;
  dropped: number;
  error: KitError | undefined;
}

function emptyTrace(): Trace {
  return {
    applied: {},
    installed: {},
    readStates: {},
    sent: [],
    stepErrors: [],
    delivered: 0,
    dropped: 0,
    error: undefined,
  };
}

/** Nodes and the network between them. */
export class World {
  readonly translator: Translator = new Translator();
  readonly members: Map<NodeId, Member> = new Map();
  /** What the present step did so far. */
  trace: Trace = emptyTrace();
  /** Messages in flight, in the order of sending. */
  #network: Envelope[] = [];

  /** A step begins. */
  beginStep(): void {
    this.trace = emptyTrace();
  }

  /** Creates a node. */
  start(id: NodeId, operation: StartOperation): void {
    this.members.set(id, new Member(id, operation, this.translator));
  }

  /** A node that exists. */
  member(id: NodeId): Member {
    const member = this.members.get(id);
    if (member === undefined) throw new RangeError(`there is no node ${id}`);
    return member;
  }

  /** All nodes, ascending. */
  get ids(): NodeId[] {
    return [...this.members.keys()].sort((a, b) => a - b);
  }

  /** Puts a message into the network. */
  post(envelope: Envelope): void {
    this.#network.push(envelope);
    this.trace.sent.push(envelope.message);
  }

  /** Puts messages of a core into the network, those that the kit knows. */
  send(messages: readonly Message[]): void {
    for (const message of messages) {
      const envelope = this.envelopeOf(message);
      if (envelope !== undefined) this.post(envelope);
    }
  }

  /** Wraps a message of a core; `undefined` if the kit does not know it. */
  envelopeOf(message: Message): Envelope | undefined {
    const shown = this.translator.messageToKit(message);
    if (shown === undefined) return undefined;
    const carried = withoutExtras(message);
    return {
      message: shown,
      deliver: (receiver) => deliverTo(receiver, carried),
    };
  }

  /**
   * Delivers what is in flight to a node at this moment.
   *
   * @param type Only messages of this type.
   * @returns How many messages there were.
   */
  deliver(to: NodeId, type?: string): number {
    const receiver = this.members.get(to);
    if (receiver === undefined) return 0;
    const mine = this.#take((message) => isFor(message, to, type));
    for (const { message, deliver } of mine) {
      this.trace.delivered++;
      const error = deliver(receiver);
      if (error === undefined) continue;
      const from = message.from === "storage" ? 0 : message.from;
      this.trace.stepErrors.push({
        node: to,
        from,
        type: message.type,
        error,
      });
    }
    return mine.length;
  }

  /** Loses what is in flight to a node; a node's own answers stay. */
  drop(to: NodeId, type?: string): void {
    const lost = this.#take((message) =>
      isFor(message, to, type) && message.from !== to &&
      message.from !== "storage"
    );
    this.trace.dropped += lost.length;
  }

  #take(wanted: (message: KitMessage) => boolean): Envelope[] {
    const taken = this.#network.filter(({ message }) => wanted(message));
    this.#network = this.#network.filter((one) => !taken.includes(one));
    return taken;
  }
}

/**
 * What a message says in the kit: its nodes replay the log upon what they were
 * started with, and are not told what the group began with.
 */
function withoutExtras(message: Message): Message {
  return message.type === "appendEntries" && message.founding !== undefined
    ? { ...message, founding: undefined }
    : message;
}

function isFor(message: KitMessage, to: NodeId, type?: string): boolean {
  return message.to === to && (type === undefined || message.type === type);
}

/** Steps messages that were told apart from one of the kit's. */
export function stepAll(
  receiver: Member,
  translator: Translator,
  message: KitMessage,
): KitError | undefined {
  const term: Term = receiver.node.term;
  for (const each of translator.messagesFromKit(message, term)) {
    const error = deliverTo(receiver, each);
    if (error !== undefined) return error;
  }
  return undefined;
}

function deliverTo(receiver: Member, message: Message): KitError | undefined {
  switch (receiver.node.step(message)) {
    case "unknownPeer":
      return "unknown-peer";
    case "proposalDropped":
      // A leader of the reference appends an empty entry in the place of a
      // change that does not fit.
      return message.type === "propose" && message.change !== null
        ? proposeInItsPlace(receiver)
        : "proposal-dropped";
    default:
      return undefined;
  }
}

/** Proposes the empty entry that stands for a change that does not fit. */
export function proposeInItsPlace(member: Member): KitError | undefined {
  if (member.node.role !== "leader") return "proposal-dropped";
  const outcome = member.node.propose([new Uint8Array()]);
  return outcome.type === "dropped" ? "proposal-dropped" : undefined;
}
