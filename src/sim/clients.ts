/**
 * Clients: they ask, wait, give up, and remember what they were told.
 *
 * @module
 */
import type { EntryId, LogIndex, NodeId } from "../core/types.ts";
import type { CommandCodec } from "../rsm/command_codec.ts";
import type { SimMember } from "./member.ts";
import { newCommandCodec, type SessionRef } from "./numbered_commands.ts";
import type { SimRandom } from "./prng.ts";
import { type Resend, SessionClients } from "./session_clients.ts";
import type {
  Consistency,
  HistoryEntry,
  Operation,
  Outcome,
} from "./subject.ts";
import { hashBytes } from "./trace_hash.ts";
import { fail } from "./violation.ts";
import type { World } from "./world.ts";

/** An operation on its way, and what became of it. */
export interface PendingOperation {
  readonly client: number;
  /** Batch of operations that were proposed together. */
  readonly batch: number;
  readonly node: NodeId;
  readonly operation: Operation<unknown, unknown>;
  readonly consistency: Consistency;
  /** The number of a command that may be sent again under it. */
  readonly ref: SessionRef | undefined;
  /** The encoded command; empty for a query. */
  readonly bytes: Uint8Array;
  readonly invokedAt: number;
  /** What some operation that had returned before this one has seen. */
  readonly floorIndex: LogIndex;
  /**
   * Whether a second copy may be on its way to a leader. Then a refusal says
   * nothing: the copy may still be appended (H102, H104).
   */
  mayRepeat: boolean;
  outcome: Outcome | undefined;
  returnedAt: number;
  value: unknown;
  entry: EntryId | undefined;
  readAt: LogIndex | undefined;
}

/** How an operation ended at its member; `expired`: its session has. */
export type Settlement =
  | { readonly outcome: "notAppended" | "unknown" | "expired" }
  | {
    readonly outcome: "ok";
    readonly value: unknown;
    /** For a command: where it is in the log. */
    readonly entry?: EntryId | undefined;
    /** For a command: whether this is the answer of an earlier copy. */
    readonly isRepeat?: boolean | undefined;
    /** For a query: what was applied when it was answered. */
    readonly readAt?: LogIndex | undefined;
  };

/** Results that a client remembers. */
const MEMORY_COUNT = 4;

/** Operations that are drawn at most to find one that reads. */
const MAX_DRAWS = 32;

const NO_BYTES = new Uint8Array(0);

interface Client {
  /** The batch under way; 0 for none. */
  batch: number;
  /** Its operations that have not ended. */
  waiting: PendingOperation[];
  readonly seen: unknown[];
}

/** All clients of a run. */
export class SimClients {
  readonly #world: World;
  readonly #members: readonly SimMember[];
  readonly #random: SimRandom;
  readonly #clients: Client[] = [];
  readonly #operations: PendingOperation[] = [];
  readonly #sessions: SessionClients;
  /** Where sessions are kept, every command is in an envelope. */
  readonly #codec: CommandCodec<Uint8Array> | undefined;
  #isStopped = false;
  #order = 0;
  #batch = 0;
  /** The highest index that anything which has returned had seen. */
  #seenIndex: LogIndex = 0;

