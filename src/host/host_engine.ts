/**
 * The turns of a host: everything that arrived is stepped, then all members'
 * I/O goes out joined, then what is committed is applied.
 *
 * @module
 */
import type { GroupId } from "../core/types.ts";
import { isRaftError, RaftError } from "../errors.ts";
import type { StopReason } from "../status.ts";
import type { Storage } from "../storage.ts";
import type {
  Envelope,
  PeerState,
  SnapshotTransfer,
  Transport,
  TransportHandler,
} from "../transport.ts";
import { messageOf } from "./snapshot_receiver.ts";
import { BulkLane } from "./bulk_lane.ts";
import type { Clock } from "./clock.ts";
import { LeaseGuard } from "./lease_guard.ts";
import type { HostEvent, IgnoredReason } from "./options.ts";
import { Outbox } from "./outbox.ts";
import type { Sender } from "./peers.ts";
import type { HostServices, Participant } from "./participant.ts";
import { Tasks } from "./tasks.ts";
import { Ticker } from "./ticker.ts";
import { WritePipeline } from "./write_pipeline.ts";

/** Milliseconds after which a turn leaves further slices to the next. */
const APPLY_BUDGET_MS = 5;
/** Addresses whose last state is remembered. */
const MAX_PEERS = 4_096;

/** What an engine is made of. */
export interface HostEngineOptions {
  readonly clock: Clock;
  readonly storage: Storage;
  readonly transport: Transport;
  readonly tickMs: number;
  readonly random: () => number;
  /** Own addresses, for reports. */
  readonly address: string;
  readonly clientAddress: string | null;
  readonly onEvent: ((event: HostEvent) => void) | undefined;
}

/** A frame that waits for the turn. */
interface Frame {
  readonly sender: Sender;
  readonly envelopes: readonly Envelope[];
}

/** Runs the members of one host. */
export class HostEngine implements HostServices, TransportHandler {
  readonly clock: Clock;
  readonly storage: Storage;
  readonly tickMs: number;
  readonly tasks: Tasks = new Tasks();
  readonly pipeline: WritePipeline;
  readonly outbox: Outbox;
  readonly bulk: BulkLane;
  incarnation: string | null = null;
  readonly #options: HostEngineOptions;
  readonly #ticker: Ticker;
  /** Members that run. */
  readonly #members = new Map<GroupId, Participant>();
  /** Those of them that need ticks: thousands of groups may sleep (C21). */
  readonly #awake = new Set<Participant>();
  readonly #leaseGuard: LeaseGuard;
  /** What arrived since the last turn. */
  #inbox: Frame[] = [];
  /** Members to collect in the next turn: those that are `marked`. */
  #marked: Participant[] = [];
  /** Members with something to apply, in turns: those that are `applying`. */
  #applying: Participant[] = [];
  /** How each other host was last reported. */
  readonly #peerStates = new Map<string, PeerState>();
  #tickDue = false;
  #turnScheduled = false;
  #turnCount = 0;
  #ignoredCount = 0;
  /** Why the storage cannot be used any more; `null` while it can. */
  #storageFailure: RaftError | null = null;
  #closed = false;

