/**
 * A member of a group: carries out the Readys of its core by the rules of
 * `Ready`, on a disk and a network of the simulator's, until it is killed.
 *
 * @module
 */
import type { Message } from "../core/message.ts";
import { RawNode, type RawNodeOptions } from "../core/raw_node.ts";
import type { Load, Ready } from "../core/ready.ts";
import type { CoreConfig } from "../core/config.ts";
import {
  EMPTY_CONF,
  type GroupId,
  type LogIndex,
  type NodeId,
} from "../core/types.ts";
import { Applier } from "./applier.ts";
import type { PendingOperation } from "./clients.ts";
import { markCrash } from "./crash_marks.ts";
import type { CrashLoss, SimDevice } from "./device.ts";
import { type DiskCopy, type DiskWrite, SimDisk } from "./disk.ts";
import { DiskLoss, type LossKind } from "./disk_loss.ts";
import type { MemberEvent, NodeEvent } from "./events.ts";
import type { SimHost } from "./host.ts";
import type { CheckedMember } from "./member_checks.ts";
import type { Packet } from "./network.ts";
import type { SimRandom } from "./prng.ts";
import { Requests } from "./requests.ts";
import { Snapshots } from "./snapshots.ts";
import { fail } from "./violation.ts";
import type { World } from "./world.ts";

/** More Readys in one turn than this mean that they never end. */
const MAX_READYS_PER_TURN = 10_000;

/** Share of the joining members that are told nothing of the group. */
const NEWCOMER_PERMILLE = 700;

/** Every so many ticks a leader's windows are looked at. */
const WINDOW_SAMPLE_TICKS = 61;

/** One member of one group, over all the lives of its host. */
export class SimMember implements CheckedMember {
  readonly id: NodeId;
  readonly group: GroupId;
  readonly host: SimHost;
  readonly disk: SimDisk;
  readonly loss: DiskLoss;
  /** `undefined` while the process is down. */
  core: RawNode | undefined;
  /** Whether it was removed and has stopped for good. */
  isRetired = false;
  /** What its core was started with. */
  config: Partial<CoreConfig> = {};
  readonly #world: World;
  readonly #random: SimRandom;
  readonly #device: SimDevice;
  readonly #applier: Applier;
  /** Whether it joins without being told what the group began with. */
  readonly #knowsNothing: boolean;
  readonly #requests: Requests;
  readonly #snapshots: Snapshots;
  /** Readys whose writes are not durable, in order. */
  #outstanding: Ready[] = [];
  #applyScheduled = false;
  #ticks = 0;
  #starts = 0;
  /** Loads that the disk has not answered, by id. */
  readonly #loads = new Map<number, Load>();

