/**
 * The state machine of a member, and who waits for it.
 *
 * @module
 */
import type { RawNode } from "../core/raw_node.ts";
import type { Entry, EntryId, LogIndex, Term } from "../core/types.ts";
import type { Applied, StateMachine } from "../state_machine.ts";
import type { PendingOperation } from "./clients.ts";
import type { MemberView } from "./oracle.ts";
import type { World } from "./world.ts";

/** What a command at some index gave. */
interface Outcome {
  readonly term: Term;
  readonly result: unknown;
}

interface WaitingWrite {
  readonly term: Term;
  readonly operation: PendingOperation;
}

interface WaitingRead {
  readonly index: LogIndex;
  readonly operation: PendingOperation;
}

type AnyMachine = StateMachine<unknown, unknown, unknown, unknown>;

/** Applies what is committed, in order, and tells who asked. */
export class Applier {
  readonly #member: MemberView;
  readonly #world: World;
  #machine: AnyMachine;
  #appliedIndex: LogIndex = 0;
  /** Handed out and not yet applied. */
  #queue: Entry[] = [];
  /** Results of what this machine applied, by index. */
  #results: (Outcome | undefined)[] = [];
  #writes = new Map<LogIndex, WaitingWrite[]>();
  #reads: WaitingRead[] = [];

  /** Makes an applier with an empty machine. */
  constructor(member: MemberView, world: World) {
    this.#member = member;
    this.#world = world;
    this.#machine = world.subject.create();
  }

  /** Whether entries wait to be applied. */
  get hasWork(): boolean {
    return this.#queue.length > 0;
  }

  /** The process starts. Returns what its machine already holds. */
  start(): LogIndex {
    if (this.#world.options.host.durableMachine) return this.#appliedIndex;
    this.#machine = this.#world.subject.create();
    this.#appliedIndex = 0;
    this.#results = [];
    return 0;
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
      if (index <= this.#appliedIndex) {
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
  awaitRead(operation: PendingOperation, index: LogIndex): void {
    if (index > this.#appliedIndex) {
      this.#world.marks.hit("readWaitedForApply");
      this.#reads.push({ index, operation });
    } else this.#answer(operation);
  }

  /** Applies the next entries that wait. */
  apply(core: RawNode): void {
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
      if (entry.type === "confChange") core.applyConfChange(entry.change);
    }
    this.#applyCommands(entries);
    for (const { index, term } of entries) {
      this.#appliedIndex = index;
      this.#settleWritesAt(
        index,
        this.#results[index] ?? { term, result: undefined },
      );
    }
    core.applied(this.#appliedIndex);
    const checksum = this.#machine.checksum?.();
    if (checksum !== undefined) {
      this.#world.machineChecks.machineAt(
        this.#member,
        this.#appliedIndex,
        checksum,
      );
    }
    this.#answerReads();
  }

  #applyCommands(entries: readonly Entry[]): void {
    const { subject, machineChecks } = this.#world;
    const commands: Applied<unknown>[] = [];
    for (const entry of entries) {
      if (entry.type !== "command") continue;
      const { index, term } = entry;
      commands.push({ index, term, command: subject.decode(entry.data) });
    }
    if (commands.length === 0) return;
    const results = this.#machine.apply(commands);
    if (!Array.isArray(results) || results.length !== commands.length) {
      throw new TypeError(
        `Cannot simulate the machine: apply() did not return ${commands.length} results at once`,
      );
    }
    for (const [i, { index, term }] of commands.entries()) {
      const result: unknown = results[i];
      this.#results[index] = { term, result };
      machineChecks.resultAt(this.#member, index, result);
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
    if (outcome === undefined || outcome.term !== write.term) {
      marks.hit("writeOverwritten");
      this.#world.settle(write.operation, { outcome: "notAppended" });
      return;
    }
    marks.hit("writeAcknowledged");
    this.#world.settle(write.operation, {
      outcome: "ok",
      value: outcome.result,
      entry: { term: write.term, index },
    });
  }

  #answerReads(): void {
    const due = this.#reads.filter(({ index }) => index <= this.#appliedIndex);
    if (due.length === 0) return;
    this.#reads = this.#reads.filter(({ index }) => index > this.#appliedIndex);
    for (const { operation } of due) this.#answer(operation);
  }

  #answer(operation: PendingOperation): void {
    if (operation.operation.type !== "query") return;
    const value = this.#machine.query(operation.operation.query);
    if (value instanceof Promise) {
      throw new TypeError(
        "Cannot simulate the machine: query() did not answer at once",
      );
    }
    this.#world.settle(operation, {
      outcome: "ok",
      value,
      readAt: this.#appliedIndex,
    });
  }
}
