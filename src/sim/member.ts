/**
 * A member's process: carries out the Readys of its core by the rules of
 * `Ready`, on a disk and a network of the simulator's, until it is killed.
 *
 * @module
 */
import type { Message } from "../core/message.ts";
import { RawNode, type RawNodeOptions } from "../core/raw_node.ts";
import type { Load, Ready } from "../core/ready.ts";
import type { HardState, NodeId } from "../core/types.ts";
import { Applier } from "./applier.ts";
import type { PendingOperation } from "./clients.ts";
import { type CrashLoss, type DiskWrite, SimDisk } from "./disk.ts";
import type { MemberEvent, NodeEvent } from "./events.ts";
import type { Packet } from "./network.ts";
import type { MemberView } from "./oracle.ts";
import type { SimRandom } from "./prng.ts";
import { Requests } from "./requests.ts";
import { fail } from "./violation.ts";
import type { World } from "./world.ts";

/** More Readys in one turn than this mean that they never end. */
const MAX_READYS_PER_TURN = 10_000;

/** More frozen events than this are lost, as in a full socket buffer. */
const MAX_FROZEN_EVENTS = 2_000;

/** Every so many ticks a leader's windows are looked at. */
const WINDOW_SAMPLE_TICKS = 61;

/** One member, over all its lives. */
export class SimMember implements MemberView {
  readonly id: NodeId;
  readonly disk: SimDisk;
  /** Counts starts and ends of the process: odd while it is up. */
  life = 0;
  /** `undefined` while the process is down. */
  core: RawNode | undefined;
  readonly #world: World;
  readonly #random: SimRandom;
  readonly #applier: Applier;
  readonly #requests: Requests;
  /** Readys whose writes are not durable, in order. */
  #outstanding: Ready[] = [];
  #turnScheduled = false;
  #applyScheduled = false;
  #ticks = 0;
  /** What came while the process was frozen; `undefined` while it runs. */
  #frozen: MemberEvent[] | undefined;
  /** Loads that the disk has not answered, by id. */
  readonly #loads = new Map<number, Load>();

  /** Makes a member with an empty disk, not yet started. */
  constructor(id: NodeId, world: World, random: SimRandom) {
    this.id = id;
    this.#world = world;
    this.#random = random;
    this.disk = new SimDisk(world.options.disk, random.fork("disk"));
    this.#applier = new Applier(this, world);
    this.#requests = new Requests(id, world, this.#applier);
  }

  /** Whether the process is there but does nothing. */
  get isPaused(): boolean {
    return this.#frozen !== undefined;
  }

  /** Whether the process is there and works. */
  get isRunning(): boolean {
    return this.core !== undefined && this.#frozen === undefined;
  }

  /** Starts the process from its disk. */
  start(): void {
    const { options, hooks, oracle } = this.#world;
    this.life++;
    const restored = this.#restore();
    const coreOptions: RawNodeOptions = {
      id: this.id,
      config: {
        ...options.core,
        ...options.flags[this.id - 1],
        asyncStorageWrites: options.host.asyncWrites,
      },
      restored,
      random: this.#random.fork("core").float,
    };
    const core = hooks.createCore?.(coreOptions) ?? new RawNode(coreOptions);
    this.core = core;
    oracle.started(this, core);
    const { tickMs } = options.clock;
    const phase = this.#random.chance(500) ? this.#random.below(tickMs) : 0;
    this.#world.schedule(phase, this.#event("tick"));
    this.#afterStep(core);
  }

  /** Kills the process; loses what its disk had not flushed. */
  crash(): void {
    const { core } = this;
    if (core === undefined) return;
    this.#markCrash(core, this.disk.hardState, this.disk.crash());
    this.core = undefined;
    this.life++;
    this.#outstanding = [];
    this.#turnScheduled = false;
    this.#applyScheduled = false;
    this.#frozen = undefined;
    this.#applier.stop();
    this.#loads.clear();
    this.#requests.stop();
  }

  /** Freezes the process: it does nothing and notices nothing. */
  pause(): void {
    if (!this.isRunning) return;
    this.#frozen = [];
    const { marks } = this.#world;
    marks.hit("paused");
    if (this.core?.role === "leader") marks.hit("leaderPaused");
  }

