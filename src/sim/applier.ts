/**
 * The state machine of a member, and who waits for it.
 *
 * @module
 */
import type { RawNode } from "../core/raw_node.ts";
import type {
  AppliedConf,
  Entry,
  EntryId,
  LogIndex,
  Term,
} from "../core/types.ts";
import type { PendingOperation } from "./clients.ts";
import type { MemberView } from "./oracle.ts";
import { type EntryEffect, newReplica, type Replica } from "./replica.ts";
import type { StoredSnapshot } from "./snapshots.ts";
import type { World } from "./world.ts";

/** What a command at some index gave. */
interface Outcome {
  readonly term: Term;
  readonly effect: EntryEffect;
}

interface WaitingWrite {
  readonly term: Term;
  readonly operation: PendingOperation;
}

interface WaitingRead {
  readonly index: LogIndex;
  /** Of a read that only a lease stands for: whether it still does (H95). */
  readonly lease: ReadLease | undefined;
  readonly operation: PendingOperation;
}

const NO_DATA = new Uint8Array(0);

/** What a read by lease has to have at its end. */
export interface ReadLease {
  /** Whether the lease still holds. */
  holds(): boolean;
  /** It does not: the read has to be confirmed in another way. */
  lost(): void;
}

const NO_EFFECT: EntryEffect = { type: "none" };

/** Applies what is committed, in order, and tells who asked. */
export class Applier {
  readonly #member: MemberView;
  readonly #world: World;
  #replica: Replica;
  #appliedIndex: LogIndex = 0;
  #appliedTerm: Term = 0;
  /** The newest configuration that was applied; durable if the machine is. */
  #conf: AppliedConf | undefined;
  /** Results up to here came in a snapshot, if at all: nobody knows them. */
  #unknownThrough: LogIndex = 0;
  /** Whether payloads were kept from this member: its machine is void. */
  #isBlind = false;
  /** Handed out and not yet applied. */
  #queue: Entry[] = [];
  /** Results of what this machine applied, by index. */
  #results: (Outcome | undefined)[] = [];
  #writes = new Map<LogIndex, WaitingWrite[]>();
  #reads: WaitingRead[] = [];

  /** Makes an applier with an empty replica. */
  constructor(member: MemberView, world: World) {
    this.#member = member;
    this.#world = world;
    this.#replica = emptyReplica(world);
  }

  /** Whether entries wait to be applied. */
  get hasWork(): boolean {
    return this.#queue.length > 0;
  }

  /** What the machine holds. */
  get appliedIndex(): LogIndex {
    return this.#appliedIndex;
  }

  /** The newest configuration that was applied by an entry. */
  get conf(): AppliedConf | undefined {
    return this.#conf;
  }

  /** The machine's state is lost, durable or not. */
  lose(): void {
    this.#replica = emptyReplica(this.#world);
    this.#forget();
  }

