/**
 * One member of one group at work: everything between its core and the host.
 *
 * @module
 */
import type { Message } from "../core/message.ts";
import type { RawNode } from "../core/raw_node.ts";
import type { Load, Ready } from "../core/ready.ts";
import type { Entry, GroupId, NodeId } from "../core/types.ts";
import { RaftError } from "../errors.ts";
import type {
  ApplyOutcome,
  MachineRunner,
  SessionRef,
} from "../rsm/machine_runner.ts";
import type { GroupEvent, GroupStatus, StopReason } from "../status.ts";
import type { PeerState } from "../transport.ts";
import { Announcer } from "./announcer.ts";
import { Applier } from "./applier.ts";
import { CommitNotices } from "./commit_notices.ts";
import { Drain } from "./drain.ts";
import { Durability } from "./durability.ts";
import { Freshness } from "./freshness.ts";
import { describeMember } from "./member_status.ts";
import {
  type Committed,
  deadlineOf,
  type GroupSettings,
  type IgnoredReason,
  type ProposeOptions,
  type ReadOptions,
  type WaitOptions,
} from "./options.ts";
import type { HostServices, Participant } from "./participant.ts";
import { Peers, type Sender } from "./peers.ts";
import { Proposals } from "./proposals.ts";
import { requestNumberBase } from "./random.ts";
import { Reads } from "./reads.ts";
import { stopErrorMessage, stopReasonOf } from "./stop_reason.ts";
import { Transfers } from "./transfers.ts";

/** Readys taken in one turn; what is left waits for the next. */
const MAX_READYS_PER_TURN = 8;
/** Election timeouts a write may take before a leader hands over (H20). */
const MAX_STALLED_TIMEOUTS = 2;

/** What a member is made of. */
export interface MemberOptions<C, R, Q, A> {
  readonly services: HostServices;
  readonly settings: GroupSettings;
  readonly core: RawNode;
  readonly runner: MachineRunner<C, R, Q, A>;
  readonly random: () => number;
}

/** A member. Its core is called from turns only. */
export class Member<C, R, Q, A> implements Participant {
  readonly group: GroupId;
  readonly node: NodeId;
  marked = false;
  applying = false;
  readonly #services: HostServices;
  readonly #settings: GroupSettings;
  readonly #core: RawNode;
  readonly #runner: MachineRunner<C, R, Q, A>;
  readonly #peers: Peers;
  readonly #freshness: Freshness = new Freshness();
  readonly #announcer: Announcer;
  readonly #applier: Applier<R>;
  readonly #notices: CommitNotices;
  readonly #durability: Durability;
  readonly #proposals: Proposals<R>;
  readonly #reads: Reads<Q, A>;
  readonly #transfers: Transfers;
  /** Things to do with the core, once there is a turn. */
  #work: (() => void)[] = [];
  /** Set by the first `stop`; from then on nothing new is taken. */
  #stopping: Promise<void> | null = null;
  readonly #drain: Drain = new Drain();
  /** When a stalled disk last made this leader hand over. */
  #handedOverAt = -Infinity;

