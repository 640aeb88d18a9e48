/**
 * What clients ask of a member: proposals, also through the leader, and reads.
 *
 * @module
 */
import type { RawNode } from "../core/raw_node.ts";
import type { ReadState } from "../core/ready.ts";
import type { NodeId } from "../core/types.ts";
import type { Applier } from "./applier.ts";
import type { PendingOperation } from "./clients.ts";
import { fail } from "./violation.ts";
import type { World } from "./world.ts";

/** A read that waits for its index. */
interface PendingRead {
  readonly operation: PendingOperation;
  /** What was committed when the read was asked for. */
  readonly leastIndex: number;
  /** The newest term that was led then. */
  readonly newestTerm: number;
}

/** The clock that leases are measured by. */
export interface LeaseClock {
  /**
   * The monotonic clock, in milliseconds. Takes back leases that may have run
   * out while it stood still (H117).
   */
  mono(): number;
}

/** The requests under way at one member. */
export class Requests {
  readonly #node: NodeId;
  readonly #world: World;
  readonly #applier: Applier;
  /** Forwarded proposals, by ticket. */
  readonly #tickets = new Map<number, readonly PendingOperation[]>();
  /** Reads under way, by context. */
  readonly #reads = new Map<number, PendingRead>();

  readonly #clock: LeaseClock;

  /** Serves the clients of member `node`. */
  constructor(
    node: NodeId,
    world: World,
    applier: Applier,
    clock: LeaseClock,
  ) {
    this.#clock = clock;
    this.#node = node;
    this.#world = world;
    this.#applier = applier;
  }

  /** The process is gone. */
  stop(): void {
    this.#tickets.clear();
    this.#reads.clear();
  }

  /** Nothing was appended, and nothing will be. */
  refuse(operations: readonly PendingOperation[]): void {
    for (const operation of operations) {
      this.#world.settle(operation, { outcome: "notAppended" });
    }
  }

  /** Proposes commands, all or none. */
  propose(core: RawNode, operations: readonly PendingOperation[]): void {
    const { marks, options } = this.#world;
    const ticket = this.#world.newName();
    const outcome = core.propose(operations.map(({ bytes }) => bytes), ticket);
    switch (outcome.type) {
      case "appended":
        return this.#applier.awaitWrites(operations, outcome);
      case "forwarded":
        this.#tickets.set(ticket, operations);
        for (const operation of operations) {
          operation.mayRepeat = options.network.duplicateProposals;
        }
        return;
      case "dropped":
        if (outcome.reason === "noLeader") marks.hit("writeDroppedNoLeader");
        if (outcome.reason === "uncommittedLimit") {
          marks.hit("proposalRefusedForSize");
          this.#checkRefusal(core);
        }
        return this.refuse(operations);
    }
  }

  /** What is alone on its way is never too much, or it could never be. */
  #checkRefusal(core: RawNode): void {
    if (core.status().uncommittedBytes > 0) return;
    fail(
      "boundedQueues",
      `Leader ${this.#node} refuses a proposal for its size with nothing under way`,
    );
  }

  /** Takes the leader's answers to forwarded proposals. */
  takeAnswers(core: RawNode): void {
    for (const { ticket, outcome } of core.takeAnswers()) {
      const operations = this.#tickets.get(ticket);
      if (operations === undefined) continue; // repeated, or of a former life
      this.#tickets.delete(ticket);
      if (outcome.type === "dropped") this.refuse(operations);
      else {
        this.#world.marks.hit("writeThroughFollower");
        this.#applier.awaitWrites(operations, outcome);
      }
    }
  }

  /** Answers a query as well as it asks for. */
  query(core: RawNode, operation: PendingOperation, life: number): void {
    const { marks } = this.#world;
    switch (operation.consistency) {
      case "stale":
        marks.hit("staleRead");
        return this.#applier.awaitRead(operation, 0);
      case "lease":
        return this.#readByLease(core, operation, life);
      case "linearizable":
        return this.read(core, operation, life);
    }
  }

  /** Without asking anybody, if a lease holds now and at the end (H95). */
  #readByLease(
    core: RawNode,
    operation: PendingOperation,
    life: number,
  ): void {
    const { marks } = this.#world;
    const holds = () => this.#clock.mono() < core.leaseUntil;
    if (!holds()) {
      marks.hit(core.role === "leader" ? "leaseRefused" : "leaseElsewhere");
      return this.read(core, operation, life);
    }
    this.#applier.awaitRead(operation, core.commitIndex, {
      holds: () => {
        const isHeld = holds();
        marks.hit(isHeld ? "leaseRead" : "leaseRanOut");
        return isHeld;
      },
      lost: () => this.read(core, operation, life),
    });
  }

  /** Asks for a read index, under a name never used before (H96). */
  read(core: RawNode, operation: PendingOperation, life: number): void {
    const { oracle, marks, options } = this.#world;
    const context = this.#world.newName();
    const leastIndex = oracle.committed.lastIndex;
    const { newestTerm } = oracle;
    this.#reads.set(context, { operation, leastIndex, newestTerm });
    if (core.readIndex(context) === "dropped") marks.hit("readDropped");
    this.#world.schedule(options.clients.readRetryMs, {
      type: "readRetry",
      group: this.#world.group,
      node: this.#node,
      life,
      context,
    });
  }

  /** Asks again, if the read still waits. */
  retryRead(core: RawNode, context: number, life: number): void {
    const read = this.#reads.get(context);
    if (read === undefined) return;
    this.#reads.delete(context);
    if (read.operation.outcome !== undefined) return;
    this.#world.marks.hit("readRetried");
    this.read(core, read.operation, life);
  }

  /**
   * A read index has come. It is never below what was committed anywhere when
   * the read began, or a read could miss an acknowledged write.
   */
  readConfirmed(core: RawNode, { context, index }: ReadState): void {
    const read = this.#reads.get(context);
    if (read === undefined) return;
    this.#reads.delete(context);
    if (index < read.leastIndex) {
      fail(
        "readIndex",
        `Member ${this.#node} got read index ${index}, ${read.leastIndex} was committed before it asked`,
      );
    }
    if (core.role === "leader" && core.term < read.newestTerm) {
      fail(
        "readIndex",
        `Leader ${this.#node} of term ${core.term} confirms a read itself, term ${read.newestTerm} was led before it was asked`,
      );
    }
    if (core.conf.witnesses.includes(this.#node)) {
      fail(
        "readIndex",
        `Witness ${this.#node} got read index ${index}, and has nothing to read`,
      );
    }
    this.#world.marks.hit(
      core.role === "leader" ? "readThroughLeader" : "readThroughFollower",
    );
    this.#applier.awaitRead(read.operation, index);
  }
}
