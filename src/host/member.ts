/**
 * One member of one group at work: everything between its core and the host.
 *
 * @module
 */
import type { Message } from "../core/message.ts";
import type { RawNode } from "../core/raw_node.ts";
import type { Ready } from "../core/ready.ts";
import type { Entry, GroupId, NodeId, SnapshotMeta } from "../core/types.ts";
import type { ApplyOutcome, MachineRunner } from "../rsm/machine_runner.ts";
import type { GroupEvent, GroupStatus, StopReason } from "../status.ts";
import type { PeerState, SnapshotTransfer } from "../transport.ts";
import type { Announcer } from "./announcer.ts";
import type { Applier } from "./applier.ts";
import { Calls } from "./calls.ts";
import type { CommitNotices } from "./commit_notices.ts";
import type { Departure } from "./departure.ts";
import type { DiskBinder } from "./disk_binder.ts";
import type { Durability } from "./durability.ts";
import type { Freshness } from "./freshness.ts";
import type { Loads } from "./loads.ts";
import {
  callerParts,
  engineParts,
  type MemberHooks,
  type MemberOptions,
} from "./member_parts.ts";
import { describeMember } from "./member_status.ts";
import type { Memberships } from "./memberships.ts";
import type { IgnoredReason } from "./options.ts";
import type { HostServices, Participant } from "./participant.ts";
import type { Peers, Sender } from "./peers.ts";
import type { Proposals } from "./proposals.ts";
import type { Reads } from "./reads.ts";
import type { SnapshotKind, Snapshots } from "./snapshots.ts";
import {
  removalReason,
  stopErrorMessage,
  stopReasonOf,
} from "./stop_reason.ts";
import type { Transfers } from "./transfers.ts";

/** Readys taken in one turn; what is left waits for the next. */
const MAX_READYS_PER_TURN = 8;

/** A member. Its core is called from turns only. */
export class Member<C, R, Q, A> implements Participant {
  readonly group: GroupId;
  readonly node: NodeId;
  /** What users may ask. */
  readonly calls: Calls<C, R, Q, A>;
  marked = false;
  applying = false;
  readonly #services: HostServices;
  readonly #core: RawNode;
  readonly #runner: MachineRunner<C, R, Q, A>;
  readonly #peers: Peers;
  readonly #freshness: Freshness;
  readonly #announcer: Announcer;
  readonly #applier: Applier<R>;
  readonly #notices: CommitNotices;
  readonly #durability: Durability;
  readonly #proposals: Proposals<R>;
  readonly #reads: Reads<Q, A>;
  readonly #transfers: Transfers;
  readonly #memberships: Memberships;
  readonly #binder: DiskBinder;
  readonly #snapshots: Snapshots;
  readonly #loads: Loads;
  readonly #departure: Departure;
  /** Things to do with the core, once there is a turn. */
  #work: (() => void)[] = [];
  /** Set by the first `stop`; from then on nothing new is taken. */
  #stopping: Promise<void> | null = null;

  constructor(options: MemberOptions<C, R, Q, A>) {
    const { core, runner, services, settings } = options;
    this.group = settings.group;
    this.node = settings.node;
    this.#services = services;
    this.#core = core;
    this.#runner = runner;
    const hooks: MemberHooks<R> = {
      inTurn: (work) => this.#inTurn(work),
      wake: () => services.wake(this),
      send: (message) => this.#send(message),
      turnAway: (id) => this.#turnAway(id, this.#peers.addressOf(id)),
      onFailure: (error) => this.fail(error),
      onApplied: (entries, outcomes) => this.#applied(entries, outcomes),
      onSnapshot: (meta, kind) => this.#snapshotStored(meta, kind),
      onSnapshotProblem: ({ index }, { code, message: reason }) => {
        const type = "snapshotProblem";
        this.#announcer.events.emit({ type, index, code, reason });
      },
    };
    const engine = engineParts(options, hooks);
    this.#peers = engine.peers;
    this.#freshness = engine.freshness;
    this.#announcer = engine.announcer;
    this.#durability = engine.durability;
    this.#notices = engine.notices;
    this.#applier = engine.applier;
    this.#loads = engine.loads;
    this.#snapshots = engine.snapshots;
    const callers = callerParts(options, engine, hooks);
    this.#proposals = callers.proposals;
    this.#reads = callers.reads;
    this.#transfers = callers.transfers;
    this.#memberships = callers.memberships;
    this.#binder = callers.binder;
    this.#departure = callers.departure;
    this.calls = new Calls({
      clock: services.clock,
      timeoutMs: settings.timeoutMs,
      core,
      runner,
      snapshots: engine.snapshots,
      ...callers,
      inTurn: hooks.inTurn,
      wake: hooks.wake,
      serve: () => this.#serve(),
      phase: () => this.#phase,
      stopError: () => this.#stopError(),
    });
  }

  /** Whether it takes part no longer. */
  get isStopped(): boolean {
    return this.#announcer.stopped !== null;
  }