  /** Makes the clients; they begin when their events are scheduled. */
  constructor(
    world: World,
    members: readonly SimMember[],
    random: SimRandom,
  ) {
    this.#world = world;
    this.#members = members;
    this.#random = random;
    const { clients, sessions } = world.options;
    for (let client = 0; client <= clients.count; client++) {
      this.#clients.push({ batch: 0, waiting: [], seen: [] });
    }
    this.#sessions = new SessionClients(
      world,
      random.fork("sessions"),
      clients.count + 1,
    );
    if (sessions.clientPermille > 0) this.#codec = newCommandCodec();
  }

  /** Lets every client begin at some time. The last one only probes. */
  start(): void {
    const { count } = this.#world.options.clients;
    for (let client = 0; client < count; client++) this.#think(client);
  }

  /** No client begins anything any more. */
  stop(): void {
    this.#isStopped = true;
    this.#sessions.stop();
  }

  /** What all clients asked and were told, in order of asking. */
  history(): HistoryEntry<unknown, unknown, unknown, unknown>[] {
    return this.#operations.map((pending) => {
      const { operation, consistency, node, invokedAt, returnedAt, outcome } =
        pending;
      const isOk = outcome === "ok";
      const isQuery = operation.type === "query";
      return {
        operation,
        consistency,
        node,
        invokedAt,
        returnedAt: outcome === "unknown" || outcome === undefined
          ? Infinity
          : returnedAt,
        outcome: outcome ?? "unknown",
        result: isOk && !isQuery ? pending.value : undefined,
        answer: isOk && isQuery ? pending.value : undefined,
        entry: pending.entry,
        readAt: pending.readAt,
      };
    });
  }

  /** Operations by outcome. */
  count(outcome: Outcome): number {
    let count = 0;
    for (const operation of this.#operations) {
      if (operation.outcome === outcome) count++;
    }
    return count;
  }

  /** A client's time has come. */
  begin(client: number): void {
    if (this.#isStopped) return;
    const member = this.#chooseMember();
    this.#ask(client, member, this.#drawOperations(client));
  }

  /** The client's patience with a batch has ended, save what it may repeat. */
  deadline(client: number, batch: number): void {
    const state = this.#clientOf(client);
    if (state.batch !== batch) return;
    for (const operation of [...state.waiting]) {
      if (operation.ref !== undefined && !this.#isStopped) continue;
      this.settle(this.#sessions.lastOf(operation), { outcome: "unknown" });
    }
  }

  /** A numbered command is sent again, through whichever member. */
  resend(event: Resend): void {
    const copy = this.#sessions.resend(event);
    if (copy === undefined) return;
    const member = this.#chooseMember();
    const sent = { ...copy, node: member.id };
    this.#sessions.resent(sent);
    member.submit([sent]);
  }

  /** A member's process is gone, and all connections with it. */
  memberCrashed(node: NodeId): void {
    for (const { waiting } of this.#clients) {
      for (const operation of [...waiting]) {
        const last = this.#sessions.lastOf(operation);
        if (last.node !== node) continue;
        this.settle(last, { outcome: "unknown" });
      }
    }
  }

  /** Asks for one write through `member`, besides what clients do. */
  probe(member: SimMember): PendingOperation {
    const client = this.#clients.length - 1;
    this.deadline(client, this.#clientOf(client).batch);
    let operation = this.#drawOperation(client);
    while (operation.type !== "command") {
      operation = this.#drawOperation(client);
    }
    const [pending] = this.#ask(client, member, [operation]);
    if (pending === undefined) throw new RangeError("Cannot probe: no command");
    return pending;
  }

  /** Asks for one read through `member`, if the subject has any. */
  probeRead(member: SimMember): void {
    const client = this.#clients.length - 1;
    this.deadline(client, this.#clientOf(client).batch);
    for (let i = 0; i < MAX_DRAWS; i++) {
      const operation = this.#drawOperation(client);
      if (operation.type !== "query") continue;
      this.#ask(client, member, [operation]);
      return;
    }
  }

  /** An operation ended at its member, or one of its copies did. */
  settle(pending: PendingOperation, settlement: Settlement): void {
    if (settlement.outcome === "ok") this.#checkTruth(pending, settlement);
    const end = this.#sessions.ended(pending, settlement);
    if (end !== undefined) this.#end(this.#sessions.originalOf(pending), end);
  }

  /** An operation ended; only the first end counts for its client. */
  #end(pending: PendingOperation, settlement: Settlement): void {
    const { marks } = this.#world;
    if (pending.outcome !== undefined) {
      if (settlement.outcome === "ok") marks.hit("unknownWriteAppeared");
      return;
    }
    pending.outcome = outcomeOf(pending, settlement);
    pending.returnedAt = ++this.#order;
    const state = this.#clientOf(pending.client);
    if (settlement.outcome === "ok") {
      this.#checkOrder(pending, settlement);
      pending.value = settlement.value;
      state.seen.push(settlement.value);
      if (state.seen.length > MEMORY_COUNT) state.seen.shift();
    } else if (
      pending.outcome === "unknown" && pending.operation.type === "command"
    ) {
      marks.hit("writeOutcomeUnknown");
    }
    state.waiting = state.waiting.filter((other) => other !== pending);
    if (state.waiting.length > 0) return;
    state.batch = 0;
    this.#think(pending.client);
  }

  #think(client: number): void {
    if (client >= this.#world.options.clients.count) return;
    const { thinkMs } = this.#world.options.clients;
    this.#world.schedule(this.#random.below(thinkMs + 1), {
      type: "client",
      group: this.#world.group,
      client,
    });
  }

  #chooseMember(): SimMember {
    const { leaderPermille } = this.#world.options.clients;
    const leaders = this.#members.filter(({ core }) => core?.role === "leader");
    return leaders.length > 0 && this.#random.chance(leaderPermille)
      ? this.#random.pick(leaders)
      : this.#random.pick(this.#members);
  }

  #drawOperation(client: number): Operation<unknown, unknown> {
    const { seen } = this.#clientOf(client);
    return this.#world.subject.next(
      this.#random,
      this.#world.newSerial(),
      seen,
    );
  }

  #drawOperations(client: number): Operation<unknown, unknown>[] {
    const first = this.#drawOperation(client);
    const operations = [first];
    if (first.type === "query") return operations;
    const { batchCount } = this.#world.options.clients;
    const more = this.#random.below(batchCount);
    for (let i = 0; i < more; i++) {
      const next = this.#drawOperation(client);
      if (next.type === "command") operations.push(next);
    }
    return operations;
  }

  #ask(
    client: number,
    member: SimMember,
    operations: readonly Operation<unknown, unknown>[],
  ): PendingOperation[] {
    const batch = ++this.#batch;
    const invokedAt = ++this.#order;
    const pending = operations.map((operation): PendingOperation => {
      const ref = operation.type === "command"
        ? this.#sessions.nextRef(client)
        : undefined;
      return {
        client,
        batch,
        node: member.id,
        operation,
        consistency: this.#drawConsistency(operation),
        ref,
        bytes: this.#encode(operation, ref),
        invokedAt,
        floorIndex: this.#seenIndex,
        mayRepeat: false,
        outcome: undefined,
        returnedAt: Infinity,
        value: undefined,
        entry: undefined,
        readAt: undefined,
      };
    });
    this.#operations.push(...pending);
    for (const operation of pending) this.#sessions.began(operation);
    const state = this.#clientOf(client);
    state.batch = batch;
    state.waiting = pending;
    const { timeoutMs } = this.#world.options.clients;
    const { group } = this.#world;
    this.#world.schedule(timeoutMs, { type: "deadline", group, client, batch });
    member.submit(pending);
    return pending;
  }

  #drawConsistency(operation: Operation<unknown, unknown>): Consistency {
    if (operation.type === "command") return "linearizable";
    const { leasePermille, stalePermille } = this.#world.options.protocol;
    if (this.#random.chance(leasePermille)) return "lease";
    return this.#random.chance(stalePermille) ? "stale" : "linearizable";
  }

  #encode(
    operation: Operation<unknown, unknown>,
    ref: SessionRef | undefined,
  ): Uint8Array {
    if (operation.type === "query") return NO_BYTES;
    const bytes = this.#world.subject.encode(operation.command);
    return this.#codec?.encode(bytes, ref) ?? bytes;
  }

  /** What was acknowledged is committed, durable, and what was asked for. */
  #checkTruth(
    pending: PendingOperation,
    settlement: Settlement & { outcome: "ok" },
  ): void {
    const { entry, readAt } = settlement;
    pending.entry = entry;
    pending.readAt = readAt;
    if (entry === undefined) return;
    const { committed } = this.#world.oracle;
    const digest = hashBytes(pending.bytes);
    if (
      committed.termAt(entry.index) === entry.term &&
      committed.commandDigestAt(entry.index) === digest
    ) return;
    fail(
      "acknowledgedDurable",
      `Member ${pending.node} acknowledged (index ${entry.index}, term ${entry.term}), committed there is term ${
        committed.termAt(entry.index)
      }${
        committed.termAt(entry.index) === entry.term ? ", another command" : ""
      }`,
    );
  }

  /**
   * The log is an order of all operations that explains their results; it
   * must agree with real time: nothing sees less than what had returned
   * before it began.
   */
  #checkOrder(
    pending: PendingOperation,
    settlement: Settlement & { outcome: "ok" },
  ): void {
    const { entry, readAt } = settlement;
    if (pending.consistency === "stale") return;
    const seen = entry?.index ?? readAt ?? 0;
    if (seen < pending.floorIndex) {
      fail(
        "linearizability",
        `Member ${pending.node} answered as of index ${seen}, an operation that had returned before had seen index ${pending.floorIndex}`,
      );
    }
    this.#seenIndex = Math.max(this.#seenIndex, seen);
  }

  #clientOf(client: number): Client {
    const state = this.#clients[client];
    if (state === undefined) {
      throw new RangeError(`Cannot find client ${client}: there is none`);
    }
    return state;
  }
}

/** What a client knows of an operation that ended (H104). */
function outcomeOf(
  { mayRepeat }: PendingOperation,
  { outcome }: Settlement,
): Outcome {
  if (outcome === "expired") return "unknown";
  return outcome === "notAppended" && mayRepeat ? "unknown" : outcome;
}