  /** Makes a member with an empty disk, not yet started. */
  constructor(host: SimHost, world: World, random: SimRandom) {
    this.id = host.id;
    this.group = world.group;
    this.host = host;
    this.#world = world;
    this.#random = random;
    this.#knowsNothing = !world.conf.voters.includes(host.id) &&
      random.fork("joining").chance(NEWCOMER_PERMILLE);
    this.disk = new SimDisk(world.oracle);
    this.loss = new DiskLoss(this, world.marks);
    this.#device = host.deviceOf(world.group);
    this.#applier = new Applier(this, world);
    this.#requests = new Requests(host.id, world, this.#applier, {
      mono: () => host.checkedMono(),
    });
    this.#snapshots = new Snapshots(
      this,
      this.#applier,
      world,
      random.fork("snapshots"),
    );
  }

  /** Counts starts and ends of the process: odd while it is up. */
  get life(): number {
    return this.host.life;
  }

  /** Whether the member is there and works. */
  get isRunning(): boolean {
    return this.core !== undefined && this.host.isRunning;
  }

  /** Starts from the disk. */
  start(): void {
    const { hooks, oracle } = this.#world;
    if (this.isRetired) return;
    const restored = this.#restore();
    this.config = this.#drawConfig();
    const coreOptions: RawNodeOptions = {
      id: this.id,
      config: this.config,
      restored,
      random: this.#random.fork("core").float,
    };
    const core = hooks.createCore?.(coreOptions) ?? new RawNode(coreOptions);
    this.core = core;
    oracle.started(this, core);
    this.#afterStep(core);
  }

  /** The process was killed; this is what became of the member's writes. */
  crash(loss: CrashLoss): void {
    const { core, disk } = this;
    disk.revert();
    if (core === undefined) return;
    markCrash(this.#world.marks, {
      core,
      disk,
      loss,
      unwritten: this.#outstanding,
    });
    this.#stop();
  }

  /** Another disk takes the place of its own, while it is down (H80). */
  replaceDisk(kind: LossKind, copy: DiskCopy, committed: LogIndex): void {
    this.loss.happen(kind, this.#world.now(), committed);
    this.disk.replaceBy(copy);
    this.#applier.lose();
    this.#world.oracle.ballots.forget(this.id);
  }

  /** It was removed: it stops for good, the process goes on. */
  retire(): void {
    this.isRetired = true;
    this.#stop();
  }

  /** The process goes on after it was frozen. */
  resumed(): void {
    const { marks, oracle } = this.#world;
    const { core } = this;
    if (core?.role === "leader" && oracle.newestTerm > core.term) {
      marks.hit("pausedLeaderReplaced");
    }
  }

  /** Ends all waits for loads. */
  hurry(): void {
    for (const load of this.#loads.values()) {
      this.#world.schedule(0, { ...this.#event("loaded"), load });
    }
  }

  /** A tick has come; `mono` is what the monotonic clock shows. */
  tick(mono: number): void {
    const { core } = this;
    if (core === undefined) return;
    if (core.quiesced) {
      this.#world.marks.hit("tickWhileAsleep");
      if (!this.#world.options.host.ticksSleepers) return;
    }
    const { lastIndex } = core;
    core.tick(mono);
    this.#world.checks.ticked(this, core, lastIndex);
    this.host.touch(this);
    const { lostDisks, marks } = this.#world;
    const isSampled = this.#ticks++ % WINDOW_SAMPLE_TICKS === 0;
    if (core.role !== "leader" || !isSampled && !lostDisks.areOpen) return;
    const { progress } = core.status();
    if (progress.some(({ paused }) => paused)) marks.hit("appendWindowFull");
    for (const notice of lostDisks.notices(core, progress)) {
      this.#send(core, notice);
    }
  }

  /** Whether a read would be answered by lease now. */
  holdsLease(): boolean {
    const { core, host } = this;
    return core !== undefined && !host.isSuspended &&
      host.checkedMono() < core.leaseUntil;
  }

  /** A packet has arrived; a snapshot is stored first, then it counts. */
  arrived(packet: Packet): void {
    if (packet.snapshot === undefined) this.step(packet.message);
    else if (this.core !== undefined) this.#snapshots.arrived(packet);
  }

  /** A message is taken in. */
  step(message: Message): void {
    const { core } = this;
    if (core === undefined) return;
    const { commitIndex } = core;
    this.#world.checks.hears(message);
    core.step(message);
    this.#world.checks.heard(core, message);
    if (message.type === "heartbeat" && core.commitIndex > commitIndex) {
      this.#world.marks.hit("commitByHeartbeat");
    }
    this.#afterStep(core);
    this.#world.lostDisks.stepped(this, core);
  }

  /** What was sent to a member is lost; `refused`: its process is gone. */
  lostPeer(peer: NodeId, refused: boolean): void {
    const { core } = this;
    if (core === undefined) return;
    core.reportUnreachable(peer);
    if (refused) {
      if (core.leader === peer) this.#world.marks.hit("leaderRefused");
      core.suspectLeader(peer);
    }
    this.#afterStep(core);
  }

  /** Something happens to the member. */
  handle(event: MemberEvent): void {
    const { core } = this;
    if (core === undefined) return;
    switch (event.type) {
      case "message":
        return this.arrived(event.packet);
      case "apply":
        this.#applyScheduled = false;
        this.#applier.apply(core);
        this.#snapshots.mayTake(core);
        this.#scheduleApply();
        return this.#afterStep(core);
      case "loaded":
        return this.#loaded(core, event.load);
      case "submit":
        return this.#submit(core, event.operations);
      case "readRetry":
        this.#requests.retryRead(core, event.context, this.life);
        return this.#afterStep(core);
      case "snapshotTaken":
        return this.#snapshots.taken(core, event.snapshot);
      case "snapshotStored":
        this.#snapshots.store(event.packet);
        return this.step(event.packet.message);
      case "snapshotReport":
        core.reportSnapshot(event.peer, event.ok);
        return this.#afterStep(core);
      default: {
        const unreachable: never = event;
        return unreachable;
      }
    }
  }

  /** Clients ask this process for something: commands, or one query. */
  submit(operations: readonly PendingOperation[]): void {
    if (this.core !== undefined) {
      this.host.handle({ ...this.#event("submit"), operations });
      return;
    }
    this.#requests.refuse(operations);
  }

  /** Something is done with the core, if it works. */
  act(use: (core: RawNode) => void): void {
    if (this.core === undefined || !this.isRunning) return;
    use(this.core);
    this.#afterStep(this.core);
    this.host.settle();
  }

  /** Takes a snapshot of what is applied. */
  takeSnapshot(): void {
    this.act((core) => this.#snapshots.take(core));
  }

  /** Collects and carries out everything the core has to say. */
  collect(): void {
    const { oracle, hooks } = this.#world;
    const { core } = this;
    if (core === undefined) return;
    this.#requests.takeAnswers(core);
    let taken = 0;
    while (this.#mayTakeReady && core.hasReady()) {
      if (++taken > MAX_READYS_PER_TURN) {
        fail("readyContract", `Member ${this.id} hands out Readys for ever`);
      }
      const ready = core.ready();
      this.#carryOut(core, hooks.onReady?.(this.id, ready, core) ?? ready);
      oracle.observe(this, core);
    }
    if (taken > 0 && this.#mayTakeReady) oracle.readysDrained(this, core);
  }

  /** Reports the writes that are done, one by one or joined. */
  writesDone(writes: readonly DiskWrite[]): void {
    const { core } = this;
    if (core === undefined) return;
    const { joinWrites } = this.#world.options.host;
    if (!joinWrites) {
      for (const write of writes) this.#persisted(core, [write]);
    } else {
      if (writes.length > 1) this.#world.marks.hit("readysJoined");
      this.#persisted(core, writes);
    }
    this.#afterStep(core);
  }

  #stop(): void {
    this.core = undefined;
    this.#outstanding = [];
    this.#applyScheduled = false;
    this.#applier.stop();
    this.#loads.clear();
    this.#requests.stop();
  }

  /** Flags are its own, and may be others after a restart (H06). */
  #drawConfig(): Partial<CoreConfig> {
    const { core, flags, host } = this.#world.options;
    const own = flags[this.id - 1] ?? [];
    return {
      ...core,
      ...own[this.#starts++ % Math.max(1, own.length)],
      asyncStorageWrites: host.asyncWrites,
    };
  }

  #restore() {
    const { options, hooks, marks, conf } = this.#world;
    if (hooks.trustsDamage === true) this.disk.trustDamage();
    if (this.disk.repairTail()) marks.hit("tornTailCut");
    this.#applier.start(this.disk.snapshot);
    const stored = this.disk.restore(
      this.#knowsNothing ? EMPTY_CONF : conf,
      this.#applier.appliedIndex,
      this.#applier.conf,
      options.host.restoreTailBytes,
    );
    if (stored.lastIndex > 0) {
      marks.hit("restartedWithLog");
      const first = stored.tail[0]?.index ?? stored.lastIndex + 1;
      if (first > 1) marks.hit("restartedFromTail");
    }
    if (stored.appliedIndex > stored.hardState.commit) {
      marks.hit("restartedMachineAhead");
    }
    return hooks.onRestore?.(this.id, stored) ?? stored;
  }

  #event<T extends NodeEvent["type"]>(
    type: T,
  ): { type: T; group: GroupId; node: NodeId; life: number } {
    return { type, group: this.group, node: this.id, life: this.life };
  }

  #afterStep(core: RawNode): void {
    this.#world.checks.stepped(this, core);
    this.host.touch(this);
  }

  get #mayTakeReady(): boolean {
    return this.#world.options.host.asyncWrites ||
      this.#outstanding.length === 0;
  }

  #carryOut(core: RawNode, ready: Ready): void {
    const { oracle, marks } = this.#world;
    this.#world.checks.readyTaken(this, core, ready);
    if (ready.founding !== undefined) marks.hit("foundingLearned");
    if (this.#outstanding.length > 0) marks.hit("readysOverlapped");
    this.#device.add(this.disk, ready);
    oracle.entriesWritten(this, ready.entries);
    this.#outstanding.push(ready);
    for (const message of ready.messages) this.#send(core, message);
    for (const state of ready.readStates) {
      this.#requests.readConfirmed(core, state);
    }
    for (const load of ready.loads) this.#load(load);
    if (ready.snapshot !== undefined) this.#applier.dropQueue();
    if (this.#world.options.host.asyncWrites) {
      this.#applier.enqueue(ready.committedEntries);
      this.#scheduleApply();
    }
  }

  #persisted(core: RawNode, writes: readonly DiskWrite[]): void {
    const done = writes.map((write) => this.#takeOutstanding(write));
    const last = done[done.length - 1];
    if (last === undefined) return;
    core.persisted(last.number);
    this.#world.checks.stepped(this, core);
    for (const ready of done) {
      if (ready.snapshot !== undefined && this.disk.snapshot !== undefined) {
        this.#applier.install(this.disk.snapshot);
        this.#snapshots.installed(core);
      }
      for (const message of ready.messagesAfterPersist) {
        this.#send(core, message);
      }
      if (!this.#world.options.host.asyncWrites) {
        // A snapshot that came meanwhile holds them already.
        if (!this.#applier.isOvertaken(core)) {
          this.#applier.applyAll(core, ready.committedEntries);
        }
        this.#snapshots.mayTake(core);
      }
    }
  }

  #takeOutstanding(write: DiskWrite): Ready {
    const ready = this.#outstanding.shift();
    if (ready?.number !== write.number) {
      fail(
        "readyContract",
        `Member ${this.id} has Ready ${ready?.number} first in line, its disk has written ${write.number}`,
      );
    }
    return ready;
  }

  #send(core: RawNode, message: Message): void {
    const { hooks } = this.#world;
    const sent = hooks.onSend?.(message, core) ?? message;
    this.#markAnswer(core, sent);
    if (sent.type === "installSnapshot") this.#snapshots.send(sent);
    else this.#world.send(sent, this);
  }

  #markAnswer(core: RawNode, message: Message): void {
    if (message.type !== "requestPreVoteResponse" || !message.reject) return;
    this.#world.marks.hit(
      core.leader === null ? "preVoteRejected" : "preVoteRejectedWhileLed",
    );
  }

  #scheduleApply(): void {
    if (this.#applyScheduled || !this.#applier.hasWork) return;
    this.#applyScheduled = true;
    const { applyMs } = this.#world.options.host;
    const delay = this.#world.isCalm() ? 0 : this.#random.below(applyMs + 1);
    this.#world.schedule(delay, this.#event("apply"));
  }

  #load(load: Load): void {
    const { marks } = this.#world;
    marks.hit(load.purpose === "apply" ? "loadForApply" : "loadForFollower");
    this.#loads.set(load.id, load);
    const delay = this.#world.isCalm() ? 1 : this.#device.loadMs();
    this.#world.schedule(delay, { ...this.#event("loaded"), load });
  }

  #loaded(core: RawNode, load: Load): void {
    const { marks } = this.#world;
    if (this.#device.isHung || !this.#loads.delete(load.id)) return;
    const entries = this.disk.load(load);
    if (entries === undefined) return this.#rotFound(core, load);
    if (!this.#world.isCalm() && this.#device.loadFails()) {
      marks.hit("loadFailed");
      core.loadFailed(load);
    } else {
      if (entries.length > 1 && this.#device.loadIsShort()) {
        marks.hit("loadShort");
        entries.length = this.#device.shortCount(entries.length);
      }
      core.entriesLoaded(load, entries);
    }
    this.#afterStep(core);
  }

  /** A checksum is wrong: nobody is served from here (H42, H62). */
  #rotFound(core: RawNode, load: Load): void {
    this.#world.marks.hit("rotFound");
    if (load.purpose === "apply") return this.#world.hostFailed(this.host);
    core.loadFailed(load);
    this.#afterStep(core);
  }

  #submit(core: RawNode, operations: readonly PendingOperation[]): void {
    const [first] = operations;
    if (first?.operation.type === "query") {
      this.#requests.query(core, first, this.life);
    } else this.#requests.propose(core, operations);
    this.#afterStep(core);
  }
}