  /** Goes on where it was; the ticks that it missed are lost (H116). */
  resume(): void {
    const frozen = this.#frozen;
    if (frozen === undefined || this.core === undefined) return;
    this.#frozen = undefined;
    const { marks, oracle } = this.#world;
    if (this.core.role === "leader" && oracle.newestTerm > this.core.term) {
      marks.hit("pausedLeaderReplaced");
    }
    if (frozen.length > 0) marks.hit("frozenQueueFlushed");
    // What first: the timers that are due, or the packets that wait?
    const timersFirst = this.#random.chance(500);
    const isLate = ({ type }: MemberEvent) =>
      (type === "message") === timersFirst;
    const events = [
      ...frozen.filter((event) => !isLate(event)),
      ...frozen.filter(isLate),
    ];
    for (const event of events) this.#world.schedule(0, event);
  }

  /** Ends all waits of the disk, and its slowness. */
  hurry(): void {
    this.disk.slowness = 1;
    this.disk.hurry(this.#world.now());
    if (this.core === undefined) return;
    this.#world.schedule(0, this.#event("flushed"));
    for (const load of this.#loads.values()) {
      this.#world.schedule(0, { ...this.#event("loaded"), load });
    }
  }

  /** Something happens to the process, unless it was meant for a former one. */
  handle(event: MemberEvent): void {
    const { core } = this;
    if (core === undefined || event.life !== this.life) return;
    if (this.#frozen !== undefined) {
      if (this.#frozen.length < MAX_FROZEN_EVENTS || event.type !== "message") {
        this.#frozen.push(event);
      }
      return;
    }
    switch (event.type) {
      case "tick":
        return this.#tick(core);
      case "turn":
        this.#turnScheduled = false;
        return this.#turn(core);
      case "message":
        return this.#step(core, event.packet.message);
      case "flushed":
        this.#completeWrites(core);
        return this.#afterStep(core);
      case "apply":
        this.#applyScheduled = false;
        this.#applier.apply(core);
        this.#scheduleApply();
        return this.#afterStep(core);
      case "loaded":
        return this.#loaded(core, event.load);
      case "submit":
        return this.#submit(core, event.operations);
      case "readRetry":
        this.#requests.retryRead(core, event.context, this.life);
        return this.#afterStep(core);
      case "unreachable":
        core.reportUnreachable(event.peer);
        return this.#afterStep(core);
      default: {
        const unreachable: never = event;
        return unreachable;
      }
    }
  }

  /** A packet has arrived. */
  deliver(packet: Packet): void {
    if (this.core === undefined) return;
    if (this.#frozen === undefined) this.#step(this.core, packet.message);
    else this.handle({ ...this.#event("message"), packet });
  }

  /** Clients ask this process for something: commands, or one query. */
  submit(operations: readonly PendingOperation[]): void {
    if (this.core !== undefined) {
      this.handle({ ...this.#event("submit"), operations });
      return;
    }
    this.#requests.refuse(operations);
  }

  /** Campaigns without need. */
  campaign(): void {
    if (this.core === undefined || this.isPaused) return;
    this.core.campaign();
    this.#afterStep(this.core);
  }

  #restore() {
    const { options, hooks, marks, conf } = this.#world;
    this.#applier.start(undefined);
    const stored = this.disk.restore(
      conf,
      this.#applier.appliedIndex,
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

  #markCrash(core: RawNode, before: HardState, loss: CrashLoss): void {
    const { marks } = this.#world;
    if (loss.kept.length > 0) marks.hit("crashKeptPrefix");
    for (const { entries, hardState } of loss.lost) {
      if (entries.length > 0) marks.hit("crashLostEntries");
      const { term = 0, vote = null } = hardState ?? {};
      if (vote !== null && (term !== before.term || vote !== before.vote)) {
        marks.hit("crashLostVote");
      }
    }
    marks.hit("crashed");
    if (core.role === "leader") marks.hit("leaderCrashed");
    if (this.#outstanding.some(({ messages }) => messages.length > 0)) {
      marks.hit("crashAfterSendBeforeFlush");
    }
  }

  #event<T extends NodeEvent["type"]>(
    type: T,
  ): { type: T; node: NodeId; life: number } {
    return { type, node: this.id, life: this.life };
  }

  #tick(core: RawNode): void {
    const { clock } = this.#world.options;
    const rate = clock.ratePermille[this.id - 1] ?? 1000;
    const late = this.#random.below(clock.jitterMs + 1);
    const delay = Math.max(1, Math.floor(clock.tickMs * 1000 / rate)) + late;
    this.#world.schedule(delay, this.#event("tick"));
    core.tick();
    this.#afterStep(core);
    if (this.#ticks++ % WINDOW_SAMPLE_TICKS !== 0 || core.role !== "leader") {
      return;
    }
    if (core.status().progress.some(({ paused }) => paused)) {
      this.#world.marks.hit("appendWindowFull");
    }
  }

  #step(core: RawNode, message: Message): void {
    const { commitIndex } = core;
    core.step(message);
    if (message.type === "heartbeat" && core.commitIndex > commitIndex) {
      this.#world.marks.hit("commitByHeartbeat");
    }
    this.#afterStep(core);
  }

  #afterStep(core: RawNode): void {
    this.#world.oracle.observe(this, core);
    const { turnMs } = this.#world.options.host;
    if (turnMs === 0 || this.#world.isCalm()) return this.#turn(core);
    if (this.#turnScheduled) return;
    this.#turnScheduled = true;
    const delay = this.#random.below(turnMs + 1);
    this.#world.schedule(delay, this.#event("turn"));
  }

  /** Collects and carries out everything the core has to say. */
  #turn(core: RawNode): void {
    const { oracle, hooks } = this.#world;
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

  get #mayTakeReady(): boolean {
    return this.#world.options.host.asyncWrites ||
      this.#outstanding.length === 0;
  }

  #carryOut(core: RawNode, ready: Ready): void {
    const { oracle, marks } = this.#world;
    oracle.readyTaken(this, core, ready);
    if (this.#outstanding.length > 0) marks.hit("readysOverlapped");
    const doneIn = this.disk.write(ready, this.#world.now());
    oracle.entriesWritten(this, ready.entries);
    this.#outstanding.push(ready);
    for (const message of ready.messages) this.#send(core, message);
    for (const state of ready.readStates) {
      this.#requests.readConfirmed(core, state);
    }
    for (const load of ready.loads) this.#load(load);
    if (this.#world.options.host.asyncWrites) {
      this.#applier.enqueue(ready.committedEntries);
      this.#scheduleApply();
    }
    if (doneIn === 0) this.#completeWrites(core);
    else this.#world.schedule(doneIn, this.#event("flushed"));
  }

  /** Reports the writes that are done, one by one or joined. */
  #completeWrites(core: RawNode): void {
    const { joinWrites } = this.#world.options.host;
    let write = this.disk.complete(this.#world.now());
    while (write !== undefined) {
      const done = [this.#takeOutstanding(write)];
      let number = write.number;
      write = this.disk.complete(this.#world.now());
      while (joinWrites && write !== undefined) {
        this.#world.marks.hit("readysJoined");
        done.push(this.#takeOutstanding(write));
        number = write.number;
        write = this.disk.complete(this.#world.now());
      }
      core.persisted(number);
      this.#world.oracle.observe(this, core);
      for (const ready of done) {
        for (const message of ready.messagesAfterPersist) {
          this.#send(core, message);
        }
        if (!this.#world.options.host.asyncWrites) {
          this.#applier.applyAll(core, ready.committedEntries);
        }
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
    this.#world.send(sent, this);
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
    const delay = this.#world.isCalm() ? 1 : this.disk.loadMs();
    this.#world.schedule(delay, { ...this.#event("loaded"), load });
  }

  #loaded(core: RawNode, load: Load): void {
    const { marks } = this.#world;
    if (!this.#loads.delete(load.id)) return; // answered in a hurry already
    if (!this.#world.isCalm() && this.disk.loadFails()) {
      marks.hit("loadFailed");
      core.loadFailed(load);
    } else {
      const { entries, isShort } = this.disk.load(load);
      if (isShort) marks.hit("loadShort");
      core.entriesLoaded(load, entries);
    }
    this.#afterStep(core);
  }

  #submit(core: RawNode, operations: readonly PendingOperation[]): void {
    const [first] = operations;
    if (first?.operation.type === "query") {
      this.#requests.read(core, first, this.life);
    } else this.#requests.propose(core, operations);
    this.#afterStep(core);
  }
}