  constructor(options: HostEngineOptions) {
    this.#options = options;
    this.clock = options.clock;
    this.storage = options.storage;
    this.tickMs = options.tickMs;
    const { clock } = options;
    this.#leaseGuard = new LeaseGuard(clock.now(), clock.wallNow());
    this.pipeline = new WritePipeline({
      storage: options.storage,
      tasks: this.tasks,
      now: () => this.clock.now(),
      onFailure: (error) => this.#storageFailed(error),
    });
    this.outbox = new Outbox(
      options.transport,
      (_address, envelopes) => this.#undelivered(envelopes),
    );
    this.bulk = new BulkLane(options.transport);
    this.#ticker = new Ticker({
      clock: options.clock,
      tickMs: options.tickMs,
      random: options.random,
      onTick: () => {
        this.#tickDue = true;
        this.#requestTurn();
      },
    });
  }

  /** How many turns were run. */
  get turnCount(): number {
    return this.#turnCount;
  }

  /** Messages left out because no member may believe them. */
  get ignoredCount(): number {
    return this.#ignoredCount;
  }

  /** Why nothing can be stored any more; `null` while it can. */
  get storageFailure(): RaftError | null {
    return this.#storageFailure;
  }

  /** Gives a member its turns. */
  add(member: Participant): void {
    this.#members.set(member.group, member);
    this.wake(member);
  }

  /** Ends all turns; members were stopped before. */
  close(): void {
    this.#closed = true;
    this.#ticker.stop();
    this.#inbox = [];
  }

  /** Tells the owner; what the owner throws is the owner's (H125). */
  report(event: HostEvent): void {
    try {
      this.#options.onEvent?.(event);
    } catch {
      // A listener that fails must not end a turn half-way.
    }
  }

  // For members.

  wake(member: Participant): void {
    this.#mark(member);
    this.#requestTurn();
  }

  clocksAgree(): boolean {
    const { clock } = this;
    if (this.#leaseGuard.look(clock.now(), clock.wallNow())) return true;
    for (const member of this.#members.values()) member.clockJumped();
    return false;
  }

  clientAddressAt(address: string): string | null {
    if (address === this.#options.address) return this.#options.clientAddress;
    const state = this.#peerStates.get(address);
    return state?.type === "connected" ? state.clientAddress : null;
  }

  ignored(
    { address }: Sender,
    { group, message }: Envelope,
    reason: IgnoredReason,
  ): void {
    this.#ignoredCount++;
    const { from } = message;
    this.report({ type: "ignored", address, group, from, reason });
  }

  stopped(member: Participant, reason: StopReason): void {
    if (this.#members.get(member.group) !== member) return;
    this.#members.delete(member.group);
    this.#letSleep(member);
    const { group, node } = member;
    this.report({ type: "stopped", group, node, reason });
  }

  // For the transport: nothing happens inside its calls but noting.

  receive(
    address: string,
    envelopes: readonly Envelope[],
    incarnation: string | null,
  ): void {
    this.#inbox.push({ sender: { address, incarnation }, envelopes });
    this.#requestTurn();
  }

  peerState(address: string, state: PeerState): void {
    const before = this.#peerStates.get(address);
    this.#forgetOldest(address);
    this.#peerStates.set(address, state);
    if (before !== undefined && describePeer(before) === describePeer(state)) {
      return;
    }
    this.report({ type: "peer", address, state });
    for (const member of this.#members.values()) {
      member.peerState(address, state);
    }
  }

  refused(remote: string, code: string, reason: string): void {
    this.report({ type: "refused", remote, code, reason });
  }

  async snapshot(
    address: string,
    transfer: SnapshotTransfer,
    incarnation: string | null,
  ): Promise<void> {
    const { group } = transfer;
    const sender = { address, incarnation };
    const member = this.#members.get(group);
    if (member !== undefined) {
      return await member.receiveSnapshot(sender, transfer);
    }
    const message = messageOf(transfer);
    this.ignored(sender, { group, message }, "unknownGroup");
    throw new RaftError(
      "unsupported",
      `Cannot take a snapshot: group ${group} does not run here`,
    );
  }

  // The turn.

  #requestTurn(): void {
    if (this.#turnScheduled || this.#closed) return;
    this.#turnScheduled = true;
    this.clock.schedule(() => this.#turn());
  }

  #turn(): void {
    this.#turnScheduled = false;
    if (this.#closed) return;
    this.#turnCount++;
    const now = this.clock.now();
    this.#deliver(now);
    this.#tick(now);
    this.#collect(now);
    this.outbox.flush();
    this.pipeline.flush();
    this.#apply(now);
  }

  #deliver(now: number): void {
    if (this.#inbox.length === 0) return;
    const frames = this.#inbox;
    this.#inbox = [];
    for (const { sender, envelopes } of frames) {
      for (const envelope of envelopes) {
        const member = this.#members.get(envelope.group);
        if (member === undefined) {
          this.ignored(sender, envelope, "unknownGroup");
        } else this.#receive(member, sender, envelope, now);
      }
    }
  }

  #receive(
    member: Participant,
    sender: Sender,
    envelope: Envelope,
    now: number,
  ): void {
    try {
      const ignored = member.receive(sender, envelope.message, now);
      if (ignored !== null) {
        this.ignored(sender, envelope, ignored);
      } else this.#mark(member);
    } catch (error) {
      member.fail(error);
    }
  }

  /** After the network, so that a late tick does not see silence (H116). */
  #tick(now: number): void {
    if (!this.#tickDue) return;
    this.#tickDue = false;
    this.clocksAgree();
    for (const member of this.#awake) {
      this.#guard(member, () => member.tick(now));
      this.#mark(member);
    }
  }

  /** What a member has is collected in the next turn, or in this one. */
  #mark(member: Participant): void {
    if (this.#members.get(member.group) !== member) return;
    if (this.#awake.size === 0) this.#ticker.start();
    this.#awake.add(member);
    if (member.marked) return;
    member.marked = true;
    this.#marked.push(member);
  }

  #letSleep(member: Participant): void {
    this.#awake.delete(member);
    if (this.#awake.size === 0) this.#ticker.stop();
  }

  #collect(now: number): void {
    const members = this.#marked;
    this.#marked = [];
    for (const member of members) {
      member.marked = false;
      try {
        member.collect(now);
        this.#maybeApplyLater(member);
        if (member.isAsleep) this.#letSleep(member);
      } catch (error) {
        member.fail(error);
      }
    }
  }

  /** One slice each in turns, until the time is up (H110). */
  #apply(now: number): void {
    const endsAt = now + APPLY_BUDGET_MS;
    let next = 0;
    while (next < this.#applying.length) {
      const member = this.#applying[next++];
      if (member === undefined) break;
      member.applying = false;
      this.#guard(member, () => member.applySlice(now));
      this.#maybeApplyLater(member);
      if (next === this.#applying.length) break;
      if (this.clock.now() >= endsAt) break;
    }
    if (next === 0) return;
    this.#applying = this.#applying.slice(next);
    if (this.#applying.length > 0) this.#requestTurn();
  }

  #maybeApplyLater(member: Participant): void {
    if (member.applying || !member.hasApplies) return;
    member.applying = true;
    this.#applying.push(member);
  }

  #guard(member: Participant, work: () => void): void {
    try {
      work();
    } catch (error) {
      member.fail(error);
    }
  }

  /** Strangers may claim any number of addresses (H126). */
  #forgetOldest(comer: string): void {
    if (this.#peerStates.size < MAX_PEERS || this.#peerStates.has(comer)) {
      return;
    }
    for (const address of this.#peerStates.keys()) {
      this.#peerStates.delete(address);
      return;
    }
  }

  #undelivered(envelopes: readonly Envelope[]): void {
    for (const { group, message } of envelopes) {
      const member = this.#members.get(group);
      if (member === undefined) continue;
      this.#guard(member, () => member.undelivered([message]));
      this.wake(member);
    }
  }

  #storageFailed(cause: unknown): void {
    const failure = isRaftError(cause)
      ? cause
      : new RaftError("storageFailed", "Cannot write to storage: it failed", {
        cause,
      });
    this.#storageFailure = failure;
    for (const member of [...this.#members.values()]) member.fail(failure);
  }
}

function describePeer(state: PeerState): string {
  return state.type === "connected"
    ? `${state.type} ${state.clientAddress}`
    : `${state.type} ${state.reason}`;
}