  constructor(options: MemberOptions<C, R, Q, A>) {
    const { core, random, runner, services, settings } = options;
    this.group = settings.group;
    this.node = settings.node;
    this.#services = services;
    this.#settings = settings;
    this.#core = core;
    this.#runner = runner;
    this.#peers = new Peers(settings.node, core.conf);
    this.#announcer = new Announcer(core, core.conf, core.appliedIndex);
    this.#durability = new Durability({
      group: settings.group,
      core,
      pipeline: services.pipeline,
      send: (message) => this.#send(message),
      wake: () => services.wake(this),
    });
    this.#notices = new CommitNotices({
      clock: services.clock,
      send: (message) => this.#send(message),
      inTurn: (work) => this.#inTurn(work),
    });
    this.#applier = new Applier({
      runner,
      clock: services.clock,
      tasks: services.tasks,
      onApplied: (entries, outcomes) => this.#applied(entries, outcomes),
      onFailure: (error) => this.fail(error),
      inTurn: (work) => this.#inTurn(work),
    });
    this.#proposals = new Proposals({
      maxPendingCount: settings.maxPendingCount,
      maxPendingBytes: settings.maxPendingBytes,
      maxEntryBytes: settings.core.maxEntryBytes,
      firstTicket: requestNumberBase(random),
      appliedIndex: core.appliedIndex,
    });
    this.#transfers = new Transfers({
      core,
      isAlive: (id) => this.#isAlive(id),
      inTurn: (work) => this.#inTurn(work),
    });
    this.#reads = new Reads({
      maxPendingCount: settings.core.maxPendingReads,
      firstContext: requestNumberBase(random),
      retryMs: this.#electionMs / 2,
      holdsLease: () => false,
      wake: () => services.wake(this),
    });
  }

  /** Whether it takes part no longer. */
  get isStopped(): boolean {
    return this.#announcer.stopped !== null;
  }

  /** Promises in the hands of callers that are not settled. */
  get pendingCount(): number {
    return this.#proposals.pendingCount + this.#reads.pendingCount +
      this.#transfers.pendingCount;
  }

  get hasApplies(): boolean {
    if (this.isStopped) return false;
    return this.#applier.hasWork ||
      this.#reads.canServe(this.#core.appliedIndex);
  }

  /** Milliseconds of the shortest election timeout. */
  get #electionMs(): number {
    return this.#settings.core.electionTicks * this.#services.tickMs;
  }

  // Calls of users.

  /** Proposes a command, of a session if given. */
  propose(
    command: C,
    options: ProposeOptions,
    session?: SessionRef,
  ): Promise<Committed<R>> {
    if (this.#stopping !== null || this.isStopped) {
      return Promise.reject(
        new RaftError(...this.#stopError(), { outcome: "notAppended" }),
      );
    }
    try {
      const committed = this.#proposals.add({
        data: this.#runner.encode(command, session),
        deadline: this.#deadline(options),
        forward: options.forward ?? true,
        signal: options.signal,
      });
      this.#services.wake(this);
      return committed;
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Answers a query. */
  read(query: Q, options: ReadOptions): Promise<A> {
    if (this.#stopping !== null || this.isStopped) {
      return Promise.reject(new RaftError(...this.#stopError()));
    }
    try {
      const read = {
        query,
        deadline: this.#deadline(options),
        forward: options.forward ?? true,
        signal: options.signal,
      };
      const stale = options.consistency === "stale";
      const answer = stale ? this.#reads.addStale(read) : this.#reads.add(read);
      if (stale) this.#serve();
      else this.#services.wake(this);
      return answer;
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Hands the leadership over. */
  transferLeadership(
    to: NodeId | undefined,
    options: WaitOptions,
  ): Promise<void> {
    if (this.isStopped) {
      return Promise.reject(new RaftError(...this.#stopError()));
    }
    const { signal } = options;
    try {
      return this.#transfers.request(to, this.#deadline(options), signal);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** The member at this instant. */
  status(): GroupStatus {
    return describeMember({
      group: this.group,
      core: this.#core.status(),
      peers: this.#peers,
      freshness: this.#freshness,
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
    if (ignored !== null) return ignored;
    // Its data comes by the transport's bulk channel or not at all.
    if (message.type === "installSnapshot") return "unsupported";
    const core = this.#core;
    core.step(message);
    this.#notices.stepped(message, core.lastIndex);
    if (message.from === core.leader && message.term === core.term) {
      this.#freshness.heard(message, core.appliedIndex, now);
    }
    return null;
  }

  tick(now: number): void {
    const core = this.#core;
    core.tick();
    this.#proposals.unblock();
    this.#proposals.expire(now, core.leader);
    this.#reads.tick(core, now);
    this.#transfers.tick(now);
    this.#durability.tick();
    this.#checkDisk(now);
    this.#drain.check(this.#proposals.pendingCount, now);
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
    this.#drain.check(this.#proposals.pendingCount, now);
    if (core.hasReady() || this.#proposals.canFlush || this.#reads.canFlush) {
      this.#services.wake(this);
    }
  }

  applySlice(now: number): void {
    if (this.isStopped) return;
    this.#applier.step();
    this.#serve();
    this.#drain.check(this.#proposals.pendingCount, now);
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
    this.#inTurn(() => this.#core.reportUnreachable(node));
  }

  fail(error: unknown): void {
    if (!this.isStopped) this.#finish(stopReasonOf(error));
  }

  // What a turn consists of.

  #carryOut(ready: Ready): void {
    for (const message of ready.messages) {
      if (!this.#notices.hold(message)) this.#send(message);
    }
    this.#durability.take(ready);
    this.#applier.push(ready.committedEntries);
    for (const state of ready.readStates) this.#reads.confirm(state);
    for (const load of ready.loads) this.#load(load);
  }

  #send(message: Message): void {
    if (message.type === "installSnapshot") {
      // Nobody here ships snapshots: the follower is probed again.
      this.#inTurn(() => this.#core.reportSnapshot(message.to, false));
      return;
    }
    const address = this.#peers.addressOf(message.to);
    if (address === undefined) return;
    this.#services.outbox.add(address, { group: this.group, message });
  }

  /** Notices changes of role and leader, and what they set free. */
  #lookAround(): void {
    if (!this.#announcer.look(this.#core)) return;
    this.#proposals.unblock();
    this.#reads.leaderChanged(this.#core);
    this.#transfers.leaderChanged();
  }

  #applied(
    entries: readonly Entry[],
    outcomes: readonly ApplyOutcome<R>[],
  ): void {
    const last = entries.at(-1);
    if (last === undefined || this.isStopped) return;
    for (const entry of entries) {
      if (entry.type !== "confChange") continue;
      const conf = this.#core.applyConfChange(entry.change);
      this.#peers.update(conf);
      this.#durability.storeConf({ index: entry.index, conf });
      this.#announcer.membership(conf, entry.index);
    }
    this.#core.applied(last.index);
    this.#freshness.applied(last.index);
    this.#proposals.applied(entries, outcomes);
    this.#announcer.applied(this.#core, last);
  }

  #serve(): void {
    this.#reads.serve(
      this.#core.appliedIndex,
      (query) => this.#runner.query(query),
    );
  }

  #load(load: Load): void {
    const { storage, tasks } = this.#services;
    const read = async () => {
      const entries = await storage.read({ group: this.group, ...load });
      this.#inTurn(() => this.#core.entriesLoaded(load, entries));
    };
    tasks.start(
      read(),
      (error) => this.#inTurn(() => this.#loadFailed(load, error)),
    );
  }

  /** Others may have what a leader cannot read, but nobody applies for us. */
  #loadFailed(load: Load, error: unknown): void {
    if (load.purpose === "apply") this.fail(error);
    else this.#core.loadFailed(load);
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

  // Handing over and stopping.

  #isAlive(id: NodeId): boolean {
    const now = this.#services.clock.now();
    const silentMs = this.#peers.lastContactMs(id, now);
    return silentMs !== null && silentMs < this.#electionMs;
  }

  /**
   * A leader whose disk hangs commits nothing, but its heartbeats keep
   * everybody waiting (H20): somebody else had better lead.
   */
  #checkDisk(now: number): void {
    if (this.#core.role !== "leader") return;
    const limitMs = MAX_STALLED_TIMEOUTS * this.#electionMs;
    if (this.#services.pipeline.stalledMs(now) < limitMs) return;
    if (now - this.#handedOverAt < limitMs) return;
    this.#handedOverAt = now;
    this.#transfers.handOver();
  }

  async #stopOrderly(): Promise<void> {
    if (!this.isStopped) {
      if (this.#proposals.pendingCount > 0) {
        await this.#drain.until(this.#services.clock.now() + this.#electionMs);
      }
      await this.#handOver();
    }
    if (!this.isStopped) {
      this.#durability.flush();
      this.#services.pipeline.flush();
      this.#finish({ code: "stopped", message: "It was told to stop" });
    }
    await this.#services.pipeline.barrier();
  }

  /** Goes on without a leader gap, if somebody can take over soon. */
  async #handOver(): Promise<void> {
    if (this.isStopped || this.#transfers.successor() === undefined) return;
    try {
      await this.transferLeadership(undefined, {
        timeoutMs: 2 * this.#electionMs,
      });
    } catch {
      // An election will find a leader as well, if later.
    }
  }

  #finish(reason: StopReason): void {
    this.#announcer.stop(reason);
    this.#notices.stop();
    const [code, message] = this.#stopError();
    this.#proposals.stop(code, message);
    this.#reads.stop(code, message);
    this.#transfers.stop(code, message);
    this.#work = [];
    this.#drain.end();
    this.#services.stopped(this, reason);
  }

  #stopError(): [StopReason["code"], string] {
    const reason = this.#announcer.stopped;
    return [
      reason?.code ?? "stopped",
      stopErrorMessage(this.group, this.node, reason),
    ];
  }

  #deadline(options: WaitOptions): number {
    return deadlineOf(
      this.#services.clock.now(),
      options.timeoutMs,
      this.#settings.timeoutMs,
    );
  }
}