  /** Promises in the hands of callers that are not settled. */
  get pendingCount(): number {
    return this.#proposals.pendingCount + this.#reads.pendingCount +
      this.#transfers.pendingCount + this.#snapshots.pendingCount +
      this.#memberships.pendingCount;
  }

  get isAsleep(): boolean {
    if (this.isStopped) return true;
    return this.#core.quiesced && this.pendingCount === 0 &&
      this.#stopping === null;
  }

  get hasApplies(): boolean {
    if (this.isStopped) return false;
    return this.#applier.hasWork ||
      this.#reads.canServe(this.#runner.appliedIndex);
  }

  // What users see.

  /** The member at this instant. */
  status(): GroupStatus {
    return describeMember({
      group: this.group,
      core: this.#core.status(),
      peers: this.#peers,
      freshness: this.#freshness,
      appliedIndex: this.#runner.appliedIndex,
      snapshotIndex: this.#snapshots.index,
      leading: this.#core.committedInTerm,
      stopped: this.#announcer.stopped,
      now: this.#services.clock.now(),
      clientAddressAt: (address) => this.#services.clientAddressAt(address),
    });
  }

  /** What happens, from now on. */
  events(options: { readonly signal?: AbortSignal | undefined }): AsyncIterable<
    GroupEvent
  > {
    return this.#announcer.events.iterable(options.signal);
  }