  /** The process starts, with what its machine and its disk hold. */
  start(snapshot: StoredSnapshot | undefined): void {
    if (!this.#replica.restart()) this.#forget();
    if (snapshot === undefined) return;
    if (snapshot.meta.index > this.#appliedIndex) this.#become(snapshot);
  }

  /** Copies the state, if the machine can. */
  capture(core: RawNode): StoredSnapshot | undefined {
    const data = this.#isBlind ? NO_DATA : this.#replica.capture();
    if (data === undefined || this.isOvertaken(core)) return undefined;
    const meta = {
      index: this.#appliedIndex,
      term: this.#appliedTerm,
      conf: core.conf,
    };
    return { meta, data };
  }

  /**
   * Whether the core has taken in a snapshot that the machine has not: what
   * waits to be applied lies below it.
   */
  isOvertaken(core: RawNode): boolean {
    return core.appliedIndex > this.#appliedIndex;
  }

  /** Nothing that waits is to be applied any more. */
  dropQueue(): void {
    this.#queue = [];
  }

  /** The machine becomes what a durable snapshot holds. */
  install(snapshot: StoredSnapshot): void {
    const { index } = snapshot.meta;
    if (index <= this.#appliedIndex) return;
    this.#become(snapshot);
    this.#checkMachine();
    for (const [waitingFor, writes] of this.#writes) {
      if (waitingFor > index) continue;
      this.#writes.delete(waitingFor);
      this.#world.marks.hit("writeCoveredBySnapshot");
      for (const { operation } of writes) this.#lose(operation);
    }
    this.#answerReads();
  }

  /** The process is gone, and everybody who waited with it. */
  stop(): void {
    this.#queue = [];
    this.#writes = new Map();
    this.#reads = [];
  }

  /** Takes committed entries. */
  enqueue(entries: readonly Entry[]): void {
    for (const entry of entries) this.#queue.push(entry);
  }

  /** Commands are in the log from `first` on; their results may be known. */
  awaitWrites(
    operations: readonly PendingOperation[],
    first: EntryId,
  ): void {
    let { index } = first;
    for (const operation of operations) {
      const known = this.#results[index];
      if (index <= this.#unknownThrough && known === undefined) {
        this.#lose(operation);
      } else if (index <= this.#appliedIndex) {
        this.#settleWrite({ term: first.term, operation }, index, known);
      } else {
        const waiting = this.#writes.get(index) ?? [];
        waiting.push({ term: first.term, operation });
        this.#writes.set(index, waiting);
      }
      index++;
    }
  }

  /** A read may be answered once `index` is applied. */
  awaitRead(
    operation: PendingOperation,
    index: LogIndex,
    lease?: ReadLease,
  ): void {
    const read = { index, operation, lease };
    if (index > this.#appliedIndex) {
      this.#world.marks.hit("readWaitedForApply");
      this.#reads.push(read);
    } else this.#answer(read);
  }

  /** Applies the next entries that wait. */
  apply(core: RawNode): void {
    if (this.isOvertaken(core)) return this.dropQueue();
    const { host } = this.#world.options;
    const size = this.#world.isCalm() ? this.#queue.length : host.applyBatch;
    this.applyAll(core, this.#queue.splice(0, size));
  }

  /** Applies entries at once. */
  applyAll(core: RawNode, entries: readonly Entry[]): void {
    if (entries.length === 0) return;
    let last = this.#appliedIndex;
    for (const entry of entries) {
      this.#world.machineChecks.applying(this.#member, entry, last++);
      if (entry.type === "omitted") this.#isBlind = true;
      if (entry.type !== "confChange") continue;
      const conf = core.applyConfChange(entry.change, entry.index);
      if (conf.witnesses.includes(core.id)) this.#isBlind = true;
      this.#conf = { index: entry.index, conf };
    }
    this.#applyCommands(entries);
    for (const { index, term } of entries) {
      this.#appliedIndex = index;
      this.#appliedTerm = term;
      this.#settleWritesAt(
        index,
        this.#results[index] ?? { term, effect: NO_EFFECT },
      );
    }
    core.applied(this.#appliedIndex);
    this.#checkMachine();
    this.#answerReads();
  }

  #forget(): void {
    this.#appliedIndex = 0;
    this.#appliedTerm = 0;
    this.#conf = undefined;
    this.#unknownThrough = 0;
    this.#isBlind = false;
    this.#results = [];
  }

  #become({ meta, data }: StoredSnapshot): void {
    this.#isBlind = data.length === 0;
    this.#replica.install(meta, data);
    this.#appliedIndex = meta.index;
    this.#appliedTerm = meta.term;
    this.#conf = undefined;
    this.#unknownThrough = meta.index;
    if (!this.#isBlind) this.#world.sessions?.restored(meta.index);
  }

  #checkMachine(): void {
    if (this.#isBlind) return;
    const { machineChecks, sessions } = this.#world;
    const checksum = this.#replica.checksum();
    if (checksum !== undefined) {
      machineChecks.machineAt(this.#member, this.#appliedIndex, checksum);
    }
    const table = this.#replica.sessionChecksum();
    if (table !== undefined) {
      sessions?.tableAt(this.#member, this.#appliedIndex, table);
    }
  }

  /** Nobody can tell any more what became of a write (H71). */
  #lose(operation: PendingOperation): void {
    this.#world.settle(operation, { outcome: "unknown" });
  }

  #applyCommands(entries: readonly Entry[]): void {
    const { sessions, machineChecks } = this.#world;
    const member = this.#member;
    const view = { member, restoredThrough: this.#unknownThrough };
    const effects = this.#replica.apply(entries);
    for (const [i, entry] of entries.entries()) {
      const { index, term } = entry;
      const effect = effects[i] ?? NO_EFFECT;
      if (!this.#isBlind) sessions?.applied(view, entry, effect);
      if (effect.type === "none") continue;
      this.#results[index] = { term, effect };
      if (effect.type !== "applied" && effect.type !== "repeated") continue;
      machineChecks.resultAt(member, index, effect.result);
    }
  }

  #settleWritesAt(index: LogIndex, outcome: Outcome): void {
    const waiting = this.#writes.get(index);
    if (waiting === undefined) return;
    this.#writes.delete(index);
    for (const write of waiting) this.#settleWrite(write, index, outcome);
  }

  /** The right index in another term is somebody else's entry (H105). */
  #settleWrite(
    write: WaitingWrite,
    index: LogIndex,
    outcome: Outcome | undefined,
  ): void {
    const { marks } = this.#world;
    if (this.#isBlind) return this.#lose(write.operation);
    if (outcome === undefined || outcome.term !== write.term) {
      marks.hit("writeOverwritten");
      this.#world.settle(write.operation, { outcome: "notAppended" });
      return;
    }
    this.#settleApplied(write, index, outcome.effect);
  }

  #settleApplied(
    { operation, term }: WaitingWrite,
    index: LogIndex,
    effect: EntryEffect,
  ): void {
    switch (effect.type) {
      case "applied":
      case "repeated":
        this.#world.marks.hit("writeAcknowledged");
        return this.#world.settle(operation, {
          outcome: "ok",
          value: effect.result,
          entry: { term, index },
          isRepeat: effect.type === "repeated",
        });
      case "refused":
        return this.#world.settle(operation, { outcome: "expired" });
      default:
        return this.#lose(operation);
    }
  }

  #answerReads(): void {
    const due = this.#reads.filter(({ index }) => index <= this.#appliedIndex);
    if (due.length === 0) return;
    this.#reads = this.#reads.filter(({ index }) => index > this.#appliedIndex);
    for (const read of due) this.#answer(read);
  }

  #answer({ operation, lease }: WaitingRead): void {
    if (operation.operation.type !== "query") return;
    if (lease !== undefined && !lease.holds()) return lease.lost();
    if (this.#isBlind) {
      this.#world.settle(operation, { outcome: "notAppended" });
      return;
    }
    const value = this.#replica.query(operation.operation.query);
    this.#world.settle(operation, {
      outcome: "ok",
      value,
      readAt: Math.max(this.#appliedIndex, this.#replica.heldIndex),
    });
  }
}

function emptyReplica({ subject, options }: World): Replica {
  const { sessions, host } = options;
  return newReplica({ subject, sessions, isDurable: host.durableMachine });
}
