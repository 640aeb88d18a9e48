/**
 * What a node's storage and state machine do with a Ready: at once, or, with
 * asynchronous storage writes, by two queues whose answers travel through the
 * network.
 *
 * @module
 */
import type {
  Entry,
  LogIndex,
  Message,
  Ready,
  Term,
} from "../../src/core/mod.ts";
import type { KitMessage, KitReadState } from "./kit_types.ts";
import type { Member } from "./member.ts";
import type { Envelope, World } from "./world.ts";

/** A write that waits, with what leaves when it is durable. */
interface AppendWork {
  readonly ready: Ready;
  readonly responses: readonly Envelope[];
  /** Whether it is on disk already, and only not reported. */
  isWritten: boolean;
}

/** Queued work of nodes with asynchronous storage writes. */
export class StorageWork {
  readonly #world: World;
  readonly #appends: Map<number, AppendWork[]> = new Map();
  readonly #applies: Map<number, (readonly Entry[])[]> = new Map();
  /** Reads that were answered by a lease and not released yet. */
  readonly #answers: Map<number, KitReadState[]> = new Map();
  /** Terms that each node led in its present life. */
  readonly #led: Map<number, Set<number>> = new Map();

  constructor(world: World) {
    this.#world = world;
  }

  /** How many writes wait. */
  appendCount(id: number): number {
    return this.#appends.get(id)?.length ?? 0;
  }

  /** How many pages wait to be applied. */
  applyCount(id: number): number {
    return this.#applies.get(id)?.length ?? 0;
  }

  /** A crash: what was queued is lost. */
  forget(id: number): void {
    this.#appends.delete(id);
    this.#applies.delete(id);
    this.#led.delete(id);
    this.#answers.delete(id);
  }

  /** A lease answered a read; it is released with what is ready next. */
  answer(id: number, read: KitReadState): void {
    push(this.#answers, id, read);
  }

  /** Whether the core has nothing ready and no work waits. */
  isSettled(id: number): boolean {
    return !this.#hasReady(id) && this.appendCount(id) === 0 &&
      this.applyCount(id) === 0;
  }

  /** Takes what a core has ready. @returns Whether there was something. */
  processReady(id: number): boolean {
    if (!this.#hasReady(id)) return false;
    this.#releaseAnswers(id);
    const member = this.#world.member(id);
    if (!member.node.hasReady()) return true;
    const ready = member.node.ready();
    if (ready.loads.length > 0) {
      throw new Error(`node ${id} wants entries that it has`);
    }
    if (member.config.asyncStorageWrites) this.#queue(member, ready);
    else this.#carryOut(member, ready);
    return true;
  }

  /** Does one write. @returns Whether there was one. */
  processAppend(id: number): boolean {
    const work = this.#appends.get(id)?.shift();
    if (work === undefined) return false;
    const member = this.#world.member(id);
    if (!work.isWritten) member.disk.write(work.ready);
    member.reported.write(work.ready);
    this.#install(member, work.ready);
    for (const response of work.responses) this.#world.post(response);
    return true;
  }

  /** Applies one page. @returns Whether there was one. */
  processApply(id: number): boolean {
    const entries = this.#applies.get(id)?.shift();
    if (entries === undefined) return false;
    const member = this.#world.member(id);
    const appliedTo = this.#apply(member, entries);
    const message: KitMessage = {
      type: "storage-apply-response",
      from: "storage",
      to: id,
      appliedTo,
    };
    this.#world.post(
      this.#ownEnvelope(member, message, () => member.reportApplied(appliedTo)),
    );
    return true;
  }

  #hasReady(id: number): boolean {
    return this.#world.member(id).node.hasReady() || this.#answers.has(id);
  }

  #releaseAnswers(id: number): void {
    for (const read of this.#answers.get(id) ?? []) this.#release(id, read);
    this.#answers.delete(id);
  }

  #release(id: number, read: KitReadState): void {
    (this.#world.trace.readStates[id] ??= []).push(read);
  }