  /** Stops in an orderly way; idempotent. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stopOrderly();
    return this.#stopping;
  }

  // Turns of the host.

  receive(
    sender: Sender,
    message: Message,
    now: number,
  ): IgnoredReason | null {
    const ignored = this.#peers.admit(sender, message, now);
    if (ignored !== null) {
      // It must not answer an answer of the same kind.
      if (ignored === "replacedDisk" && message.type !== "removed") {
        this.#turnAway(message.from, sender.address);
      }
      return ignored;
    }
    // Its data comes by the transport's bulk channel or not at all.
    if (message.type === "installSnapshot") return "unsupported";
    const core = this.#core;
    core.step(message);
    if (message.type === "appendEntriesResponse" && message.reject) {
      this.#binder.denied(message.from);
    }
    this.#notices.stepped(message, core.lastIndex);
    if (message.from === core.leader && message.term === core.term) {
      this.#freshness.heard(message, this.#runner.appliedIndex, now);
    }
    return null;
  }

  receiveSnapshot(sender: Sender, transfer: SnapshotTransfer): Promise<void> {
    return this.#snapshots.receive(transfer, (message) => {
      const now = this.#services.clock.now();
      const ignored = this.#peers.admit(sender, message, now);
      if (ignored !== null) {
        const { group } = this;
        this.#services.ignored(sender, { group, message }, ignored);
      }
      return ignored;
    });
  }

  tick(now: number): void {
    const core = this.#core;
    core.tick(now);
    this.#proposals.unblock();
    this.#proposals.expire(now, core.leader);
    this.#reads.tick(core, now);
    this.#transfers.tick(now);
    this.#memberships.tick(now);
    this.#binder.tick();
    this.#durability.tick();
    this.#snapshots.tick(now);
    this.#departure.check(now);
  }

  collect(now: number): void {
    if (this.isStopped) return;
    const core = this.#core;
    this.#durability.release();
    this.#doWork();
    this.#lookAround();
    this.#proposals.takeAnswers(core);
    this.#proposals.flush(core);
    this.#reads.flush(core, now);
    for (let count = 0; count < MAX_READYS_PER_TURN; count++) {
      if (!core.hasReady()) break;
      this.#carryOut(core.ready());
    }
    this.#lookAround();
    this.#departure.check(now);
    if (core.removal !== null) {
      return this.#finish(removalReason(this.group, core.removal));
    }
    if (core.hasReady() || this.#proposals.canFlush || this.#reads.canFlush) {
      this.#services.wake(this);
    }
  }

  applySlice(now: number): void {
    if (this.isStopped) return;
    this.#applier.step();
    this.#serve();
    this.#departure.check(now);
    if (this.#core.hasReady()) this.#services.wake(this);
  }

  undelivered(messages: readonly Message[]): void {
    if (this.isStopped) return;
    for (const message of messages) {
      this.#core.reportUnreachable(message.to);
      if (message.type === "propose" && message.from === this.node) {
        this.#proposals.undelivered(this.#core, message.ticket);
      }
    }
  }

  peerState(address: string, state: PeerState): void {
    const node = this.#peers.idAt(address);
    if (node === undefined || this.isStopped) return;
    this.#announcer.events.emit({
      type: "peer",
      node,
      state: state.type,
      reason: state.type === "connected" ? null : state.reason,
    });
    if (state.type === "connected") return;
    this.#inTurn(() => {
      this.#core.reportUnreachable(node);
      if (state.type !== "unreachable" || !state.refused) return;
      // Nobody listens there any more: its process is gone (C25).
      this.#core.suspectLeader(node);
    });
  }

  clockJumped(): void {
    // Between turns, for the lease must not be believed a moment longer.
    this.#core.dropLease();
  }

  fail(error: unknown): void {
    if (!this.isStopped) this.#finish(stopReasonOf(error));
  }

  // What a turn consists of.

  #carryOut(ready: Ready): void {
    for (const message of ready.messages) {
      if (!this.#notices.hold(message)) this.#send(message);
    }
    if (ready.snapshot === undefined) this.#durability.take(ready);
    else this.#install(ready, ready.snapshot);
    this.#applier.push(ready.committedEntries);
    for (const state of ready.readStates) this.#reads.confirm(state);
    for (const load of ready.loads) this.#loads.start(load);
  }

  /** The log is replaced; once that is durable the machine follows. */
  #install(ready: Ready, meta: SnapshotMeta): void {
    this.#peers.update(meta.conf);
    const idle = this.#snapshots.install();
    this.#durability.take(ready, () => this.#snapshots.restore(meta, idle));
  }

  #snapshotStored(meta: SnapshotMeta, kind: SnapshotKind): void {
    const { conf, index, term } = meta;
    if (kind === "installed") {
      this.#freshness.applied(index);
      this.#proposals.installed({ term, index });
      this.#announcer.restored(conf, index);
    }
    this.#announcer.events.emit({ type: "snapshot", index, term, kind });
  }

  #send(message: Message): void {
    if (message.type === "installSnapshot") {
      this.#snapshots.send(message);
      return;
    }
    const address = this.#peers.addressOf(message.to);
    if (address === undefined) return;
    this.#services.outbox.add(address, { group: this.group, message });
  }

  /** Tells a member that it came back on another disk, or an older one. */
  #turnAway(to: NodeId, address: string | undefined): void {
    if (address === undefined) return;
    const { version } = this.#core.conf;
    const message: Message = {
      type: "removed",
      from: this.node,
      to,
      term: 0,
      reason: "replacedDisk",
      version,
    };
    this.#services.outbox.add(address, { group: this.group, message });
    this.#services.wake(this);
  }

  /** Notices changes of role and leader, and what they set free. */
  #lookAround(): void {
    if (!this.#announcer.look(this.#core)) return;
    this.#proposals.unblock();
    this.#reads.leaderChanged(this.#core);
    this.#transfers.leaderChanged();
    this.#memberships.leaderChanged();
    this.#snapshots.leaderChanged();
  }

  #applied(
    entries: readonly Entry[],
    outcomes: readonly ApplyOutcome<R>[],
  ): void {
    const last = entries.at(-1);
    if (last === undefined || this.isStopped) return;
    if (last.index <= this.#core.appliedIndex) {
      // A snapshot has replaced log and configuration since.
      this.#proposals.applied(entries, outcomes);
      return;
    }
    for (const entry of entries) {
      if (entry.type !== "confChange") continue;
      const conf = this.#core.applyConfChange(entry.change, entry.index);
      this.#peers.update(conf);
      this.#durability.storeConf({ index: entry.index, conf });
      this.#announcer.membership(conf, entry.index);
      this.#memberships.applied(entry, conf);
    }
    this.#core.applied(last.index);
    this.#memberships.appliedThrough(last.index);
    this.#freshness.applied(last.index);
    this.#proposals.applied(entries, outcomes);
    this.#snapshots.applied(entries);
    this.#announcer.applied(this.#core, last);
  }

  #serve(): void {
    this.#reads.serve(
      this.#runner.appliedIndex,
      (query) => this.#runner.query(query),
    );
  }

  #inTurn(work: () => void): void {
    if (this.isStopped) return;
    this.#work.push(work);
    this.#services.wake(this);
  }

  #doWork(): void {
    if (this.#work.length === 0) return;
    const work = this.#work;
    this.#work = [];
    for (const doIt of work) doIt();
  }

  // Stopping.

  async #stopOrderly(): Promise<void> {
    await this.#departure.prepare();
    if (!this.isStopped) {
      this.#durability.flush();
      this.#services.pipeline.flush();
      this.#finish({ code: "stopped", message: "It was told to stop" });
    }
    await this.#services.pipeline.barrier();
  }

  #finish(reason: StopReason): void {
    this.#announcer.stop(reason);
    this.#notices.stop();
    const [code, message] = this.#stopError();
    this.#proposals.stop(code, message);
    this.#reads.stop(code, message);
    this.#transfers.stop(code, message);
    this.#memberships.stop(code, message);
    this.#snapshots.stop(code, message);
    this.#work = [];
    this.#departure.end();
    this.#services.stopped(this, reason);
  }

  get #phase(): "running" | "stopping" | "stopped" {
    if (this.isStopped) return "stopped";
    return this.#stopping === null ? "running" : "stopping";
  }

  #stopError(): [StopReason["code"], string] {
    const reason = this.#announcer.stopped;
    return [
      reason?.code ?? "stopped",
      stopErrorMessage(this.group, this.node, reason),
    ];
  }
}