  #carryOut(member: Member, ready: Ready): void {
    const { committedEntries, messages, messagesAfterPersist } = ready;
    member.disk.write(ready);
    this.#install(member, ready);
    const appliedTo = this.#apply(member, committedEntries);
    this.#releaseReads(member, ready);
    this.#world.send([
      ...inSendingOrder(messages, messagesAfterPersist),
      ...messagesAfterPersist.filter((message) => !asksForVote(message)),
    ]);
    member.node.persisted(ready.number);
    if (committedEntries.length > 0) member.reportApplied(appliedTo);
  }

  #queue(member: Member, ready: Ready): void {
    const { id } = member;
    const { messages, messagesAfterPersist } = ready;
    this.#releaseReads(member, ready);
    this.#world.send(inSendingOrder(messages, messagesAfterPersist));
    if (member.node.role === "leader") {
      const led = this.#led.get(id) ?? new Set();
      this.#led.set(id, led.add(member.node.term));
    }
    const responses = this.#responsesOf(member, ready);
    const { hardState, snapshot, entries } = ready;
    if (
      hardState !== undefined || snapshot !== undefined ||
      entries.length > 0 || responses.length > 0
    ) {
      responses.push(...this.#reportOf(member, ready));
      push(this.#appends, id, { ready, responses, isWritten: false });
    }
    if (messagesAfterPersist.some(asksForVote)) this.#writeAhead(member);
    if (ready.committedEntries.length > 0) {
      push(this.#applies, id, ready.committedEntries);
    }
  }

  /**
   * What leaves when a write is durable: the core's messages, and what the
   * node tells itself. The core keeps its own vote and its own acknowledgement
   * inside, and counts them when it hears that the write is durable; the kit
   * shows them as messages.
   */
  #responsesOf(member: Member, ready: Ready): Envelope[] {
    const { id, node } = member;
    const own = (message: KitMessage): Envelope =>
      this.#ownEnvelope(member, message, () => node.persisted(ready.number));
    const responses: Envelope[] = [];
    for (const { type, term } of campaignsOf(member, ready)) {
      responses.push(own({ type, from: id, to: id, term, reject: false }));
    }
    for (const message of ready.messagesAfterPersist) {
      if (asksForVote(message)) continue;
      const envelope = this.#world.envelopeOf(message);
      if (envelope !== undefined) responses.push(envelope);
    }
    for (const { term, index } of ready.entries) {
      if (!this.#led.get(id)?.has(term)) continue;
      responses.push(
        own({ type: "append-response", from: id, to: id, term, index }),
      );
    }
    return responses;
  }

  /** What storage tells the node once entries or a snapshot are durable. */
  #reportOf(member: Member, { number, snapshot }: Ready): Envelope[] {
    const { id, node } = member;
    const { stableIndex, lastIndex, lastTerm, term } = node.status();
    if (snapshot === undefined && stableIndex >= lastIndex) return [];
    const message: KitMessage = {
      type: "storage-append-response",
      from: "storage",
      to: id,
      term,
      ...(stableIndex < lastIndex
        ? { index: lastIndex, logTerm: lastTerm }
        : {}),
      ...(snapshot === undefined
        ? {}
        : { snapshot: this.#world.translator.snapshotToKit(snapshot) }),
    };
    return [this.#ownEnvelope(member, message, () => node.persisted(number))];
  }

  /** A message of a node to itself; one of an earlier life means nothing. */
  #ownEnvelope(
    member: Member,
    message: KitMessage,
    take: () => void,
  ): Envelope {
    const { life } = member;
    return {
      message,
      deliver: () => {
        if (member.life === life) take();
        return undefined;
      },
    };
  }

  /**
   * A request for a vote may not leave before the candidate's term and vote
   * are durable, and in the kit it leaves at once: so the disk is ahead by
   * then, and only reports later.
   */
  #writeAhead(member: Member): void {
    for (const work of this.#appends.get(member.id) ?? []) {
      if (!work.isWritten) member.disk.write(work.ready);
      work.isWritten = true;
    }
  }

  #install(member: Member, { snapshot }: Ready): void {
    if (snapshot === undefined) return;
    member.install(snapshot);
    const { trace, translator } = this.#world;
    trace.installed[member.id] = translator.snapshotToKit(snapshot);
  }

  #apply(member: Member, entries: readonly Entry[]): LogIndex {
    const { trace, translator } = this.#world;
    for (const entry of entries) {
      member.apply(entry);
      (trace.applied[member.id] ??= []).push(translator.entryToKit(entry));
    }
    return member.machine.last.index;
  }

  #releaseReads(member: Member, ready: Ready): void {
    const { translator } = this.#world;
    for (const { index, context } of ready.readStates) {
      const name = translator.contextToKit(context);
      this.#release(member.id, { index, context: name });
    }
  }
}

/**
 * What leaves with a Ready. The core keeps requests for votes back until the
 * write is durable, the reference does not: the network gets them where they
 * were made, before what the candidate says in the term it stands for.
 */
function inSendingOrder(
  messages: readonly Message[],
  afterPersist: readonly Message[],
): Message[] {
  const ordered = [...messages];
  for (const request of afterPersist.filter(asksForVote)) {
    const at = ordered.findIndex((other) => madeIn(other) >= request.term);
    ordered.splice(at < 0 ? ordered.length : at, 0, request);
  }
  return ordered;
}

function asksForVote({ type }: Message): boolean {
  return type === "requestVote";
}

/** The term in which a message was made; a pre-vote speaks of the next. */
function madeIn({ type, term }: Message): Term {
  return type === "requestPreVote" ? term - 1 : term;
}

/** The own votes that become durable with this Ready, in order. */
function campaignsOf(
  { node, id }: Member,
  { hardState, softState, messages, messagesAfterPersist }: Ready,
): Pick<KitMessage, "type" | "term">[] {
  const requests = inSendingOrder(messages, messagesAfterPersist)
    .filter(({ type }) => type === "requestVote" || type === "requestPreVote");
  // Each campaign asks everybody once, so that one peer has heard of all.
  const peer = requests[0]?.to;
  if (peer !== undefined) {
    return requests.filter(({ to }) => to === peer).map(({ type, term }) => ({
      type: type === "requestVote" ? "vote-response" : "pre-vote-response",
      term,
    }));
  }
  const { term, role } = node;
  if (role === "candidate" && hardState?.vote === id) {
    return [{ type: "vote-response", term }];
  }
  return softState?.role === "preCandidate" && role === "preCandidate"
    ? [{ type: "pre-vote-response", term: term + 1 }]
    : [];
}

function push<T>(queues: Map<number, T[]>, id: number, item: T): void {
  const queue = queues.get(id);
  if (queue === undefined) queues.set(id, [item]);
  else queue.push(item);
}
